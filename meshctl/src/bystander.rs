//! What the nodes of meshctl itself are: in the mesh, and without anything to offer.

use async_trait::async_trait;
use bytes::Bytes;
use mesh_node::context::CallContext;
use mesh_node::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use tokio::sync::watch;

/// An agent without tools.
pub(crate) struct Bystander(watch::Sender<Tools>);

impl Bystander {
    /// One of them.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Tools::default()))
    }
}

#[async_trait]
impl ToolHost for Bystander {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, _: Bytes, _: CallContext) -> Result<Payload, Fault> {
        Err(Fault::new(FaultKind::UnknownTool, format!("there is no tool {:?}", tool.name)))
    }
}
