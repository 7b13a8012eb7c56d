//! What came of one run of a scenario with one seed. Everything in it follows from the scenario and the seed.

use std::time::Duration;

use serde::Serialize;

/// What came of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What ran: `mesh`, or a baseline.
    pub breed: String,
    /// The seed.
    pub seed: u64,
    /// Members at the start.
    pub members: u32,
    /// How long the world ran, in seconds.
    pub seconds: f64,
    /// Events the world handled.
    pub events: u64,
    /// What was expected, and whether it held.
    pub verdicts: Vec<Verdict>,
    /// Crashes: from the crash until an observer knows, for every observer.
    pub crashes: Times,
    /// Goodbyes, in the same way.
    pub leaves: Times,
    /// Members that joined or came back: until an observer holds them; and until they hold everybody.
    pub joins: Times,
    /// Changed records: until a member holds them.
    pub news: Times,
    /// Healed cuts: for each member, until it sees everybody again whom it had lost.
    pub reunions: Times,
    /// Providers that died: until a resolver stops giving them.
    pub providers: Times,
    /// How often a healthy member was taken for dead, counted for every observer.
    pub false_deaths: u64,
    /// The longest that lasted, in milliseconds; up to the end of the run if it did not end.
    pub longest_false_death_ms: f64,
    /// How often somebody was suspected, counted for every observer.
    pub suspicions: u64,
    /// Since when everybody is right about everybody, in seconds; `None` if somebody is not.
    pub agreed_since_s: Option<f64>,
    /// Pairs (observer, member) that are wrong at the end.
    pub wrong_at_end: u64,
    /// Connections that were made, of all members together.
    pub handshakes: u64,
    /// Bytes a second, headers of IP and UDP included, of every member, from the lowest to the highest.
    pub bytes_per_second: Vec<f64>,
    /// Bytes by what they were for, of all members together.
    pub bytes_by_kind: Vec<(String, u64)>,
    /// What members saw at regular times.
    pub samples: Vec<Sample>,
    /// Faults, for marks in plots: when, in seconds, and what.
    pub marks: Vec<(f64, String)>,
}

/// How long something took, over all events of its kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Times {
    /// How many events there were.
    pub events: u64,
    /// How many of them not everybody has learnt of.
    pub unfinished: u64,
    /// For each event that is known to all: how long that took, in milliseconds, ascending.
    pub to_all_ms: Vec<f64>,
    /// For each (event, observer): how long it took, in milliseconds, ascending; at most [`Times::MOST`] of them, evenly chosen.
    pub to_each_ms: Vec<f64>,
}

impl Times {
    /// How many single times are kept for a plot.
    pub const MOST: usize = 400;

    /// Sorted, and thinned for keeping.
    pub fn collect(mut to_all: Vec<Duration>, mut to_each: Vec<Duration>, unfinished: u64) -> Self {
        to_all.sort_unstable();
        to_each.sort_unstable();
        let kept = to_each.len().min(Self::MOST);
        let thin = |i: usize| if kept < 2 { i } else { i * (to_each.len() - 1) / (kept - 1) };
        Self {
            events: to_all.len() as u64 + unfinished,
            unfinished,
            to_all_ms: to_all.iter().copied().map(millis).collect(),
            to_each_ms: (0..kept).map(|i| millis(to_each[thin(i)])).collect(),
        }
    }

    /// A quantile of the time until everybody knows: 0.5 is the median. `None` without events, infinite when that
    /// many are not known to all.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        quantile(&self.to_all_ms, usize::try_from(self.events).unwrap_or(usize::MAX), share)
    }
}

/// One look at all members.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// When, in seconds.
    pub at: f64,
    /// How many are up.
    pub up: u32,
    /// How many members the one that sees fewest takes for live.
    pub fewest: u32,
    /// How many the one in the middle does.
    pub middle: u32,
    /// How many the one that sees most does.
    pub most: u32,
    /// Bytes a second and member since the last look.
    pub bytes_per_second: f64,
}

/// Whether one expectation held.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What was expected.
    pub expected: String,
    /// What came.
    pub found: String,
    /// Whether that is good enough.
    pub holds: bool,
}

impl Outcome {
    /// Whether everything expected held.
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// Bytes a second on average over members.
    pub fn mean_bytes_per_second(&self) -> f64 {
        mean(&self.bytes_per_second)
    }
}

/// The smallest of `sorted` that at least `share` of `count` values do not exceed; values that are missing from
/// `sorted` count as infinite.
pub fn quantile(sorted: &[f64], count: usize, share: f64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    let rank = (share * count as f64).ceil() as usize;
    Some(sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::INFINITY))
}

/// The average; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of values in memory")]
    let count = values.len().max(1) as f64;
    values.iter().sum::<f64>() / count
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
