//! What callers notice when a replica is killed, stopped, or replaced by a new version, under a steady load.

use std::time::{Duration, Instant};

use anyhow::Result;
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{AFTERMATH, Call, Steady, failed, slowest_around};
use tokio::time::sleep;

use crate::mesh::{Mesh, Provider};

/// What is measured here.
pub(crate) const IDS: &[&str] = &["kill_failed", "kill_max_ms", "stop_failed", "roll_failed"];

/// How often a call is made, whatever became of those before.
const EVERY: Duration = Duration::from_millis(2);

/// What is called: a tool that is idempotent and says in which process it ran.
const CAPABILITY: &str = "signing";

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
    let dep = mesh.processes(CAPABILITY)?;
    let load = Steady::start(EVERY, move || {
        let dep = dep.clone();
        async move { Ok(dep.call(()).await.map(drop)?) }
    });
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
