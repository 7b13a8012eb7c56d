//! What is asked of the mesh, and what comes back.

use std::sync::Arc;

use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, Owner, Tool};
use mesh_gossip::resolve::Query;

use super::options::CallOptions;
use crate::context::{Scope, SessionKey};
use crate::tool::Payload;
use crate::trace::TraceContext;

/// Writes the arguments of a call for whoever is chosen to serve it.
pub type Tailor = Arc<dyn Fn(&Tool) -> Bytes + Send + Sync>;

/// One call to be made.
#[derive(Clone)]
pub struct Request {
    /// Who shall serve it.
    pub target: Target,
    /// The tool, where the target does not say it: required for [`Target::Agent`] and [`Target::Exactly`], otherwise
    /// another tool of the agent that was resolved.
    pub tool: Option<Arc<str>>,
    /// The text of a JSON object, at most [`crate::context::MAX_PAYLOAD_BYTES`].
    pub arguments: Bytes,
    /// What the consumer asks for on top of what the producer advertises.
    pub options: CallOptions,
    /// Writes the arguments anew for each provider that is tried, where they depend on who that is: `arguments` are for
    /// whoever is called by name alone.
    pub tailor: Option<Tailor>,
    /// Which session it is part of. Where this says nothing the argument `session_id` counts, then the scope's.
    pub session: Option<SessionKey>,
    /// What it inherits.
    pub scope: Scope,
}

/// Who shall serve a call.
#[derive(Clone)]
pub enum Target {
    /// Whoever provides a capability best.
    Capability(Arc<Query>),
    /// Any replica of the agent of this name, or the agent with this id.
    Agent(Arc<str>),
    /// This agent of this member and nobody else.
    Exactly(Owner),
}

/// The result of a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What the tool gave back.
    pub payload: Payload,
    /// Who served it.
    pub agent: AgentId,
    /// How many attempts it took, at least one.
    pub attempts: u32,
    /// The span of the call.
    pub trace: TraceContext,
}

impl Request {
    /// A call of `target` that asks for nothing else and inherits nothing.
    pub fn new(target: Target, arguments: impl Into<Bytes>) -> Self {
        Self {
            target,
            tool: None,
            arguments: arguments.into(),
            tailor: None,
            options: CallOptions::default(),
            session: None,
            scope: Scope::default(),
        }
    }
}
