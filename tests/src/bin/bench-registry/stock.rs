//! What callers of real stock agents notice when one is killed: Python agents of the existing system, at our seed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mesh::{Agent, Dep, RunningAgent};
use mesh_gossip::seeds::SeedSpec;
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{AFTERMATH, Steady, failed, quantile, slowest_around, times_around};
use mesh_tests::bench::process::Process;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::seed::Seed;

/// What is measured with a caller of ours.
pub(crate) const KILL_IDS: &[&str] = &["stock_kill_failed", "stock_kill_ms"];

/// What is measured with a stock caller.
pub(crate) const REWIRE_IDS: &[&str] = &["stock_rewire_s"];

/// Where the agents are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/bench-registry/stock");

/// Where their runtime goes.
const RUNTIME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/mcp-mesh");

/// What puts it there.
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/mcp-mesh");

/// How long stock agents may take until they can be called.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often our agent calls.
const EVERY: Duration = Duration::from_millis(10);

/// How often the stock one does.
const SELDOM: Duration = Duration::from_millis(50);

/// A seed and two stock providers of one tool.
struct Scene {
    seed: Seed,
    /// The one that is killed next first.
    providers: Vec<Process>,
    started: usize,
}

/// A caller of ours, and its way to the tool.
struct Caller {
    _agent: RunningAgent,
    sign: Dep<u32>,
}

/// Kills one of two providers that an agent of ours calls, and brings it back, again and again.
pub(crate) async fn kill(effort: &Effort) -> Result<Vec<Measured>> {
    let mut scene = Scene::new().await?;
    let caller = scene.caller().await?;
    caller.reaches(&scene.providers).await?;
    let sign = caller.sign.clone();
    let load = Steady::start(EVERY, move || {
        let sign = sign.clone();
        async move { Ok(sign.call(()).await.map(drop)?) }
    });
    sleep(AFTERMATH).await;
    let mut kills = Vec::new();
    for number in 0..effort.amount(10, 2) {
        eprintln!("stock providers called by ours: kill {number}");
        let mut victim = scene.providers.remove(0);
        kills.push(Instant::now());
        victim.kill().await?;
        sleep(AFTERMATH).await;
        scene.add()?;
        caller.reaches(&scene.providers).await?;
        sleep(AFTERMATH).await;
    }
    let calls = load.stop().await?;
    let near = times_around(&calls, &kills);
    Ok(vec![
        Measured::plain("stock_kill_failed", failed(&calls), calls.len()),
        Measured::plain("stock_kill_ms", slowest_around(&calls, &kills), kills.len())
            .with([("p50_ms", quantile(&near, 0.5)), ("p99_ms", quantile(&near, 0.99))]),
    ])
}

/// Kills the provider that a stock consumer calls: until its calls work again, at worst.
pub(crate) async fn rewire(effort: &Effort) -> Result<Vec<Measured>> {
    let mut scene = Scene::new().await?;
    let _consumer = scene.start("consumer.py", "bench-consumer")?;
    let caller = scene.caller().await?;
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let (mut took, mut lost) = (Vec::new(), 0.0);
    for number in 0..effort.amount(10, 2) {
        eprintln!("stock providers called by a stock consumer: kill {number}");
        caller.reaches(&scene.providers).await?;
        let asked = || async { scene.ask(&client).await };
        let bound = working(&asked, |_| true, &mut 0.0).await.context("the consumer was never bound")?;
        let place = scene.providers.iter().position(|provider| provider.pid() == Some(bound));
        let mut victim = scene.providers.remove(place.context("the consumer calls a provider of ours")?);
        let killed = Instant::now();
        victim.kill().await?;
        let asked = || async { scene.ask(&client).await };
        working(&asked, |pid| pid != bound, &mut lost).await.context("the consumer's calls never work again")?;
        took.push(killed.elapsed().as_secs_f64());
        scene.add()?;
    }
    let worst = took.iter().copied().fold(0.0, f64::max);
    let beside = [("p50_s", quantile(&took, 0.5)), ("failed_calls", lost)];
    Ok(vec![Measured::plain("stock_rewire_s", worst, took.len()).with(beside)])
}

