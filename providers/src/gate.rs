//! Whether the vendor wants to be asked: it cools down after a rate limit, and is out of service under a wrong key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh::Verdict;
use tokio::time::Instant;

use crate::failure::Failure;

/// How long a vendor is left alone that is busy and does not say for how long; doubled with each time in a row.
const FIRST_COOLING: Duration = Duration::from_secs(1);

/// The longest that it is left alone without having said so.
const MAX_COOLING: Duration = Duration::from_secs(30);

/// The longest that is believed.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// How often a vendor that refuses our key is asked whether it still does.
const RECHECK: Duration = Duration::from_secs(60);

/// What the last answers of a vendor say about the next one.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Nobody is let through before.
    opens: Option<Instant>,
    /// How often in a row it was busy.
    busy: u32,
    /// Why our key will not do, and when to ask again.
    locked: Option<(String, Instant)>,
    /// Whether it was ever asked whether it knows us.
    is_checked: bool,
}

impl Gate {
    /// Lets a request through.
    ///
    /// # Errors
    /// [`Failure::Busy`] with the rest of the time while the vendor cools down; nothing was sent.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        let state = self.state();
        let rest = state.opens.map(|opens| opens.saturating_duration_since(Instant::now()));
        match rest.filter(|rest| !rest.is_zero()) {
            Some(rest) => {
                let why = format!("the vendor is left alone for {:.1} s more after a rate limit", rest.as_secs_f64());
                Err(Failure::Busy { retry_after: Some(rest), why })
            }
            None => Ok(()),
        }
    }

    /// Learns from what came of a request. A failure by which the vendor is busy is given the time to come back.
    pub(crate) fn learn<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let mut state = self.state();
        match outcome {
            Ok(answer) => {
                // What others were told in the meantime about when to come back still holds.
                state.busy = 0;
                state.locked = None;
                Ok(answer)
            }
            Err(Failure::Busy { retry_after, why }) => {
                let own = FIRST_COOLING.saturating_mul(1 << state.busy.min(5)).min(MAX_COOLING);
                let wait = retry_after.unwrap_or(own).min(MAX_WAIT);
                state.busy = state.busy.saturating_add(1);
                let opens = Instant::now() + wait;
                state.opens = Some(state.opens.map_or(opens, |known| known.max(opens)));
                Err(Failure::Busy { retry_after: Some(wait), why })
            }
            Err(Failure::Unauthorized { why }) => {
                state.locked = Some((why.clone(), Instant::now() + RECHECK));
                Err(Failure::Unauthorized { why })
            }
            Err(other) => Err(other),
        }
    }

    /// Whether it is time to ask the vendor whether it knows us: once at the start, and again and again while it does not.
    pub(crate) fn is_check_due(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let is_due = state.locked.as_ref().map_or(!state.is_checked, |(_, again)| *again <= now);
        if is_due {
            state.is_checked = true;
            if let Some((_, again)) = &mut state.locked {
                *again = now + RECHECK;
            }
        }
        is_due
    }

    /// How the provider fares; `variable` holds the key.
    pub(crate) fn verdict(&self, variable: &str) -> Verdict {
        let state = self.state();
        if let Some((why, _)) = &state.locked {
            return Verdict::Unhealthy(format!("{variable} is wrong: {why}"));
        }
        match state.opens.filter(|opens| *opens > Instant::now()) {
            Some(_) => Verdict::Degraded("the vendor is busy and left alone for a while".to_owned()),
            None => Verdict::Healthy,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<Duration>) -> Result<(), Failure> {
        Err(Failure::Busy { retry_after, why: "429".into() })
    }

    fn wait(outcome: &Result<(), Failure>) -> Option<u64> {
        match outcome {
            Err(Failure::Busy { retry_after, .. }) => retry_after.map(|wait| wait.as_secs()),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_vendor_is_left_alone_for_as_long_as_it_says() {
        let gate = Gate::default();
        assert_eq!(wait(&gate.learn(busy(Some(Duration::from_secs(7))))), Some(7));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(wait(&gate.enter()), Some(5));
        assert!(matches!(gate.verdict("KEY"), Verdict::Degraded(_)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(gate.enter(), Ok(()));
        assert_eq!(gate.verdict("KEY"), Verdict::Healthy);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_say_is_left_alone_longer_each_time_until_it_answers() {
        let gate = Gate::default();
        let waits: Vec<_> = (0..7).map(|_| wait(&gate.learn(busy(None)))).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30].map(Some));
        assert_eq!(gate.learn(Ok(())), Ok(()));
        tokio::time::advance(MAX_COOLING).await;
        assert_eq!(gate.enter(), Ok(()));
        assert_eq!(wait(&gate.learn(busy(None))), Some(1));
        assert_eq!(wait(&gate.learn(busy(Some(Duration::MAX)))), Some(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_key_is_named_and_tried_again_after_a_minute() {
        let gate = Gate::default();
        assert!(gate.is_check_due() && !gate.is_check_due(), "once at the start");
        let _ =
            gate.learn::<()>(Err(Failure::Unauthorized { why: "Anthropic answered 401: invalid x-api-key".into() }));
        let verdict = gate.verdict("ANTHROPIC_API_KEY");
        assert!(
            matches!(&verdict, Verdict::Unhealthy(why) if why.starts_with("ANTHROPIC_API_KEY is wrong")),
            "{verdict:?}"
        );
        assert!(!gate.is_check_due());
        tokio::time::advance(RECHECK).await;
        assert!(gate.is_check_due() && !gate.is_check_due());
        assert_eq!(gate.learn(Ok(())), Ok(()));
        assert_eq!(gate.verdict("ANTHROPIC_API_KEY"), Verdict::Healthy);
    }
}
