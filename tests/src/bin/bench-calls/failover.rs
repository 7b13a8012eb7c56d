//! What callers notice when a replica is killed, stopped, or replaced by a new version, under a steady load.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mesh::Dep;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cli::Effort;
use crate::figure::Measured;
use crate::mesh::{Mesh, Provider};

/// What is measured here.
pub(crate) const IDS: &[&str] = &["kill_failed", "kill_max_ms", "stop_failed", "roll_failed"];

/// How often a call is made, whatever became of those before.
const EVERY: Duration = Duration::from_millis(2);

/// The most calls that may be under way; more would mean that nothing comes back any more.
const MAX_UNDER_WAY: usize = 10_000;

/// How long after an event its effects are looked for.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What is called: a tool that is idempotent and says in which process it ran.
const CAPABILITY: &str = "signing";

/// One call of the load.
struct Call {
    issued: Instant,
    ended: Instant,
    failed: bool,
}

/// Calls at a steady rate, until told to stop.
struct Load {
    stop: watch::Sender<bool>,
    calls: JoinHandle<Result<Vec<Call>>>,
}

impl Load {
    fn start(dep: Dep<u32>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, calls: tokio::spawn(keep_calling(dep, stopped)) }
    }

    async fn stop(self) -> Result<Vec<Call>> {
        self.stop.send_replace(true);
        self.calls.await.context("the load panicked")?
    }
}

async fn keep_calling(dep: Dep<u32>, mut stopped: watch::Receiver<bool>) -> Result<Vec<Call>> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut calls = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                ensure!(under_way.len() < MAX_UNDER_WAY, "nothing comes back any more");
                let dep = dep.clone();
                under_way.spawn(async move {
                    let issued = Instant::now();
                    let answer = dep.call(()).await;
                    if let Err(error) = &answer {
                        eprintln!("a call failed after {:?}: {error}", issued.elapsed());
                    }
                    Call { issued, ended: Instant::now(), failed: answer.is_err() }
                });
            }
            Some(call) = under_way.join_next() => calls.push(call.context("a call panicked")?),
            _ = stopped.changed() => break,
        }
    }
    while let Some(call) = under_way.join_next().await {
        calls.push(call.context("a call panicked")?);
    }
    Ok(calls)
}

/// How a replica goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

/// Measures all figures of this kind that are wanted.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    if effort.wants("kill_failed") || effort.wants("kill_max_ms") {
        let (calls, ends) = replace(2, effort.amount(20, 3), End::Killed).await?;
        measured.push(Measured::plain("kill_failed", failed(&calls), calls.len()));
        measured.push(Measured::plain("kill_max_ms", slowest_around(&calls, &ends), ends.len()));
    }
    if effort.wants("stop_failed") {
        let (calls, ends) = replace(2, effort.amount(20, 3), End::Stopped).await?;
        let slowest = slowest_around(&calls, &ends);
        measured.push(Measured::plain("stop_failed", failed(&calls), calls.len()).with([("max_ms", slowest)]));
    }
    if effort.wants("roll_failed") {
        let (calls, ends) = replace(3, effort.amount(9, 3), End::Stopped).await?;
        let slowest = slowest_around(&calls, &ends);
        measured.push(Measured::plain("roll_failed", failed(&calls), calls.len()).with([("max_ms", slowest)]));
    }
    Ok(measured)
}

/// Ends one of `replicas` after the other and starts a new one for each, `times` in all; the calls made meanwhile, and
/// when each replica was ended.
async fn replace(replicas: usize, times: usize, end: End) -> Result<(Vec<Call>, Vec<Instant>)> {
    let mesh = Mesh::start().await?;
    let mut alive: Vec<Provider> = Vec::new();
    for _ in 0..replicas {
        alive.push(mesh.provider().await?);
    }
    mesh.reach(CAPABILITY, &alive.iter().collect::<Vec<_>>()).await?;
    let load = Load::start(mesh.processes(CAPABILITY)?);
    sleep(AFTERMATH).await;
    let mut ends = Vec::new();
    for _ in 0..times {
        let mut victim = alive.remove(0).process;
        ends.push(Instant::now());
        match end {
            End::Killed => victim.kill().await?,
            End::Stopped => victim.terminate().await?,
        }
        sleep(AFTERMATH).await;
        let successor = mesh.provider().await?;
        mesh.reach(CAPABILITY, &[&successor]).await?;
        alive.push(successor);
    }
    sleep(AFTERMATH).await;
    Ok((load.stop().await?, ends))
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn failed(calls: &[Call]) -> f64 {
    calls.iter().filter(|call| call.failed).count() as f64
}

/// Milliseconds of the slowest call that was issued within a second of an end.
fn slowest_around(calls: &[Call], ends: &[Instant]) -> f64 {
    let near = |call: &&Call| ends.iter().any(|end| call.issued + AFTERMATH > *end && call.issued < *end + AFTERMATH);
    let times = calls.iter().filter(near).map(|call| (call.ended - call.issued).as_secs_f64() * 1e3);
    times.fold(0.0, f64::max)
}
