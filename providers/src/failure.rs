//! Why a model gave no answer.

use std::time::Duration;

use mesh::llm::wire::Trouble;

/// Why a model gave no answer, by what whoever asked does next.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Failure {
    /// A rate limit, or overload. Nothing was done; ask somebody else, or later.
    #[error("{why}")]
    Busy {
        /// When to come back, where the vendor says it.
        retry_after: Option<Duration>,
        /// What the vendor said.
        why: String,
    },
    /// The vendor does not accept the key. Its operator has to mend that.
    #[error("{why}")]
    Unauthorized {
        /// What the vendor said.
        why: String,
    },
    /// The vendor failed, broke off, answered nonsense or could not be reached. Ask somebody else, or again.
    #[error("{why}")]
    Unavailable {
        /// The status of its answer, if it answered.
        status: Option<u16>,
        /// What happened.
        why: String,
    },
    /// The vendor refuses the request as it is. Change it.
    #[error("{why}")]
    Rejected {
        /// The status of its answer; `None` when it was not even asked.
        status: Option<u16>,
        /// What is wrong with it.
        why: String,
    },
    /// Whoever asked has gone.
    #[error("whoever asked has gone")]
    Gone,
}

impl Failure {
    /// A request that cannot be sent.
    pub(crate) fn rejected(why: impl Into<String>) -> Self {
        Self::Rejected { status: None, why: why.into() }
    }

    /// A vendor that could not be used.
    pub(crate) fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { status: None, why: why.into() }
    }

    /// One word for it, as metrics have it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected { .. } => "rejected",
            Self::Gone => "cancelled",
        }
    }

    /// What the consumer is told; `variable` holds the key.
    pub(crate) fn trouble(&self, variable: &str) -> Trouble {
        match self {
            Self::Busy { retry_after, .. } => Trouble::busy(retry_after.unwrap_or(Duration::from_secs(1))),
            Self::Unauthorized { .. } => Trouble::Unauthorized { variable: Some(variable.to_owned()) },
            Self::Unavailable { status, .. } => Trouble::Unavailable { status: *status },
            Self::Rejected { status, .. } => Trouble::Rejected { status: *status },
            Self::Gone => Trouble::Unavailable { status: None },
        }
    }
}
