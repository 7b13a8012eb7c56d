//! Tools, results and faults as MCP writes them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use rmcp::model::{CallToolResponse, CallToolResult, ResultType, Tool, ToolAnnotations};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::tool::{Annotations, Fault, FaultKind, JsonObject, Payload, ToolDescriptor};

/// Where a result says of which kind its fault is, for a caller that chooses what to do by it.
pub const FAULT_META_KEY: &str = "mesh/fault";

/// A tool as `tools/list` shows it.
pub fn tool(descriptor: &ToolDescriptor) -> Tool {
    let name = Cow::Owned(descriptor.name.to_string());
    let mut tool = Tool::new(name, descriptor.description.clone(), Arc::clone(&descriptor.input_schema));
    if descriptor.description.is_empty() {
        tool.description = None;
    }
    tool.title = descriptor.title.clone();
    tool.output_schema = descriptor.output_schema.as_ref().map(output_schema);
    tool.annotations = annotations(descriptor);
    tool
}

/// The text of the `CallToolResult` that shows `payload`, a result of `descriptor`.
pub fn result(descriptor: &ToolDescriptor, payload: &Payload) -> Bytes {
    let value = match payload {
        Payload::Content(content) => return content.clone(),
        Payload::Value(value) => value,
    };
    let Ok(value) = serde_json::from_slice::<&RawValue>(value) else {
        let broken = Fault::new(FaultKind::Failed, format!("{} gave back what is no JSON", descriptor.name));
        return fault(&broken);
    };
    let wraps = wraps_results(descriptor) || !value.get().starts_with('{');
    let structured = if wraps { Structured::Wrapped { result: value } } else { Structured::Object(value) };
    let shown = Shown {
        content: text_of(value.get()).map(Text::new).into_iter().collect(),
        structured_content: Some(structured),
        is_error: false,
        meta: wraps.then(|| json!({"fastmcp": {"wrap_result": true}})),
    };
    write(&shown)
}

/// The text of the `CallToolResult` that shows `fault`: an error that whoever called can read.
pub fn fault(fault: &Fault) -> Bytes {
    let text = match fault.kind {
        FaultKind::DependencyUnavailable => unavailable(fault),
        _ => fault.message.clone(),
    };
    let shown = Shown {
        content: vec![Text::new(Cow::Owned(text))],
        structured_content: None,
        is_error: true,
        meta: Some(json!({ FAULT_META_KEY: kind_name(fault.kind) })),
    };
    write(&shown)
}

/// What the text of a result of `tools/call` says: a result, a question to the client, or a task.
///
/// # Errors
/// When it says nothing of that.
pub fn response(text: &[u8]) -> Result<CallToolResponse, serde_json::Error> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "resultType", default)]
        kind: Option<ResultType>,
    }
    let kind = serde_json::from_slice::<Kind>(text)?.kind;
    match kind {
        Some(kind) if kind.is_input_required() => serde_json::from_slice(text).map(CallToolResponse::InputRequired),
        Some(kind) if kind.is_task() => serde_json::from_slice(text).map(CallToolResponse::Task),
        _ => {
            let mut result: CallToolResult = serde_json::from_slice(text)?;
            result.result_type.get_or_insert(ResultType::COMPLETE);
            Ok(result.into())
        }
    }
}

/// How a kind of fault is called in [`FAULT_META_KEY`].
pub fn kind_name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidArguments => "invalid_arguments",
        FaultKind::UnknownTool => "unknown_tool",
        FaultKind::DependencyUnavailable => "dependency_unavailable",
        FaultKind::Failed => "failed",
        FaultKind::Panicked => "panicked",
        FaultKind::Forbidden => "forbidden",
        FaultKind::Overloaded => "overloaded",
        FaultKind::Draining => "draining",
        FaultKind::TimedOut => "timed_out",
        FaultKind::Cancelled => "cancelled",
        FaultKind::TooLarge => "too_large",
        FaultKind::Lost => "lost",
    }
}

/// What people read of a JSON text: a string without its quotes, nothing of a null, everything else as it is.
pub fn text_of(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => serde_json::from_str(json).ok().map(Cow::Owned),
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The shape of a tool result that shows a value. Ours to write, so that the value's text is copied and not parsed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    content: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Structured<'a>>,
    is_error: bool,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<Value>,
}

#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: Cow<'a, str>,
}

