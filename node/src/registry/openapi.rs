//! The document that describes the registry API.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// OpenAPI 3.1, as JSON. That is YAML as well.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn router() -> Router {
    let served = |kind: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], DOCUMENT) });
    Router::new().route("/openapi.json", served("application/json")).route("/openapi.yaml", served("application/yaml"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::Value;

    /// Every reference leads somewhere.
    fn follow(document: &Value, at: &Value) {
        match at {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                object.values().for_each(|value| follow(document, value));
            }
            Value::Array(list) => list.iter().for_each(|value| follow(document, value)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document: Value = serde_json::from_str(super::DOCUMENT).unwrap();
        follow(&document, &document);
        assert_eq!(document["openapi"], "3.1.0");
    }
}
