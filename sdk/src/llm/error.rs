//! Why a model gave no answer.

use std::fmt;
use std::time::Duration;

use mesh_node::call::CallError;

use super::limits::Spent;
use super::prompt::PromptError;
use super::wire::Message;

/// Why there is no answer, with everything that was said until then and what it took.
pub struct LlmError(Box<Inner>);

struct Inner {
    why: Why,
    transcript: Vec<Message>,
    spent: Spent,
}

/// Why there is no answer, by what whoever asked can do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The model went on calling tools. Allow more (`max_iterations`), or ask for less.
    #[error("the model had no answer after {limit} iterations; allow more with `max_iterations`, or ask for less")]
    Iterations {
        /// How many it had.
        limit: u32,
    },
    /// The deadline of the call passed. Allow more time, or ask for less.
    #[error("the model had no answer after {after:?}, when the deadline passed")]
    Deadline {
        /// How long it had.
        after: Duration,
    },
    /// The tokens of this loop are used up. Allow more (`max_total_tokens`), or ask for less.
    #[error("{spent} tokens are spent, and {limit} were allowed (`max_total_tokens`)")]
    Tokens {
        /// How many were spent.
        spent: u64,
        /// How many were allowed.
        limit: u64,
    },
    /// The money of this loop is used up. Allow more (`max_cost_usd`), or ask for less.
    #[error("{spent:.4} US dollars are spent, and {limit} were allowed (`max_cost_usd`)")]
    Cost {
        /// How much was spent.
        spent: f64,
        /// How much was allowed.
        limit: f64,
    },
    /// Nobody knows what the model costs. Give its provider a price, or the loop no budget of money.
    #[error(
        "`max_cost_usd` allows {limit} US dollars, but the provider of {model:?} does not know its price: add it to \
         the provider's price table"
    )]
    Unpriced {
        /// The model.
        model: String,
        /// How much was allowed.
        limit: f64,
    },
    /// The model's answers do not fit the type, though it was told what is wrong. Simplify the type, or the question.
    #[error("the model's answer does not fit, though it was told twice: {why}")]
    Unfit {
        /// What is wrong with the last one.
        why: String,
        /// The last one.
        said: String,
    },
    /// The model says nothing at all.
    #[error("the model answered with nothing, three times")]
    Silent,
    /// The model refuses to answer. Ask something else.
    #[error("the model refuses: {said}")]
    Refused {
        /// What it said.
        said: String,
    },
    /// All providers are busy for longer than the call may last. Come back later.
    #[error("all providers are busy, for another {retry_after:?}: {said}")]
    Busy {
        /// When one may be free again.
        retry_after: Duration,
        /// What the last one said.
        said: String,
    },
    /// No provider answered. The error says what to do.
    #[error("no model answered: {0}")]
    Provider(CallError),
    /// A provider answered with something else than a reply.
    #[error("{from} gave back what is no answer of a model: {why}")]
    NoReply {
        /// Who.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// The prompt cannot be written.
    #[error(transparent)]
    Prompt(PromptError),
    /// The conversation is longer than a model is sent. Keep less of its history.
    #[error("the conversation has {bytes} bytes, more than the {limit} that a model is sent: keep less of its history")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Whoever took the words is gone.
    #[error("nobody takes the words any more")]
    Abandoned,
}

impl LlmError {
    pub(crate) fn new(why: Why, transcript: Vec<Message>, spent: Spent) -> Self {
        Self(Box::new(Inner { why, transcript, spent }))
    }

    /// Why.
    pub fn why(&self) -> &Why {
        &self.0.why
    }

    /// What was said until then, the instructions first.
    pub fn transcript(&self) -> &[Message] {
        &self.0.transcript
    }

    /// What it took.
    pub fn spent(&self) -> &Spent {
        &self.0.spent
    }

    /// Why the call of the provider failed, if that is what failed.
    pub fn call_error(&self) -> Option<&CallError> {
        match &self.0.why {
            Why::Provider(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for LlmError {}

impl fmt::Display for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.why, f)
    }
}

impl fmt::Debug for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} messages)", self.0.why, self.0.transcript.len())
    }
}
