//! What is counted about loops at whoever asks, beside what providers count about answers.

use std::sync::{Arc, Once};
use std::time::Duration;

use mesh_node::trace::Outcome;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::limits::Spent;

const LOOPS: &str = "mesh_llm_loops_total";
const SECONDS: &str = "mesh_llm_loop_seconds";
const TURNS: &str = "mesh_llm_loop_turns_total";
const CALLS: &str = "mesh_llm_loop_tool_calls_total";
const TOKENS: &str = "mesh_llm_loop_tokens_total";

/// Counts a loop of `tool` that has ended.
pub(super) fn ended(tool: &Arc<str>, outcome: Outcome, took: Duration, spent: &Spent) {
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(|| {
        describe_counter!(LOOPS, "Loops with a model, by tool and how they ended");
        describe_histogram!(SECONDS, Unit::Seconds, "How long loops took, by tool");
        describe_counter!(TURNS, "How often loops asked a model, by tool");
        describe_counter!(CALLS, "What models had called, by tool");
        describe_counter!(TOKENS, "Tokens of loops, by tool and kind: input, output");
    });
    counter!(LOOPS, "tool" => Arc::clone(tool), "outcome" => outcome.word()).increment(1);
    histogram!(SECONDS, "tool" => Arc::clone(tool)).record(took.as_secs_f64());
    counter!(TURNS, "tool" => Arc::clone(tool)).increment(spent.turns.into());
    counter!(CALLS, "tool" => Arc::clone(tool)).increment(spent.tool_calls.into());
    for (kind, tokens) in [("input", spent.prompt_tokens), ("output", spent.completion_tokens)] {
        counter!(TOKENS, "tool" => Arc::clone(tool), "kind" => kind).increment(tokens);
    }
}
