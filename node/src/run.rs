//! Running one tool on this node, whoever brought the call.

pub mod arguments;
mod meters;
mod runner;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use mesh_gossip::catalog::AgentId;
use tokio_util::sync::CancellationToken;

pub(crate) use self::runner::ended_with;
pub use self::runner::{RunSettings, Runner, Verifier, WeakRunner};
use crate::call::window::CallKey;
use crate::context::{Origin, Outlet, Scope};
use crate::mcp::client::ClientHandle;
use crate::tool::{Fault, Payload};

/// The name of one call, the same for all its attempts: a callee that has run it does not run it again. Random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub [u8; 16]);

/// One call as it reached this node.
#[derive(Clone)]
pub struct Arrival {
    /// Which call it is.
    pub id: CallId,
    /// Whom it was meant for; `None` when the way it came says so.
    pub agent: Option<AgentId>,
    /// The tool.
    pub tool: Arc<str>,
    /// The text of a JSON object, unchecked.
    pub arguments: Bytes,
    /// What it inherits; the span is that of the caller's attempt.
    pub scope: Scope,
    /// Who brought it.
    pub origin: Origin,
    /// Where updates go.
    pub outlet: Outlet,
    /// Fires when the caller gives up.
    pub cancelled: CancellationToken,
    /// The MCP client at the other end, if there is one.
    pub client: Option<ClientHandle>,
}

/// Whatever runs arriving calls: [`crate::run::Runner`], or what stands in for it in a test of the way there.
#[async_trait]
pub trait Dispatch: Send + Sync + 'static {
    /// Runs it. Dropping the future ends the run.
    ///
    /// # Errors
    /// [`Fault`], for the caller as it is.
    async fn run(&self, arrival: Arrival) -> Result<Payload, Fault>;

    /// Whether this call of another node runs, or ran of late, so that sending it again asks for nothing new.
    fn knows(&self, _: &CallKey) -> bool {
        false
    }

    /// The caller of a call has all that came of it.
    fn delivered(&self, _: &CallKey) {}
}

/// Whatever also looks after tools that somebody else runs, as an author's rmcp handler does.
#[async_trait]
pub trait Accompany: Dispatch {
    /// Runs `work`, which somebody else does for the tool of `arrival`, as if it were that tool: within the same bounds,
    /// and told of like it. Dropping the future ends the work.
    ///
    /// # Errors
    /// What `work` says, or the [`Fault`] that it was not begun or not ended for.
    async fn accompany(&self, arrival: Arrival, work: BoxFuture<'_, Result<(), Fault>>) -> Result<(), Fault>;
}

impl CallId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
