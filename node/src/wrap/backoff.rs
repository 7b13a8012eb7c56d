//! How long to wait before a server is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Who served this long has recovered: the next failure counts as the first.
const STABLE: Duration = Duration::from_secs(60);

/// Doubles from one second to a minute, and starts anew after a stable minute.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a failure of a server that had answered for `served`.
    pub(super) fn after(&mut self, served: Duration) -> Duration {
        if served >= STABLE {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Duration};

    #[test]
    fn pauses_double_up_to_a_minute_and_start_anew_after_a_stable_minute() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..9).map(|_| backoff.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.after(Duration::from_secs(59)).as_secs(), 60);
        assert_eq!(backoff.after(Duration::from_secs(60)).as_secs(), 1);
    }
}
