//! How many calls may be repeated: a share of all calls, so that a failing mesh is not made worse by retries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Every so many calls pay for one repetition.
const CALLS_PER_RETRY: u64 = 5;

/// A repetition, in the small coin that calls pay.
const RETRY: u64 = CALLS_PER_RETRY;

/// Repetitions that are there even when few calls were made: so many at once,
const FLOOR: u64 = 100;

/// and so many again per second.
const FLOOR_PER_SECOND: u64 = 10;

/// The most that calls can save up, in repetitions.
const SAVED_MOST: u64 = 1000;

/// The budget of one caller. Every call adds a fifth of a repetition; with few calls there is a floor. Takes no lock.
#[derive(Debug)]
pub struct Budget {
    since: Instant,
    /// What calls have saved up.
    saved: AtomicU64,
    /// What was taken from the floor and has not come back: up to when, in milliseconds since `since`, it is used up.
    floor: AtomicU64,
}

impl Budget {
    /// A full floor and nothing saved.
    pub fn new(now: Instant) -> Self {
        Self { since: now, saved: AtomicU64::new(0), floor: AtomicU64::new(0) }
    }

    /// A call is made.
    pub fn earn(&self) {
        if self.saved.load(Ordering::Relaxed) < SAVED_MOST * RETRY {
            self.saved.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes one repetition out, if there is one.
    pub fn spend(&self, now: Instant) -> bool {
        let paid = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(RETRY));
        paid.is_ok() || self.spend_floor(now)
    }

    fn spend_floor(&self, now: Instant) -> bool {
        let each = 1000 / FLOOR_PER_SECOND;
        let now = now.saturating_duration_since(self.since);
        // The floor is full at the beginning, as if nothing had been taken for long.
        let now = millis(now) + FLOOR * each;
        let taken = self.floor.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let used = used.max(now - FLOOR * each) + each;
            (used <= now).then_some(used)
        });
        taken.is_ok()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Budget, FLOOR, FLOOR_PER_SECOND, SAVED_MOST};

    fn spend_all(budget: &Budget, now: Instant) -> usize {
        (0..).take_while(|_| budget.spend(now)).count()
    }

    #[test]
    fn without_calls_there_is_a_floor_that_comes_back() {
        let now = Instant::now();
        let budget = Budget::new(now);
        assert_eq!(spend_all(&budget, now), 100);
        assert_eq!(spend_all(&budget, now + Duration::from_secs(2)), 20);
        assert_eq!(spend_all(&budget, now + Duration::from_secs(3600)), 100);
    }

    #[test]
    fn a_fifth_of_the_calls_may_be_repeated_on_top() {
        let now = Instant::now();
        let budget = Budget::new(now);
        (0..1000).for_each(|_| budget.earn());
        assert_eq!(spend_all(&budget, now), 300);
    }

    proptest! {
        #[test]
        fn retries_never_exceed_their_share(steps in prop::collection::vec((0_u32..2000, 0_u64..5000), 1..30)) {
            let start = Instant::now();
            let budget = Budget::new(start);
            let (mut now, mut calls, mut retries) = (start, 0, 0);
            for (made, wait) in steps {
                (0..made).for_each(|_| budget.earn());
                calls += u64::from(made);
                now += Duration::from_millis(wait);
                retries += spend_all(&budget, now) as u64;
                let floor = FLOOR + FLOOR_PER_SECOND * (now - start).as_secs() + FLOOR_PER_SECOND;
                prop_assert!(retries <= calls / 5 + floor, "{retries} of {calls}");
            }
            prop_assert!(spend_all(&budget, now) == 0 && SAVED_MOST > 0);
        }
    }
}
