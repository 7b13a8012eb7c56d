//! A call that the node makes for somebody else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is to be called. The arguments are the request's body, as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallQuery {
    /// The tool, or a capability.
    pub tool: String,
    /// Whose tool: a name, an id, or a prefix of one. Nobody in particular when there is none.
    #[serde(default)]
    pub agent: Option<String>,
    /// How long it may take, in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// The trace it belongs to, as 32 hex digits; a new one when there is none.
    #[serde(default)]
    pub trace: Option<String>,
    /// The session it belongs to.
    #[serde(default)]
    pub session: Option<String>,
    /// Headers that go with it.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether updates are wanted before the result.
    #[serde(default)]
    pub updates: bool,
}

/// What the frames of the answer to a call hold, by their kind. The last one is one of the last three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A [`CallUpdate`].
    Update,
    /// [`Served`]: the result is next.
    Served,
    /// The text of an MCP `CallToolResult`.
    Result,
    /// [`CallFailed`].
    Failed,
}

/// What a tool says before it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum CallUpdate {
    /// How far it is.
    Progress {
        /// Grows.
        progress: f64,
        /// What it will be at the end.
        total: Option<f64>,
        /// In words.
        message: Option<String>,
    },
    /// A piece of the result: JSON, as text.
    Chunk {
        /// The text.
        text: String,
    },
    /// A message of the tool's.
    Log {
        /// One of MCP's levels.
        level: String,
        /// JSON, as text.
        text: String,
    },
}

/// Who served a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The agent.
    pub agent_id: String,
    /// How many attempts it took.
    pub attempts: u32,
    /// The trace, 32 hex digits.
    pub trace_id: String,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailed {
    /// One word for programs.
    pub error: String,
    /// For people.
    pub message: String,
    /// The trace, 32 hex digits, if there is one.
    #[serde(default)]
    pub trace_id: Option<String>,
}
