//! How the agent fares: its author's check, run again and again, and what the mesh is told of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mesh_gossip::catalog::{Health, Status};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The author's check. It may take as long as [`CHECK_DEADLINE`]; a panic or more time than that counts as degraded.
#[derive(Clone)]
pub struct HealthCheck(Arc<dyn Fn() -> BoxFuture<'static, Verdict> + Send + Sync>);

/// What a check finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The agent works.
    Healthy,
    /// It works, not at its best; still resolved. A check that failed says so too.
    Degraded(String),
    /// It does not work: out of resolution until it does.
    Unhealthy(String),
}

/// How long a check may take.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(5);

impl HealthCheck {
    /// A check from an asynchronous function.
    pub fn new<F, R>(check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Verdict> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(check())))
    }

    /// Runs it once, within its deadline, whatever it does.
    pub async fn run(&self) -> Verdict {
        let guarded = std::panic::AssertUnwindSafe(async { (self.0)().await }).catch_unwind();
        match timeout(CHECK_DEADLINE, guarded).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::Degraded("the health check panicked".into()),
            Err(_) => Verdict::Degraded(format!("the health check took longer than {CHECK_DEADLINE:?}")),
        }
    }

    /// Runs it every `period` and tells `told` of every change, until nobody listens.
    pub(crate) async fn follow(self, period: Duration, told: watch::Sender<Verdict>) {
        let mut due = interval(period);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = told.closed() => return,
            }
            let verdict = self.run().await;
            let changed = told.send_if_modified(|last| {
                let differs = *last != verdict;
                *last = verdict.clone();
                differs
            });
            if changed {
                match &verdict {
                    Verdict::Healthy => tracing::info!("healthy again"),
                    Verdict::Degraded(why) => tracing::warn!(%why, "degraded"),
                    Verdict::Unhealthy(why) => tracing::warn!(%why, "unhealthy: out of resolution until that is over"),
                }
            }
        }
    }
}

impl Verdict {
    /// The record that tells the mesh.
    pub(crate) fn record(&self) -> Health {
        let (status, note) = match self {
            Self::Healthy => (Status::Healthy, String::new()),
            Self::Degraded(why) => (Status::Degraded, why.clone()),
            Self::Unhealthy(why) => (Status::Unhealthy, why.clone()),
        };
        Health { status, note, tools: Default::default() }
    }

    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded(_) => "degraded",
            Self::Unhealthy(_) => "unhealthy",
        }
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthCheck")
    }
}

#[cfg(test)]
mod tests {
    use super::{HealthCheck, Verdict};

    #[tokio::test(start_paused = true)]
    async fn a_check_that_panics_or_never_ends_counts_as_degraded() {
        let panics = HealthCheck::new(|| async { panic!("no database") });
        assert!(matches!(panics.run().await, Verdict::Degraded(why) if why.contains("panicked")));
        let hangs = HealthCheck::new(std::future::pending);
        assert!(matches!(hangs.run().await, Verdict::Degraded(why) if why.contains("longer")));
    }
}
