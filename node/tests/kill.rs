//! Members that are killed or stopped while they are called: real processes, since only those go without a word.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesh_gossip::MemberId;
use mesh_gossip::config::Config;
use mesh_gossip::gossip::{Gossip, GossipConfig};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;
use mesh_node::call::quic::attempt::{AttemptError, Cause, Fate, Outgoing, Silence};
use mesh_node::call::quic::lines::Lines;
use mesh_node::call::quic::serve::{ServeLimits, serve};
use mesh_node::context::{Outlet, Scope};
use mesh_node::run::{Arrival, CallId, Dispatch};
use mesh_node::tool::{Fault, Payload};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);
const SEED: &str = "MESH_TEST_SEED";

/// Calls before the kill and as many after it, at 500 a second.
const CALLS: u32 = 500;

struct Echo;

#[async_trait]
impl Dispatch for Echo {
    async fn run(&self, arrival: Arrival) -> Result<Payload, Fault> {
        Ok(Payload::Value(arrival.arguments))
    }
}

async fn node(seeds: Vec<SeedSpec>) -> Gossip {
    let config = GossipConfig {
        keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
        listen: vec![([127, 0, 0, 1], 0).into()],
        seeds,
        protocol: Config::local(),
        ..GossipConfig::new("kill")
    };
    Gossip::spawn(config).await.unwrap()
}

async fn until_live(gossip: &Gossip, count: usize) {
    let mut views = gossip.watch();
    let seen = views.wait_for(|view| view.live().count() == count);
    tokio::time::timeout(PATIENCE, seen).await.expect("they find each other").unwrap();
}

/// Not a test: what the other processes run.
#[tokio::test]
#[ignore = "the callee of the tests"]
async fn callee() {
    let Ok(seed) = std::env::var(SEED) else { return };
    let seed: SocketAddr = seed.parse().unwrap();
    let gossip = node(vec![SeedSpec::from(seed)]).await;
    let _server = serve(&gossip, Arc::new(Echo), ServeLimits::default()).await.unwrap();
    std::future::pending::<()>().await;
}

fn start(seed: SocketAddr) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "callee"]).env(SEED, seed.to_string());
    command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

/// Calls one of both, and the other one when that does not go well.
async fn call(gossip: Arc<Gossip>, lines: Lines, turn: usize) -> (bool, Duration) {
    let begun = Instant::now();
    // Those that are not silent first.
    let mut members = members(&gossip);
    members.rotate_left(turn % 2);
    members.sort_by_key(|member| lines.is_silent(member));
    let outgoing = echo();
    for member in members {
        match lines.attempt(member, outgoing.clone()).await {
            Ok(_) => return (true, begun.elapsed()),
            Err(error) => println!("after {:?}: {error}", begun.elapsed()),
        }
    }
    (false, begun.elapsed())
}

fn members(gossip: &Gossip) -> Vec<MemberId> {
    let view = gossip.view();
    view.live().map(|member| member.id()).filter(|id| *id != view.me()).collect()
}

/// Us, and other processes that serve.
struct Mesh {
    gossip: Arc<Gossip>,
    lines: Lines,
    children: Vec<Child>,
}

async fn mesh(others: usize) -> Mesh {
    let gossip = Arc::new(node(Vec::new()).await);
    let seed = gossip.local_addresses()[0];
    let children = (0..others).map(|_| start(seed)).collect();
    until_live(&gossip, 1 + others).await;
    let lines = Lines::new(Arc::clone(&gossip));
    for member in members(&gossip) {
        // It may have been seen before it served.
        let served = async {
            while lines.attempt(member, echo()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.unwrap();
    }
    Mesh { gossip, lines, children }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_when_one_of_two_members_is_killed() {
    let Mesh { gossip, lines, mut children } = mesh(2).await;
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for turn in 0..2 * CALLS {
        ticks.tick().await;
        if turn == CALLS {
            children[0].start_kill().unwrap();
        }
        calls.spawn(call(Arc::clone(&gossip), lines.clone(), turn as usize));
    }
    let mut times = Vec::new();
    while let Some(done) = calls.join_next().await {
        let (is_served, took) = done.unwrap();
        assert!(is_served, "a call failed after {took:?}");
        times.push(took);
    }
    times.sort();
    println!("median {:?}, slowest {:?}", times[times.len() / 2], times[times.len() - 1]);
    // An idle machine needs 200 ms.
    assert!(times[times.len() - 1] < Duration::from_secs(2), "the slowest took {:?}", times[times.len() - 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_stopped_is_silent_until_it_goes_on() {
    let Mesh { gossip, lines, children } = mesh(1).await;
    let member = members(&gossip)[0];
    let child = Pid::from_raw(children[0].id().unwrap().try_into().unwrap());
    stop(child).await;
    let mut changes = lines.changes();
    let error = tokio::time::timeout(PATIENCE, lines.attempt(member, echo())).await.unwrap().unwrap_err();
    assert!(matches!(error, AttemptError::Broken { cause: Cause::Silent, fate: Fate::Unconfirmed }), "{error:?}");
    assert!(lines.is_silent(&member));
    kill(child, Signal::SIGCONT).unwrap();
    let answers = changes.wait_for(|_| !lines.is_silent(&member));
    tokio::time::timeout(PATIENCE, answers).await.unwrap().unwrap();
    assert!(lines.attempt(member, echo()).await.is_ok());
}

/// A signal is only sent when `kill` returns, and a thread on another core may still answer: waits until all have stopped.
async fn stop(child: Pid) {
    kill(child, Signal::SIGSTOP).unwrap();
    let stopped = tokio::task::spawn_blocking(move || waitpid(child, Some(WaitPidFlag::WUNTRACED)));
    let status = tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
    assert_eq!(status, WaitStatus::Stopped(child, Signal::SIGSTOP));
}

fn echo() -> Outgoing {
    Outgoing {
        id: CallId::random(),
        attempt: 1,
        agent: None,
        tool: "echo".into(),
        arguments: "{}".into(),
        scope: Scope::default(),
        outlet: Outlet::closed(),
        silence: Silence::Ends,
    }
}
