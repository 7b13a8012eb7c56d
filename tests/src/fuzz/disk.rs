//! Files that a node reads at its start. Whoever can write there is no stranger, but a disk may be damaged.

use mesh_gossip::id::Generation;
use mesh_gossip::snapshot::{MAX_MEMBERS, MAX_ORDERS, Snapshot};

/// The title, the version and the hash of the rest.
const HEADER: usize = 13 + 1 + 32;

pub(super) fn snapshot(bytes: &[u8]) {
    read(bytes);
    // With the right checksum as well, or nothing behind it would ever be reached.
    if let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let mut repaired = header[..HEADER - 32].to_vec();
        repaired.extend_from_slice(blake3::hash(rest).as_bytes());
        repaired.extend_from_slice(rest);
        read(&repaired);
    }
}

fn read(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::decode(bytes) else { return };
    assert!(snapshot.alive.len() <= MAX_MEMBERS && snapshot.orders.len() <= MAX_ORDERS);
    assert!(Snapshot::decode(&snapshot.encode()).is_ok(), "what was read cannot be written");
}

pub(super) fn snapshot_corpus() -> Vec<Vec<u8>> {
    let empty = Snapshot::default();
    let full = Snapshot {
        generation: Generation(u64::MAX),
        alive: super::signed::alive_corpus(),
        orders: super::signed::order_corpus(),
    };
    [empty, full].iter().map(Snapshot::encode).collect()
}