impl<'a> Text<'a> {
    fn new(text: Cow<'a, str>) -> Self {
        Self { r#type: "text", text }
    }
}

/// MCP clients before 2026-07-28 take objects only.
#[derive(Serialize)]
#[serde(untagged)]
enum Structured<'a> {
    Object(&'a RawValue),
    Wrapped { result: &'a RawValue },
}

fn write(shown: &Shown<'_>) -> Bytes {
    serde_json::to_vec(shown).expect("texts and raw values can be written").into()
}

/// Whether every result is shown as `{"result": …}`, because the schema promises something else than an object.
fn wraps_results(descriptor: &ToolDescriptor) -> bool {
    descriptor.output_schema.as_ref().is_some_and(|schema| !is_of_object(schema))
}

fn is_of_object(schema: &JsonObject) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
}

fn output_schema(schema: &Arc<JsonObject>) -> Arc<JsonObject> {
    if is_of_object(schema) {
        return Arc::clone(schema);
    }
    let mut inner = JsonObject::clone(schema);
    let mut wrapped = Map::new();
    // References within the schema are written from its root, and stay so.
    for key in ["$schema", "$defs", "definitions"] {
        if let Some(value) = inner.remove(key) {
            wrapped.insert(key.to_owned(), value);
        }
    }
    wrapped.insert("type".to_owned(), "object".into());
    wrapped.insert("properties".to_owned(), json!({"result": inner}));
    wrapped.insert("required".to_owned(), json!(["result"]));
    wrapped.insert("x-fastmcp-wrap-result".to_owned(), true.into());
    Arc::new(wrapped)
}

fn annotations(descriptor: &ToolDescriptor) -> Option<ToolAnnotations> {
    let hints = descriptor.annotations;
    (hints != Annotations::default()).then(|| {
        ToolAnnotations::from_raw(None, hints.read_only, hints.destructive, hints.idempotent, hints.open_world)
    })
}

/// What consumers of the existing system look for in the text.
fn unavailable(fault: &Fault) -> String {
    let data = fault.data.as_ref().and_then(|data| serde_json::from_slice::<Value>(data).ok());
    let capability = data.as_ref().and_then(|data| data.get("capability"));
    match capability {
        Some(capability) => json!({"error": "dependency_unavailable", "capability": capability}).to_string(),
        None => json!({"error": "dependency_unavailable", "message": fault.message}).to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn shown(descriptor: &ToolDescriptor, value: &'static str) -> CallToolResult {
        serde_json::from_slice(&result(descriptor, &Payload::Value(value.into()))).unwrap()
    }

    fn promising(schema: Value) -> ToolDescriptor {
        let Value::Object(schema) = schema else { panic!("a schema is an object") };
        ToolDescriptor { output_schema: Some(Arc::new(schema)), ..ToolDescriptor::new("promise") }
    }

    fn text(result: &CallToolResult) -> &str {
        &result.content[0].as_text().unwrap().text
    }

    #[test]
    fn an_object_travels_as_structured_content_and_as_text() {
        let result = shown(&ToolDescriptor::new("sum"), r#"{"a": 1}"#);
        assert_eq!(result.structured_content, Some(json!({"a": 1})));
        assert_eq!(text(&result), r#"{"a": 1}"#);
        assert_eq!(result.is_error, Some(false));
        assert!(result.meta.is_none());
    }

    #[test]
    fn what_is_no_object_is_wrapped_and_says_so() {
        let result = shown(&ToolDescriptor::new("date"), r#""a \"day\"""#);
        assert_eq!(result.structured_content, Some(json!({"result": "a \"day\""})));
        assert_eq!(text(&result), "a \"day\"");
        assert_eq!(result.meta.unwrap().0["fastmcp"], json!({"wrap_result": true}));
    }

    #[test]
    fn nothing_has_no_text() {
        let result = shown(&ToolDescriptor::new("forget"), "null");
        assert!(result.content.is_empty());
        assert_eq!(result.structured_content, Some(json!({"result": null})));
    }

    #[test]
    fn a_schema_that_promises_no_object_is_wrapped_as_its_results_are() {
        let descriptor = promising(json!({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "$defs": {"A": {}}}));
        let schema = tool(&descriptor).output_schema.unwrap();
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["$defs"], json!({"A": {}}));
        assert_eq!(schema["properties"]["result"], json!({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}));
        assert_eq!(shown(&descriptor, r#"{"b":2}"#).structured_content, Some(json!({"result": {"b": 2}})));
    }

    #[test]
    fn a_schema_of_an_object_stays_as_it_is() {
        let descriptor = promising(json!({"type": "object", "properties": {"b": {"type": "integer"}}}));
        assert_eq!(tool(&descriptor).output_schema, descriptor.output_schema);
        assert_eq!(shown(&descriptor, r#"{"b":2}"#).structured_content, Some(json!({"b": 2})));
    }

    #[test]
    fn a_fault_is_an_error_that_can_be_read() {
        let result: CallToolResult =
            serde_json::from_slice(&fault(&Fault::new(FaultKind::Failed, "out of paper"))).unwrap();
        assert_eq!(result.is_error, Some(true));
        assert_eq!(text(&result), "out of paper");
        assert_eq!(result.meta.unwrap().0[FAULT_META_KEY], "failed");
    }

    #[test]
    fn an_absent_dependency_is_named_as_consumers_expect_it() {
        let data = Bytes::from_static(br#"{"capability":"date_service"}"#);
        let absent = Fault { data: Some(data), ..Fault::new(FaultKind::DependencyUnavailable, "no date_service") };
        let result: CallToolResult = serde_json::from_slice(&fault(&absent)).unwrap();
        let text: Value = serde_json::from_str(text(&result)).unwrap();
        assert_eq!(text["error"], "dependency_unavailable");
        assert_eq!(text["capability"], "date_service");
    }

    #[test]
    fn a_result_that_is_no_json_is_an_error() {
        assert_eq!(shown(&ToolDescriptor::new("liar"), "{").is_error, Some(true));
    }
}
