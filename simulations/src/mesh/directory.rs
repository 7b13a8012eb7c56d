//! Which host a member is on: something only the maker of a world knows.

use std::collections::BTreeMap;

use mesh_gossip::id::MemberId;

use crate::scenario::KeyOf;

/// See the [module's page](self).
#[derive(Debug, Default)]
pub(super) struct Directory {
    members: BTreeMap<MemberId, (u32, u32)>,
    keys: BTreeMap<u32, u32>,
    blobs: BTreeMap<[u8; 32], (u32, u64)>,
}

impl Directory {
    /// Which of its keys a host starts with: the number of the last, or the next one.
    pub(super) fn key_number(&mut self, host: u32, key: KeyOf) -> u32 {
        match (self.keys.get_mut(&host), key) {
            (None, _) => {
                self.keys.insert(host, 0);
                0
            }
            (Some(number), KeyOf::Before) => *number,
            (Some(number), KeyOf::Nobody) => {
                *number += 1;
                *number
            }
        }
    }

    /// A member starts on a host, in this life of the host.
    pub(super) fn enter(&mut self, member: MemberId, host: u32, life: u32) {
        self.members.insert(member, (host, life));
    }

    /// A blob is offered under this key in this version.
    pub(super) fn enter_blob(&mut self, hash: [u8; 32], key: u32, version: u64) {
        self.blobs.insert(hash, (key, version));
    }

    /// The key and version under which a blob was offered.
    pub(super) fn blob(&self, hash: &[u8; 32]) -> Option<(u32, u64)> {
        self.blobs.get(hash).copied()
    }

    /// The host of a member, and the last life in which the host was that member.
    pub(super) fn find(&self, member: MemberId) -> Option<(u32, u32)> {
        self.members.get(&member).copied()
    }
}
