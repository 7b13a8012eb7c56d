//! Sums by minute, asker and model, within bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Line, Sum};

/// After so many minutes (two days) figures are kept by the hour.
const MINUTES_KEPT: u64 = 2 * 24 * 60;

/// After so many minutes (400 days) they are forgotten.
const FORGOTTEN: u64 = 400 * 24 * 60;

/// The most sums that are kept; the oldest are forgotten first.
const MAX_SUMS: usize = 50_000;

/// One sum as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Minutes since 1970; of older figures, those of the full hour.
    #[serde(rename = "m")]
    pub(super) minute: u64,
    #[serde(flatten)]
    pub(super) line: Line,
}

/// Sums by minute, asker and model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Book(BTreeMap<(u64, String, String), Sum>);

impl Book {
    pub(super) fn add(&mut self, minute: u64, line: &Line) {
        let key = (minute, line.agent.clone(), line.model.clone());
        self.0.entry(key).or_default().add(&line.sum);
        if self.0.len() > MAX_SUMS {
            self.0.pop_first();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it as it is written.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().map(|((minute, agent, model), sum)| Entry {
            minute: *minute,
            line: Line { agent: agent.clone(), model: model.clone(), sum: *sum },
        })
    }

    /// The same with older figures by the hour, and without those that are too old.
    pub(super) fn folded(self, now: u64) -> Self {
        let mut folded = Self::default();
        for Entry { minute, line } in self.entries() {
            match now.saturating_sub(minute) {
                age if age > FORGOTTEN => {}
                age if age > MINUTES_KEPT => folded.add(minute - minute % 60, &line),
                _ => folded.add(minute, &line),
            }
        }
        folded
    }

    /// What there is since the minute `since`, by asker and model.
    pub(super) fn lines(&self, since: u64) -> Vec<Line> {
        let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
        for ((_, agent, model), sum) in self.0.range((since, String::new(), String::new())..) {
            sums.entry((agent, model)).or_default().add(sum);
        }
        let line = |((agent, model), sum): ((&str, &str), Sum)| Line { agent: agent.into(), model: model.into(), sum };
        sums.into_iter().map(line).collect()
    }
}
