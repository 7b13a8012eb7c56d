//! How the spans of one trace hang together, and what they are called where each of ours is one of several kinds.
//!
//! In the existing system a call is a wrapper around what ran at the other end, and is not shown. Ours is a call, around
//! its attempts, around the tool that ran: the first two are wrappers as long as there is something in them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outcome, Span, SpanKind};

/// What clients of the existing system do not show.
const WRAPPER: &str = "proxy_call_wrapper";

/// The spans of one trace.
pub(crate) struct Tree<'a> {
    by_id: BTreeMap<u64, &'a Span>,
    parents: BTreeSet<u64>,
}

impl<'a> Tree<'a> {
    /// These spans are all of one trace.
    pub(crate) fn of(spans: &'a [Span]) -> Self {
        let by_id = spans.iter().map(|span| (span.span, span)).collect();
        Self { by_id, parents: spans.iter().filter_map(|span| span.parent).collect() }
    }

    /// What `span` is called.
    pub(crate) fn operation(&self, span: &Span) -> String {
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
    pub(crate) fn is_wrapper(&self, span: &Span) -> bool {
        matches!(span.kind, SpanKind::Call | SpanKind::Attempt) && self.parents.contains(&span.span)
    }

    /// The nearest span around `span` that is no wrapper.
    pub(crate) fn effective_parent(&self, span: &Span) -> Option<u64> {
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
    pub(crate) fn capability(&self, span: &Span) -> Option<String> {
        match span.kind {
            SpanKind::Call | SpanKind::Attempt => Some(span.name.to_string()),
            SpanKind::Tool | SpanKind::Route | SpanKind::Model | SpanKind::Loop => None,
        }
    }

    /// The span around all others: one whose parent nobody knows, the earliest of them.
    pub(crate) fn root(&self) -> Option<&'a Span> {
        let is_root = |span: &&&Span| span.parent.is_none_or(|parent| !self.by_id.contains_key(&parent));
        self.by_id.values().filter(is_root).min_by_key(|span| (span.start, span.span)).copied()
    }

    /// Whether it ended well as a whole.
    pub(crate) fn is_success(&self) -> bool {
        self.root().is_some_and(|root| root.outcome == Outcome::Ok)
    }
}

/// Why a span did not end well, in words.
pub(crate) fn what_went_wrong(span: &Span) -> String {
    if span.note.is_empty() { span.outcome.word().replace('_', " ") } else { span.note.clone() }
}
