//! How the spans of one trace hang together, and what they are called where each of ours is one of several kinds.
//!
//! In the existing system a call is a wrapper around what ran at the other end, and is not shown. Ours is a call, around
//! its attempts, around the tool that ran: the first two are wrappers as long as there is something in them.

use std::collections::{BTreeMap, BTreeSet};

use mesh_gossip::View;
use reqwest::Url;

use crate::trace::{Outcome, Span, SpanKind};

/// What clients of the existing system do not show.
const WRAPPER: &str = "proxy_call_wrapper";

/// The spans of one trace.
pub(in crate::registry) struct Tree<'a> {
    by_id: BTreeMap<u64, &'a Span>,
    parents: BTreeSet<u64>,
}

/// What agents are called, as far as the view knows them.
#[derive(Debug, Default)]
pub(in crate::registry) struct Names(BTreeMap<String, (String, String)>);

impl<'a> Tree<'a> {
    /// These spans are all of one trace.
    pub(in crate::registry) fn of(spans: &'a [Span]) -> Self {
        let by_id = spans.iter().map(|span| (span.span, span)).collect();
        Self { by_id, parents: spans.iter().filter_map(|span| span.parent).collect() }
    }

    /// What `span` is called.
    pub(in crate::registry) fn operation(&self, span: &Span) -> String {
        match span.kind {
            SpanKind::Call | SpanKind::Attempt if self.is_wrapper(span) => WRAPPER.to_owned(),
            SpanKind::Model => {
                let model = span.usage.as_ref().map_or("", |usage| &*usage.model);
                format!("llm {model}").trim_end().to_owned()
            }
            _ => span.name.to_string(),
        }
    }

    /// Whether it only stands around others.
    pub(in crate::registry) fn is_wrapper(&self, span: &Span) -> bool {
        matches!(span.kind, SpanKind::Call | SpanKind::Attempt) && self.parents.contains(&span.span)
    }

    /// The nearest span around `span` that is no wrapper.
    pub(in crate::registry) fn effective_parent(&self, span: &Span) -> Option<u64> {
        let mut at = span.parent?;
        // No trace is deeper than it has spans, however its parents are told.
        for _ in 0..self.by_id.len() {
            match self.by_id.get(&at) {
                Some(parent) if self.is_wrapper(parent) => at = parent.parent?,
                Some(_) => return Some(at),
                None => return None,
            }
        }
        None
    }

    /// What was called, as far as it is known.
    pub(in crate::registry) fn capability(&self, span: &Span) -> Option<String> {
        match span.kind {
            SpanKind::Call | SpanKind::Attempt => Some(span.name.to_string()),
            SpanKind::Tool | SpanKind::Route | SpanKind::Model | SpanKind::Loop => None,
        }
    }

    /// The span around all others: one whose parent nobody knows, the earliest of them.
    pub(in crate::registry) fn root(&self) -> Option<&'a Span> {
        let is_root = |span: &&&Span| span.parent.is_none_or(|parent| !self.by_id.contains_key(&parent));
        self.by_id.values().filter(is_root).min_by_key(|span| (span.start, span.span)).copied()
    }

    /// Whether it ended well as a whole.
    pub(in crate::registry) fn is_success(&self) -> bool {
        self.root().is_some_and(|root| root.outcome == Outcome::Ok)
    }
}

impl Names {
    /// Names and hosts of everybody in `view`.
    pub(in crate::registry) fn of(view: &View) -> Self {
        let named = view.catalog().agents().filter_map(|agent| agent.offers).map(|offers| {
            let url = offers.endpoints.first().and_then(|url| Url::parse(url).ok());
            let host = url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            (offers.agent.to_string(), (offers.name.to_string(), host))
        });
        Self(named.collect())
    }

    /// What the agent `id` is called. Of one that is gone what its id begins with.
    pub(in crate::registry) fn of_agent(&self, id: &str) -> String {
        match self.0.get(id) {
            Some((name, _)) => name.clone(),
            None => id.rsplit_once('-').map_or(id, |(name, _)| name).to_owned(),
        }
    }

    /// Where it is; empty when nobody knows.
    pub(in crate::registry) fn host_of(&self, id: &str) -> String {
        self.0.get(id).map(|(_, host)| host.clone()).unwrap_or_default()
    }
}

/// Why a span did not end well, in words.
pub(in crate::registry) fn what_went_wrong(span: &Span) -> String {
    if span.note.is_empty() { span.outcome.word().replace('_', " ") } else { span.note.clone() }
}
