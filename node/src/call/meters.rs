//! What is counted about calls. The meters are found once: a call only turns them.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::attempt::Way;
use crate::trace::Outcome;

const CALLS: &str = "mesh_calls_total";
const CALL_SECONDS: &str = "mesh_call_seconds";
const CALL_ATTEMPTS: &str = "mesh_call_attempts_total";

/// The meters of one caller.
pub(super) struct Meters {
    calls: [Counter; Outcome::ALL.len()],
    seconds: Histogram,
    attempts: [[Counter; Outcome::ALL.len()]; WAYS.len()],
}

const WAYS: [&str; 3] = ["process", "quic", "http"];

impl Meters {
    /// Found where metrics are collected by now.
    pub(super) fn new() -> Self {
        describe_counter!(CALLS, "Calls made by this node, by how they ended");
        describe_histogram!(
            CALL_SECONDS,
            Unit::Seconds,
            "How long calls made by this node took, all attempts included"
        );
        describe_counter!(CALL_ATTEMPTS, "Attempts of calls made by this node, by the way taken and how they ended");
        let attempts =
            |way| Outcome::ALL.map(|outcome| counter!(CALL_ATTEMPTS, "way" => way, "outcome" => outcome.word()));
        Self {
            calls: Outcome::ALL.map(|outcome| counter!(CALLS, "outcome" => outcome.word())),
            seconds: histogram!(CALL_SECONDS),
            attempts: WAYS.map(attempts),
        }
    }

    pub(super) fn call(&self, outcome: Outcome, took: Duration) {
        self.calls[outcome as usize].increment(1);
        self.seconds.record(took.as_secs_f64());
    }

    pub(super) fn attempt(&self, way: &Way<'_>, outcome: Outcome) {
        let way = match way {
            Way::Process(_) => 0,
            Way::Quic => 1,
            Way::Http(_) => 2,
        };
        self.attempts[way][outcome as usize].increment(1);
    }
}
