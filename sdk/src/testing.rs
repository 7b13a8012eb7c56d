//! A mesh in a test: real nodes that talk over loopback, up within milliseconds, without a file or an environment.
//!
//! ```
//! use mesh::prelude::*;
//! use mesh::testing::Mesh;
//!
//! #[mesh::tool(capability = "greeting")]
//! async fn greet(name: String) -> String {
//!     format!("Hello, {name}!")
//! }
//!
//! # fn main() { tokio::runtime::Runtime::new().unwrap().block_on(greets()).unwrap(); }
//! // In earnest: #[tokio::test]
//! async fn greets() -> Result {
//!     let mesh = Mesh::new().with(Agent::new("greeter").tool::<greet>()).start().await?;
//!     let said: String = mesh.call("greeting", args! { name: "Ada" }).await?;
//!     assert_eq!(said, "Hello, Ada!");
//!     Ok(())
//! }
//! ```
//!
//! The body of a tool alone needs no mesh: it is a function, and [`Dep::fake`] plays its dependencies.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mesh_gossip::catalog::AgentId;
use mesh_gossip::config::Config;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::seeds::SeedSpec;
use mesh_node::call::neighbours::Neighbours;
use mesh_node::config::NodeConfig;
use serde::Serialize;

use crate::agent::{Agent, AgentError, RunningAgent};
use crate::dep::Dep;
use crate::error::{Error, Result};
use crate::received::Received;

/// How long a test waits for anything. On an idle machine everything takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mesh in this process. Every agent has a node of its own, and calls go over the network, as between processes.
#[must_use = "a mesh does nothing until it is started"]
#[derive(Debug, Default)]
pub struct Mesh {
    processes: Vec<Vec<Agent>>,
}

/// A mesh that runs. Dropping it stops all of it at once.
pub struct RunningMesh {
    key: [u8; 32],
    /// The node that calls, and that everybody finds first.
    observer: RunningAgent,
    agents: Vec<RunningAgent>,
}

impl Mesh {
    /// A mesh without agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with `agent`. What it was told about the mesh, its home and its listeners does not count.
    pub fn with(self, agent: Agent) -> Self {
        self.with_process([agent])
    }

    /// The same with agents that share a process, as [`run`](crate::run) has them: their calls to each other stay in it.
    pub fn with_process(mut self, agents: impl IntoIterator<Item = Agent>) -> Self {
        self.processes.push(agents.into_iter().collect());
        self
    }

    /// Starts it, and returns once all that its agents offer can be called.
    ///
    /// # Errors
    /// Why an agent does not start.
    pub async fn start(self) -> Result<RunningMesh> {
        let key = rand::random();
        let observer = launch(Agent::new("observer"), &key, Vec::new(), Neighbours::new()).await?;
        let mut mesh = RunningMesh { key, observer, agents: Vec::new() };
        for process in self.processes {
            mesh.join_process(process).await?;
        }
        Ok(mesh)
    }
}

