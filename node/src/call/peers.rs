//! What one caller knows of those it calls: how much they have to do, and whether to leave them alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_gossip::catalog::Owner;
use tokio::time::Instant;

use super::balance::{Latency, Load};
use super::breaker::{Breaker, Failure, Verdict};

/// So many are known before those that were not called for a while are dropped.
const MANY: usize = 4096;

/// How long nobody called somebody who is dropped.
const IDLE: Duration = Duration::from_secs(60);

/// How long a probe keeps others out.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// All agents that were called.
#[derive(Debug, Default)]
pub(super) struct Peers {
    all: Mutex<BTreeMap<Owner, Arc<Peer>>>,
    /// Counts choices.
    choices: AtomicU64,
}

/// One agent, as its caller sees it.
#[derive(Debug, Default)]
pub(super) struct Peer {
    in_flight: AtomicU32,
    chosen: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latency: Latency,
    breaker: Breaker,
    /// The first answer has come. How long it took says more about connecting than about the agent.
    is_connected: bool,
    used: Option<Instant>,
}

/// A call under way. Dropped, it is over.
#[derive(Debug)]
pub(super) struct InFlight {
    peer: Arc<Peer>,
    since: Instant,
}

impl Peers {
    /// The one that is called `owner`.
    pub(super) fn get(&self, owner: &Owner) -> Arc<Peer> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = all.get(owner) {
            return Arc::clone(peer);
        }
        if all.len() >= MANY {
            let now = Instant::now();
            all.retain(|_, peer| !peer.is_idle(now));
        }
        Arc::clone(all.entry(owner.clone()).or_default())
    }

    /// A call to `peer` begins.
    pub(super) fn enter(&self, peer: Arc<Peer>, now: Instant) -> InFlight {
        peer.in_flight.fetch_add(1, Ordering::Relaxed);
        peer.chosen.store(self.choices.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let mut state = peer.state();
        state.used = Some(now);
        if state.breaker.verdict(now) == Verdict::Probe {
            state.breaker.probe(now, PROBE_PATIENCE);
        }
        drop(state);
        InFlight { peer, since: now }
    }
}

impl Peer {
    /// What it has to do, and whether to call it.
    pub(super) fn look(&self, now: Instant) -> (Load, Verdict) {
        let state = self.state();
        let load = Load {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency: state.latency.now(now),
            chosen: self.chosen.load(Ordering::Relaxed),
        };
        (load, state.breaker.verdict(now))
    }

    fn is_idle(&self, now: Instant) -> bool {
        let used = self.state().used;
        let long_ago = used.is_none_or(|used| now.saturating_duration_since(used) > IDLE);
        long_ago && self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    /// It answered, with whatever.
    pub(super) fn answered(&self, now: Instant) {
        let mut state = self.peer.state();
        if std::mem::replace(&mut state.is_connected, true) {
            state.latency.observe(now, now.saturating_duration_since(self.since));
        }
        state.breaker.succeeded();
    }

    /// It answered that it wants to be left alone for so long.
    pub(super) fn wants_rest(&self, now: Instant, rest: Duration) {
        let mut state = self.peer.state();
        state.is_connected = true;
        state.breaker.rest(now, rest);
    }

    /// It did not answer.
    pub(super) fn failed(&self, now: Instant, failure: Failure) {
        let mut state = self.peer.state();
        state.breaker.failed(now, failure);
        state.is_connected = false;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.peer.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
