//! `meshctl mcp`: the mesh as an MCP server over standard input and output, for clients that start a command.

mod bridge;
mod events;
mod message;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use mesh_node::config::{NodeConfig, Role};
use mesh_node::node::{Node, Plug};
use tokio::time::timeout;

use self::bridge::Bridge;
use super::seed::log_to_stderr;
use crate::bystander::Bystander;

/// How long the mesh is looked for before a client is let in that would otherwise see an empty one.
const FIRST_VIEW: Duration = Duration::from_secs(5);

/// What to serve.
#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// Only this agent, with everything that its own MCP server has. Default: tools, prompts and resources of all agents.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// The agents of this namespace. Default: MCP_MESH_NAMESPACE, else `default`.
    #[arg(long)]
    namespace: Option<String>,
    /// First contacts, `host:port` by comma. Default: what runs on this machine.
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',')]
    seeds: Vec<String>,
}

impl Mcp {
    /// Serves until standard input ends. Standard output carries MCP and nothing else.
    ///
    /// # Errors
    /// When no node can be started.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr()?;
        // A node of its own: it outlives whichever other one it might have leant on.
        let node =
            Node::start(self.config()?, Plug::new(Arc::new(Bystander::new()))).await.context("cannot join the mesh")?;
        if timeout(FIRST_VIEW, node.ready()).await.is_err() {
            tracing::warn!("the mesh was not found yet; it is looked for further");
        }
        let url = node.http_url().ok_or_else(|| anyhow!("the node serves no HTTP"))?;
        let url = match &self.agent {
            Some(agent) => format!("{url}/mesh/mcp/{agent}"),
            None => format!("{url}/mesh/mcp"),
        };
        Bridge::new(url)?.run(tokio::io::stdin(), tokio::io::stdout()).await?;
        node.stop().await;
        Ok(ExitCode::SUCCESS)
    }

    fn config(&self) -> anyhow::Result<NodeConfig> {
        let mut config = NodeConfig::new("meshctl-mcp").load()?;
        // It only consumes, whatever the environment says of an agent that runs beside it.
        config.name = "meshctl-mcp".to_owned();
        config.id_prefix = None;
        config.role = Role::Client;
        config.http.enabled = true;
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.http.host = None;
        config.http.gateway = Some(true);
        config.registry.enabled = Some(false);
        config.drain = Duration::from_millis(500);
        if let Some(namespace) = &self.namespace {
            config.namespace = namespace.as_str().into();
        }
        if !self.seeds.is_empty() {
            let seeds = self.seeds.iter().map(|seed| seed.parse().map_err(|error| anyhow!("{seed:?}: {error}")));
            config.mesh.seeds = Some(seeds.collect::<anyhow::Result<_>>()?);
        }
        Ok(config)
    }
}
