//! The pieces of a streamed answer.

use serde::{Deserialize, Serialize};

use super::{ToolCall, Usage};

/// One piece of an answer that is streamed: a text that is the JSON of this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "_mesh_frame", rename_all = "snake_case")]
pub enum Frame {
    /// The next words.
    Chunk {
        /// The words.
        content: String,
    },
    /// Nothing comes any more.
    End(End),
}

/// What is known when an answer has ended. The existing system says `stop_reason` only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Why it ended, if not because all was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What the model wants to be called before it goes on.
    #[serde(default, deserialize_with = "super::nullable", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What it took.
    #[serde(rename = "_mesh_usage", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What only this vendor says: it belongs to the message that the chunks make.
    #[serde(default, skip_serializing_if = "mesh_node::tool::JsonObject::is_empty")]
    pub extra: mesh_node::tool::JsonObject,
}

impl Frame {
    /// The next words.
    pub fn chunk(content: impl Into<String>) -> Self {
        Self::Chunk { content: content.into() }
    }

    /// The text that travels.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and objects can be written")
    }

    /// The frame that `text` is, if it is one.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
