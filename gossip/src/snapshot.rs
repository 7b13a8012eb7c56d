//! The last known members on disk: how a node that lost all its seeds finds the mesh again.
//!
//! The file is `mesh snapshot`, a version byte, the blake3 hash of the rest, and the rest in [`crate::wire`]'s encoding.
//! What it contains is checked like anything that a stranger sends: alive records and orders carry their signatures.

use std::io;
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};
use tracing::warn;

use crate::alive::MAX_ALIVE_BYTES;
use crate::id::Generation;
use crate::identity::file;
use crate::order::MAX_ORDER_BYTES;
use crate::wire::{self, Malformed};

/// The most members a snapshot names; more are left out.
pub const MAX_MEMBERS: usize = 8_192;

/// The most orders a snapshot contains; more than an [`crate::order::OrderBook`] holds.
pub const MAX_ORDERS: usize = 512;

/// The most bytes of a snapshot: full of everything, at its largest.
pub const MAX_SNAPSHOT_BYTES: usize = 64 + MAX_MEMBERS * (MAX_ALIVE_BYTES + 3) + MAX_ORDERS * (MAX_ORDER_BYTES + 3);

const TITLE: &[u8; 13] = b"mesh snapshot";
const VERSION: u8 = 1;
const HEADER: usize = TITLE.len() + 1 + blake3::OUT_LEN;

/// What a node wants to know at its next start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Snapshot {
    /// The generation of the node that wrote it.
    pub generation: Generation,
    /// Encoded alive records of members, the most useful first; see [`crate::alive::Alive::bytes`].
    pub alive: Vec<Vec<u8>>,
    /// Encoded orders in force; see [`crate::order::SignedOrder::bytes`].
    pub orders: Vec<Vec<u8>>,
}

/// The disk refused. The node runs on without; whatever was in the file before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {source}; without it this node depends on its seeds at the next start", path.display())]
pub struct SnapshotError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Snapshot {
    /// The bytes of the file. What exceeds the bounds is left out.
    pub fn encode(&self) -> Vec<u8> {
        let bounded = |list: &[Vec<u8>], count, bytes| -> Vec<Vec<u8>> {
            list.iter().filter(|item| item.len() <= bytes).take(count).cloned().collect()
        };
        let rest = wire::encode(&Self {
            generation: self.generation,
            alive: bounded(&self.alive, MAX_MEMBERS, MAX_ALIVE_BYTES),
            orders: bounded(&self.orders, MAX_ORDERS, MAX_ORDER_BYTES),
        });
        let mut bytes = Vec::with_capacity(HEADER + rest.len());
        bytes.extend_from_slice(TITLE);
        bytes.push(VERSION);
        bytes.extend_from_slice(blake3::hash(&rest).as_bytes());
        bytes.extend_from_slice(&rest);
        bytes
    }

