//! The fixture's resources.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceTemplate};
use serde_json::json;

use super::tools::PIXEL;
use super::{Answer, typed};

pub(super) fn listed() -> Vec<Resource> {
    let resources = [
        ("test://static-text", "text/plain"),
        ("test://static-binary", "image/png"),
        ("test://watched-resource", "text/plain"),
    ];
    let resource = |(uri, kind)| {
        typed(json!({"uri": uri, "name": uri, "description": "A resource of the conformance suite.", "mimeType": kind}))
    };
    resources.into_iter().map(resource).collect()
}

pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = json!({"uriTemplate": "test://template/{id}/data", "name": "data", "description": "Data by id.",
        "mimeType": "application/json"});
    vec![typed(template)]
}

pub(super) fn read(uri: &str) -> Answer<ReadResourceResult> {
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let content = match (uri, id) {
        ("test://static-text", _) => {
            json!({"mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        ("test://static-binary", _) => json!({"mimeType": "image/png", "blob": PIXEL}),
        ("test://watched-resource", _) => json!({"mimeType": "text/plain", "text": "It has not changed."}),
        (_, Some(id)) => {
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"mimeType": "application/json", "text": data.to_string()})
        }
        _ => return Err(ErrorData::resource_not_found("Resource not found", Some(json!({"uri": uri})))),
    };
    let mut content = content;
    content["uri"] = uri.into();
    Ok(typed(json!({"resultType": "complete", "contents": [content]})))
}
