//! Calls one after the other.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;

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
