//! The seed under test: a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use mesh_node::runtime_file::RuntimeFile;
use mesh_tests::bench::home::Home;
use mesh_tests::bench::process::{Process, sibling};
use reqwest::Client;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// How long the seed may take to serve.
const START: Duration = Duration::from_secs(20);

/// `meshctl seed` in a home of its own. Dropped, it is killed.
pub(crate) struct Seed {
    process: Process,
    /// Where the seed, and whoever is to join it, is at home.
    pub(crate) home: Home,
    /// Where its registry is.
    pub(crate) url: String,
    /// Where its gossip is.
    pub(crate) gossip: SocketAddr,
    client: Client,
}

impl Seed {
    /// Starts it and waits until it serves.
    pub(crate) async fn start() -> Result<Self> {
        let home = Home::new()?;
        let mut command = Command::new(sibling("meshctl")?);
        home.settle(&mut command);
        command.args(["seed", "--listen", "127.0.0.1:0"]);
        command.env("MESH_NAME", "bench").env("MESH_SEEDS", "none").env("MESH_LOG", "warn").stderr(Stdio::inherit());
        let process = Process::start(command)?;
        let pid = process.pid().context("the seed has ended")?;
        let serves = async {
            loop {
                if let Some(RuntimeFile { http_url: Some(url), gossip, .. }) = home.node(pid) {
                    return (url, gossip);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let (url, gossip) = timeout(START, serves).await.context("the seed does not serve")?;
        let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { process, home, url, gossip, client })
    }

    /// The list of all agents, as it is sent.
    pub(crate) async fn list(&self) -> Result<Bytes> {
        Ok(self.client.get(format!("{}/agents", self.url)).send().await?.error_for_status()?.bytes().await?)
    }

    /// How many agents are in such a list.
    pub(crate) fn agents(list: &[u8]) -> Result<usize> {
        #[derive(Deserialize)]
        struct List {
            count: usize,
            agents: Vec<serde::de::IgnoredAny>,
        }
        let List { count, agents } = serde_json::from_slice(list)?;
        ensure!(count == agents.len(), "the seed counts {count} agents, and lists {}", agents.len());
        Ok(count)
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.pid().context("the seed has ended")
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ensure!(fields.len() > 12, "the statistics of the seed cannot be read");
        let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("the clock has no ticks")?;
        Ok(Duration::from_secs(1) * ticks / u32::try_from(per_second)?)
    }
}
