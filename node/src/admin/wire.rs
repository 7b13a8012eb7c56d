//! What the administration answers, as JSON. Both ends are of one version more often than not, so fields are only added.
//!
//! Names are those of the existing command line's JSON where it has the same thing.

mod call;
mod explain;
mod listing;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use self::call::{CallFailed, CallQuery, CallUpdate, FrameKind, Served};
pub use self::explain::{
    AuditEvent, AuditTrace, Candidate, Chosen, DependencyInfo, EvictedInfo, Explained, SpecInfo, StageInfo,
};
pub use self::listing::{AgentInfo, AgentsAnswer, DependencyBrief, DependencyResolution, ToolInfo};
use super::timestamp::Timestamp;
use crate::trace::Span;

/// Under which path everything is.
pub const PREFIX: &str = "/mesh/admin/v1";

/// What a request has to be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Good for one request.
    pub nonce: String,
    /// The names of the mesh keys that the node holds; any of them will do.
    pub keys: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// For programs: one word, such as `unsigned` or `ambiguous`.
    pub error: String,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// What could have been meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// The node that answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its agent.
    pub agent_id: String,
    /// The name of its agent.
    pub name: String,
    /// `agent` or `seed`.
    pub role: String,
    /// Its member id.
    pub member: String,
    /// The name of its mesh.
    pub mesh: String,
    /// The version of its software.
    pub version: String,
    /// Where its HTTP is.
    pub url: Option<String>,
    /// Where its gossip listens.
    pub gossip: Vec<SocketAddr>,
    /// Whether it is part of the mesh.
    pub joined: bool,
    /// What is in its way if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// How many members it sees alive, itself included.
    pub live: usize,
    /// When it began.
    pub started: Timestamp,
    /// What its clock says.
    pub now: Timestamp,
}

/// All members, as one of them sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MembersAnswer {
    /// Who answers.
    pub node: NodeInfo,
    /// In order of their ids.
    pub members: Vec<MemberInfo>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its id.
    pub id: String,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// `alive`, `suspect`, `dead` or `left`.
    pub state: String,
    /// The agents it speaks for.
    pub agents: Vec<String>,
    /// Which start on its key it is: milliseconds since 1970, or one more than the last.
    pub generation: u64,
    /// How often it signed itself anew since.
    pub incarnation: u64,
    /// When it was started, by its own clock.
    pub started: Timestamp,
    /// How long it has been in this state as far as the one that answers knows, in milliseconds.
    pub state_age_ms: u64,
    /// How long a ping to it and back takes, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Where it runs.
    pub zone: String,
    /// Where its gossip and its QUIC are, preferred first.
    pub addresses: Vec<MemberAddress>,
    /// The lowest and the highest protocol version that it speaks.
    pub protocol: (u8, u8),
    /// Whether its key dies with its process.
    pub ephemeral: bool,
}

/// One address of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAddress {
    /// Its gossip, over UDP.
    pub gossip: SocketAddr,
    /// Its QUIC, over UDP.
    pub quic: SocketAddr,
}

/// What a tool is like in detail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDetail {
    /// Whose it is.
    pub agent_id: String,
    /// The name of that agent.
    pub agent_name: String,
    /// Where that agent is.
    pub endpoint: String,
    /// What the mesh knows of it.
    pub tool: ToolInfo,
    /// The schema of its arguments, as its agent tells it; nothing when the agent did not answer.
    pub input_schema: Option<serde_json::Value>,
}

/// The canonical schemas that a node knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemasAnswer {
    /// Newest first.
    pub schemas: Vec<SchemaEntry>,
    /// How many.
    pub count: usize,
}

/// One canonical schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaEntry {
    /// Its digest.
    pub hash: String,
    /// The schema.
    pub canonical: serde_json::Value,
    /// What the oldest agent that names it is written in.
    pub runtime_origin: String,
    /// When that agent was started, by its own clock.
    pub created_at: Timestamp,
}

/// What the mesh remembers of one trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceAnswer {
    /// The trace: 32 hex digits.
    pub trace_id: String,
    /// Its spans, by their beginning, which each node tells by its own clock.
    pub spans: Vec<Span>,
    /// Live members that did not answer in time; they may know more.
    pub silent: Vec<String>,
}

/// What an order has to be signed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ground {
    /// The mesh.
    pub mesh: [u8; 16],
    /// The number of the order.
    pub number: u64,
    /// The public key of the operator whom the node obeys.
    pub operator: Option<String>,
    /// The member that was asked about.
    pub member: Option<MemberGround>,
    /// The names of the mesh keys the node holds, the one that seals first.
    pub keys: Vec<String>,
}

/// The newest life of a member that an order is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberGround {
    /// Its id.
    pub id: String,
    /// Which start.
    pub generation: u64,
    /// Which process.
    pub session: u64,
    /// Which re-signing.
    pub incarnation: u64,
}

impl Problem {
    /// One without choices.
    pub fn new(error: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error: error.into(), message: message.into(), choices: Vec::new() }
    }
}
