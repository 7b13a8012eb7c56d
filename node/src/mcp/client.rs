//! The MCP client at the other end of a call, for tools that ask it something.

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::service::RequestContext;

/// A client that can be asked: to elicit, to sample, for its roots.
#[derive(Clone)]
pub struct ClientHandle(Arc<RequestContext<RoleServer>>);

impl ClientHandle {
    /// The client of this request.
    pub fn new(request: RequestContext<RoleServer>) -> Self {
        Self(Arc::new(request))
    }

    /// rmcp's own view of the request: its peer, its metadata, its extensions.
    pub fn request(&self) -> &RequestContext<RoleServer> {
        &self.0
    }
}
