#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use mesh_node::tool::{Fault, FaultKind};
use serde_json::json;

use super::*;

/// As consumers of the existing system send it.
fn recorded_request() -> Value {
    json!({
        "messages": [
            { "role": "system", "content": "You are R2D2." },
            { "role": "user", "content": "What is the answer?" },
        ],
        "tools": [{ "type": "function", "function": {
            "name": "fn_weather",
            "description": "Weather lookup",
            "parameters": {
                "type": "object",
                "properties": { "city": { "type": "string", "description": "City" } },
                "required": ["city"],
            },
            "_mesh_endpoint": "http://127.0.0.1:18702",
        } }],
        "model_params": {
            "max_tokens": 2000,
            "temperature": 0.9,
            "output_schema": {
                "properties": { "answer": { "title": "Answer", "type": "string" } },
                "required": ["answer"], "title": "Ans", "type": "object",
            },
            "output_type_name": "Ans",
            "parallel_tool_calls": true,
            "max_iterations": 4,
        },
        "context": null, "request_id": null, "caller_agent": null,
    })
}

#[test]
fn a_recorded_request_is_read_and_written_as_it_was() {
    let request: Request = serde_json::from_value(recorded_request()).unwrap();
    let tools = request.tools.as_ref().unwrap();
    assert_eq!(tools[0].function.mesh_endpoint.as_deref(), Some("http://127.0.0.1:18702"));
    assert_eq!(request.model_params.as_ref().unwrap().max_iterations, Some(4));
    assert_eq!(serde_json::to_value(&request).unwrap(), recorded_request());
}

#[test]
fn who_has_no_tools_and_no_parameters_says_null() {
    let plain = json!({
        "messages": [
            { "role": "system", "content": "Plain prompt" }, { "role": "user", "content": "h1" },
            { "role": "assistant", "content": "a1" }, { "role": "user", "content": "q1" },
        ],
        "tools": null, "model_params": null, "context": null, "request_id": null, "caller_agent": null,
    });
    let messages =
        vec![Message::system("Plain prompt"), Message::user("h1"), Message::assistant("a1"), Message::user("q1")];
    assert_eq!(serde_json::to_value(Request { messages, ..Request::default() }).unwrap(), plain);
}

#[test]
fn a_recorded_reply_is_read_and_written_as_it_was() {
    let recorded = json!({
        "role": "assistant", "content": "{\"answer\":\"42\",\"confidence\":0.9}",
        "_mesh_usage": { "prompt_tokens": 11, "completion_tokens": 7, "model": "anthropic/claude-sonnet-4-5" },
    });
    let reply: Reply = serde_json::from_value(recorded.clone()).unwrap();
    assert_eq!(reply.usage.as_ref().unwrap().total_tokens(), 18);
    assert_eq!(serde_json::to_value(&reply).unwrap(), recorded);
}

#[test]
fn tool_calls_are_read_with_what_only_one_vendor_says() {
    let reply: Reply = serde_json::from_value(json!({
        "role": "assistant", "content": null, "_gemini_thought_signature": "abc",
        "tool_calls": [{ "id": "c1", "type": "function", "signature": "s",
            "function": { "name": "fn_weather", "arguments": "{\"city\":\"Rome\"}" } }],
        "_mesh_stop_reason": "max_iterations",
    }))
    .unwrap();
    assert_eq!(reply.content, "");
    assert_eq!(reply.tool_calls[0].function.arguments, r#"{"city":"Rome"}"#);
    assert_eq!((reply.extra.len(), reply.tool_calls[0].extra.len()), (1, 1));
    assert_eq!(reply.stop_reason.as_deref(), Some(MAX_ITERATIONS));
}

#[test]
fn arguments_that_came_as_an_object_become_their_text() {
    let called: Called = serde_json::from_value(json!({ "name": "f", "arguments": { "city": "Rome" } })).unwrap();
    assert_eq!(called.arguments, r#"{"city":"Rome"}"#);
}

#[test]
fn parts_keep_what_is_unknown() {
    let content = json!([
        { "type": "text", "text": "Look:" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
        { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA" } },
        { "type": "hologram", "depth": 3 },
    ]);
    let message: Message = serde_json::from_value(json!({ "role": "user", "content": content })).unwrap();
    assert_eq!(message.text(), "Look:");
    assert_eq!(serde_json::to_value(&message).unwrap()["content"], content);
}

#[test]
fn a_neutral_message_has_nothing_of_one_vendor() {
    let message: Message = serde_json::from_value(json!({
        "role": "assistant", "_gemini_thought_signature": "abc",
        "content": [{ "type": "thinking", "thinking": "hm", "signature": "s" }, { "type": "text", "text": "Hi" }],
        "tool_calls": [{ "id": "c1", "type": "function", "signature": "s", "function": { "name": "f", "arguments": "{}" } }],
    }))
    .unwrap();
    let neutral = serde_json::to_value(message.neutral()).unwrap();
    assert_eq!(
        neutral,
        json!({
            "role": "assistant", "content": [{ "type": "text", "text": "Hi" }],
            "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{}" } }],
        })
    );
}

#[test]
fn frames_are_those_that_were_recorded() {
    let recorded = [r#"{"_mesh_frame":"chunk","content":"Hel"}"#, r#"{"_mesh_frame":"end"}"#];
    let frames = [Frame::chunk("Hel"), Frame::End(End::default())];
    assert_eq!(frames.clone().map(|frame| frame.to_text()), recorded);
    assert_eq!(recorded.map(|text| Frame::read(text).unwrap()), frames);
    assert_eq!(Frame::read("plain words"), None);
}

#[test]
fn a_busy_provider_says_when_to_come_back() {
    let fault = Fault::from(Trouble::busy(Duration::from_millis(2500)).error("429 from the vendor"));
    assert_eq!(fault.kind, FaultKind::Overloaded);
    assert_eq!(fault.data.as_deref(), Some(br#"{"error":"busy","retry_after":2.5}"#.as_slice()));
    assert_eq!(Trouble::of(&fault).unwrap().retry_after(), Some(Duration::from_millis(2500)));
    let rude = Trouble::Busy { retry_after: f64::INFINITY };
    assert_eq!(rude.retry_after(), Some(MAX_WAIT_OF_TESTS));
    assert_eq!(Trouble::Busy { retry_after: f64::NAN }.retry_after(), Some(Duration::ZERO));
}

const MAX_WAIT_OF_TESTS: Duration = Duration::from_secs(3600);

#[test]
fn a_fault_of_another_kind_is_no_trouble_of_the_vendor() {
    assert_eq!(Trouble::of(&Fault::new(FaultKind::Failed, "out of paper")), None);
    assert!(Trouble::of(&Fault::new(FaultKind::Overloaded, "full")).unwrap().retry_after().is_some());
}

#[test]
fn parameters_of_a_call_come_before_those_of_the_declaration() {
    let base: ModelParams = serde_json::from_value(json!({ "max_tokens": 5, "temperature": 0.1, "top_k": 1 })).unwrap();
    let own: ModelParams = serde_json::from_value(json!({ "temperature": 0.9, "thinking": {} })).unwrap();
    let both = serde_json::to_value(own.over(&base)).unwrap();
    assert_eq!(both, json!({ "max_tokens": 5, "temperature": 0.9, "top_k": 1, "thinking": {} }));
}
