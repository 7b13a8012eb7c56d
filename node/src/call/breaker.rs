//! When to leave an agent alone for a while: a matter between one caller and one agent, never told to anybody.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::tool::Fault;

/// So many failures in a row and it opens.
pub const FAILURES: u32 = 3;

/// How long it stays open the first time; every probe that fails doubles it. Longer than it takes the mesh to see that a
/// member is gone, so that no call of a user is the one that finds it out.
pub const OPEN_FIRST: Duration = Duration::from_millis(1500);

/// How long it stays open at most.
pub const OPEN_MOST: Duration = Duration::from_secs(30);

/// How long somebody is left alone at most who asked for it.
pub const REST_MOST: Duration = Duration::from_secs(300);

/// A breaker. Time is told, never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    until: Instant,
    /// How long the next opening lasts.
    next: Duration,
    /// Until when the probe under way keeps others out.
    probing: Option<Instant>,
}

/// How bad a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may be a coincidence.
    Single,
    /// The agent was silent for so long, or the connection broke, that the next one would meet the same.
    Lost,
}

/// What a breaker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Call it.
    Closed,
    /// Call it once, to see whether it works again: [`Breaker::probe`] first.
    Probe,
    /// Leave it alone, unless there is nobody else.
    Open,
}

impl Breaker {
    /// What it says now.
    pub fn verdict(&self, now: Instant) -> Verdict {
        match self.open {
            None => Verdict::Closed,
            Some(open) if now < open.until => Verdict::Open,
            Some(open) if open.probing.is_some_and(|until| now < until) => Verdict::Open,
            Some(_) => Verdict::Probe,
        }
    }

    /// A probe begins, and keeps others out until it has ended, at most for `patience`.
    pub fn probe(&mut self, now: Instant, patience: Duration) {
        if let Some(open) = &mut self.open {
            open.probing = Some(now + patience);
        }
    }

    /// A call was answered, with whatever.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call was answered with the wish to be left alone for so long, at most [`REST_MOST`].
    pub fn rest(&mut self, now: Instant, rest: Duration) {
        self.failures = 0;
        self.open = Some(Open { until: now + rest.min(REST_MOST), next: OPEN_FIRST, probing: None });
    }

    /// A call was not answered.
    pub fn failed(&mut self, now: Instant, failure: Failure) {
        self.failures = match failure {
            Failure::Single => self.failures.saturating_add(1),
            Failure::Lost => self.failures.max(FAILURES),
        };
        match &mut self.open {
            // Calls that were under way when it opened fail one after the other; they are no news.
            Some(open) if now < open.until => {}
            Some(open) => {
                *open = Open { until: now + open.next, next: (open.next * 2).min(OPEN_MOST), probing: None };
            }
            None if self.failures >= FAILURES => {
                self.open = Some(Open { until: now + OPEN_FIRST, next: OPEN_FIRST * 2, probing: None });
            }
            None => {}
        }
    }
}

/// How long whoever gave `fault` wants to be left alone: its data says `retry_after`, in seconds.
pub(super) fn rest_asked(fault: &Fault) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Asked {
        retry_after: f64,
    }

    let asked: Asked = serde_json::from_slice(fault.data.as_ref()?).ok()?;
    Duration::try_from_secs_f64(asked.retry_after).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Breaker, FAILURES, Failure, OPEN_FIRST, OPEN_MOST, REST_MOST, Verdict, rest_asked};
    use crate::tool::{Fault, FaultKind};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_and_only_then() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(now, Failure::Single);
        }
        breaker.succeeded();
        for _ in 1..FAILURES {
            breaker.failed(now, Failure::Single);
        }
        assert_eq!(breaker.verdict(now), Verdict::Closed);
        breaker.failed(now, Failure::Single);
        assert_eq!(breaker.verdict(now), Verdict::Open);
    }

    #[test]
    fn a_lost_agent_opens_it_at_once() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(now, Failure::Lost);
        assert_eq!(breaker.verdict(now), Verdict::Open);
    }

    #[test]
    fn one_probe_decides_and_a_failed_one_doubles_the_wait() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(now, Failure::Lost);
        let later = now + OPEN_FIRST;
        assert_eq!(breaker.verdict(later), Verdict::Probe);
        breaker.probe(later, SECOND);
        assert_eq!(breaker.verdict(later), Verdict::Open);
        breaker.failed(later, Failure::Single);
        assert_eq!(breaker.verdict(later + OPEN_FIRST), Verdict::Open);
        assert_eq!(breaker.verdict(later + 2 * OPEN_FIRST), Verdict::Probe);
        breaker.succeeded();
        assert_eq!(breaker.verdict(later), Verdict::Closed);
    }

    #[test]
    fn who_asks_to_be_left_alone_is_for_as_long_as_it_says() {
        let now = Instant::now();
        let busy = |data: &'static str| Fault { data: Some(data.into()), ..Fault::new(FaultKind::Overloaded, "busy") };
        assert_eq!(rest_asked(&busy(r#"{"error":"busy","retry_after":2.5}"#)), Some(Duration::from_millis(2500)));
        for other in ["{}", "no", r#"{"retry_after":-1}"#, r#"{"retry_after":1e300}"#] {
            assert_eq!(rest_asked(&busy(other)), None);
        }
        let mut breaker = Breaker::default();
        breaker.rest(now, 3 * SECOND);
        assert_eq!(breaker.verdict(now + 2 * SECOND), Verdict::Open);
        assert_eq!(breaker.verdict(now + 3 * SECOND), Verdict::Probe);
        breaker.rest(now, Duration::MAX);
        assert_eq!(breaker.verdict(now + REST_MOST), Verdict::Probe);
    }

    #[test]
    fn a_probe_that_never_ends_does_not_keep_others_out_for_ever() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(now, Failure::Lost);
        breaker.probe(now + OPEN_FIRST, SECOND);
        assert_eq!(breaker.verdict(now + OPEN_FIRST + SECOND), Verdict::Probe);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_lets_somebody_through_in_the_end(
            steps in prop::collection::vec((0_u8..4, 0_u64..40_000), 0..60)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            for (step, wait) in steps {
                now += Duration::from_millis(wait);
                match step {
                    0 => breaker.failed(now, Failure::Single),
                    1 => breaker.failed(now, Failure::Lost),
                    2 => breaker.succeeded(),
                    _ => breaker.probe(now, SECOND),
                }
                prop_assert_ne!(breaker.verdict(now + OPEN_MOST + SECOND), Verdict::Open);
            }
        }
    }
}
