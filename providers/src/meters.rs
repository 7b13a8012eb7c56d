//! What is counted about models, beside what the node counts about tools.

use std::sync::Arc;
use std::time::Duration;

use mesh::llm::wire::Usage;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CALLS: &str = "mesh_llm_calls_total";
const TOKENS: &str = "mesh_llm_tokens_total";
const COST: &str = "mesh_llm_cost_usd";
const SECONDS: &str = "mesh_llm_seconds";

/// The meters of one provider.
#[derive(Debug)]
pub(crate) struct Meters {
    /// The model that it serves. What a request names instead is not counted apart, or anybody could make meters.
    model: Arc<str>,
}

impl Meters {
    pub(crate) fn new(model: &str) -> Self {
        describe_counter!(CALLS, "Answers asked of models, by model and how they ended");
        describe_counter!(TOKENS, "Tokens, by model and kind: input, output, cache_read, cache_write");
        describe_gauge!(COST, "What the answers since the start cost by the price table, in US dollars, by model");
        describe_histogram!(SECONDS, Unit::Seconds, "How long models took for an answer, by model");
        Self { model: model.into() }
    }

    /// One answer, or none. `outcome` is one word of a fixed set.
    pub(crate) fn ended(&self, outcome: &'static str, took: Duration) {
        counter!(CALLS, "model" => self.model.clone(), "outcome" => outcome).increment(1);
        histogram!(SECONDS, "model" => self.model.clone()).record(took.as_secs_f64());
    }

    /// What it took.
    pub(crate) fn used(&self, usage: &Usage) {
        let kinds = [
            ("input", usage.prompt_tokens),
            ("output", usage.completion_tokens),
            ("cache_read", usage.cache_read_tokens.unwrap_or_default()),
            ("cache_write", usage.cache_write_tokens.unwrap_or_default()),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, tokens)| *tokens > 0) {
            counter!(TOKENS, "model" => self.model.clone(), "kind" => kind).increment(tokens);
        }
        gauge!(COST, "model" => self.model.clone()).increment(usage.cost_usd.unwrap_or_default());
    }
}
