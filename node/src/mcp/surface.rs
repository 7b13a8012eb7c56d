//! What an author's rmcp handler adds to an agent: prompts, resources, completion, tasks, and tools of its own.

use std::fmt;
use std::sync::Arc;

use rmcp::ServerHandler;

use super::endpoint::{Endpoint, Shortcut};
use super::local::{Local, Nothing, Own};

/// An author's rmcp handler, of whatever type. All sessions share it. Cheap to clone.
#[derive(Clone)]
pub struct Surface(Arc<dyn Handler>);

trait Handler: Send + Sync {
    fn endpoint(self: Arc<Self>, own: Arc<Own>) -> Endpoint;
}

struct Author<H>(Arc<H>);

impl Surface {
    /// What `handler` serves.
    pub fn of<H: ServerHandler>(handler: H) -> Self {
        Self(Arc::new(Author(Arc::new(handler))))
    }

    /// The MCP server of an agent: `own` tools in front of what this handler serves.
    pub fn endpoint(&self, own: Arc<Own>) -> Endpoint {
        Arc::clone(&self.0).endpoint(own)
    }
}

impl Default for Surface {
    /// Of an author who has no handler.
    fn default() -> Self {
        Self::of(Nothing)
    }
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surface")
    }
}

impl<H: ServerHandler> Handler for Author<H> {
    fn endpoint(self: Arc<Self>, own: Arc<Own>) -> Endpoint {
        let shortcut = Arc::clone(&own) as Arc<dyn Shortcut>;
        Endpoint::new(move || Local::new(Arc::clone(&own), Arc::clone(&self.0)), Some(shortcut))
    }
}
