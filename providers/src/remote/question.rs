//! A request of the mesh as genai takes it: messages, parts, tools.

use genai::chat::{
    Binary, ChatMessage, ChatRequest, ContentPart, CustomPart, MessageContent, MessageOptions, Tool, ToolCall,
    ToolResponse,
};
use mesh::llm::wire::{self, Message, Part, Request, Role};
use serde_json::{Value, json};

use super::answer::{SIGNATURES, THINKING};
use super::options::cache_control;
use crate::failure::Failure;
use crate::vendor::Vendor;

/// How a structured answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// It is a text.
    None,
    /// The vendor makes the model keep to the schema.
    Enforced,
    /// The model is told of it.
    Told,
}

/// How `request` wants its answer from `model`: as it says itself, else as the vendor does best.
pub(super) fn schema(request: &Request, vendor: Vendor, model: &str) -> Schema {
    let Some(params) = request.model_params.as_ref().filter(|params| params.output_schema.is_some()) else {
        return Schema::None;
    };
    let has_tools = request.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    match params.output_mode.as_deref() {
        Some("text") => Schema::None,
        Some("hint") => Schema::Told,
        Some("strict") => Schema::Enforced,
        _ if vendor == Vendor::Anthropic && !enforces(model) => Schema::Told,
        // Its older models call tools for ever when they are also held to a schema.
        _ if vendor == Vendor::Gemini && has_tools && !model.starts_with("gemini-3") => Schema::Told,
        _ => Schema::Enforced,
    }
}

/// Whether a model of Anthropic's can be held to a schema: those since Sonnet 4.5 and Opus 4.1.
fn enforces(model: &str) -> bool {
    let older = ["claude-2", "claude-3", "claude-instant", "claude-opus-4-0", "claude-sonnet-4-0"];
    let dated = ["claude-opus-4-2025", "claude-sonnet-4-2025"];
    !older.iter().chain(&dated).any(|start| model.starts_with(start))
}

/// The conversation and the tools.
pub(super) fn chat(request: &Request, vendor: Vendor, model: &str) -> Result<ChatRequest, Failure> {
    if request.messages.is_empty() {
        return Err(Failure::rejected("a request without messages cannot be answered"));
    }
    let mut chat = ChatRequest::default();
    // Pictures among the results of tools: most vendors take them from the user only.
    let mut shown = Vec::new();
    for (at, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::System => chat.messages.push(instructions(message)?),
            Role::User => chat.messages.push(ChatMessage::user(parts(&message.content, vendor)?)),
            Role::Assistant => chat.messages.push(assistant(message, vendor)),
            Role::Tool => {
                result(message, vendor, &mut chat.messages, &mut shown)?;
                let is_last = request.messages.get(at + 1).is_none_or(|next| next.role != Role::Tool);
                if is_last && !shown.is_empty() {
                    chat.messages.push(ChatMessage::user(MessageContent::from_parts(std::mem::take(&mut shown))));
                }
            }
        }
    }
    if schema(request, vendor, model) == Schema::Told {
        chat.messages.insert(0, ChatMessage::system(hint(request)));
    }
    let tools = request.tools.iter().flatten().map(tool);
    chat.tools = Some(tools.collect::<Vec<_>>()).filter(|tools| !tools.is_empty());
    Ok(chat)
}

fn hint(request: &Request) -> String {
    let schema = request.model_params.as_ref().and_then(|params| params.output_schema.clone()).unwrap_or_default();
    let schema = Value::Object(schema);
    format!(
        "Your final answer has to be one JSON value that fits this JSON Schema. Write nothing before or after it, and no \
         code fence.\n{schema}"
    )
}

fn tool(spec: &wire::ToolSpec) -> Tool {
    let function = &spec.function;
    let mut parameters = Value::Object(function.parameters.clone());
    if parameters.get("type").is_none() {
        parameters["type"] = "object".into();
    }
    let tool = Tool::new(function.name.clone()).with_schema(parameters);
    if function.description.is_empty() { tool } else { tool.with_description(function.description.clone()) }
}

/// What whoever made the agent says; cached, when one of its parts wants that.
fn instructions(message: &Message) -> Result<ChatMessage, Failure> {
    let said = ChatMessage::system(message.text());
    let controls = match &message.content {
        wire::MessageContent::Parts(parts) => parts.iter().rev().find_map(Part::cache_control),
        wire::MessageContent::Text(_) => None,
    };
    Ok(match controls {
        Some(control) => said.with_options(MessageOptions::default().with_cache_control(cache_control(control)?)),
        None => said,
    })
}

/// What a user says.
fn parts(content: &wire::MessageContent, vendor: Vendor) -> Result<MessageContent, Failure> {
    match content {
        wire::MessageContent::Text(text) => Ok(MessageContent::from_text(text.clone())),
        wire::MessageContent::Parts(parts) => {
            let parts: Result<Vec<_>, _> = parts.iter().map(|it| part(it, vendor)).collect();
            Ok(MessageContent::from_parts(parts?))
        }
    }
}

