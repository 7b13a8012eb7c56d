//! What an opener remembers of those whose datagrams it opened: the derived key, and what it has seen.

use std::net::SocketAddr;

use chacha20poly1305::ChaCha20Poly1305;
use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::id::{MemberId, Session};
use crate::keyring::KeyHash;

/// How many flows are remembered. A thousand members under two keys fit twice; a flow that was forgotten costs its
/// next datagram one key derivation.
pub(super) const MAX_FLOWS: usize = 4096;

/// How many datagrams of one flow are remembered. Replays and reordering within them are told apart exactly.
pub(super) const MEMORY: usize = 512;

/// Datagrams of one sender's session, under one key, from one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowName {
    pub(super) key: KeyHash,
    pub(super) sender: MemberId,
    pub(super) session: Session,
    pub(super) from: SocketAddr,
}

/// The part of the table that belongs to one flow.
pub(super) struct Flow {
    cipher: ChaCha20Poly1305,
    seen: Seen,
    /// Used again since the hand last passed.
    used: bool,
}

/// The flows of late: bounded, and kept in order of nothing but arrival. The victim is found by the clock algorithm (a
/// hand goes round, spares once what was used since its last visit), so that flows which spoke only once go first.
pub(super) struct Flows {
    table: IndexMap<FlowName, Flow, FixedState>,
    hand: usize,
}

/// The last [`MEMORY`] datagrams of a flow, each known by eight bytes of its seal.
///
/// There is no high-water mark and no window that moves with the highest counter: whoever holds the mesh key can claim
/// any sender, and could push such a window to the end of the counters, after which nothing that the true sender says
/// would count. Here a datagram is refused only because this very datagram was accepted before. Its seal tells, not
/// its counter, so that nobody can use up another's counters either. The price is that a datagram which is older than
/// the last [`MEMORY`] ones passes again; the protocol above must not (and does not) take it for a sign of life.
#[derive(Default)]
struct Seen {
    ring: Vec<u64>,
    next: usize,
}

impl Flows {
    pub(super) fn new() -> Self {
        // Only who holds a mesh key gets an entry, and the table is small: a fixed seed costs such a one's victims a
        // few microseconds at worst, and keeps the order free of chance.
        Self { table: IndexMap::with_hasher(FixedState::with_seed(0)), hand: 0 }
    }

    pub(super) fn get(&mut self, name: &FlowName) -> Option<&mut Flow> {
        self.table.get_mut(name)
    }

    /// Begins to remember a flow, at the expense of an idle one when the table is full.
    pub(super) fn insert(&mut self, name: FlowName, flow: Flow) {
        if self.table.len() >= MAX_FLOWS {
            self.evict();
        }
        self.table.insert(name, flow);
    }

    /// Forgets all flows under keys that are not `kept`.
    pub(super) fn retain_keys(&mut self, kept: &[KeyHash]) {
        self.table.retain(|name, _| kept.contains(&name.key));
        self.hand = 0;
    }

    fn evict(&mut self) {
        // Ends within two rounds, since the first one leaves nothing marked as used.
        loop {
            if self.hand >= self.table.len() {
                self.hand = 0;
            }
            match self.table.get_index_mut(self.hand) {
                Some((_, flow)) if flow.used => flow.used = false,
                Some(_) => {
                    self.table.swap_remove_index(self.hand);
                    return;
                }
                None => return,
            }
            self.hand += 1;
        }
    }
}

impl Flow {
    pub(super) fn new(cipher: ChaCha20Poly1305) -> Self {
        Self { cipher, seen: Seen::default(), used: false }
    }

    pub(super) const fn cipher(&self) -> &ChaCha20Poly1305 {
        &self.cipher
    }

    /// Whether the datagram with this seal was accepted already.
    pub(super) fn has_seen(&self, seal: u64) -> bool {
        self.seen.ring.contains(&seal)
    }

    /// Remembers an accepted datagram by its seal.
    pub(super) fn accept(&mut self, seal: u64) {
        self.used = !self.seen.ring.is_empty();
        if self.seen.ring.len() < MEMORY {
            self.seen.ring.push(seal);
        } else {
            self.seen.ring[self.seen.next] = seal;
            self.seen.next = (self.seen.next + 1) % MEMORY;
        }
    }
}
