//! Which calls of other nodes ran here of late: a call that is sent again does not run again.
//!
//! [`Window`] decides; [`Once`] has the second attempt wait for the run of the first, or hands it the result.

mod once;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::MemberId;
use tokio::time::Instant;

pub use self::once::Once;

use crate::run::CallId;
use crate::tool::{Fault, FaultKind, Payload};

/// How a call ended.
pub type Outcome = Result<Payload, Fault>;

/// A call among those of all members: nobody learns a result by guessing the id of somebody else's call.
pub type CallKey = (MemberId, CallId);

/// How much a window remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// The most calls that ended. Default 7,000: as many as the tables hold that are a power of two larger.
    pub calls: usize,
    /// The most bytes of all their results. Default 16 MiB.
    pub bytes: usize,
    /// The most bytes of one result; of a larger one only is known that there was one. Default 1 MiB.
    pub result_bytes: usize,
    /// For how long after their end. Default 30 s, several times as long as a caller repeats a call.
    pub age: Duration,
}

/// The calls of late; `R` is the way to one that still runs.
#[derive(Debug)]
pub struct Window<R> {
    limits: WindowLimits,
    /// Thousands of random keys, looked up several times in each call; hashed in secret, because others choose them.
    calls: HashMap<CallKey, State<R>>,
    /// Those that ended, oldest first.
    ended: VecDeque<(Instant, CallKey)>,
    bytes: usize,
}

#[derive(Debug)]
enum State<R> {
    Runs(R),
    Ended(Box<Outcome>),
    /// Its result was too large to be kept, or its caller has it.
    Spent,
}

/// What is known of a call that arrives.
#[derive(Debug)]
pub enum Seen<R> {
    /// Nothing: it is to be run.
    New,
    /// It runs.
    Runs(R),
    /// It ran. Also when its result is not kept: then the outcome is a fault that says so.
    Ended(Outcome),
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { calls: 7_000, bytes: 16 << 20, result_bytes: 1 << 20, age: Duration::from_secs(30) }
    }
}

impl<R: Clone> Window<R> {
    /// One that has seen nothing.
    pub fn new(limits: WindowLimits) -> Self {
        Self { limits, calls: HashMap::new(), ended: VecDeque::new(), bytes: 0 }
    }

    /// What is known of a call.
    pub fn seen(&mut self, now: Instant, call: &CallKey) -> Seen<R> {
        self.forget(now);
        match self.calls.get(call) {
            None => Seen::New,
            Some(State::Runs(run)) => Seen::Runs(run.clone()),
            Some(State::Ended(outcome)) => Seen::Ended(Outcome::clone(outcome)),
            Some(State::Spent) => {
                Seen::Ended(Err(Fault::new(FaultKind::Failed, "the call has run already, and its result is not kept")))
            }
        }
    }

    /// A call begins to run. How many do at once is for the caller to bound.
    pub fn begins(&mut self, call: CallKey, run: R) {
        self.calls.insert(call, State::Runs(run));
    }

    /// A call that runs has ended.
    pub fn ends(&mut self, now: Instant, call: CallKey, outcome: &Outcome) {
        let Some(state) = self.calls.get_mut(&call).filter(|state| matches!(state, State::Runs(_))) else { return };
        if outcome.as_ref().is_err_and(|fault| fault.kind.did_not_run()) {
            self.calls.remove(&call);
            return;
        }
        let bytes = bytes_of(outcome);
        *state = State::Spent;
        if bytes <= self.limits.result_bytes {
            *state = State::Ended(Box::new(outcome.clone()));
            self.bytes += bytes;
        }
        if self.ended.len() >= self.limits.calls {
            self.forget_oldest();
        }
        self.ended.push_back((now, call));
        self.forget(now);
    }

    /// The caller has the whole outcome of a call, so that nobody will ask for it again: it is not kept any longer. That
    /// the call ran is.
    pub fn delivered(&mut self, call: &CallKey) {
        if let Some(state @ State::Ended(_)) = self.calls.get_mut(call)
            && let State::Ended(outcome) = std::mem::replace(state, State::Spent)
        {
            self.bytes -= bytes_of(&outcome);
        }
    }