fn part(part: &Part, vendor: Vendor) -> Result<ContentPart, Failure> {
    Ok(match part {
        Part::Text(text) => ContentPart::from_text(text.clone()),
        Part::Image { url } => match inline(url) {
            Some((kind, data)) => ContentPart::Binary(Binary::from_base64(kind, data, None)),
            // genai leaves it out, though the vendor takes it.
            None if vendor == Vendor::Anthropic => {
                let image = json!({ "type": "image", "source": { "type": "url", "url": url } });
                ContentPart::Custom(CustomPart { model_iden: None, data: image })
            }
            None => ContentPart::from_binary_url(image_type(url), url.clone(), None),
        },
        Part::File { name, data } => match inline(data) {
            Some((kind, data)) => ContentPart::Binary(Binary::from_base64(kind, data, name.clone())),
            None if matches!(vendor, Vendor::Anthropic | Vendor::Gemini) => {
                ContentPart::from_binary_url("application/pdf", data.clone(), name.clone())
            }
            None => return Err(Failure::rejected(format!("{vendor} takes no files by URL: send it as a data: URL"))),
        },
        // Anthropic's own kinds of content: documents, search results, ….
        Part::Other(other) if vendor == Vendor::Anthropic => {
            ContentPart::Custom(CustomPart { model_iden: None, data: Value::Object(other.clone()) })
        }
        // The others cache by themselves.
        Part::Other(_) if part.as_text().is_some() => ContentPart::from_text(part.as_text().unwrap_or_default()),
        Part::Other(other) => {
            let kind = other.get("type").cloned().unwrap_or_default();
            return Err(Failure::rejected(format!("a part of type {kind} cannot be sent to {vendor}")));
        }
    })
}

/// Media type and content of a `data:` URL.
fn inline(url: &str) -> Option<(String, String)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((kind.to_owned(), data.to_owned()))
}

fn image_type(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    match path.rsplit('.').next() {
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "image/jpeg",
    }
}

/// What the model said before: its thoughts, where they are this vendor's own, its words, and what it called.
fn assistant(message: &Message, vendor: Vendor) -> ChatMessage {
    let mut parts = Vec::new();
    let thoughts = message.extra.get(THINKING).filter(|thoughts| thoughts["vendor"] == vendor.prefix());
    for block in thoughts.and_then(|thoughts| thoughts["blocks"].as_array()).into_iter().flatten() {
        parts.push(ContentPart::Custom(CustomPart { model_iden: None, data: block.clone() }));
    }
    let text = message.text();
    if !text.is_empty() {
        parts.push(ContentPart::from_text(text));
    }
    for call in &message.tool_calls {
        let signatures = call.extra.get(SIGNATURES).and_then(|it| serde_json::from_value(it.clone()).ok());
        parts.push(ContentPart::ToolCall(ToolCall {
            call_id: call.id.clone(),
            fn_name: call.function.name.clone(),
            fn_arguments: arguments(&call.function.arguments),
            thought_signatures: signatures,
        }));
    }
    ChatMessage::assistant(MessageContent::from_parts(parts))
}

/// The arguments of a call as an object, which vendors insist on. What was none is shown to the model as it wrote it.
fn arguments(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(arguments)) => Value::Object(arguments),
        _ if text.trim().is_empty() => json!({}),
        _ => json!({ "not_an_object": text }),
    }
}

/// The result of a tool. Those of one turn become one message: Anthropic wants all of them in the next one.
fn result(
    message: &Message,
    vendor: Vendor,
    messages: &mut Vec<ChatMessage>,
    shown: &mut Vec<ContentPart>,
) -> Result<(), Failure> {
    let id = message.tool_call_id.clone().unwrap_or_default();
    let pictures = match &message.content {
        wire::MessageContent::Parts(parts) => {
            parts.iter().filter(|it| it.as_text().is_none()).map(|it| part(it, vendor)).collect()
        }
        wire::MessageContent::Text(_) => Ok(Vec::new()),
    };
    let pictures: Vec<ContentPart> = pictures?;
    let part = match vendor {
        Vendor::Anthropic if !pictures.is_empty() => anthropic_result(&id, &message.text(), &pictures),
        _ => {
            if !pictures.is_empty() {
                shown.push(ContentPart::from_text(format!("What the tool call {id} shows:")));
                shown.extend(pictures);
            }
            ContentPart::ToolResponse(ToolResponse::new(id, message.text()))
        }
    };
    match messages.last_mut() {
        Some(last) if last.role == genai::chat::ChatRole::Tool => last.content.push(part),
        _ => messages.push(ChatMessage::tool(part)),
    }
    Ok(())
}

/// Anthropic takes pictures within results.
fn anthropic_result(id: &str, text: &str, pictures: &[ContentPart]) -> ContentPart {
    let mut content = vec![json!({ "type": "text", "text": text })];
    for picture in pictures {
        match picture {
            ContentPart::Custom(custom) => content.push(custom.data.clone()),
            ContentPart::Binary(binary) => {
                let kind = if binary.is_image() { "image" } else { "document" };
                if let genai::chat::BinarySource::Base64(data) = &binary.source {
                    let source = json!({ "type": "base64", "media_type": binary.content_type, "data": **data });
                    content.push(json!({ "type": kind, "source": source }));
                }
            }
            _ => {}
        }
    }
    let result = json!({ "type": "tool_result", "tool_use_id": id, "content": content });
    ContentPart::Custom(CustomPart { model_iden: None, data: result })
}
