//! What travels with a call, and what a tool may know about the call it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use mesh_gossip::MemberId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::Caller;
use crate::mcp::client::ClientHandle;
use crate::trace::TraceContext;

/// The most bytes of arguments, and of a result: larger is a clear error at the end that sends it.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// The most bytes of a `tracestate`; a longer one is dropped, as W3C allows.
pub const MAX_TRACE_STATE_BYTES: usize = 512;

/// By which name a caller wants to be served by the same replica again. 1 to 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(Arc<str>);

/// Headers that travel along a chain of calls: names in lower case, those the configuration lets through.
pub type Headers = Vec<(Arc<str>, Arc<str>)>;

/// What a call inherits from the one in whose course it is made. Empty for a call that nobody asked for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// When all of it has to be done.
    pub deadline: Option<Instant>,
    /// The span it belongs to.
    pub trace: Option<TraceContext>,
    /// What other tracing systems carry along with the trace: a W3C `tracestate`, at most [`MAX_TRACE_STATE_BYTES`].
    pub trace_state: Option<Arc<str>>,
    /// Whose session it is part of.
    pub session: Option<SessionKey>,
    /// What rides along.
    pub headers: Headers,
}

/// The call that a tool serves. Cheap to clone.
#[derive(Clone)]
pub struct CallContext {
    /// What calls made in its course inherit: its deadline, its own span, its session and headers.
    pub scope: Scope,
    /// Who brought it.
    pub origin: Origin,
    /// Fires when the caller is gone or the deadline has passed.
    pub cancelled: CancellationToken,
    /// Where progress, chunks and log messages go.
    pub outlet: Outlet,
    /// The MCP client at the other end, when there is one that can be asked something.
    pub client: Option<ClientHandle>,
    /// The way to the rest of the mesh.
    pub mesh: Caller,
}

/// Who brought a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Another node, proved.
    Member(MemberId),
    /// An agent of this process.
    Process,
    /// An MCP client over HTTP or stdio.
    Client,
}

/// Something a tool says before it is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// How far it is.
    Progress {
        /// Grows from update to update.
        progress: f64,
        /// What `progress` will be at the end, if known.
        total: Option<f64>,
        /// In words.
        message: Option<String>,
    },
    /// The text of a JSON value: one piece of a streaming result. MCP clients get it as the message of a progress
    /// notification.
    Chunk(Bytes),
    /// A message for the client's log.
    Log {
        /// One of MCP's levels: `debug`, `info`, `notice`, `warning`, `error`, `critical`, `alert`, `emergency`.
        level: &'static str,
        /// Who says it.
        logger: Option<String>,
        /// The text of a JSON value.
        data: Bytes,
    },
}

/// Where a tool's updates go: a bounded queue towards the caller, or nowhere. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Outlet(Option<Pipe>);

#[derive(Clone, Debug)]
struct Pipe {
    queue: mpsc::Sender<Update>,
    was_used: Arc<AtomicBool>,
}

/// A text that cannot name a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session key has 1 to 256 bytes")]
pub struct NotASessionKey;

impl SessionKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for SessionKey {
    type Error = NotASessionKey;

    fn try_from(text: &str) -> Result<Self, NotASessionKey> {
        if (1..=256).contains(&text.len()) { Ok(Self(text.into())) } else { Err(NotASessionKey) }
    }
}

impl Outlet {
    /// Updates go into `queue`.
    pub fn to(queue: mpsc::Sender<Update>) -> Self {
        Self(Some(Pipe { queue, was_used: Arc::default() }))
    }

    /// Nobody listens.
    pub fn closed() -> Self {
        Self(None)
    }

    /// Whether anybody listens.
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|pipe| !pipe.queue.is_closed())
    }

    /// Whether any update was sent by it or one of its clones.
    pub(crate) fn was_used(&self) -> bool {
        self.0.as_ref().is_some_and(|pipe| pipe.was_used.load(Ordering::Relaxed))
    }

    /// Says `update` as soon as the caller has room for it. Updates that nobody listens to are gone.
    pub async fn send(&self, update: Update) {
        if let Some(pipe) = &self.0 {
            pipe.was_used.store(true, Ordering::Relaxed);
            // The listener may have gone; its call is cancelled by other means.
            let _ = pipe.queue.send(update).await;
        }
    }
}
