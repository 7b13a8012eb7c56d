//! Calls that were brought lately, so that one that is brought again does not run again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::CallId;
use crate::tool::{Fault, FaultKind, Payload};

/// How many calls are remembered.
const MOST: usize = 4096;

/// The most bytes of a result that is remembered.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// The most bytes of all results that are remembered.
const MAX_ALL_BYTES: usize = 4 << 20;

/// What became of a call.
type Ended = Option<Result<Payload, Fault>>;

/// The calls that this node ran lately.
#[derive(Debug, Default)]
pub(super) struct Duplicates(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    calls: BTreeMap<CallId, Entry>,
    /// In the order in which they came.
    order: VecDeque<CallId>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    ended: watch::Sender<Ended>,
    bytes: usize,
}

/// What a call that was brought is.
pub(super) enum Brought<'a> {
    /// New: run it, and tell the guard how it ended.
    First(Guard<'a>),
    /// Under way, or over: how it ends.
    Again(watch::Receiver<Ended>),
}

/// A call under way. Dropped before it has ended, the call counts as never brought: nothing of it goes on.
pub(super) struct Guard<'a> {
    duplicates: &'a Duplicates,
    id: CallId,
    has_ended: bool,
}

impl Duplicates {
    /// A call is brought.
    pub(super) fn bring(&self, id: CallId) -> Brought<'_> {
        let mut held = self.held();
        if let Some(entry) = held.calls.get(&id) {
            return Brought::Again(entry.ended.subscribe());
        }
        held.calls.insert(id, Entry { ended: watch::Sender::new(None), bytes: 0 });
        held.order.push_back(id);
        held.forget();
        Brought::First(Guard { duplicates: self, id, has_ended: false })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn forget(&mut self) {
        while self.order.len() > MOST || self.bytes > MAX_ALL_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.calls.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }
}

impl Guard<'_> {
    /// The call has ended like this.
    pub(super) fn ended(mut self, outcome: &Result<Payload, Fault>) {
        self.has_ended = true;
        let mut held = self.duplicates.held();
        let Some(entry) = held.calls.get_mut(&self.id) else { return };
        let bytes = bytes_of(outcome);
        let kept = if bytes <= MAX_KEPT_BYTES { outcome.clone() } else { Err(too_large_to_keep()) };
        entry.ended.send_replace(Some(kept));
        if bytes <= MAX_KEPT_BYTES {
            entry.bytes = bytes;
            held.bytes += bytes;
            held.forget();
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut held = self.duplicates.held();
        held.calls.remove(&self.id);
        if let Some(at) = held.order.iter().rposition(|id| *id == self.id) {
            held.order.remove(at);
        }
    }
}

/// How a call ends that was brought again. Waits for the first one.
pub(super) async fn outcome_of(mut first: watch::Receiver<Ended>) -> Result<Payload, Fault> {
    match first.wait_for(Option::is_some).await {
        Ok(ended) => ended.clone().unwrap_or_else(|| Err(cut_short())),
        Err(_) => Err(cut_short()),
    }
}

fn bytes_of(outcome: &Result<Payload, Fault>) -> usize {
    match outcome {
        Ok(Payload::Value(bytes) | Payload::Content(bytes)) => bytes.len(),
        Err(fault) => fault.message.len() + fault.data.as_ref().map_or(0, bytes::Bytes::len),
    }
}

fn cut_short() -> Fault {
    Fault::new(FaultKind::Cancelled, "this call was brought before, and cut short while it ran")
}

fn too_large_to_keep() -> Fault {
    Fault::new(FaultKind::Failed, "this call ran before; its result was too large to be kept")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bytes::Bytes;

    use super::{Brought, CallId, Duplicates, MAX_ALL_BYTES, MAX_KEPT_BYTES, MOST, outcome_of};
    use crate::tool::{FaultKind, Payload};

    fn first(duplicates: &Duplicates, id: CallId) -> super::Guard<'_> {
        match duplicates.bring(id) {
            Brought::First(guard) => guard,
            Brought::Again(_) => panic!("it is new"),
        }
    }

    fn again(duplicates: &Duplicates, id: CallId) -> tokio::sync::watch::Receiver<super::Ended> {
        match duplicates.bring(id) {
            Brought::First(_) => panic!("it was brought before"),
            Brought::Again(ended) => ended,
        }
    }

    #[tokio::test]
    async fn a_call_that_is_brought_again_ends_as_the_first_one() {
        let duplicates = Duplicates::default();
        let id = CallId::random();
        let guard = first(&duplicates, id);
        let under_way = again(&duplicates, id);
        let result = Ok(Payload::Value(Bytes::from_static(b"1")));
        guard.ended(&result);
        assert_eq!(outcome_of(under_way).await, result);
        assert_eq!(outcome_of(again(&duplicates, id)).await, result);
    }

    #[tokio::test]
    async fn a_call_that_was_cut_short_may_be_brought_anew() {
        let duplicates = Duplicates::default();
        let id = CallId::random();
        let guard = first(&duplicates, id);
        let waiting = again(&duplicates, id);
        drop(guard);
        assert_eq!(outcome_of(waiting).await.unwrap_err().kind, FaultKind::Cancelled);
        drop(first(&duplicates, id));
    }

    #[tokio::test]
    async fn calls_and_results_that_are_remembered_have_bounds() {
        let duplicates = Duplicates::default();
        let result = Ok(Payload::Value(Bytes::from(vec![b'1'; MAX_KEPT_BYTES])));
        for _ in 0..2 * MOST {
            first(&duplicates, CallId::random()).ended(&result);
        }
        let large = CallId::random();
        first(&duplicates, large).ended(&Ok(Payload::Value(Bytes::from(vec![b'1'; MAX_KEPT_BYTES + 1]))));
        {
            let held = duplicates.held();
            assert!(held.bytes <= MAX_ALL_BYTES && held.calls.len() <= MOST && held.calls.len() == held.order.len());
        }
        assert!(outcome_of(again(&duplicates, large)).await.is_err());
    }
}
