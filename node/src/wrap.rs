//! Any MCP server as an agent: a child process that speaks over its standard streams, or a server at an URL.
//!
//! A [`WrappedServer`] is a [`ToolHost`] like any other. Its tools are there while the server is; a server that dies is
//! started again, ever more slowly, because nobody else would: it is not an agent of ours that somebody deploys.

mod backoff;
mod connect;
mod describe;
mod exchange;
mod invoke;
mod mirror;
mod process;
mod relay;
mod supervise;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mesh_gossip::resolve::version::Version;
use rmcp::service::Peer;
use rmcp::{RoleClient, ServerHandler};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::connect::MESSAGE_BYTES;
use self::mirror::Mirror;
use self::relay::{Change, Relay};
use crate::context::CallContext;
use crate::mcp::Surface;
use crate::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};

/// How long stopping waits: a child has two seconds to notice that its input ended and two after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// How many changes are kept for those who serve prompts and resources; who is slower is told that all has changed.
const CHANGES_KEPT: usize = 64;

/// An MCP server and how it appears in the mesh.
#[derive(Clone, Debug)]
pub struct Wrapped {
    /// The agent's name, for the log.
    pub name: Arc<str>,
    /// Where the server is.
    pub server: Server,
    /// What its tools provide: this capability all of them, or with `None` each its own, called like itself.
    pub capability: Option<Arc<str>>,
    /// The tags of each of its tools.
    pub tags: Vec<Arc<str>>,
    /// The version of each of its tools.
    pub version: Version,
}

/// Where an MCP server is.
#[derive(Clone, Debug)]
pub enum Server {
    /// A command that speaks MCP over its standard input and output. What it writes to standard error is logged. It runs
    /// in a process group of its own, which ends with the wrapper.
    Command {
        /// A path, or a name to look up in `PATH`.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
        /// What is set in its environment, on top of ours.
        environment: BTreeMap<OsString, OsString>,
        /// Where it runs; `None` is where we do.
        directory: Option<PathBuf>,
    },
    /// A server that speaks streamable HTTP.
    Url {
        /// Its endpoint.
        url: Arc<str>,
        /// What goes with every request, credentials included.
        headers: HashMap<HeaderName, HeaderValue>,
    },
    /// An rmcp handler of this process.
    Within(Surface),
}

/// How a wrapped server fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is being started, or connected to.
    Starting,
    /// It answers.
    Serving,
    /// It is gone; its tools are withdrawn until it is back.
    Down {
        /// What happened.
        why: String,
        /// After which pause it is tried again.
        pause: Duration,
    },
}

/// A wrapped server at work. Dropping it ends the server at once; [`WrappedServer::stop`] lets it finish.
pub struct WrappedServer {
    shared: Arc<Shared>,
    stop: CancellationToken,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

/// What the supervisor writes and calls read.
struct Shared {
    name: Arc<str>,
    tools: watch::Sender<Tools>,
    condition: watch::Sender<Condition>,
    session: ArcSwapOption<Session>,
    /// Tells those who serve prompts and resources what becomes of them.
    changes: broadcast::Sender<Change>,
}

/// The connection to a server that answers.
struct Session {
    peer: Peer<RoleClient>,
    relay: Arc<Relay>,
    /// What the server calls the tools whose names the mesh cannot carry.
    originals: BTreeMap<Arc<str>, String>,
}

impl WrappedServer {
    /// Starts or connects to the server and keeps doing so until it is stopped. Returns at once: its tools come when it
    /// is there.
    pub fn start(wrapped: Wrapped) -> Self {
        // Fails where the program has chosen its cryptography already; that choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared {
            name: Arc::clone(&wrapped.name),
            tools: watch::Sender::new(Arc::from([])),
            condition: watch::Sender::new(Condition::Starting),
            session: ArcSwapOption::empty(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        });
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise::run(Arc::clone(&shared), wrapped, stop.clone()));
        Self { shared, stop, supervisor: Mutex::new(Some(supervisor)) }
    }

    /// How the server fares, now and whenever that changes.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.shared.condition.subscribe()
    }

    /// What the server has besides tools (prompts, resources, completion), as a handler that all
    /// MCP sessions share.
    pub fn rest(&self) -> impl ServerHandler + use<> {
        Mirror::new(Arc::clone(&self.shared))
    }

    /// Withdraws its tools and ends the server, within six seconds. Dropping the future leaves that to a task.
    pub async fn stop(&self) {
        self.stop.cancel();
        let supervisor = self.supervisor.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor {
            // The supervisor kills what is left of the server when it is dropped, so a timeout loses nothing.
            let _ = tokio::time::timeout(STOP_PATIENCE, supervisor).await;
        }
    }
}

impl Session {
    /// Whether the server speaks a protocol in which every request stands for itself.
    fn is_modern(&self) -> bool {
        self.peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
    }
}

impl Drop for WrappedServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl ToolHost for WrappedServer {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.shared.tools.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        let session = self.shared.session.load_full();
        let along = invoke::Along {
            scope: &context.scope,
            cancelled: &context.cancelled,
            outlet: &context.outlet,
            client: context.client.as_ref(),
        };
        invoke::call(&self.shared.name, session.as_deref(), &tool.name, &arguments, along).await
    }
}

impl std::fmt::Debug for WrappedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wrapped MCP server {}", self.shared.name)
    }
}
