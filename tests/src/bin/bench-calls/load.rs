//! Who calls, how often, and how long it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use tokio::task::JoinSet;

use crate::note::Note;

/// One way to call the tool at the other end.
#[async_trait]
pub(crate) trait Way: Send + Sync + 'static {
    /// Calls it once, and has read the answer.
    async fn call(&self, note: &Note) -> Result<Note>;
}

/// Calls one after the other, as a tool would: on a worker of the runtime. Milliseconds of each.
pub(crate) async fn sequential(way: Arc<dyn Way>, calls: usize) -> Result<Vec<f64>> {
    tokio::spawn(one_after_the_other(way, calls)).await.context("a caller panicked")?
}

async fn one_after_the_other(way: Arc<dyn Way>, calls: usize) -> Result<Vec<f64>> {
    let note = Note::example();
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begin = Instant::now();
        let answer = way.call(&note).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.number == note.number + 1, "an answer to another call");
    }
    Ok(times)
}

/// Keeps `in_flight` calls under way for `span`; calls a second.
pub(crate) async fn rate(way: Arc<dyn Way>, in_flight: usize, span: Duration) -> Result<f64> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let way = Arc::clone(&way);
        callers.spawn(async move {
            let note = Note::example();
            let mut calls = 0_u32;
            while begin.elapsed() < span {
                way.call(&note).await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    let mut calls = 0.0;
    while let Some(caller) = callers.join_next().await {
        calls += f64::from(caller.context("a caller panicked")??);
    }
    Ok(calls / begin.elapsed().as_secs_f64())
}

/// The value that a share of `part` of the values does not exceed; infinite of none.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
    let place = ((sorted.len() as f64 * part).ceil() as usize).max(1) - 1;
    sorted.get(place).copied().unwrap_or(f64::INFINITY)
}

/// The middle of the values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
