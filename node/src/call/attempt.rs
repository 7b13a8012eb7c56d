//! One attempt: which way it takes to its provider, and what came of it in terms of what may be done next.

use std::sync::Arc;

use bytes::Bytes;
use mesh_gossip::catalog::{Offers, Owner};
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::breaker::Failure;
use super::http::{HttpAttempt, HttpError, Pieces};
use super::quic::attempt::{AttemptError, Fate, NotReceived, Outgoing, Silence};
use crate::context::{Origin, Outlet, Scope};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use crate::run::{Arrival, CallId, Runner};
use crate::tool::{Fault, FaultKind, Payload};

/// Everything that one attempt needs.
pub(super) struct Attempt {
    pub(super) id: CallId,
    pub(super) number: u32,
    pub(super) owner: Owner,
    pub(super) offers: Arc<Offers>,
    pub(super) tool: Arc<str>,
    pub(super) arguments: Bytes,
    /// With a deadline, and the span of the attempt.
    pub(super) scope: Scope,
    pub(super) deadline: Instant,
    pub(super) is_repeatable: bool,
    pub(super) silence: Silence,
    pub(super) outlet: Outlet,
}

/// The way to a provider.
pub(super) enum Way<'a> {
    /// It is in this process.
    Process(Runner),
    /// It is on one of our nodes.
    Quic,
    /// It is any MCP server.
    Http(&'a str),
}

/// What came of an attempt that brought no result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failed {
    /// It surely did not run; somebody else may be asked.
    NotReceived {
        why: String,
        /// What it says about the provider.
        failure: Option<Failure>,
    },
    /// It may have run.
    Lost { why: String },
    /// It has begun to answer: a repetition would say things twice.
    LostInAnswer { why: String },
    /// The provider answered so.
    Fault(Fault),
    /// The deadline passed.
    TimedOut,
    /// It does not fit.
    TooLarge { what: &'static str, bytes: usize, limit: usize },
}

impl Attempt {
    /// How to get there. Who does not say that it is on one of our nodes is called at its first URL.
    pub(super) fn way(&self, inner: &Inner) -> Way<'_> {
        let is_ours = self.offers.labels.get(TRANSPORT_LABEL).is_some_and(|transport| transport == TRANSPORT_MESH);
        let is_url = |url: &&String| url.starts_with("http://") || url.starts_with("https://");
        match self.offers.endpoints.iter().find(is_url) {
            // Also when a node of this process speaks for it.
            Some(url) if !is_ours => Way::Http(url),
            _ => inner.neighbours.runner_of(&self.owner.member).map_or(Way::Quic, Way::Process),
        }
    }

    pub(super) async fn make(&self, inner: &Inner, way: &Way<'_>) -> Result<Payload, Failed> {
        match way {
            Way::Process(runner) => self.in_process(runner).await,
            Way::Quic => {
                let outgoing = Outgoing {
                    id: self.id,
                    attempt: self.number,
                    agent: Some(self.owner.agent.clone()),
                    tool: self.tool.clone(),
                    arguments: self.arguments.clone(),
                    scope: self.scope.clone(),
                    outlet: self.outlet.clone(),
                    silence: self.silence,
                };
                Ok(inner.lines.attempt(self.owner.member, outgoing).await?)
            }
            Way::Http(url) => {
                let attempt = HttpAttempt {
                    url,
                    tool: &self.tool,
                    arguments: &self.arguments,
                    scope: &self.scope,
                    outlet: &self.outlet,
                    pieces: Pieces::of(&self.offers, &self.tool),
                };
                match timeout_at(self.deadline, inner.http.call(attempt)).await {
                    Ok(outcome) => Ok(outcome?),
                    Err(_) => Err(Failed::TimedOut),
                }
            }
        }
    }

    /// The span of the attempt is the parent of the run's; nothing is copied.
    async fn in_process(&self, runner: &Runner) -> Result<Payload, Failed> {
        let arrival = Arrival {
            id: self.id,
            agent: Some(self.owner.agent.clone()),
            scope: self.scope.clone(),
            outlet: self.outlet.clone(),
            ..Arrival::new(self.tool.clone(), self.arguments.clone(), Origin::Process)
        };
        Ok(runner.run(arrival).await?)
    }
}

impl Failed {
    /// What was wrong, in words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::NotReceived { why, .. } | Self::Lost { why } | Self::LostInAnswer { why } => why.clone(),
            Self::Fault(fault) => fault.message.clone(),
            Self::TimedOut => "the deadline passed".to_owned(),
            Self::TooLarge { what, bytes, .. } => format!("{what} of {bytes} bytes does not fit"),
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            // The agent is there, but what it stands in front of is not: as if it were lost itself.
            FaultKind::Lost => Self::Lost { why: fault.message },
            _ => Self::Fault(fault),
        }
    }
}

impl From<AttemptError> for Failed {
    fn from(error: AttemptError) -> Self {
        let why = error.to_string();
        match error {
            AttemptError::NotReceived(not_received) => {
                let failure = match not_received {
                    NotReceived::NotThere | NotReceived::Unreachable(_) | NotReceived::CutShort(_) => Failure::Lost,
                    _ => Failure::Single,
                };
                Self::NotReceived { why: not_received.to_string(), failure: Some(failure) }
            }
            AttemptError::Broken { fate: Fate::Unsent, .. } => Self::NotReceived { why, failure: Some(Failure::Lost) },
            AttemptError::Broken { fate: Fate::Answering, .. } => Self::LostInAnswer { why },
            AttemptError::Broken { .. } => Self::Lost { why },
            AttemptError::Fault(fault) => Self::from(fault),
            AttemptError::TimedOut { .. } => Self::TimedOut,
            AttemptError::TooLarge { what, bytes, limit } => Self::TooLarge { what, bytes, limit },
        }
    }
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        let why = error.to_string();
        match error {
            HttpError::NotReceived(_) => Self::NotReceived { why, failure: Some(Failure::Lost) },
            HttpError::Refused(_) => Self::NotReceived { why, failure: Some(Failure::Single) },
            HttpError::Broken { has_begun: true, .. } => Self::LostInAnswer { why },
            HttpError::Broken { .. } => Self::Lost { why },
            HttpError::Fault(fault) => Self::from(fault),
            HttpError::TooLarge { bytes, limit } => Self::TooLarge { what: "the result", bytes, limit },
        }
    }
}
