//! The seed under test: a process of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

/// How long the seed may take to answer.
const START: Duration = Duration::from_secs(20);

/// `meshctl seed`, on ports and in a home of its own. Dropped, it is killed.
pub(crate) struct Seed {
    process: Child,
    _home: TempDir,
    /// Where its registry is.
    pub(crate) url: String,
    client: Client,
}

impl Seed {
    /// Starts it and waits until it answers.
    pub(crate) async fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let meshctl = std::env::current_exe()?.with_file_name("meshctl");
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&meshctl);
        command.args(["seed", "--listen", "127.0.0.1:0", "--http-port", &port.to_string()]);
        command.env("MCP_MESH_HOME", home.path()).env("MESH_NAME", format!("bench-{port}")).env("MESH_SEEDS", "none");
        let process = command.env("MESH_LOG", "warn").stdin(Stdio::null()).spawn();
        let process = process.with_context(|| format!("{} does not start: build meshctl", meshctl.display()))?;
        let (url, client) = (format!("http://127.0.0.1:{port}"), Client::new());
        let answers = async {
            while client.get(format!("{url}/health")).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START, answers).await.context("the seed does not answer")?;
        Ok(Self { process, _home: home, url, client })
    }

    /// How many agents it lists.
    pub(crate) async fn list(&self) -> Result<usize> {
        let body = self.client.get(format!("{}/agents", self.url)).send().await?.bytes().await?;
        let answer: Value = serde_json::from_slice(&body)?;
        answer["agents"].as_array().map(Vec::len).context("there is no list")
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ensure!(fields.len() > 12, "the statistics of the seed cannot be read");
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.context("the clock has no ticks")?;
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// The memory that it holds.
    pub(crate) fn rss_mb(&self) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("there is no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))?)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
