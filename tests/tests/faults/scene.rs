//! A mesh in which something goes wrong: a consumer in this process, and processes that suffer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use mesh::{Agent, Dep, DepError, RunningAgent, args};
use mesh_gossip::catalog::Standing;
use mesh_node::call::CallError;
use mesh_node::config::NodeConfig;
use mesh_node::runtime_file::RuntimeFile;
use mesh_node::tool::FaultKind;
use mesh_tests::lab::{Lab, Process, eventually};
use nix::sys::signal::Signal;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Whoever measures time or load has the machine alone among these tests.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// One share of the machine, or all of it.
#[expect(dead_code, reason = "held for their drop")]
pub(crate) enum Share {
    One(RwLockReadGuard<'static, ()>),
    All(RwLockWriteGuard<'static, ()>),
}

/// A consumer, and a lab for those that suffer.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) consumer: RunningAgent,
    _share: Share,
}

impl Scene {
    /// Nobody offers anything yet.
    pub(crate) async fn new() -> Self {
        Self::with(share().await, |_| {}).await
    }

    /// The same, and no other test of this binary runs meanwhile.
    pub(crate) async fn alone() -> Self {
        Self::with(Share::All(MACHINE.write().await), |_| {}).await
    }

    /// The same, with a consumer that is told something else.
    pub(crate) async fn configured(change: impl FnOnce(&mut NodeConfig)) -> Self {
        Self::with(share().await, change).await
    }

    async fn with(share: Share, change: impl FnOnce(&mut NodeConfig)) -> Self {
        let mut lab = Lab::new();
        let home = lab.home().to_owned();
        let agent = Agent::new("consumer").configure(|config| {
            config.mesh.home = Some(home);
            config.mesh.seeds = Some(Vec::new());
            change(config);
        });
        let consumer = agent.start().await.unwrap();
        let gossip = consumer.node().gossip();
        let at = gossip.view().members().next().unwrap().alive().body().addresses[0].gossip();
        lab.set("MESH_SEEDS", &at.to_string());
        Self { lab, consumer, _share: share }
    }

    /// The command that starts a victim.
    pub(crate) fn command(&self) -> Command {
        self.lab.command(victim())
    }

    /// Starts a victim; it is not part of the mesh yet.
    pub(crate) fn victim(&self) -> Process {
        self.lab.start(&mut self.command())
    }

    /// Starts `count` victims, and waits until the consumer knows what they offer.
    pub(crate) async fn victims<const COUNT: usize>(&self) -> [Process; COUNT] {
        let victims = std::array::from_fn(|_| self.victim());
        self.until_offered_by(COUNT).await;
        victims
    }

    /// Whoever provides `capability`.
    pub(crate) fn dep<T>(&self, capability: &str) -> Dep<T> {
        self.consumer.dep(capability).unwrap()
    }

    /// The ids of those who offer something now, and can be resolved.
    pub(crate) fn offering(&self) -> BTreeSet<String> {
        let view = self.consumer.node().gossip().view();
        let agents = view.catalog().agents().filter(|agent| {
            agent.standing != Standing::Gone && agent.offers.is_some_and(|offers| !offers.tools.is_empty())
        });
        agents.map(|agent| agent.owner.agent.to_string()).collect()
    }

    pub(crate) async fn until_offered_by(&self, count: usize) -> BTreeSet<String> {
        let found = || async { Some(self.offering()).filter(|found| found.len() == count) };
        eventually(&format!("{count} agents that offer something"), found).await
    }

    /// What the node of `process` wrote down about itself, once it did.
    pub(crate) async fn file(&self, process: &Process) -> RuntimeFile {
        file(&self.lab, process).await
    }

    /// Calls again and again for `span`; panics when a call fails, and gives the time of the slowest.
    pub(crate) async fn keep_calling(&self, span: Duration) -> Duration {
        let echo = self.dep::<String>("echo");
        let (begin, mut slowest) = (Instant::now(), Duration::ZERO);
        let mut pace = tokio::time::interval(Duration::from_millis(2));
        while begin.elapsed() < span {
            pace.tick().await;
            let issued = Instant::now();
            assert_eq!(echo.call(args! { text: "hello" }).await.unwrap(), "hello");
            slowest = slowest.max(issued.elapsed());
        }
        slowest
    }

    /// Waits until the diary of the one victim there is says what `wanted` wants.
    pub(crate) async fn until_diary(&self, what: &str, wanted: impl Fn(&Entry) -> bool) -> Entry {
        let diary = self.dep::<Entry>("diary");
        let read = || async { Some(diary.call(()).await.unwrap()).filter(&wanted) };
        eventually(what, read).await
    }
}

/// What the victim's tools did so far.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Entry {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) poured: u64,
}

/// For a test without a scene: nobody measures time or load as long as this is kept.
pub(crate) async fn share() -> Share {
    Share::One(MACHINE.read().await)
}

/// What the node of `process` wrote down about itself, once it did.
pub(crate) async fn file(lab: &Lab, process: &Process) -> RuntimeFile {
    let pid = process.pid().as_raw().cast_unsigned();
    let file = || async { lab.nodes().into_iter().find(|node| node.pid == pid) };
    eventually("the run-time file of a process", file).await
}

/// The program whose tools do what no tool should.
pub(crate) fn victim() -> PathBuf {
    env!("CARGO_BIN_EXE_victim").into()
}

/// Tells a process to end, and waits until it has.
pub(crate) async fn ended(mut process: Process, signal: Signal) -> (ExitStatus, String) {
    process.signal(signal);
    let end = || {
        let end = process.ended();
        async move { end }
    };
    let status = eventually("the end of a process", end).await;
    (status, process.log())
}

/// Of which kind the fault is that a tool gave, or its node.
pub(crate) fn fault(error: &DepError) -> Option<FaultKind> {
    match error.call_error() {
        Some(CallError::Fault { fault, .. }) => Some(fault.kind),
        _ => None,
    }
}

/// How many bytes of memory a process has in use.
pub(crate) fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
