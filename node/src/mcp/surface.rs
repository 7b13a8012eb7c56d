//! What an author's rmcp handler adds to an agent: prompts, resources, completion, tasks, and tools of its own.

mod joined;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh_gossip::resolve::version::Version;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ServerHandler, serve_server};
use tokio::io::DuplexStream;

use self::joined::Joined;
use super::endpoint::{Endpoint, Shortcut};
use super::local::{Local, Nothing, Own};
use crate::tool::ToolHost;
use crate::wrap::{Condition, MESSAGE_BYTES, Server, Wrapped, WrappedServer};

/// How much of what is said to the handler waits in memory.
const PIPE_BYTES: usize = 64 << 10;

/// How long the handler may take to list its tools before the agent starts without them; they are added later.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// An author's rmcp handler, of whatever type. All sessions share it. Cheap to clone.
#[derive(Clone)]
pub struct Surface(Arc<dyn Handler>);

#[async_trait]
trait Handler: Send + Sync {
    fn endpoint(self: Arc<Self>, own: Arc<Own>) -> Endpoint;
    async fn join(self: Arc<Self>, name: &str, own: Arc<dyn ToolHost>) -> Arc<dyn ToolHost>;
    fn connect(&self) -> DuplexStream;
}

struct Author<H>(Arc<H>);

/// Where the author has no handler. Not an `Author` of [`Nothing`]: programs without a handler are spared the MCP client
/// that would list its tools.
struct Nobody;

impl Surface {
    /// What `handler` serves.
    pub fn of<H: ServerHandler>(handler: H) -> Self {
        Self(Arc::new(Author(Arc::new(handler))))
    }

    /// The MCP server of an agent: `own` tools in front of what this handler serves.
    pub fn endpoint(&self, own: Arc<Own>) -> Endpoint {
        Arc::clone(&self.0).endpoint(own)
    }

    /// The tools of `own`, and behind them those of this handler as the mesh calls them: without an MCP client that could
    /// be asked something. Returns when the handler has listed them, or after five seconds; dropping the future joins
    /// nothing.
    pub async fn join(&self, name: &str, own: Arc<dyn ToolHost>) -> Arc<dyn ToolHost> {
        Arc::clone(&self.0).join(name, own).await
    }

    /// A connection to the handler, for a client in this process. It ends with the connection.
    pub(crate) fn connect(&self) -> DuplexStream {
        self.0.connect()
    }
}

impl Default for Surface {
    /// Of an author who has no handler.
    fn default() -> Self {
        Self(Arc::new(Nobody))
    }
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surface")
    }
}

#[async_trait]
impl<H: ServerHandler> Handler for Author<H> {
    fn endpoint(self: Arc<Self>, own: Arc<Own>) -> Endpoint {
        serve(Arc::clone(&self.0), own)
    }

    async fn join(self: Arc<Self>, name: &str, own: Arc<dyn ToolHost>) -> Arc<dyn ToolHost> {
        if self.0.get_info().capabilities.tools.is_none() {
            return own;
        }
        let theirs = WrappedServer::start(Wrapped {
            name: name.into(),
            server: Server::Within(Surface(self)),
            capability: None,
            tags: Vec::new(),
            version: Version::default(),
        });
        let mut condition = theirs.condition();
        let listed = condition.wait_for(|condition| *condition != Condition::Starting);
        // Tools that come later are offered later.
        let _ = tokio::time::timeout(LIST_PATIENCE, listed).await;
        Arc::new(Joined::new(own, Arc::new(theirs)))
    }

    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (reader, writer) = tokio::io::split(theirs);
        let transport = AsyncRwTransport::new_server(reader, writer).with_max_line_length(MESSAGE_BYTES);
        let handler = Arc::clone(&self.0);
        tokio::spawn(async move {
            match serve_server(handler, transport).await {
                // Ends when the client's end of the pipe is dropped.
                Ok(serving) => drop(serving.waiting().await),
                Err(error) => tracing::debug!(%error, "a connection to the handler ended before it began"),
            }
        });
        ours
    }
}

#[async_trait]
impl Handler for Nobody {
    fn endpoint(self: Arc<Self>, own: Arc<Own>) -> Endpoint {
        serve(Arc::new(Nothing), own)
    }

    async fn join(self: Arc<Self>, _: &str, own: Arc<dyn ToolHost>) -> Arc<dyn ToolHost> {
        own
    }

    /// Ends at once.
    fn connect(&self) -> DuplexStream {
        tokio::io::duplex(1).0
    }
}

fn serve<H: ServerHandler>(theirs: Arc<H>, own: Arc<Own>) -> Endpoint {
    let shortcut = Arc::clone(&own) as Arc<dyn Shortcut>;
    Endpoint::new(move || Local::new(Arc::clone(&own), Arc::clone(&theirs)), Some(shortcut))
}
