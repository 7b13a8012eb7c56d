//! Whether what was expected came.

use std::time::Duration;

use crate::outcome::{Outcome, Times, Verdict, millis};
use crate::scenario::{Expectation, Scenario};

/// Holds an outcome against what its scenario expects. `agreed_at`: whether all were right at times that matter.
pub(super) fn judge(scenario: &Scenario, outcome: &Outcome, agreed_at: &[(Duration, bool)]) -> Vec<Verdict> {
    scenario.expectations.iter().map(|expectation| one(*expectation, outcome, agreed_at)).collect()
}

fn one(expectation: Expectation, outcome: &Outcome, agreed_at: &[(Duration, bool)]) -> Verdict {
    match expectation {
        Expectation::AgreedAt(at) => {
            let holds = agreed_at.iter().any(|(when, agreed)| *when == at && *agreed);
            let found = match (holds, outcome.agreed_since_s) {
                (true, _) => "they do".to_owned(),
                (false, Some(since)) => format!("only since {since:.1} s"),
                (false, None) => format!("{} pairs are wrong at the end", outcome.wrong_at_end),
            };
            Verdict { expected: format!("at {at:?} all are right about all"), found, holds }
        }
        Expectation::CrashKnownWithin(limit) => within("every crash is known to all", limit, &outcome.crashes),
        Expectation::LeaveKnownWithin(limit) => within("every goodbye is known to all", limit, &outcome.leaves),
        Expectation::JoinKnownWithin(limit) => within("newcomers know all and all know them", limit, &outcome.joins),
        Expectation::NewsKnownWithin(limit) => within("changed records are known to all", limit, &outcome.news),
        Expectation::ProvidersGoneWithin(limit) => {
            within("no resolver gives a dead provider", limit, &outcome.providers)
        }
        Expectation::FalseDeathsAtMost(limit) => Verdict {
            expected: format!("at most {limit} false deaths"),
            found: outcome.false_deaths.to_string(),
            holds: outcome.false_deaths <= limit,
        },
        Expectation::FalselyDeadAtMost(limit) => Verdict {
            expected: format!("nobody falsely dead for more than {limit:?}"),
            found: format!("{:.0} ms at most", outcome.longest_false_death_ms),
            holds: outcome.longest_false_death_ms <= millis(limit),
        },
        Expectation::BytesPerSecondAtMost(limit) => {
            let mean = outcome.mean_bytes_per_second();
            #[expect(clippy::cast_precision_loss, reason = "bytes a second")]
            let holds = mean <= limit as f64;
            Verdict { expected: format!("at most {limit} B/s a member"), found: format!("{mean:.0} B/s"), holds }
        }
    }
}

fn within(what: &str, limit: Duration, times: &Times) -> Verdict {
    let slowest = times.to_all_ms.last().copied().unwrap_or(0.0);
    let holds = times.events > 0 && times.unfinished == 0 && slowest <= millis(limit);
    let found = if times.events == 0 {
        "there was none".to_owned()
    } else if times.unfinished > 0 {
        format!("{} of {} not known to all at the end", times.unfinished, times.events)
    } else {
        format!("slowest of {}: {slowest:.0} ms", times.events)
    };
    Verdict { expected: format!("{what} within {limit:?}"), found, holds }
}
