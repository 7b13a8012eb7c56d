//! How long a word takes from a provider to an HTTP client, through the planner and the gateway.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::figure::Measured;
use mesh_tests::bench::load::{median, quantile};
use mesh_tests::bench::process::{Process, now_ms, role};
use tokio::time::sleep;

use crate::trip::{Gateway, Trip};

/// What is measured here.
pub(crate) const IDS: &[&str] = &["first_token_ms"];

/// How long agents may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many streams nobody times.
const WARM: usize = 20;

/// Measures the first word of streams.
pub(crate) async fn measure(effort: &Effort) -> Result<Vec<Measured>> {
    let trip = Trip::start(&["planner-agent", "gateway"]).await?;
    let mut command = role(&["herald"])?;
    trip.settle(&mut command);
    let mut herald = Process::start(command)?;
    herald.ready().await?;
    let begin = Instant::now();
    while let Err(why) = first_word(&trip.gateway).await {
        ensure!(begin.elapsed() < PATIENCE, "no word within a minute: {why}");
        sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    for _ in 0..WARM + effort.amount(500, 50) {
        times.push(first_word(&trip.gateway).await?);
    }
    let times = &times[WARM..];
    let figure = Measured::plain("first_token_ms", median(times), times.len());
    Ok(vec![figure.with([("p99_ms", quantile(times, 0.99))])])
}

/// Milliseconds from when the first word was said until it was here. The rest of the stream is read to its end.
async fn first_word(gateway: &Gateway) -> Result<f64> {
    let mut body = gateway.stream().await?.bytes_stream();
    let (mut heard, mut first) = (String::new(), None);
    while let Some(piece) = body.next().await {
        let now = now_ms();
        heard.push_str(std::str::from_utf8(&piece?)?);
        let word = heard.split_once("data: ").and_then(|(_, rest)| rest.split_once(' '));
        if let (None, Some((said, _))) = (first, word) {
            let said: f64 = said.parse().with_context(|| format!("the first word is {said}"))?;
            first = Some(now - said);
        }
    }
    first.with_context(|| format!("no word came: {heard}"))
}
