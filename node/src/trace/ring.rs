//! The spans that a node remembers: the latest, in bounded memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mesh_gossip::catalog::AgentId;
use tokio::sync::watch;

use super::Span;

/// The most spans that a node remembers.
pub const MAX_RING_SPANS: usize = 4096;

/// The most memory that remembered spans take, in bytes, roughly.
pub const MAX_RING_BYTES: usize = 1 << 20;

/// The latest finished spans of one node. Cheap to clone; all clones are one ring.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    agent: RwLock<Arc<str>>,
    spans: usize,
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    spans: VecDeque<Span>,
    bytes: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self::bounded(MAX_RING_SPANS, MAX_RING_BYTES)
    }
}

impl Ring {
    /// An empty ring for at most `spans` that take at most about `bytes`.
    pub fn bounded(spans: usize, bytes: usize) -> Self {
        Self(Arc::new(Inner { agent: RwLock::new(Arc::from("")), spans, bytes, held: Mutex::default() }))
    }

    /// Says whose spans they are from now on.
    pub fn belongs_to(&self, agent: impl Into<Arc<str>>) {
        *self.0.agent.write().unwrap_or_else(PoisonError::into_inner) = agent.into();
    }

    /// Says so again whenever the id of their agent changes; ends when it cannot change any more.
    pub async fn follow(self, mut agents: watch::Receiver<AgentId>) {
        while agents.changed().await.is_ok() {
            self.belongs_to(agents.borrow().as_str());
        }
    }

    /// Whose spans they are; empty before anybody said so.
    pub fn agent(&self) -> Arc<str> {
        self.0.agent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers `span`, and forgets the oldest where there is no room.
    pub fn push(&self, span: Span) {
        let mut held = self.held();
        let bytes = span.bytes();
        // Before there is one too many, for which the memory would double.
        while held.spans.len() >= self.0.spans || held.bytes + bytes > self.0.bytes {
            let Some(oldest) = held.spans.pop_front() else { break };
            held.bytes -= oldest.bytes();
        }
        held.bytes += bytes;
        held.spans.push_back(span);
    }

    /// What is remembered of one trace, in the order in which it ended.
    pub fn spans_of(&self, trace: u128) -> Vec<Span> {
        self.held().spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// The span that ended last.
    pub fn last(&self) -> Option<Span> {
        self.held().spans.back().cloned()
    }

    /// Those that ended last, at most `most`, in the order in which they ended.
    pub fn newest(&self, most: usize) -> Vec<Span> {
        let held = self.held();
        held.spans.iter().skip(held.spans.len().saturating_sub(most)).cloned().collect()
    }

    /// How many spans are remembered.
    pub fn len(&self) -> usize {
        self.held().spans.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use super::super::{MAX_NOTE_BYTES, Outcome, Running, Span, SpanKind, TraceContext};
    use super::Ring;

    fn record(ring: &Ring, at: &TraceContext, note: &str) {
        Running::begin(ring, SpanKind::Tool, at, Some(7), &Arc::from("greet")).end(Outcome::Ok, note);
    }

    #[test]
    fn the_ring_forgets_the_oldest_by_number_and_by_bytes() {
        let few = Ring::bounded(2, usize::MAX);
        let traces = [TraceContext::root(), TraceContext::root(), TraceContext::root()];
        traces.iter().for_each(|trace| record(&few, trace, ""));
        assert_eq!(traces.map(|trace| few.spans_of(trace.trace_id).len()), [0, 1, 1]);
        assert_eq!(few.last().unwrap().trace, traces[2].trace_id);
        assert_eq!(few.newest(1), few.spans_of(traces[2].trace_id));
        assert_eq!(few.newest(9).len(), 2);

        let small = Ring::bounded(usize::MAX, 10_000);
        (0..1000).for_each(|_| record(&small, &traces[0], &"x".repeat(400)));
        assert!((2..30).contains(&small.len()), "{}", small.len());
        let held = small.held();
        assert_eq!(held.bytes, held.spans.iter().map(Span::bytes).sum::<usize>());
    }

    #[test]
    fn a_span_that_is_dropped_unfinished_ends_as_cancelled() {
        let ring = Ring::default();
        drop(Running::begin(&ring, SpanKind::Call, &TraceContext::root(), None, &Arc::from("greeting")));
        assert_eq!(ring.last().unwrap().outcome, Outcome::Cancelled);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let ring = Ring::default();
        record(&ring, &TraceContext::root(), &"é".repeat(MAX_NOTE_BYTES));
        assert_eq!(ring.last().unwrap().note.len(), MAX_NOTE_BYTES);
    }

    #[test]
    fn a_span_survives_json() {
        let ring = Ring::default();
        ring.belongs_to("hello-00000000");
        record(&ring, &TraceContext::root(), "fine");
        let span = ring.last().unwrap();
        let text = serde_json::to_string(&span).unwrap();
        assert!(text.contains(r#""parent":"0000000000000007""#), "{text}");
        assert_eq!(serde_json::from_str::<Span>(&text).unwrap(), span);
    }
}
