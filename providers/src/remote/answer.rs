//! What genai gives back, as the mesh says it.

use genai::chat::{ChatResponse, ContentPart, MessageContent, StopReason, StreamEnd};
use mesh::llm::wire::{Called, End, Reply, Role, ToolCall, Usage};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::vendor::ModelName;

/// In the `extra` of a message: what the model thought, in the vendor's own blocks, signed for the vendor alone.
pub(super) const THINKING: &str = "_mesh_thinking";

/// In the `extra` of a tool call: signatures that have to go back with it.
pub(super) const SIGNATURES: &str = "thought_signatures";

type Extra = Map<String, Value>;

/// A whole answer.
pub(super) fn reply(response: ChatResponse, name: &ModelName) -> Result<Reply, Failure> {
    let (content, tool_calls, extra) = taken(response.content, name)?;
    Ok(Reply {
        role: Role::Assistant,
        content,
        tool_calls,
        usage: Some(usage(&response.usage, name)),
        stop_reason: stop_reason(response.stop_reason),
        extra,
    })
}

/// The answer behind an error of genai's: it refuses a chat completion whole when the arguments of one call are no JSON,
/// which its consumer can have mended.
pub(super) fn mended(error: &genai::Error, name: &ModelName) -> Option<Reply> {
    let genai::Error::ChatResponseGeneration { response_body, .. } = error else { return None };
    let message = response_body.pointer("/choices/0/message")?;
    let calls = message.get("tool_calls").filter(|calls| calls.is_array())?;
    let details = response_body.pointer("/usage/prompt_tokens_details/cached_tokens").and_then(Value::as_u64);
    let count = |field: &str| response_body.get("usage")?.get(field)?.as_u64();
    Some(Reply {
        role: Role::Assistant,
        content: message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
        tool_calls: serde_json::from_value(calls.clone()).ok()?,
        usage: Some(Usage {
            prompt_tokens: count("prompt_tokens").unwrap_or_default(),
            completion_tokens: count("completion_tokens").unwrap_or_default(),
            model: name.to_string(),
            cache_read_tokens: details,
            ..Usage::default()
        }),
        ..Reply::default()
    })
}

/// What a stream says at its end.
pub(super) fn end(end: StreamEnd, name: &ModelName) -> Result<End, Failure> {
    let (_, tool_calls, extra) = taken(end.captured_content.unwrap_or_default(), name)?;
    Ok(End {
        stop_reason: stop_reason(end.captured_stop_reason),
        tool_calls,
        usage: Some(usage(&end.captured_usage.unwrap_or_default(), name)),
        extra,
    })
}

/// Text, calls, and what only this vendor understands.
fn taken(content: MessageContent, name: &ModelName) -> Result<(String, Vec<ToolCall>, Extra), Failure> {
    let mut text = String::new();
    let mut calls = Vec::new();
    let mut blocks = Vec::new();
    let mut signature = None;
    for part in content.into_parts() {
        match part {
            ContentPart::Text(more) => text.push_str(&more),
            ContentPart::ToolCall(call) => calls.push(tool_call(call)),
            ContentPart::ThoughtSignature(mark) => signature = Some(mark),
            ContentPart::ReasoningContent(thought) => {
                if let Some(mark) = signature.take() {
                    blocks.push(json!({ "type": "thinking", "thinking": thought, "signature": mark }));
                }
            }
            ContentPart::Custom(custom) => blocks.push(custom.data),
            ContentPart::Binary(_) | ContentPart::ToolResponse(_) => {}
        }
    }
    if text.len() > super::MAX_TEXT_BYTES {
        return Err(Failure::unavailable(format!("the answer is longer than {} bytes", super::MAX_TEXT_BYTES)));
    }
    let mut extra = Extra::new();
    if !blocks.is_empty() {
        extra.insert(THINKING.into(), json!({ "vendor": name.vendor.prefix(), "blocks": blocks }));
    }
    Ok((text, calls, extra))
}

fn tool_call(call: genai::chat::ToolCall) -> ToolCall {
    let arguments = match call.fn_arguments {
        // What was no JSON is passed on as the model wrote it: its consumer tells it so.
        Value::String(text) => text,
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    };
    let mut extra = Extra::new();
    if let Some(signatures) = call.thought_signatures.filter(|signatures| !signatures.is_empty()) {
        extra.insert(SIGNATURES.into(), signatures.into());
    }
    ToolCall { id: call.call_id, kind: Default::default(), function: Called { name: call.fn_name, arguments }, extra }
}

fn usage(usage: &genai::chat::Usage, name: &ModelName) -> Usage {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let details = usage.prompt_tokens_details.as_ref();
    Usage {
        prompt_tokens: count(usage.prompt_tokens).unwrap_or_default(),
        completion_tokens: count(usage.completion_tokens).unwrap_or_default(),
        model: name.to_string(),
        cache_read_tokens: count(details.and_then(|details| details.cached_tokens)),
        cache_write_tokens: count(details.and_then(|details| details.cache_creation_tokens)),
        cost_usd: None,
    }
}

/// Why it ended, if not because all was said.
fn stop_reason(reason: Option<StopReason>) -> Option<String> {
    match reason? {
        StopReason::Completed(_) | StopReason::ToolCall(_) | StopReason::StopSequence(_) => None,
        StopReason::MaxTokens(_) => Some("length".to_owned()),
        StopReason::ContentFilter(_) => Some("refusal".to_owned()),
        StopReason::Other(other) => Some(other),
    }
}
