//! Which orders are in force.
//!
//! Of all orders about one thing (one key, the key in use, one ban, one member to forget) the one with the highest
//! number counts and the others are dropped, so that it does not matter in which order they arrive, or how often. What
//! is kept of each kind is bounded: beyond the bound those with the lowest numbers go, on every member the same ones.

use std::collections::BTreeMap;

use super::{OrderBody, SignedOrder};
use crate::alive::Life;
use crate::id::MemberId;
use crate::keyring::{KeyHash, Keyring, KeyringError};

/// The most keys that there are orders about.
pub const MAX_KEY_ORDERS: usize = 32;

/// The most members that there are bans, or bans taken back, of.
pub const MAX_BANS: usize = 256;

/// The most members that are to be forgotten.
pub const MAX_FORGOTTEN: usize = 64;

/// The orders in force. Books that took in the same orders are equal, whatever came first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderBook {
    orders: BTreeMap<Subject, SignedOrder>,
    digest: u64,
}

/// What an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    KeyInUse,
    Key(KeyHash),
    Ban(MemberId),
    Forget(MemberId),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    KeyInUse,
    Keys,
    Bans,
    Forgotten,
}

impl OrderBook {
    /// No orders.
    pub const fn new() -> Self {
        Self { orders: BTreeMap::new(), digest: 0 }
    }

    /// Takes in an order. Whether it changed anything: an order that does not needs to be neither obeyed nor passed on.
    pub fn apply(&mut self, order: SignedOrder) -> bool {
        let changed = self.take(order);
        self.digest = self.computed_digest();
        changed
    }

    fn take(&mut self, order: SignedOrder) -> bool {
        let subject = Subject::of(&order.order.body);
        if self.orders.get(&subject).is_some_and(|held| rank(held) >= rank(&order)) {
            return false;
        }
        self.orders.insert(subject, order);
        let kind = subject.kind();
        let of_kind = || self.orders.iter().filter(|(subject, _)| subject.kind() == kind);
        if of_kind().count() <= kind.bound() {
            return true;
        }
        let lowest = of_kind().min_by_key(|(_, order)| rank(order)).map(|(&subject, _)| subject);
        if let Some(lowest) = lowest {
            self.orders.remove(&lowest);
        }
        lowest != Some(subject)
    }

    /// All orders in force, for a newcomer or for the disk.
    pub fn iter(&self) -> impl Iterator<Item = &SignedOrder> {
        self.orders.values()
    }

    /// Eight bytes that are equal for equal books, to notice what is missing. Computed once per change, because every
    /// ping and every answer carries it.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    fn computed_digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new_derive_key("mesh 2026 order book");
        for order in self.iter() {
            hasher.update(&order.bytes);
        }
        let hash = hasher.finalize();
        u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    }

    /// The lowest number for a new order that counts more than all others, `unix_ms` or above.
    pub fn next_number(&self, unix_ms: u64) -> u64 {
        let highest = self.iter().map(|order| order.order.number).max();
        highest.map_or(unix_ms, |highest| highest.saturating_add(1).max(unix_ms))
    }

    /// Whether the operator wants nothing to do with `member`.
    pub fn is_banned(&self, member: &MemberId) -> bool {
        self.orders.get(&Subject::Ban(*member)).is_some_and(|held| matches!(held.order.body, OrderBody::Ban(_)))
    }

    /// The life of `member` that is to be forgotten, with all before it.
    pub fn forgotten(&self, member: &MemberId) -> Option<Life> {
        match self.orders.get(&Subject::Forget(*member))?.order.body {
            OrderBody::Forget(_, life) => Some(life),
            _ => None,
        }
    }

    /// The ring that a node has to hold which started with `own`, and what of the orders could not be followed (yet).
    /// A key that seals is never removed: the order to use another one may still be on its way.
    pub fn keyring(&self, own: &Keyring) -> (Keyring, Vec<KeyringError>) {
        let mut ring = own.clone();
        let mut failed = Vec::new();
        let mut note = |result: Result<(), KeyringError>| failed.extend(result.err());
        let mut orders: Vec<_> = self.iter().map(|held| &held.order).collect();
        orders.sort_by_key(|order| order.number);
        let bodies = || orders.iter().map(|order| &order.body);
        let removed =
            || bodies().filter_map(|body| if let OrderBody::Remove(hash) = body { Some(*hash) } else { None });
        // Those that go make room first, unless they still seal.
        for hash in removed() {
            let _ = ring.remove(hash);
        }
        for body in bodies() {
            if let OrderBody::Install(key) = body {
                note(ring.install(key.clone()));
            }
        }
        for body in bodies() {
            if let OrderBody::Use(hash) = body {
                note(ring.use_key(*hash));
            }
        }
        for hash in removed() {
            if let Err(in_use @ KeyringError::InUse(_)) = ring.remove(hash) {
                note(Err(in_use));
            }
        }
        (ring, failed)
    }
}

impl Subject {
    fn of(body: &OrderBody) -> Self {
        match body {
            OrderBody::Install(key) => Self::Key(key.hash()),
            OrderBody::Remove(hash) => Self::Key(*hash),
            OrderBody::Use(_) => Self::KeyInUse,
            OrderBody::Ban(member) | OrderBody::Unban(member) => Self::Ban(*member),
            OrderBody::Forget(member, _) => Self::Forget(*member),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::KeyInUse => Kind::KeyInUse,
            Self::Key(_) => Kind::Keys,
            Self::Ban(_) => Kind::Bans,
            Self::Forget(_) => Kind::Forgotten,
        }
    }
}

impl Kind {
    const fn bound(self) -> usize {
        match self {
            Self::KeyInUse => 1,
            Self::Keys => MAX_KEY_ORDERS,
            Self::Bans => MAX_BANS,
            Self::Forgotten => MAX_FORGOTTEN,
        }
    }
}

/// Total, so that all members prefer the same one of two orders, even when an operator used a number twice.
fn rank(order: &SignedOrder) -> (u64, &[u8]) {
    (order.order.number, &order.bytes)
}
