//! Nodes in the process of a test, of a mesh of their own on free ports.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::config::Config;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_node::config::NodeConfig;
use mesh_node::context::CallContext;
use mesh_node::node::{Node, Plug};
use mesh_node::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};
use tokio::sync::watch;

/// The key of their mesh, as `MESH_KEY` takes it.
pub const KEY_HEX: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// Tools that give back what they are given.
pub struct Echo(watch::Sender<Tools>);

impl Echo {
    /// Tools of these names, which provide what they are called.
    pub fn of(names: &[&str]) -> Arc<Self> {
        let tool = |name: &&str| {
            let description = "Gives back what it is given.".into();
            Arc::new(ToolDescriptor { description, capability: Some((*name).into()), ..ToolDescriptor::new(*name) })
        };
        Arc::new(Self(watch::Sender::new(names.iter().map(tool).collect())))
    }
}

#[async_trait]
impl ToolHost for Echo {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, arguments: Bytes, _: CallContext) -> Result<Payload, Fault> {
        Ok(Payload::Value(arguments))
    }
}

/// How nodes of a test are configured, with first contacts at `seeds`.
pub fn config(name: &str, seeds: &[SocketAddr]) -> NodeConfig {
    let mut config = NodeConfig::new(name);
    config.mesh.keys = Some(Keyring::new(MeshKey::from_bytes([1; 32])));
    config.mesh.listen = Some(([127, 0, 0, 1], 0).into());
    config.mesh.seeds = Some(seeds.iter().map(|seed| (*seed).into()).collect());
    config.mesh.protocol = Config::local();
    config
}

/// A node with an agent.
///
/// # Panics
/// When it does not start.
pub async fn start(name: &str, seeds: &[SocketAddr], plug: Plug) -> Node {
    Node::start(config(name, seeds), plug).await.expect("a node of a test starts")
}

/// A node without tools that serves the whole mesh of `other`, once it knows an agent with a tool.
///
/// # Panics
/// When it does not start.
pub async fn door(other: &Node) -> Node {
    let mut config = config("door", other.gossip().local_addresses());
    config.http.gateway = Some(true);
    let door = Node::start(config, Plug::new(Echo::of(&[]))).await.expect("a node of a test starts");
    door.ready().await;
    knows(&door, |offers| !offers.tools.is_empty()).await;
    door
}

/// Waits until `node` knows an agent that offers what is wanted.
///
/// # Panics
/// When the node stops.
pub async fn knows(node: &Node, is_wanted: impl Fn(&mesh_gossip::catalog::Offers) -> bool) {
    let mut views = node.gossip().watch();
    let knows = |view: &mesh_gossip::View| {
        view.catalog().agents().filter_map(|agent| agent.offers).any(|offers| is_wanted(offers))
    };
    views.wait_for(|view| knows(view)).await.expect("the node runs");
}

/// The URL of a path of the node.
///
/// # Panics
/// When it serves no HTTP.
pub fn url(node: &Node, path: &str) -> String {
    format!("{}{path}", node.http_url().expect("the node serves HTTP"))
}
