//! The existing system: two stock Python agents, which a stub of their registry brings together.
//!
//! The consumer's own tool calls the provider through its injected proxy and reports the times, so that nothing of ours
//! is in them. With [`Delay::Patched`] both agents set `TCP_NODELAY`, which they otherwise miss.

mod registry;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mesh_tests::bench::process::Process;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::note::Note;
use registry::Registry;

/// Where the agents are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/bench-calls/stock");

/// Where their runtime goes.
const RUNTIME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/mcp-mesh");

/// What puts it there.
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/mcp-mesh");

/// How long two agents may take to find each other, and to make the calls of one round.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether small answers wait for the delayed acknowledgements of the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// As it is installed.
    Stock,
    /// With the option set that avoids it.
    Patched,
}

/// Two agents that know each other.
pub(crate) struct Pair {
    consumer: String,
    client: reqwest::Client,
    _agents: [Process; 2],
    _registry: Registry,
}

/// Sees to it that their runtime is there; says so when it has to be installed.
pub(crate) async fn install() -> Result<()> {
    let status = Command::new(INSTALL).status().await?;
    ensure!(status.success(), "the runtime of the stock agents could not be installed into {RUNTIME}");
    Ok(())
}

impl Pair {
    /// Starts both, and waits until the consumer can call the provider.
    pub(crate) async fn start(delay: Delay) -> Result<Self> {
        let registry = Registry::start().await?;
        let ports = [free_port()?, free_port()?];
        let agents = [
            Process::start(agent("provider.py", ports[0], registry.url(), delay))?,
            Process::start(agent("consumer.py", ports[1], registry.url(), delay))?,
        ];
        let consumer = format!("http://127.0.0.1:{}/mcp", ports[1]);
        // They have been seen to wait for each other without end.
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let pair = Self { consumer, client, _agents: agents, _registry: registry };
        let begin = Instant::now();
        while !pair.times(1).await.is_ok_and(|times| times.len() == 1) {
            ensure!(begin.elapsed() < PATIENCE, "two stock agents did not find each other within a minute");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(pair)
    }

    /// Calls from one to the other, one after the other; milliseconds of each.
    pub(crate) async fn times(&self, calls: usize) -> Result<Vec<f64>> {
        #[derive(Deserialize)]
        struct Times {
            times_ms: Vec<f64>,
        }
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "measure", "arguments": {"note": Note::example(), "calls": calls}},
        });
        let response =
            self.client.post(&self.consumer).header("accept", "application/json, text/event-stream").json(&request);
        let body = response.send().await?.text().await?;
        let data = body.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&body);
        let answer: Value = serde_json::from_str(data).with_context(|| body.clone())?;
        let Some(content) = answer.pointer("/result/structuredContent") else { bail!("a stock agent says {body}") };
        Ok(Times::deserialize(content)?.times_ms)
    }
}

fn agent(script: &str, port: u16, registry: &str, delay: Delay) -> Command {
    let scripts = Path::new(SCRIPTS);
    let mut command = Command::new(PathBuf::from(RUNTIME).join("bin/python"));
    command.arg(scripts.join(script));
    command.env("MCP_MESH_REGISTRY_URL", registry).env("MCP_MESH_LOG_LEVEL", "ERROR");
    command.env("MCP_MESH_HTTP_HOST", "127.0.0.1").env("HOST", "127.0.0.1");
    command.env("MCP_MESH_HTTP_PORT", port.to_string()).env("MCP_MESH_SETTLE_TIMEOUT", "1");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    if delay == Delay::Patched {
        command.env("PYTHONPATH", scripts.join("nodelay"));
    }
    command.stderr(std::process::Stdio::null());
    command
}

/// A port that was free a moment ago: the agents do not say which one they took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
