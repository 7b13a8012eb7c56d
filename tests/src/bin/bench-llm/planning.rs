//! How long a plan takes, how many fit into a second, and what the agents take for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{median, quantile, rate};
use mesh_tests::bench::process::{Process, proportional_mb, resident_mb};

use crate::trip::Trip;

/// What is measured here.
pub(crate) const IDS: &[&str] = &["plan_p50_ms", "plans_per_s", "trip_rss_mb"];

/// How many plans are under way where throughput is measured.
const IN_FLIGHT: usize = 16;

/// How many plans nobody times: agents still connect to each other.
const WARM: usize = 50;

/// Measures all figures of this kind.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let trip = Trip::complete().await?;
    let mut times = Vec::new();
    for _ in 0..WARM + effort.amount(500, 50) {
        let begin = Instant::now();
        trip.gateway.plan().await?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let times = &times[WARM..];
    let gateway = trip.gateway.clone();
    let plan = move || {
        let gateway = gateway.clone();
        async move { gateway.plan().await.map(drop) }
    };
    let span = Duration::from_secs(if effort.quick { 2 } else { 10 });
    let plans = rate(plan, IN_FLIGHT, span).await?;
    let pid = |agent: &Process| agent.pid().context("an agent has ended by itself");
    let memory = trip.agents.iter().map(|agent| resident_mb(pid(agent)?)).collect::<Result<Vec<f64>>>()?;
    let together = trip.agents.iter().map(|agent| proportional_mb(pid(agent)?)).sum::<Result<f64>>()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let made = (plans * span.as_secs_f64()) as usize;
    Ok(vec![
        Measured::plain("plan_p50_ms", median(times), times.len()).with([("p99_ms", quantile(times, 0.99))]),
        Measured::plain("plans_per_s", plans, made),
        Measured::plain("trip_rss_mb", memory.iter().sum(), memory.len())
            .with([("max_mb", quantile(&memory, 1.0)), ("pss_mb", together)]),
    ])
}
