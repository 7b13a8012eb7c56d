//! What the QUIC endpoint has to know of the mesh: the driver writes it, connections read it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::MemberId;
use crate::keyring::{Keyring, MeshKey};
use crate::transport::quic::Trust;

/// The lock is held for one look or one change, never across an await.
#[derive(Default)]
pub(super) struct Trusted(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: Vec<MeshKey>,
    banned: BTreeSet<MemberId>,
    addresses: BTreeSet<SocketAddr>,
}

impl Trusted {
    pub(super) fn use_keys(&self, ring: &Keyring) {
        self.lock().keys = ring.keys().cloned().collect();
    }

    pub(super) fn ban(&self, member: MemberId) {
        self.lock().banned.insert(member);
    }

    pub(super) fn unban(&self, member: &MemberId) {
        self.lock().banned.remove(member);
    }

    pub(super) fn know(&self, address: SocketAddr) {
        self.lock().addresses.insert(address);
    }

    pub(super) fn forget(&self, address: &SocketAddr) {
        self.lock().addresses.remove(address);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trust for Trusted {
    fn mesh_keys(&self) -> Vec<MeshKey> {
        self.lock().keys.clone()
    }

    fn is_banned(&self, member: &MemberId) -> bool {
        self.lock().banned.contains(member)
    }

    fn is_known(&self, address: SocketAddr) -> bool {
        self.lock().addresses.contains(&address)
    }
}
