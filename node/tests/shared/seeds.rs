//! Seeds for tests: what they are told, and a host of tools that echo.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_node::config::NodeConfig;
use mesh_node::context::CallContext;
use mesh_node::node::Plug;
use mesh_node::registry;
use mesh_node::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};
use tokio::sync::watch;

/// Gives arguments back.
pub(crate) struct Host(watch::Sender<Tools>);

impl Host {
    /// A tool for each capability, of the same name.
    pub(crate) fn with(capabilities: &[&'static str]) -> Arc<Self> {
        let tools = capabilities.iter().map(|name| {
            let mut tool = ToolDescriptor::new(*name);
            tool.capability = Some((*name).into());
            Arc::new(tool)
        });
        Arc::new(Self(watch::Sender::new(tools.collect::<Vec<_>>().into())))
    }
}

#[async_trait]
impl ToolHost for Host {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, arguments: Bytes, _: CallContext) -> Result<Payload, Fault> {
        Ok(Payload::Value(arguments))
    }
}

/// A seed of its own mesh in `home`, at ports that are free.
pub(crate) fn config(home: &Path) -> NodeConfig {
    let mut config = NodeConfig::seed();
    config.mesh.home = Some(home.to_owned());
    config.mesh.seeds = Some(vec![]);
    config.mesh.listen = Some("127.0.0.1:0".parse().expect("an address"));
    config.http.listen.set_port(0);
    config
}

/// What a seed serves: the registry API, and no tools.
pub(crate) fn plug() -> Plug {
    Plug { registry: Some(registry::api()), ..Plug::new(Host::with(&[])) }
}
