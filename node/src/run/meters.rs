//! What is counted about tools. The meters of a tool are found once: a run only turns them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::histogram;
use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

use crate::trace::Outcome;

const TOOL_RUNS: &str = "mesh_tool_runs_total";
const TOOL_SECONDS: &str = "mesh_tool_seconds";
const TOOLS_RUNNING: &str = "mesh_tools_running";

/// The meters of one runner.
pub(super) struct Meters {
    running: Gauge,
    tools: Mutex<BTreeMap<Arc<str>, Arc<ToolMeters>>>,
}

struct ToolMeters {
    runs: [Counter; Outcome::ALL.len()],
    seconds: Histogram,
}

/// A run that counts as running while this lives.
pub(super) struct CountedRun<'a>(&'a Gauge);

impl Meters {
    /// Found where metrics are collected by now.
    pub(super) fn new() -> Self {
        describe_counter!(TOOL_RUNS, "Tools run on this node, by tool and how they ended");
        describe_histogram!(TOOL_SECONDS, Unit::Seconds, "How long tools took on this node, by tool");
        describe_gauge!(TOOLS_RUNNING, "Tools running on this node");
        Self { running: gauge!(TOOLS_RUNNING), tools: Mutex::default() }
    }

    pub(super) fn running(&self) -> CountedRun<'_> {
        self.running.increment(1);
        CountedRun(&self.running)
    }

    /// `tool` is one that this node has: what others merely ask for would make meters without end.
    pub(super) fn tool(&self, tool: &Arc<str>, outcome: Outcome, took: Duration) {
        let meters = self.of(tool);
        meters.runs[outcome as usize].increment(1);
        meters.seconds.record(took.as_secs_f64());
    }

    fn of(&self, tool: &Arc<str>) -> Arc<ToolMeters> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meters) = tools.get(tool) {
            return Arc::clone(meters);
        }
        let runs = |outcome: Outcome| counter!(TOOL_RUNS, "tool" => tool.clone(), "outcome" => outcome.word());
        let seconds = histogram!(TOOL_SECONDS, "tool" => tool.clone());
        let meters = Arc::new(ToolMeters { runs: Outcome::ALL.map(runs), seconds });
        tools.insert(tool.clone(), Arc::clone(&meters));
        meters
    }
}

impl Drop for CountedRun<'_> {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
