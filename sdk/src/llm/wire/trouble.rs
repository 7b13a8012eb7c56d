//! What keeps a provider from answering, by what its consumer does next.

use std::time::Duration;

use mesh_node::tool::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The longest that anybody is asked to wait.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// How long a provider is left alone that failed otherwise, in seconds.
const REST: f64 = 2.0;

/// Why a provider did not answer: the data of its fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trouble {
    /// A rate limit, or overload. Nothing was done: ask another provider, and this one after so many seconds.
    Busy {
        /// How long it wants to be left alone, in seconds.
        retry_after: f64,
    },
    /// The vendor does not know who asks. Ask another provider; its operator has to mend this one.
    Unauthorized {
        /// The environment variable that is missing or wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variable: Option<String>,
    },
    /// The vendor failed, broke off or could not be reached. Ask another provider.
    Unavailable {
        /// The status of its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// The vendor refuses the request as it is: a schema it cannot read, a parameter it does not know, too many tokens.
    /// Another vendor may take it; the same one will not.
    Rejected {
        /// The status of its answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
}

impl Trouble {
    /// A rate limit or overload that is over after `wait`.
    pub fn busy(wait: Duration) -> Self {
        Self::Busy { retry_after: wait.as_secs_f64() }
    }

    /// How long the provider wants to be left alone, at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => {
                let wait = Duration::try_from_secs_f64(retry_after.max(0.0)).unwrap_or(MAX_WAIT);
                Some(wait.min(MAX_WAIT))
            }
            _ => None,
        }
    }

    /// The error with which the provider's tool fails; `message` is for people.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let message = message.into();
        let mut data = serde_json::to_value(self).expect("names and numbers can be written");
        if !matches!(self, Self::Busy { .. } | Self::Rejected { .. }) {
            // Others are asked meanwhile, where there are any.
            data["retry_after"] = REST.into();
        }
        let error = match self {
            Self::Busy { .. } => Error::overloaded(message),
            Self::Rejected { .. } => Error::invalid_argument(message),
            Self::Unauthorized { .. } | Self::Unavailable { .. } => Error::new(message),
        };
        error.with_data(data)
    }

    /// What a provider's `fault` says. An overload of any kind is [`Trouble::Busy`]; `None` is a fault of another kind.
    pub fn of(fault: &Fault) -> Option<Self> {
        let said = fault.data.as_ref().and_then(|data| serde_json::from_slice(data).ok());
        said.or_else(|| match fault.kind {
            FaultKind::Overloaded => Some(Self::busy(Duration::from_secs(1))),
            _ => None,
        })
    }
}
