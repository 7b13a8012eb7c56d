//! Which replica serves which session.
//!
//! A caller that names a session is served by the same replica again for as long as that lives. The first choice is made
//! by [`mesh_gossip::resolve::affinity`], what was chosen is remembered in [`Bindings`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mesh_gossip::catalog::Owner;
use tokio::time::Instant;

use crate::context::SessionKey;

/// The most bindings that [`LocalBindings`] keeps.
pub const MAX_BINDINGS: usize = 16_384;

/// How long a session may be idle before [`LocalBindings`] forgets it.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);

/// What is bound: a session, to one replica of the agents of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The session.
    pub session: SessionKey,
    /// The name that the replicas share.
    pub name: Arc<str>,
}

/// Where bindings are remembered: in this process, or in a store that all consumers share.
///
/// Whoever cannot be asked has no binding: a call never fails for that.
#[async_trait]
pub trait Bindings: Send + Sync + 'static {
    /// Which replica has the seat. Counts as use of the session.
    async fn bound(&self, seat: &Seat) -> Option<Owner>;

    /// From now on `owner` has the seat, whoever had it before.
    async fn bind(&self, seat: Seat, owner: Owner);
}

/// Bindings of one process: at most [`MAX_BINDINGS`], each until it was idle for [`SESSION_IDLE`].
#[derive(Debug)]
pub struct LocalBindings {
    most: usize,
    idle: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    seats: BTreeMap<Seat, Bound>,
    /// The seats by when they were used last, which is what their number says.
    used: BTreeMap<u64, Seat>,
    uses: u64,
}

#[derive(Debug)]
struct Bound {
    owner: Owner,
    used: u64,
    idle_at: Instant,
}

impl Default for LocalBindings {
    fn default() -> Self {
        Self::new(MAX_BINDINGS, SESSION_IDLE)
    }
}

impl LocalBindings {
    /// At most `most` bindings, each until it was not used for `idle`. When there is no room the one that was not used
    /// for longest goes.
    pub fn new(most: usize, idle: Duration) -> Self {
        Self { most, idle, held: Mutex::default() }
    }

    fn bound_at(&self, now: Instant, seat: &Seat) -> Option<Owner> {
        let mut held = self.held();
        let owner = held.seats.get(seat).filter(|bound| now < bound.idle_at)?.owner.clone();
        held.put(seat.clone(), owner.clone(), now + self.idle);
        Some(owner)
    }

    fn bind_at(&self, now: Instant, seat: Seat, owner: Owner) {
        let mut held = self.held();
        held.put(seat, owner, now + self.idle);
        while held.seats.len() > self.most || held.is_oldest_idle(now) {
            let Some((_, oldest)) = held.used.pop_first() else { break };
            held.seats.remove(&oldest);
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn put(&mut self, seat: Seat, owner: Owner, idle_at: Instant) {
        self.uses += 1;
        self.used.insert(self.uses, seat.clone());
        let before = self.seats.insert(seat, Bound { owner, used: self.uses, idle_at });
        if let Some(before) = before {
            self.used.remove(&before.used);
        }
    }

    fn is_oldest_idle(&self, now: Instant) -> bool {
        let oldest = self.used.values().next().and_then(|seat| self.seats.get(seat));
        oldest.is_some_and(|bound| bound.idle_at <= now)
    }
}

#[async_trait]
impl Bindings for LocalBindings {
    async fn bound(&self, seat: &Seat) -> Option<Owner> {
        self.bound_at(Instant::now(), seat)
    }

    async fn bind(&self, seat: Seat, owner: Owner) {
        self.bind_at(Instant::now(), seat, owner);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mesh_gossip::MemberId;
    use mesh_gossip::catalog::{AgentId, Owner};
    use tokio::time::Instant;

    use super::{LocalBindings, Seat};
    use crate::context::SessionKey;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seat(session: &str) -> Seat {
        Seat { session: SessionKey::try_from(session).unwrap(), name: Arc::from("history") }
    }

    fn replica(number: u8) -> Owner {
        let member = MemberId::from_bytes([number; 16]);
        Owner { member, agent: AgentId::native("history", &member).unwrap() }
    }

    #[test]
    fn a_binding_stays_while_it_is_used_and_goes_when_idle() {
        let bindings = LocalBindings::new(10, MINUTE);
        let now = Instant::now();
        bindings.bind_at(now, seat("anna"), replica(1));
        assert_eq!(bindings.bound_at(now + MINUTE / 2, &seat("anna")), Some(replica(1)));
        assert_eq!(bindings.bound_at(now + MINUTE, &seat("anna")), Some(replica(1)));
        assert_eq!(bindings.bound_at(now + 3 * MINUTE, &seat("anna")), None);
        bindings.bind_at(now + 3 * MINUTE, seat("bert"), replica(2));
        assert_eq!(bindings.held().seats.len(), 1, "what is idle is dropped");
    }

    #[test]
    fn when_there_is_no_room_the_one_not_used_for_longest_goes() {
        let bindings = LocalBindings::new(2, MINUTE);
        let now = Instant::now();
        bindings.bind_at(now, seat("anna"), replica(1));
        bindings.bind_at(now, seat("bert"), replica(2));
        bindings.bound_at(now, &seat("anna")).unwrap();
        bindings.bind_at(now, seat("carl"), replica(3));
        assert_eq!(bindings.bound_at(now, &seat("bert")), None);
        assert_eq!(bindings.bound_at(now, &seat("anna")), Some(replica(1)));
        let held = bindings.held();
        assert_eq!(held.seats.len(), held.used.len());
    }

    #[test]
    fn the_last_binding_counts() {
        let bindings = LocalBindings::default();
        let now = Instant::now();
        bindings.bind_at(now, seat("anna"), replica(1));
        bindings.bind_at(now, seat("anna"), replica(2));
        assert_eq!(bindings.bound_at(now, &seat("anna")), Some(replica(2)));
    }
}