    /// The snapshot that such bytes stand for.
    ///
    /// # Errors
    /// [`Malformed`] when they are damaged, of another version, or beyond the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Malformed)?;
        let (title, checksum) = header.split_at(TITLE.len() + 1);
        if bytes.len() > MAX_SNAPSHOT_BYTES
            || title != [TITLE, [VERSION].as_slice()].concat()
            || checksum != blake3::hash(rest).as_bytes()
        {
            return Err(Malformed);
        }
        // A list of empty items takes 24 bytes of memory for each byte read, which the limit accounts for.
        let snapshot = wire::decode::<Self, { 2 * MAX_SNAPSHOT_BYTES }>(rest)?;
        if snapshot.alive.len() > MAX_MEMBERS || snapshot.orders.len() > MAX_ORDERS {
            return Err(Malformed);
        }
        Ok(snapshot)
    }

    /// Writes the snapshot, so that a crash at any moment leaves the old one or this one. Blocks until it is on disk.
    ///
    /// # Errors
    /// [`SnapshotError`]; the old file is intact then.
    pub fn save(&self, path: &Path) -> Result<(), SnapshotError> {
        file::replace(path, &self.encode()).map_err(|source| SnapshotError { path: path.to_owned(), source })
    }

    /// Reads the snapshot; there may be none. One that is damaged or of another version is set aside with a warning,
    /// which is as if there were none. Blocks on the disk for a moment.
    ///
    /// # Errors
    /// [`SnapshotError`] when the disk refuses; a reason to warn, not to stop.
    pub fn load(path: &Path) -> Result<Option<Self>, SnapshotError> {
        let failed = |source| SnapshotError { path: path.to_owned(), source };
        let bytes = match file::read(path, MAX_SNAPSHOT_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
            other => match other.map_err(failed)? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        if let Ok(snapshot) = Self::decode(&bytes) {
            return Ok(Some(snapshot));
        }
        let aside = file::set_aside(path).map_err(failed)?;
        warn!(
            set_aside = %aside.display(),
            "the snapshot of members is damaged or of another version: starting from the seeds alone"
        );
        Ok(None)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
mod tests {
    use std::fs;

    use proptest::prelude::{any, prop_assert_eq, proptest};
    use tempfile::tempdir;

    use super::{HEADER, MAX_MEMBERS, MAX_ORDERS, MAX_SNAPSHOT_BYTES, Snapshot};
    use crate::alive::MAX_ALIVE_BYTES;
    use crate::id::Generation;
    use crate::order::MAX_ORDER_BYTES;

    const CHECKSUM: &str = "ed742ee0cb960e6ab9b51e78dede0394ea71c71d4be65bb291ec0b5c74ffca08";

    fn small() -> Snapshot {
        Snapshot { generation: Generation(300), alive: vec![b"alive".to_vec(), vec![]], orders: vec![b"ban".to_vec()] }
    }

    #[test]
    fn the_format_is_pinned() {
        let hex: String = small().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let (title, rest) = ("6d65736820736e617073686f7401", "fb2c010205616c69766500010362616e");
        assert_eq!(hex, format!("{title}{CHECKSUM}{rest}"));
        assert_eq!(Snapshot::decode(&small().encode()), Ok(small()));
    }

    #[test]
    fn a_snapshot_is_bounded_on_its_way_out_and_in() {
        let alive = vec![vec![1; MAX_ALIVE_BYTES]; MAX_MEMBERS + 5];
        let orders = vec![vec![2; MAX_ORDER_BYTES]; MAX_ORDERS + 5];
        let bytes = Snapshot { generation: Generation(u64::MAX), alive, orders }.encode();
        assert!(bytes.len() <= MAX_SNAPSHOT_BYTES);
        let back = Snapshot::decode(&bytes).unwrap();
        assert_eq!((back.alive.len(), back.orders.len()), (MAX_MEMBERS, MAX_ORDERS));
        let oversized = Snapshot { alive: vec![vec![0; MAX_ALIVE_BYTES + 1], vec![7]], ..Snapshot::default() };
        assert_eq!(Snapshot::decode(&oversized.encode()).unwrap().alive, [[7]]);
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_damaged_is_set_aside() {
        let disk = tempdir().unwrap();
        let path = disk.path().join("members");
        assert_eq!(Snapshot::load(&path).unwrap(), None);
        small().save(&path).unwrap();
        assert_eq!(Snapshot::load(&path).unwrap(), Some(small()));
        let mut foreign = small().encode();
        foreign[13] = 2;
        let mut flipped = small().encode();
        flipped[HEADER] ^= 1;
        for (number, bytes) in [b"".to_vec(), foreign, flipped, vec![0; MAX_SNAPSHOT_BYTES + 1]].iter().enumerate() {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Snapshot::load(&path).unwrap(), None);
            assert!(!path.exists());
            assert_eq!(&fs::read(disk.path().join(format!("members.damaged-{}", number + 1))).unwrap(), bytes);
        }
        small().save(&path).unwrap();
        assert_eq!(Snapshot::load(&path).unwrap(), Some(small()));
    }

    #[test]
    fn when_the_disk_refuses_nothing_is_lost_and_nothing_left_behind() {
        let disk = tempdir().unwrap();
        let occupied = disk.path().join("members");
        fs::create_dir(&occupied).unwrap();
        fs::write(occupied.join("old"), "old").unwrap();
        small().save(&occupied).unwrap_err();
        assert_eq!(fs::read_to_string(occupied.join("old")).unwrap(), "old");
        assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 1);
        small().save(&disk.path().join("missing/members")).unwrap_err();
        Snapshot::load(&occupied).unwrap_err();
    }

    proptest! {
        #[test]
        fn a_cut_or_damaged_snapshot_is_noticed(at in 0..100_usize, bit in 0..8_u8) {
            let good = small().encode();
            let at = at % good.len();
            let mut damaged = good.clone();
            damaged[at] ^= 1 << bit;
            Snapshot::decode(&damaged).unwrap_err();
            Snapshot::decode(&good[..at]).unwrap_err();
        }

        #[test]
        fn nothing_that_is_read_panics(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = small().encode()[..14].to_vec();
            bytes.extend_from_slice(blake3::hash(&rest).as_bytes());
            bytes.extend(rest);
            if let Ok(snapshot) = Snapshot::decode(&bytes) {
                prop_assert_eq!(Snapshot::decode(&snapshot.encode()), Ok(snapshot));
            }
        }
    }
}
