//! Why a call has no result, by what the caller may do.

use std::time::Duration;

use mesh_gossip::catalog::AgentId;

use crate::tool::{Fault, FaultKind};
use crate::trace::Outcome;

/// Why a call has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody provides it now. Wait for a provider; the sentence says what there is and why it will not do.
    #[error("dependency_unavailable: nobody provides {wanted}: {why}")]
    Unresolved {
        /// The selector, as text.
        wanted: String,
        /// What speaks against each that there is.
        why: String,
    },
    /// The agent that was resolved has several tools: name one.
    #[error("{agent} provides {wanted} with several tools: call one of {} by name", tools.join(", "))]
    SeveralTools {
        /// The agent.
        agent: AgentId,
        /// The capability.
        wanted: String,
        /// The tools.
        tools: Vec<String>,
    },
    /// The tool answered with an error. Its kind says what to do.
    #[error("{agent}: {fault}")]
    Fault {
        /// Who says so.
        agent: AgentId,
        /// What it says.
        fault: Fault,
    },
    /// Nobody could be reached; the call did not run. Repeat it later.
    #[error("no provider of {wanted} could be reached: {why}")]
    Unreachable {
        /// What was wanted.
        wanted: String,
        /// What happened with each that was tried.
        why: String,
    },
    /// Who ran the call was lost, and it could not be repeated elsewhere. Find out what it did before calling again.
    #[error("{agent} was lost and may have run the call: {why}")]
    MayHaveRun {
        /// Who may have run it.
        agent: AgentId,
        /// What happened with each that was tried.
        why: String,
    },
    /// The deadline passed. It may have run.
    #[error("no result after {after:?}")]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// Arguments or result are larger than 64 MiB. Send less, or a reference.
    #[error("{what} of {bytes} bytes is larger than the {limit} that one call carries")]
    TooLarge {
        /// Arguments or result.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The call lacks a session key that the tool demands, or has malformed arguments. Fix it.
    #[error("{0}")]
    Invalid(String),
    /// The tool demands credentials, and the call has none. Nothing was sent.
    #[error("{tool} needs credentials: send an authorization header")]
    NoCredentials {
        /// The tool.
        tool: String,
    },
    /// This node has too many calls under way, or is stopping. Repeat it later.
    #[error("overloaded: {0}")]
    Overloaded(String),
}

impl CallError {
    /// Whether a tool may have run, so that only an idempotent call may simply be made again.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Fault { fault, .. } => {
                !fault.kind.did_not_run() && !matches!(fault.kind, FaultKind::InvalidArguments | FaultKind::Forbidden)
            }
            Self::MayHaveRun { .. } | Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// How the span of the call ends.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut { .. } => Outcome::TimedOut,
            Self::Fault { fault, .. } => crate::run::ended_with(fault.kind),
            _ => Outcome::Error,
        }
    }
}