    /// A call that runs was given up before its end; what it did is unknown, and another attempt may run.
    pub fn breaks_off(&mut self, call: &CallKey) {
        if matches!(self.calls.get(call), Some(State::Runs(_))) {
            self.calls.remove(call);
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some(&(at, _)) = self.ended.front() {
            if self.bytes <= self.limits.bytes && now.saturating_duration_since(at) < self.limits.age {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, call)) = self.ended.pop_front()
            && let Some(State::Ended(outcome)) = self.calls.remove(&call)
        {
            self.bytes -= bytes_of(&outcome);
        }
    }
}

fn bytes_of(outcome: &Outcome) -> usize {
    match outcome {
        Ok(Payload::Value(bytes) | Payload::Content(bytes)) => bytes.len(),
        Err(fault) => fault.message.len() + fault.data.as_ref().map_or(0, Bytes::len),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const LIMITS: WindowLimits = WindowLimits { calls: 3, bytes: 20, result_bytes: 10, age: Duration::from_secs(30) };

    fn call(id: u8) -> CallKey {
        (MemberId::from_bytes([1; 16]), CallId([id; 16]))
    }

    fn result(bytes: usize) -> Outcome {
        Ok(Payload::Value(vec![b'1'; bytes].into()))
    }

    #[test]
    fn a_call_is_new_then_runs_then_has_ended_and_is_forgotten_in_time() {
        let now = Instant::now();
        let mut window = Window::new(LIMITS);
        assert!(matches!(window.seen(now, &call(1)), Seen::New));
        window.begins(call(1), "the run");
        assert!(matches!(window.seen(now, &call(1)), Seen::Runs("the run")));
        window.ends(now, call(1), &result(3));
        assert!(matches!(window.seen(now, &call(1)), Seen::Ended(outcome) if outcome == result(3)));
        let other = (MemberId::from_bytes([2; 16]), call(1).1);
        assert!(matches!(window.seen(now, &other), Seen::New), "somebody else's call");
        assert!(matches!(window.seen(now + LIMITS.age, &call(1)), Seen::New));
    }

    #[test]
    fn one_that_did_not_run_or_was_given_up_may_run() {
        let now = Instant::now();
        let mut window = Window::new(LIMITS);
        window.begins(call(1), ());
        window.ends(now, call(1), &Err(Fault::new(FaultKind::Overloaded, "later")));
        assert!(matches!(window.seen(now, &call(1)), Seen::New));
        window.begins(call(1), ());
        window.breaks_off(&call(1));
        window.ends(now, call(1), &result(1));
        assert!(matches!(window.seen(now, &call(1)), Seen::New));
    }

    #[test]
    fn one_whose_result_is_too_large_to_be_kept_does_not_run_again_either() {
        let now = Instant::now();
        let mut window = Window::new(LIMITS);
        window.begins(call(1), ());
        window.ends(now, call(1), &result(11));
        assert!(matches!(window.seen(now, &call(1)), Seen::Ended(Err(fault)) if fault.kind == FaultKind::Failed));
    }

    #[test]
    fn a_result_that_its_caller_has_is_not_kept_and_the_call_does_not_run_again() {
        let now = Instant::now();
        let mut window = Window::new(LIMITS);
        window.begins(call(1), ());
        window.delivered(&call(1));
        window.ends(now, call(1), &result(10));
        assert_eq!(window.bytes, 10);
        window.delivered(&call(1));
        assert_eq!(window.bytes, 0);
        assert!(matches!(window.seen(now, &call(1)), Seen::Ended(Err(_))));
        assert!(matches!(window.seen(now + LIMITS.age, &call(1)), Seen::New));
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(steps in prop::collection::vec((any::<u8>(), 0_usize..14, 0_u64..20, any::<bool>()), 0..60)) {
            let mut now = Instant::now();
            let mut window = Window::new(LIMITS);
            for (id, bytes, seconds, is_delivered) in steps {
                now += Duration::from_secs(seconds);
                if matches!(window.seen(now, &call(id)), Seen::New) {
                    window.begins(call(id), ());
                    window.ends(now, call(id), &result(bytes));
                }
                if is_delivered {
                    window.delivered(&call(id));
                }
                prop_assert!(window.ended.len() <= LIMITS.calls && window.bytes <= LIMITS.bytes);
                prop_assert_eq!(window.calls.len(), window.ended.len());
                let kept = window.calls.values().map(|state| match state {
                    State::Ended(outcome) => bytes_of(outcome),
                    _ => 0,
                });
                prop_assert_eq!(kept.sum::<usize>(), window.bytes);
            }
        }
    }
}