impl RunningMesh {
    /// Starts another agent, and returns once everybody knows what it offers, and it what they do.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn join(&mut self, agent: Agent) -> Result<&RunningAgent> {
        self.join_process(vec![agent]).await?;
        Ok(&self.agents[self.agents.len() - 1])
    }

    async fn join_process(&mut self, agents: Vec<Agent>) -> Result {
        let addresses = self.observer.node().gossip().local_addresses();
        let seeds: Vec<SeedSpec> = addresses.iter().copied().map(SeedSpec::from).collect();
        let neighbours = Neighbours::new();
        for agent in agents {
            self.agents.push(launch(agent, &self.key, seeds.clone(), neighbours.clone()).await?);
        }
        self.settle().await
    }

    /// Waits until everybody knows what everybody offers.
    async fn settle(&self) -> Result {
        let ids: Vec<AgentId> = self.agents.iter().map(RunningAgent::id).collect();
        for agent in self.agents.iter().chain([&self.observer]) {
            let mut views = agent.node().gossip().watch();
            let all = views.wait_for(|view| {
                let is_known =
                    |id: &AgentId| view.catalog().agents().any(|it| it.owner.agent == *id && it.offers.is_some());
                ids.iter().all(is_known)
            });
            let known = within(&format!("{} to know everybody", agent.id()), all).await?;
            known.map_err(|_| Error::new(format!("{} has stopped", agent.id())))?;
        }
        Ok(())
    }

    /// Calls whoever `selector` describes: `greeting`, or `weather +fast`.
    ///
    /// # Errors
    /// What is wrong with the selector, or why the call has no result.
    pub async fn call<T: Received>(&self, selector: &str, arguments: impl Serialize) -> Result<T> {
        Ok(self.dep(selector)?.call(arguments).await?)
    }

    /// Whoever `selector` describes, as a dependency.
    ///
    /// # Errors
    /// What is wrong with the selector.
    pub fn dep<T>(&self, selector: &str) -> Result<Dep<T>> {
        self.observer.dep(selector).map_err(|why| Error::new(why.to_string()))
    }

    /// Waits until somebody provides what `selector` describes.
    ///
    /// # Errors
    /// When nobody does within twenty seconds, or the selector is wrong.
    pub async fn wait_for(&self, selector: &str) -> Result {
        self.wait(selector, true).await
    }

    /// Waits until nobody provides what `selector` describes.
    ///
    /// # Errors
    /// When somebody still does after twenty seconds, or the selector is wrong.
    pub async fn wait_until_gone(&self, selector: &str) -> Result {
        self.wait(selector, false).await
    }

    /// The first running agent of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn agent(&self, name: &str) -> Result<&RunningAgent> {
        let found = self.agents.iter().find(|agent| agent.node().config().name == name);
        found.ok_or_else(|| Error::new(format!("no agent called {name} runs in this mesh")))
    }

    /// Lets the first agent of this name leave in order.
    ///
    /// # Errors
    /// When there is none.
    pub async fn stop(&mut self, name: &str) -> Result {
        self.take(name)?.stop().await;
        Ok(())
    }

    /// Ends the first agent of this name at once, as a crash would: nobody is told.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&mut self, name: &str) -> Result {
        drop(self.take(name)?);
        Ok(())
    }

    fn take(&mut self, name: &str) -> Result<RunningAgent> {
        self.agent(name)?;
        let place = self.agents.iter().position(|agent| agent.node().config().name == name);
        Ok(self.agents.remove(place.expect("it was found")))
    }

    async fn wait(&self, selector: &str, wanted: bool) -> Result {
        let parsed: Selector = selector.parse().map_err(|why| Error::new(format!("{why}")))?;
        let caller = self.observer.node().caller();
        let mut views = self.observer.node().gossip().watch();
        let wait = views.wait_for(|_| caller.resolve(&parsed).best().is_some() == wanted);
        let what = if wanted { format!("a provider of {selector}") } else { format!("{selector} to be gone") };
        within(&what, wait).await?.map(drop).map_err(|_| Error::new("the observer has stopped"))
    }
}

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.map_err(|_| Error::new(format!("waited {PATIENCE:?} for {what}")))
}

async fn launch(agent: Agent, key: &[u8; 32], seeds: Vec<SeedSpec>, neighbours: Neighbours) -> Result<RunningAgent> {
    let agent = agent.configure(|config: &mut NodeConfig| {
        config.mesh.keys = Some(Keyring::new(MeshKey::from_bytes(*key)));
        config.mesh.home = None;
        config.mesh.seeds = Some(seeds);
        config.mesh.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.mesh.protocol = Config::local();
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    });
    let name = agent.name().to_owned();
    let running: Result<_, AgentError> = agent.launch_as_told(neighbours).await;
    let running = running?;
    within(&format!("{name} to be ready"), running.node().ready()).await?;
    Ok(running)
}

impl fmt::Debug for RunningMesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.agents).finish()
    }
}
