//! When a loop ends that has not come to an answer, and what it has taken so far.

use super::wire::Usage;

/// How many of the mesh's tools a model is shown at most: what the strictest vendor takes.
pub(crate) const MAX_TOOLS: usize = 128;

/// How many tools a model may call at once. The calls beyond are answered with an error.
pub(crate) const MAX_CALLS: usize = 64;

/// How often a model is asked again because of what it answered: such turns do not count as iterations.
pub(crate) const MAX_REPAIRS: u32 = 2;

/// The most bytes of a conversation: a longer one is refused before any model sees it.
pub(crate) const MAX_CONVERSATION: usize = 16 << 20;

/// When a loop ends that has not come to an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// How often the model is asked.
    pub(crate) iterations: u32,
    /// The most tokens of all its turns together.
    pub(crate) tokens: Option<u64>,
    /// The most that all its turns together may cost, in US dollars.
    pub(crate) cost_usd: Option<f64>,
    /// The most bytes of one tool's result that the model is shown.
    pub(crate) result_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { iterations: 10, tokens: None, cost_usd: None, result_bytes: 32 << 10 }
    }
}

/// What a loop took.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Spent {
    /// Tokens of all requests.
    pub prompt_tokens: u64,
    /// Tokens of all answers.
    pub completion_tokens: u64,
    /// Tokens of requests that vendors had cached; they count as prompt tokens, too.
    pub cache_read_tokens: u64,
    /// What it cost by the providers' price tables, in US dollars.
    pub cost_usd: f64,
    /// How many of the model's turns had no price.
    pub unpriced: u32,
    /// How often the model was asked, repairs included.
    pub turns: u32,
    /// How many calls of tools it made.
    pub tool_calls: u32,
    /// The model that spoke last, with its vendor.
    pub model: String,
}

impl Spent {
    /// Tokens of both directions.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// One more turn of the model.
    pub(crate) fn add(&mut self, usage: Option<&Usage>) {
        self.turns += 1;
        let Some(usage) = usage else {
            self.unpriced += 1;
            return;
        };
        self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(usage.completion_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(usage.cache_read_tokens.unwrap_or(0));
        match usage.cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0) {
            Some(cost) => self.cost_usd += cost,
            None => self.unpriced += 1,
        }
        if !usage.model.is_empty() {
            self.model.clone_from(&usage.model);
        }
    }
}
