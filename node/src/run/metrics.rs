//! What is counted about calls and tools, declared once.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CALLS: &str = "mesh_calls_total";
const CALL_SECONDS: &str = "mesh_call_seconds";
const CALL_ATTEMPTS: &str = "mesh_call_attempts_total";
const TOOL_RUNS: &str = "mesh_tool_runs_total";
const TOOL_SECONDS: &str = "mesh_tool_seconds";
const TOOLS_RUNNING: &str = "mesh_tools_running";

/// Says what each metric means, once a recorder is there.
pub fn describe() {
    describe_counter!(CALLS, "Calls made by this node, by how they ended");
    describe_histogram!(CALL_SECONDS, Unit::Seconds, "How long calls made by this node took, all attempts included");
    describe_counter!(CALL_ATTEMPTS, "Attempts of calls made by this node, by the way taken and how they ended");
    describe_counter!(TOOL_RUNS, "Tools run on this node, by tool and how they ended");
    describe_histogram!(TOOL_SECONDS, Unit::Seconds, "How long tools took on this node, by tool");
    describe_gauge!(TOOLS_RUNNING, "Tools running on this node");
}

pub(crate) fn call(outcome: &'static str, took: Duration) {
    counter!(CALLS, "outcome" => outcome).increment(1);
    histogram!(CALL_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn attempt(way: &'static str, outcome: &'static str) {
    counter!(CALL_ATTEMPTS, "way" => way, "outcome" => outcome).increment(1);
}

/// `tool` is one that this node has: what others merely ask for would make labels without end.
pub(crate) fn tool(tool: &std::sync::Arc<str>, outcome: &'static str, took: Duration) {
    counter!(TOOL_RUNS, "tool" => tool.clone(), "outcome" => outcome).increment(1);
    histogram!(TOOL_SECONDS, "tool" => tool.clone()).record(took.as_secs_f64());
}

pub(crate) fn running(tools: usize) {
    gauge!(TOOLS_RUNNING).set(u32::try_from(tools).unwrap_or(u32::MAX));
}
