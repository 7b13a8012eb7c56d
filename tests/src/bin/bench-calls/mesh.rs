//! A mesh of the bench: a home of its own, a consumer in this process, providers in theirs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use mesh::{Agent, Dep, RunningAgent};
use mesh_tests::bench::home::Home;
use mesh_tests::bench::process::{Process, role};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::load::Way;
use crate::note::Note;

/// How long agents may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// A home and a consumer. Providers are told of both.
pub(crate) struct Mesh {
    home: Home,
    consumer: RunningAgent,
    seed: SocketAddr,
}

/// The tool that answers notes, through the mesh.
struct Notes(Dep<Note>);

#[async_trait]
impl Way for Notes {
    async fn call(&self, note: &Note) -> Result<Note> {
        Ok(self.0.call(note).await?)
    }
}

impl Mesh {
    /// A consumer that is alone.
    pub(crate) async fn start() -> Result<Self> {
        let home = Home::new()?;
        let at = home.path().to_owned();
        let agent = Agent::new("consumer").configure(|config| {
            config.mesh.home = Some(at);
            config.mesh.seeds = Some(Vec::new());
        });
        let consumer = agent.start().await?;
        let gossip = consumer.node().gossip().local_addresses();
        let seed = *gossip.first().context("a node listens somewhere")?;
        Ok(Self { home, consumer, seed })
    }

    /// Through the mesh to the tool that answers notes.
    pub(crate) fn notes(&self) -> Result<std::sync::Arc<dyn Way>> {
        Ok(std::sync::Arc::new(Notes(self.consumer.dep("notes")?)))
    }

    /// Through the mesh to a tool that says in which process it runs.
    pub(crate) fn processes(&self, capability: &str) -> Result<Dep<u32>> {
        Ok(self.consumer.dep(capability)?)
    }

    /// Starts a provider.
    pub(crate) fn launch(&self) -> Result<Process> {
        self.process(&["provider"])
    }

    /// Starts an agent that announces when it sees `count` others and itself.
    pub(crate) fn launch_onlooker(&self, count: usize) -> Result<Process> {
        self.process(&["onlooker", &count.to_string()])
    }

    /// Starts a provider and waits until it is ready.
    pub(crate) async fn provider(&self) -> Result<Provider> {
        let mut process = self.launch()?;
        let said = process.ready().await?;
        let (_, url) = said.split_once(' ').context("a provider says when and where")?;
        Ok(Provider { url: format!("{url}/mcp"), process })
    }

    /// Waits until calls for `capability` reach each of `providers`.
    pub(crate) async fn reach(&self, capability: &str, providers: &[&Provider]) -> Result<()> {
        let dep = self.processes(capability)?;
        for provider in providers {
            let pid = provider.process.pid().context("a provider has ended by itself")?;
            let reached = async {
                while dep.call(()).await.map_or(true, |served| served != pid) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(PATIENCE, reached).await.context("no call ever reached a new provider")?;
        }
        Ok(())
    }

    /// Has a command run in this mesh.
    pub(crate) fn at_home(&self, command: &mut Command) {
        self.home.settle(command);
        command.env("MESH_SEEDS", self.seed.to_string());
    }

    fn process(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = role(arguments)?;
        self.at_home(&mut command);
        Process::start(command)
    }
}

/// A provider in a process of its own.
pub(crate) struct Provider {
    /// Its MCP endpoint.
    pub(crate) url: String,
    /// It.
    pub(crate) process: Process,
}
