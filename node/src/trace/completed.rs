//! A trace as the existing system writes it, for its clients and scripts.

use std::collections::BTreeSet;

use serde::Serialize;

use super::tree::{Tree, what_went_wrong};
use super::{Outcome, Span};
use crate::admin::timestamp::Timestamp;

/// All that is known of one trace. Its keys are written as the existing system writes them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompletedTrace {
    /// The trace: 32 hex digits.
    #[serde(rename = "TraceID")]
    pub trace_id: String,
    spans: Vec<CompletedSpan>,
    start_time: Timestamp,
    end_time: Timestamp,
    /// From the beginning of the first span to the end of the last one, in nanoseconds.
    pub duration: u64,
    /// Whether what was asked for in the first place came to a good end.
    pub success: bool,
    span_count: usize,
    agent_count: usize,
    /// The names of all agents that took part.
    pub agents: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CompletedSpan {
    #[serde(rename = "TraceID")]
    trace_id: String,
    #[serde(rename = "SpanID")]
    span_id: String,
    parent_span: Option<String>,
    agent_name: String,
    #[serde(rename = "AgentID")]
    agent_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    operation: String,
    start_time: Timestamp,
    end_time: Timestamp,
    #[serde(rename = "DurationMS")]
    duration_ms: u64,
    success: bool,
    error_message: Option<String>,
    capability: Option<String>,
    target_agent: Option<String>,
    runtime: &'static str,
}

/// What is known of an agent besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its name.
    pub name: String,
    /// The host it is reached at; empty when nobody knows.
    pub host: String,
}

impl CompletedTrace {
    /// The trace of which `spans` are all, where `of_agent` knows agents by their ids; `None` when there are none.
    pub fn of(spans: &[Span], of_agent: impl Fn(&str) -> Whereabouts) -> Option<Self> {
        let tree = Tree::of(spans);
        let (first, start) = (spans.first()?, spans.iter().map(|span| span.start).min()?);
        let end = spans.iter().map(end_of).max()?;
        let agents: BTreeSet<String> = spans.iter().map(|span| of_agent(&span.agent).name).collect();
        Some(Self {
            trace_id: format!("{:032x}", first.trace),
            spans: spans.iter().map(|span| CompletedSpan::of(span, &tree, &of_agent)).collect(),
            start_time: moment(start),
            end_time: moment(end),
            duration: end.saturating_sub(start).saturating_mul(1000),
            success: tree.is_success(),
            span_count: spans.len(),
            agent_count: agents.len(),
            agents,
        })
    }
}

impl CompletedSpan {
    fn of(span: &Span, tree: &Tree<'_>, of_agent: &impl Fn(&str) -> Whereabouts) -> Self {
        let Whereabouts { name, host } = of_agent(&span.agent);
        Self {
            trace_id: format!("{:032x}", span.trace),
            span_id: format!("{:016x}", span.span),
            parent_span: span.parent.map(|parent| format!("{parent:016x}")),
            agent_name: name,
            agent_id: span.agent.to_string(),
            ip_address: host,
            operation: tree.operation(span),
            start_time: moment(span.start),
            end_time: moment(end_of(span)),
            duration_ms: span.duration / 1000,
            success: span.outcome == Outcome::Ok,
            error_message: (span.outcome != Outcome::Ok).then(|| what_went_wrong(span)),
            capability: tree.capability(span),
            target_agent: span.peer.as_deref().map(|peer| of_agent(peer).name),
            runtime: "rust",
        }
    }
}

/// A moment of a span, which counts microseconds since 1970.
pub(crate) fn moment(microseconds: u64) -> Timestamp {
    Timestamp(microseconds / 1000)
}

/// The name that an agent's id begins with.
pub fn name_in(agent: &str) -> &str {
    agent.rsplit_once('-').map_or(agent, |(name, _)| name)
}

fn end_of(span: &Span) -> u64 {
    span.start.saturating_add(span.duration)
}
