//! Who calls, how often, and what became of it.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// The most calls of a steady load that may be under way; more would mean that nothing comes back any more.
const MAX_UNDER_WAY: usize = 10_000;

/// How long after an event its effects are looked for.
pub const AFTERMATH: Duration = Duration::from_secs(1);

/// Keeps `in_flight` calls under way for `span`; calls a second. Dropping the future ends them.
///
/// # Errors
/// The first that a call gives.
pub async fn rate<F, C>(call: F, in_flight: usize, span: Duration) -> Result<f64>
where
    F: Fn() -> C + Clone + Send + 'static,
    C: Future<Output = Result<()>> + Send,
{
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let call = call.clone();
        callers.spawn(async move {
            let mut calls = 0_u32;
            while begin.elapsed() < span {
                call().await?;
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

/// One call of a steady load.
#[derive(Debug)]
pub struct Call {
    issued: Instant,
    ended: Instant,
    failed: bool,
}

/// Calls at a steady rate, each at its time whatever became of those before, until told to stop.
#[derive(Debug)]
pub struct Steady {
    stop: watch::Sender<bool>,
    calls: JoinHandle<Result<Vec<Call>>>,
}

impl Steady {
    /// Begins to call. Calls that fail are counted, and standard error says why.
    pub fn start<F, C>(every: Duration, call: F) -> Self
    where
        F: Fn() -> C + Send + 'static,
        C: Future<Output = Result<()>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { stop, calls: tokio::spawn(keep_calling(every, call, stopped)) }
    }

    /// Makes no more calls, and waits for those that are under way.
    ///
    /// # Errors
    /// When so many were under way that the load ended by itself.
    pub async fn stop(self) -> Result<Vec<Call>> {
        self.stop.send_replace(true);
        self.calls.await.context("the load panicked")?
    }
}

async fn keep_calling<F, C>(every: Duration, call: F, mut stopped: watch::Receiver<bool>) -> Result<Vec<Call>>
where
    F: Fn() -> C,
    C: Future<Output = Result<()>> + Send + 'static,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    let mut calls = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                ensure!(under_way.len() < MAX_UNDER_WAY, "nothing comes back any more");
                let call = call();
                under_way.spawn(async move {
                    let issued = Instant::now();
                    let answer = call.await;
                    if let Err(error) = &answer {
                        eprintln!("a call failed after {:?}: {error:#}", issued.elapsed());
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

/// How many of `calls` failed.
#[expect(clippy::cast_precision_loss, reason = "a count")]
pub fn failed(calls: &[Call]) -> f64 {
    calls.iter().filter(|call| call.failed).count() as f64
}

/// Milliseconds of the slowest call that was issued within a second of one of `events`.
pub fn slowest_around(calls: &[Call], events: &[Instant]) -> f64 {
    times_around(calls, events).into_iter().fold(0.0, f64::max)
}

/// Milliseconds of all calls that were issued within a second of one of `events`.
pub fn times_around(calls: &[Call], events: &[Instant]) -> Vec<f64> {
    let near =
        |call: &&Call| events.iter().any(|event| call.issued + AFTERMATH > *event && call.issued < *event + AFTERMATH);
    calls.iter().filter(near).map(|call| (call.ended - call.issued).as_secs_f64() * 1e3).collect()
}

/// The value that a share of `part` of the values does not exceed; infinite of none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
    let place = ((sorted.len() as f64 * part).ceil() as usize).max(1) - 1;
    sorted.get(place).copied().unwrap_or(f64::INFINITY)
}

/// The middle of the values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