/// Asks again and again until the answer is right; counts the calls that were lost meanwhile.
async fn working<F: Future<Output = Result<u32>>>(
    ask: &impl Fn() -> F,
    is_right: impl Fn(u32) -> bool,
    lost: &mut f64,
) -> Result<u32> {
    let right = async {
        loop {
            match ask().await {
                Ok(pid) if is_right(pid) => return pid,
                _ => *lost += 1.0,
            }
            sleep(SELDOM).await;
        }
    };
    Ok(timeout(PATIENCE, right).await?)
}

impl Scene {
    async fn new() -> Result<Self> {
        let installed = Command::new(INSTALL).status().await?;
        ensure!(installed.success(), "the runtime of the stock agents could not be installed into {RUNTIME}");
        let mut scene = Self { seed: Seed::start().await?, providers: Vec::new(), started: 0 };
        scene.add()?;
        scene.add()?;
        Ok(scene)
    }

    /// One more provider. They have names of their own: for stock consumers all but one are spares.
    fn add(&mut self) -> Result<()> {
        let provider = self.start("provider.py", &format!("bench-provider-{}", self.started))?;
        self.started += 1;
        self.providers.push(provider);
        Ok(())
    }

    fn start(&self, script: &str, name: &str) -> Result<Process> {
        let mut command = Command::new(PathBuf::from(RUNTIME).join("bin/python"));
        command.arg(Path::new(SCRIPTS).join(script)).env("BENCH_NAME", name);
        command.env("MCP_MESH_REGISTRY_URL", &self.seed.url).env("MCP_MESH_LOG_LEVEL", "ERROR");
        command.env("MCP_MESH_HTTP_HOST", "127.0.0.1").env("HOST", "127.0.0.1").env("MCP_MESH_SETTLE_TIMEOUT", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH").stderr(Stdio::null());
        Process::start(command)
    }

    /// An agent of ours that calls the tool.
    async fn caller(&self) -> Result<Caller> {
        let (home, seed) = (self.seed.home.path().to_owned(), self.seed.gossip);
        let agent = Agent::new("caller").configure(|config| {
            config.mesh.home = Some(home);
            config.mesh.name = "bench".into();
            config.mesh.seeds = Some(vec![SeedSpec::from(seed)]);
        });
        let agent = agent.start().await?;
        Ok(Caller { sign: agent.dep("signing")?, _agent: agent })
    }

    /// Calls the stock consumer's tool: in which process its provider runs.
    async fn ask(&self, client: &reqwest::Client) -> Result<u32> {
        let list: Value = serde_json::from_slice(&self.seed.list().await?)?;
        let agents = list["agents"].as_array().context("there is a list")?;
        let consumer = agents.iter().find(|agent| agent["name"] == "bench-consumer").context("it has registered")?;
        let url = format!("{}/mcp", consumer["endpoint"].as_str().context("it is somewhere")?);
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {}}});
        let response = client.post(url).header("accept", "application/json, text/event-stream").json(&request);
        let body = response.send().await?.text().await?;
        let data = body.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&body);
        let answer: Value = serde_json::from_str(data).with_context(|| body.clone())?;
        let pid = answer.pointer("/result/structuredContent/result").and_then(Value::as_u64);
        let pid = pid.filter(|pid| *pid > 0).with_context(|| format!("the consumer says {body}"))?;
        Ok(u32::try_from(pid)?)
    }
}

impl Caller {
    /// Calls until every one of `providers` has answered.
    async fn reaches(&self, providers: &[Process]) -> Result<()> {
        for provider in providers {
            let pid = provider.pid().context("a provider has ended by itself")?;
            let reached = async {
                while self.sign.call(()).await.map_or(true, |served| served != pid) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, reached).await.context("no call ever reached a stock provider")?;
        }
        Ok(())
    }
}
