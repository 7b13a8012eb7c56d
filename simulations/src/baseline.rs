//! What our core is measured against, in the same world: foca with its LAN preset, and chitchat alone.

pub mod chitchat;
pub mod foca;

/// What a user may tell a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Offer a record under a key, of so many bytes; the version is raised by each.
    Set {
        /// Its key.
        key: u32,
        /// Its version.
        version: u64,
        /// Its size.
        bytes: usize,
    },
    /// Say goodbye.
    Leave,
}

/// What a baseline knows when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Hosts 0 to `n` − 1: the world starts converged.
    Everybody(u32),
    /// One host to ask.
    Seed(u32),
}

/// The name a baseline goes by in a world.
fn id_of(host: u32) -> mesh_gossip::id::MemberId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&host.to_be_bytes());
    mesh_gossip::id::MemberId::from_bytes(id)
}
