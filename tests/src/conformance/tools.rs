//! The fixture's tools, and those of them whose answer is always the same.

use rmcp::model::{CallToolResult, JsonObject, Tool};
use serde_json::{Value, json};

use super::{Changed, object, typed};

/// A PNG of one red pixel.
pub(super) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// A WAV file of eight silent samples.
const SILENCE: &str = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==";

/// Tools without arguments.
const PLAIN: [&str; 32] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "failing_job",
    "protocol_error_job",
    "multi_input",
    "test_tool_with_task",
    "confirm_delete",
    "greet",
    "slow_compute",
    "test_custom_header",
];

/// All of them, as `tools/list` shows them.
pub(super) fn listed() -> Vec<Tool> {
    let tool = |name: &'static str, schema: Value| Tool::new(name, "A tool of the conformance suite.", object(schema));
    let properties = |name: &str| match name {
        "greet" => json!({"name": {"type": "string"}}),
        "slow_compute" => json!({"seconds": {"type": "number"}, "label": {"type": "string"}}),
        "confirm_delete" => json!({"filename": {"type": "string"}}),
        "test_custom_header" => json!({"region": {"type": "string", "x-mcp-header": "Region"}}),
        _ => json!({}),
    };
    let mut tools: Vec<Tool> =
        PLAIN.iter().map(|name| tool(name, json!({"type": "object", "properties": properties(name)}))).collect();
    for (name, argument) in [("test_sampling", "prompt"), ("test_elicitation", "message")] {
        let properties = json!({argument: {"type": "string"}});
        tools.push(tool(name, json!({"type": "object", "properties": properties, "required": [argument]})));
    }
    tools.push(tool("json_schema_2020_12_tool", rich_schema()));
    tools
}

/// Which list calling a tool changes.
pub(super) fn change(name: &str) -> Option<Changed> {
    match name {
        "test_trigger_tool_change" => Some(Changed::Tools),
        "test_trigger_prompt_change" => Some(Changed::Prompts),
        _ => None,
    }
}

/// The answer of a tool that needs nothing but its arguments.
pub(super) fn plain(name: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let image = json!({"type": "image", "data": PIXEL, "mimeType": "image/png"});
    let resource = |uri: &str, kind: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}});
    let content = match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => json!([image]),
        "test_audio_content" => json!([{"type": "audio", "data": SILENCE, "mimeType": "audio/wav"}]),
        "test_embedded_resource" => {
            json!([resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
        }
        "test_multiple_content_types" => json!([
            {"type": "text", "text": "Multiple content types test:"},
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_trigger_tool_change" | "test_trigger_prompt_change" => text("changed"),
        "test_custom_header" | "json_schema_2020_12_tool" | "test_reconnection" => text("done"),
        "greet" => text(&format!("Hello, {}!", arguments.get("name").and_then(Value::as_str).unwrap_or("you"))),
        "test_error_handling" => {
            let content = text("This tool intentionally returns an error for testing");
            return Some(typed(json!({"isError": true, "resultType": "complete", "content": content})));
        }
        _ => return None,
    };
    Some(typed(json!({"resultType": "complete", "content": content})))
}

/// What JSON Schema 2020-12 has beyond its predecessors.
fn rich_schema() -> Value {
    let text = json!({"type": "string"});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef", "type": "object", "properties": {"street": text, "city": text},
        }},
        "properties": {
            "name": text,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": text,
            "email": text,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
