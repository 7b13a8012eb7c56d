//! How evenly calls are spread over replicas that are equals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;

use crate::mesh::{Mesh, Provider};

/// How many replicas there are.
const REPLICAS: usize = 3;

/// How many calls are under way.
const IN_FLIGHT: usize = 16;

/// Measures how far the replica that is worst off is from its third.
pub(crate) async fn measure(effort: &Effort) -> Result<Measured> {
    let mesh = Mesh::start().await?;
    let mut replicas: Vec<Provider> = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(mesh.provider().await?);
    }
    mesh.reach("napping", &replicas.iter().collect::<Vec<_>>()).await?;
    let dep = mesh.processes("napping")?;
    let span = Duration::from_secs(if effort.quick { 1 } else { 10 });
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let dep = dep.clone();
        callers.spawn(async move {
            let mut served: BTreeMap<u32, f64> = BTreeMap::new();
            while begin.elapsed() < span {
                *served.entry(dep.call(()).await?).or_default() += 1.0;
            }
            anyhow::Ok(served)
        });
    }
    let mut served: BTreeMap<u32, f64> = BTreeMap::new();
    while let Some(caller) = callers.join_next().await {
        for (replica, calls) in caller.context("a caller panicked")?? {
            *served.entry(replica).or_default() += calls;
        }
    }
    let calls: f64 = served.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let even = calls / REPLICAS as f64;
    let absent = if served.len() < REPLICAS { 1.0 } else { 0.0 };
    let worst = served.values().map(|calls| (calls / even - 1.0).abs()).fold(absent, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    Ok(Measured::plain("spread_pct", worst * 100.0, calls as usize))
}
