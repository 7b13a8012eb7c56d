//! What a dependency gave back, as the type that its consumer declared.

use bytes::Bytes;
use mesh_node::tool::Payload;
use rmcp::model::CallToolResult;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::content::Content;

/// What can be the result of a dependency.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a dependency",
    label = "not something that JSON is read into",
    note = "give it `#[derive(serde::Deserialize)]`"
)]
pub trait Received: Sized + Send + 'static {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, with its place.
    #[doc(hidden)]
    fn received(payload: Payload) -> Result<Self, String>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send + 'static> Received for T {
    fn received(payload: Payload) -> Result<Self, String> {
        match payload {
            Payload::Value(text) => read(&text),
            Payload::Content(text) => from_content(&read(&text)?),
        }
    }
}

impl Received for Content {
    fn received(payload: Payload) -> Result<Self, String> {
        match payload {
            Payload::Content(text) => read::<CallToolResult>(&text).map(Self::from),
            Payload::Value(text) => match serde_json::from_slice(&text) {
                Ok(Value::String(text)) => Ok(Self::text(text)),
                _ => Ok(Self::text(String::from_utf8_lossy(&text))),
            },
        }
    }
}

/// MCP's results, as clients of the existing system read them: what is structured, else the one text (JSON or not), else
/// all pieces. What is no object came wrapped as `{"result": …}`.
fn from_content<T: DeserializeOwned>(result: &CallToolResult) -> Result<T, String> {
    if let Some(structured) = &result.structured_content {
        let whole = value(structured.clone());
        return match structured.as_object().filter(|it| it.len() == 1).and_then(|it| it.get("result")) {
            Some(inner) if is_wrapped(result) => value(inner.clone()),
            Some(inner) => whole.or_else(|why| value(inner.clone()).map_err(|_| why)),
            None => whole,
        };
    }
    match result.content.as_slice() {
        [] => value(Value::Null),
        [block] if block.as_text().is_some() => {
            let text = block.as_text().map_or("", |it| &it.text);
            read(&Bytes::copy_from_slice(text.as_bytes())).or_else(|why| value(Value::from(text)).map_err(|_| why))
        }
        blocks => value(json!({ "type": "multi_content", "content": blocks })),
    }
}

fn is_wrapped(result: &CallToolResult) -> bool {
    let meta = result.meta.as_ref().and_then(|meta| serde_json::to_value(meta).ok());
    meta.is_some_and(|meta| meta.pointer("/fastmcp/wrap_result") == Some(&Value::Bool(true)))
}

fn read<T: DeserializeOwned>(text: &Bytes) -> Result<T, String> {
    // What does not fit is read again to find out where: keeping track of the place costs as much as reading.
    serde_json::from_slice(text)
        .or_else(|_| serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text)).map_err(said))
}

fn value<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(said)
}

fn said(error: serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        "." => error.into_inner().to_string(),
        path => format!("`{path}`: {}", error.inner()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn content(result: Value) -> Payload {
        Payload::Content(result.to_string().into())
    }

    fn text(text: &str) -> Payload {
        content(json!({ "content": [{ "type": "text", "text": text }] }))
    }

    #[test]
    fn a_single_text_is_json_or_itself() {
        assert_eq!(u8::received(text("42")), Ok(42));
        assert_eq!(String::received(text("42")), Ok("42".into()));
        assert_eq!(String::received(text("hello")), Ok("hello".into()));
        assert_eq!(Value::received(text(r#"{"a":1}"#)), Ok(json!({ "a": 1 })));
    }

    #[test]
    fn structured_content_comes_first_and_is_unwrapped_where_it_was_wrapped() {
        let wrapped = json!({ "content": [], "structuredContent": { "result": "hi" } });
        assert_eq!(String::received(content(wrapped.clone())), Ok("hi".into()));
        assert_eq!(Value::received(content(wrapped.clone())), Ok(json!({ "result": "hi" })));
        let mut marked = wrapped;
        marked["_meta"] = json!({ "fastmcp": { "wrap_result": true } });
        assert_eq!(Value::received(content(marked)), Ok(json!("hi")));
    }

    #[test]
    fn several_pieces_are_kept() {
        let blocks = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        let several = content(json!({ "content": blocks }));
        assert_eq!(Content::received(several.clone()).unwrap().blocks().len(), 2);
        assert_eq!(Value::received(several).unwrap()["type"], "multi_content");
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "never read")]
        struct Forecast {
            high: f64,
        }
        let why = Vec::<Forecast>::received(Payload::Value(r#"[{"high":"warm"}]"#.into())).unwrap_err();
        assert!(why.starts_with("`[0].high`: invalid type: string \"warm\""), "{why}");
    }
}
