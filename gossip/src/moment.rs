//! The only time there is in the core: a number that its caller supplies.

use std::time::Duration;

/// A point in time, in microseconds since some moment that the caller chose (a node takes its own start, a simulation
/// the start of the world). Moments of different processes cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The start of time.
    pub const ZERO: Self = Self(0);

    /// `micros` microseconds after the start of time.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start of time.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `wait` later; stays at the end of time rather than wrapping.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero when it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
