//! How far to trust our own timing (Lifeguard's local health multiplier).

use std::time::Duration;

/// A score from 0 (healthy) up: the more often we were late, refuted or left without nacks, the longer we wait before we
/// blame others.
#[derive(Clone, Copy, Debug)]
pub struct Awareness {
    score: u8,
    max: u8,
}

impl Awareness {
    /// In good health; never worse than `max`.
    pub const fn new(max: u8) -> Self {
        Self { score: 0, max }
    }

    /// The present score.
    pub const fn score(self) -> u8 {
        self.score
    }

    /// Something went well: a probe was answered.
    pub const fn improve(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Something went wrong on our side, so many times.
    pub fn worsen(&mut self, by: usize) {
        self.score = self.score.saturating_add(u8::try_from(by).unwrap_or(u8::MAX)).min(self.max);
    }

    /// A time-out, stretched by our own ill health.
    pub fn stretch(self, timeout: Duration) -> Duration {
        timeout * (u32::from(self.score) + 1)
    }
}
