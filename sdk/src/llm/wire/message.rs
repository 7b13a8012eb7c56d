//! Messages of a conversation.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_node::tool::JsonObject;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::FunctionKind;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    #[serde(default, deserialize_with = "super::nullable")]
    pub content: MessageContent,
    /// What the assistant wants to be called.
    #[serde(default, deserialize_with = "super::nullable", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call this is the result of; for [`Role::Tool`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What only one vendor says: signatures, thinking.
    #[serde(flatten)]
    pub extra: JsonObject,
}

/// Who says something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever made the agent.
    #[serde(alias = "developer")]
    System,
    /// Whoever asks.
    #[default]
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// What a message says: a text, or several parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageContent {
    /// A text.
    Text(String),
    /// Several parts.
    Parts(Vec<Part>),
}

/// A part of a message, in the shape that OpenAI gave it and others read as well.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// `{"type":"text","text":…}`.
    Text(String),
    /// `{"type":"image_url","image_url":{"url":…}}`: a URL, or `data:image/png;base64,…`.
    Image {
        /// Where it is, or itself.
        url: String,
    },
    /// `{"type":"file","file":{"filename":…,"file_data":…}}`: a PDF, say.
    File {
        /// Its name.
        name: Option<String>,
        /// Where it is, or itself as `data:application/pdf;base64,…`.
        data: String,
    },
    /// Anything else, as it came; also a text that says something about caching.
    Other(JsonObject),
}

/// A call that a model wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// A name for it, which its result repeats.
    #[serde(default, deserialize_with = "super::nullable")]
    pub id: String,
    /// Always `function`.
    #[serde(rename = "type", default)]
    pub kind: FunctionKind,
    /// What to call.
    pub function: Called,
    /// What only one vendor says.
    #[serde(flatten)]
    pub extra: JsonObject,
}

/// The function that a model wants to be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// The text of a JSON object, if the model made no mistake.
    #[serde(default, deserialize_with = "text_of_json")]
    pub arguments: String,
}

impl Message {
    /// What `role` says.
    pub fn new(role: Role, content: impl Into<MessageContent>) -> Self {
        Self { role, content: content.into(), ..Self::default() }
    }

    /// The system's instructions.
    pub fn system(content: impl Into<MessageContent>) -> Self {
        Self::new(Role::System, content)
    }

    /// What the user says.
    pub fn user(content: impl Into<MessageContent>) -> Self {
        Self::new(Role::User, content)
    }

    /// What the model said.
    pub fn assistant(content: impl Into<MessageContent>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The result of the call `id`.
    pub fn tool(id: impl Into<String>, content: impl Into<MessageContent>) -> Self {
        Self { tool_call_id: Some(id.into()), ..Self::new(Role::Tool, content) }
    }

    /// The same with an image: its bytes and their media type.
    #[must_use]
    pub fn image(self, data: impl AsRef<[u8]>, mime: &str) -> Self {
        let url = format!("data:{mime};base64,{}", STANDARD.encode(data));
        self.part(Part::Image { url })
    }

    /// The same with a file: its name, its bytes and their media type.
    #[must_use]
    pub fn file(self, name: &str, data: impl AsRef<[u8]>, mime: &str) -> Self {
        let data = format!("data:{mime};base64,{}", STANDARD.encode(data));
        self.part(Part::File { name: Some(name.to_owned()), data })
    }

    /// The same with one more part.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        let mut parts = match self.content {
            MessageContent::Text(text) if text.is_empty() => Vec::new(),
            MessageContent::Text(text) => vec![Part::Text(text)],
            MessageContent::Parts(parts) => parts,
        };
        parts.push(part);
        self.content = MessageContent::Parts(parts);
        self
    }

    /// All of its text, parts joined by line breaks.
    pub fn text(&self) -> String {
        self.content.text()
    }

    /// How many bytes it has, roughly: what it says, and the arguments of its calls.
    pub fn bytes(&self) -> usize {
        let said = match &self.content {
            MessageContent::Text(text) => text.len(),
            MessageContent::Parts(parts) => parts.iter().map(Part::bytes).sum(),
        };
        said + self.tool_calls.iter().map(|call| call.function.arguments.len()).sum::<usize>()
    }

    /// Whether nothing in it is for one vendor only.
    pub fn is_neutral(&self) -> bool {
        let has_thoughts = matches!(&self.content, MessageContent::Parts(parts) if parts.iter().any(Part::is_thought));
        self.extra.is_empty() && !has_thoughts && self.tool_calls.iter().all(|call| call.extra.is_empty())
    }

    /// The same without what only one vendor says, so that another can read it.
    #[must_use]
    pub fn neutral(mut self) -> Self {
        self.extra.clear();
        self.tool_calls.iter_mut().for_each(|call| call.extra.clear());
        if let MessageContent::Parts(parts) = &mut self.content {
            parts.retain(|part| !part.is_thought());
        }
        self
    }
}

impl MessageContent {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// All of its text, parts joined by line breaks.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
                texts.join("\n")
            }
        }
    }
}

impl Part {
    /// Its text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(other) if other.get("type").is_some_and(|kind| kind == "text") => other.get("text")?.as_str(),
            _ => None,
        }
    }

    /// What it says about caching: everything up to it is to be kept.
    pub fn cache_control(&self) -> Option<&Value> {
        match self {
            Self::Other(other) => other.get("cache_control").filter(|control| !control.is_null()),
            _ => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Image { url } => url.len(),
            Self::File { data, .. } => data.len(),
            Self::Other(object) => Value::Object(object.clone()).to_string().len(),
        }
    }

    /// Whether it is what a vendor's model thought, signed for that vendor alone.
    fn is_thought(&self) -> bool {
        let Self::Other(other) = self else { return false };
        other.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains("thinking") || kind == "reasoning")
    }

    fn read(mut object: JsonObject) -> Result<Self, String> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let part = match object.get("type").and_then(Value::as_str) {
            None => return Err("a part of a message has a `type`".into()),
            Some("text") if object.contains_key("cache_control") => None,
            Some("text") => text(object.get("text")).map(Self::Text),
            Some("image_url") => {
                let image = object.get("image_url");
                let url = text(image.and_then(|image| image.get("url"))).or_else(|| text(image));
                url.map(|url| Self::Image { url })
            }
            Some("file") => object.get("file").and_then(|file| {
                let data = text(file.get("file_data")).or_else(|| text(file.get("url")))?;
                Some(Self::File { name: text(file.get("filename")), data })
            }),
            Some(_) => None,
        };
        Ok(part.unwrap_or_else(|| Self::Other(std::mem::take(&mut object))))
    }
}

impl Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => json!({ "type": "text", "text": text }).serialize(writer),
            Self::Image { url } => json!({ "type": "image_url", "image_url": { "url": url } }).serialize(writer),
            Self::File { name: Some(name), data } => {
                json!({ "type": "file", "file": { "filename": name, "file_data": data } }).serialize(writer)
            }
            Self::File { name: None, data } => {
                json!({ "type": "file", "file": { "file_data": data } }).serialize(writer)
            }
            Self::Other(object) => object.serialize(writer),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Self::read(JsonObject::deserialize(reader)?).map_err(D::Error::custom)
    }
}

impl Default for MessageContent {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&str> for MessageContent {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for MessageContent {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Part>> for MessageContent {
    fn from(parts: Vec<Part>) -> Self {
        Self::Parts(parts)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        })
    }
}

/// Arguments are a text, but some servers give the object itself.
fn text_of_json<'de, D: Deserializer<'de>>(reader: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(reader)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}
