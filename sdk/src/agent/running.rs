//! Agents that run, one or several in a process.

use std::fmt;

use futures::future::join_all;
use mesh_gossip::catalog::AgentId;
use mesh_gossip::resolve::selector::{BadSelector, Selector};
use mesh_node::call::neighbours::Neighbours;
use mesh_node::context::Scope;
use mesh_node::node::{Node, interrupted};

use super::{Agent, AgentError};
use crate::dep::Dep;
use crate::error::Result;
use crate::inject::Home;

/// An agent that runs. Dropping it stops it at once and without a goodbye, as a crash would.
pub struct RunningAgent {
    node: Node,
    home: Home,
}

/// Runs several agents in this process until it is told to end (SIGTERM, Ctrl-C), then lets all leave in order. They call
/// each other without a detour over the network. Told twice, the process ends at once. Dropping the future stops them.
///
/// # Errors
/// [`AgentError`] of the first that does not start; none runs then.
pub async fn run(agents: impl IntoIterator<Item = Agent>) -> Result {
    let running = start(agents).await?;
    interrupted().await;
    tracing::info!("told to end: leaving the mesh");
    tokio::select! {
        _ = join_all(running.into_iter().map(RunningAgent::stop)) => {}
        () = interrupted() => tracing::warn!("told again: ending at once"),
    }
    Ok(())
}

/// Starts several agents in this process, and returns once all serve and have a view of the mesh.
///
/// # Errors
/// [`AgentError`] of the first that does not start; none runs then.
pub async fn start(agents: impl IntoIterator<Item = Agent>) -> Result<Vec<RunningAgent>, AgentError> {
    let neighbours = Neighbours::new();
    let mut running = Vec::new();
    for agent in agents {
        running.push(agent.launch(neighbours.clone()).await?);
    }
    for agent in &running {
        agent.node.ready().await;
        tracing::info!(agent = %agent.id(), url = agent.url().unwrap_or("none"), "ready");
    }
    Ok(running)
}

impl RunningAgent {
    pub(super) fn new(node: Node, home: Home) -> Self {
        Self { node, home }
    }

    /// Its id.
    pub fn id(&self) -> AgentId {
        self.node.agent_id()
    }

    /// Where others reach its HTTP; `None` when it serves none.
    pub fn url(&self) -> Option<&str> {
        self.node.http_url()
    }

    /// The node that it runs on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Whoever `selector` describes, as this agent sees the mesh: for calls that nobody asked for.
    ///
    /// # Errors
    /// What is wrong with the selector.
    pub fn dep<T>(&self, selector: &str) -> Result<Dep<T>, BadSelector> {
        let selector: Selector = selector.parse()?;
        let query = self.home.resolver.query(&selector.asked_in(&self.home.namespace));
        Ok(Dep::ad_hoc(self.node.caller().clone(), query, Scope::default()))
    }

    /// Lets it leave in order: it finishes what it does, takes nothing new, and says goodbye.
    pub async fn stop(self) {
        self.node.stop().await;
    }
}

impl fmt::Debug for RunningAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "running agent {}", self.id())
    }
}
