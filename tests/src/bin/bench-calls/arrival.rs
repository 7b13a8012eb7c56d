//! How soon a new provider is called: from its start, and from the moment at which it can be.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mesh::Dep;
use tokio::time::{sleep, timeout};

use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{median, quantile};
use mesh_tests::bench::process::now_ms;

use crate::mesh::Mesh;

/// What is measured here.
pub(crate) const IDS: &[&str] = &["appear_p99_ms", "start_ms"];

/// How often the consumer tries.
const EVERY: Duration = Duration::from_millis(1);

/// How long a provider may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures both figures.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let mesh = Mesh::start().await?;
    let dep = mesh.processes("signing")?;
    let (mut since_start, mut since_ready) = (Vec::new(), Vec::new());
    for _ in 0..effort.amount(50, 5) {
        // Nobody provides it now.
        timeout(PATIENCE, absent(&dep)).await.context("a provider that was killed is still called")?;
        let begin = Instant::now();
        let mut provider = mesh.launch()?;
        timeout(PATIENCE, present(&dep)).await.context("a new provider was not called within 20 s")?;
        let called = now_ms();
        since_start.push(begin.elapsed().as_secs_f64() * 1e3);
        let said = provider.ready().await?;
        let ready: f64 = said.split(' ').next().and_then(|when| when.parse().ok()).context("when it was ready")?;
        // The consumer may be faster than the provider's own news that it is ready.
        since_ready.push((called - ready).max(0.0));
        provider.terminate().await?;
    }
    Ok(vec![
        Measured::plain("appear_p99_ms", quantile(&since_ready, 0.99), since_ready.len())
            .with([("p50_ms", median(&since_ready))]),
        Measured::plain("start_ms", median(&since_start), since_start.len())
            .with([("p99_ms", quantile(&since_start, 0.99))]),
    ])
}

async fn present(dep: &Dep<u32>) {
    while dep.call(()).await.is_err() {
        sleep(EVERY).await;
    }
}

async fn absent(dep: &Dep<u32>) {
    while dep.call(()).await.is_ok() {
        sleep(EVERY).await;
    }
}
