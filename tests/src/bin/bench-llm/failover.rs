//! What callers notice when the provider that the planner prefers is killed under a steady load of plans.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{AFTERMATH, Steady, failed, quantile, slowest_around, times_around};
use tokio::time::sleep;

use crate::trip::{AGENTS, PREFERRED, Trip};

/// What is measured here.
pub(crate) const IDS: &[&str] = &["provider_failover_max_ms", "provider_failover_failed"];

/// How often a plan is asked for, whatever became of those before.
const EVERY: Duration = Duration::from_millis(20);

/// Kills the provider and brings it back, again and again.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let mut trip = Trip::complete().await?;
    let place = AGENTS.iter().position(|name| *name == PREFERRED).context("a provider is preferred")?;
    let mut provider = trip.agents.remove(place);
    let gateway = trip.gateway.clone();
    let load = Steady::start(EVERY, move || {
        let gateway = gateway.clone();
        async move { gateway.plan().await.map(drop) }
    });
    sleep(AFTERMATH).await;
    let mut kills = Vec::new();
    for _ in 0..effort.amount(20, 3) {
        kills.push(Instant::now());
        provider.kill().await?;
        sleep(AFTERMATH).await;
        provider = trip.launch(PREFERRED)?;
        trip.asked(&provider).await?;
        sleep(AFTERMATH).await;
    }
    let calls = load.stop().await?;
    let near = times_around(&calls, &kills);
    Ok(vec![
        Measured::plain("provider_failover_max_ms", slowest_around(&calls, &kills), kills.len())
            .with([("p50_ms", quantile(&near, 0.5)), ("p99_ms", quantile(&near, 0.99))]),
        Measured::plain("provider_failover_failed", failed(&calls), calls.len()),
    ])
}
