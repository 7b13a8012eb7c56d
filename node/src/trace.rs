//! Which call belongs to which: W3C trace context, and the spans that this node remembers.

mod completed;
mod header;
mod id;
mod ring;
mod span;
mod tree;

use std::fmt;

pub(crate) use completed::moment;
pub use completed::{CompletedTrace, Whereabouts, name_in};
pub use header::{NotATraceparent, TRACEPARENT, TRACESTATE, X_PARENT_SPAN, X_TRACE_ID};
pub(crate) use id::random;
pub use ring::{MAX_RING_BYTES, MAX_RING_SPANS, Ring};
pub use span::{MAX_NOTE_BYTES, Outcome, Running, Span, SpanKind, Usage};
pub(crate) use tree::Tree;

/// Where in which trace something happens. Printed and read as a W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace_id: u128,
    /// The span; never zero.
    pub span_id: u64,
    /// Whether the trace is to be exported.
    pub sampled: bool,
}

impl TraceContext {
    /// The first span of a new trace.
    pub fn root() -> Self {
        let trace_id = u128::from(id::random()) << 64 | u128::from(id::random());
        Self { trace_id: trace_id.max(1), span_id: id::span(), sampled: true }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: id::span(), ..*self }
    }

    /// A new span below `parent`, or the first of a new trace.
    pub fn below(parent: Option<&Self>) -> Self {
        parent.map_or_else(Self::root, Self::child)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}
