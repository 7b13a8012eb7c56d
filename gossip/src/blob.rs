//! Large values by their hashes, as many as fit.
//!
//! A blob is kept while a record names it. When room is short, those of others that were used longest ago go; they are
//! fetched again when somebody reads them. Our own never go: nobody else may have them yet.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::MAX_BLOB_BYTES;

/// How many bytes of blobs a node keeps by default.
pub const BLOBS_BYTES: usize = 64 << 20;

/// Who names a blob in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// We do.
    Us,
    /// Another member does.
    Others,
}

/// Why a blob was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The bytes are not what the hash stands for. Ask somebody else.
    #[error("the bytes do not have the hash they were asked for by")]
    OtherHash,
    /// No record names it, or none does any more. Drop it.
    #[error("no record names this blob")]
    Unnamed,
    /// There is no room: everything else is our own. Offer less, or keep more.
    #[error("{0} bytes of blobs of our own leave no room")]
    Full(usize),
}

/// The blobs that are kept, and the names of those that are wanted.
#[derive(Clone, Debug)]
pub struct Blobs {
    room_bytes: usize,
    used_bytes: usize,
    named: BTreeMap<[u8; 32], Named>,
    /// Kept blobs of others, by when they were last used.
    idle: BTreeMap<u64, [u8; 32]>,
    uses: u64,
}

#[derive(Clone, Debug, Default)]
struct Named {
    by_us: usize,
    by_others: usize,
    bytes: Option<Bytes>,
    used: u64,
}

impl Named {
    fn count(&mut self, by: NamedBy) -> &mut usize {
        match by {
            NamedBy::Us => &mut self.by_us,
            NamedBy::Others => &mut self.by_others,
        }
    }

    fn length(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

impl Blobs {
    /// Room for `room_bytes` of blobs, of which one has at most [`MAX_BLOB_BYTES`].
    pub fn new(room_bytes: usize) -> Self {
        Self { room_bytes, used_bytes: 0, named: BTreeMap::new(), idle: BTreeMap::new(), uses: 0 }
    }

    /// One more record names this blob. There are as many names as there are such records, so records bound them.
    pub fn name(&mut self, hash: [u8; 32], by: NamedBy) {
        let named = self.named.entry(hash).or_default();
        *named.count(by) += 1;
        if by == NamedBy::Us {
            self.idle.remove(&named.used);
        }
    }

    /// One record less names it. The last one takes the blob with it.
    pub fn unname(&mut self, hash: [u8; 32], by: NamedBy) {
        let Some(named) = self.named.get_mut(&hash) else { return };
        let count = named.count(by);
        *count = count.saturating_sub(1);
        if named.by_us == 0 && named.by_others == 0 {
            self.used_bytes -= named.length();
            self.idle.remove(&named.used);
            self.named.remove(&hash);
        } else if named.by_us == 0 && named.bytes.is_some() {
            self.idle.insert(named.used, hash);
        }
    }

    /// Keeps a blob that a record names, and lets go of others as needed.
    ///
    /// # Errors
    /// [`BlobError`] says whether the bytes are wrong, unwanted, or too many.
    pub fn insert(&mut self, hash: [u8; 32], bytes: Bytes) -> Result<(), BlobError> {
        let named = self.named.get(&hash).ok_or(BlobError::Unnamed)?;
        if named.bytes.is_some() {
            return Ok(());
        }
        if bytes.len() > MAX_BLOB_BYTES || *blake3::hash(&bytes).as_bytes() != hash {
            return Err(BlobError::OtherHash);
        }
        self.make_room(bytes.len())?;
        self.used_bytes += bytes.len();
        self.uses += 1;
        if let Some(named) = self.named.get_mut(&hash) {
            named.bytes = Some(bytes);
            named.used = self.uses;
            if named.by_us == 0 {
                self.idle.insert(self.uses, hash);
            }
        }
        Ok(())
    }

    /// The blob, when it is here. Counts as use.
    pub fn get(&mut self, hash: &[u8; 32]) -> Option<Bytes> {
        let named = self.named.get_mut(hash)?;
        let bytes = named.bytes.clone()?;
        self.uses += 1;
        if self.idle.remove(&named.used).is_some() {
            self.idle.insert(self.uses, *hash);
        }
        named.used = self.uses;
        Some(bytes)
    }

    /// The blob, when it is here. Does not count as use.
    pub fn peek(&self, hash: &[u8; 32]) -> Option<Bytes> {
        self.named.get(hash)?.bytes.clone()
    }

    /// Whether it is here. Does not count as use.
    pub fn contains(&self, hash: &[u8; 32]) -> bool {
        self.named.get(hash).is_some_and(|named| named.bytes.is_some())
    }

    /// Whether a record names it and it is not here: never fetched, or let go.
    pub fn is_missing(&self, hash: &[u8; 32]) -> bool {
        self.named.get(hash).is_some_and(|named| named.bytes.is_none())
    }

    /// How many bytes are kept.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    fn make_room(&mut self, length: usize) -> Result<(), BlobError> {
        let idle_bytes = |hash: &[u8; 32]| self.named.get(hash).map_or(0, Named::length);
        let ours = self.used_bytes - self.idle.values().map(idle_bytes).sum::<usize>();
        if ours + length > self.room_bytes {
            return Err(BlobError::Full(ours));
        }
        while self.used_bytes + length > self.room_bytes {
            let Some((_, hash)) = self.idle.pop_first() else { break };
            if let Some(gone) = self.named.get_mut(&hash) {
                self.used_bytes -= gone.length();
                gone.bytes = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use bytes::Bytes;
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{BlobError, Blobs, NamedBy};

    fn blob(of: u8, length: usize) -> ([u8; 32], Bytes) {
        let bytes = Bytes::from(vec![of; length]);
        (*blake3::hash(&bytes).as_bytes(), bytes)
    }

    #[test]
    fn only_what_a_record_names_and_its_hash_stands_for_is_kept() {
        let mut blobs = Blobs::new(1000);
        let (hash, bytes) = blob(1, 100);
        assert_eq!(blobs.insert(hash, bytes.clone()), Err(BlobError::Unnamed));
        blobs.name(hash, NamedBy::Others);
        assert!(blobs.is_missing(&hash));
        assert_eq!(blobs.insert(hash, blob(2, 100).1), Err(BlobError::OtherHash));
        blobs.insert(hash, bytes.clone()).unwrap();
        assert_eq!(blobs.get(&hash), Some(bytes));
    }

    #[test]
    fn a_blob_goes_with_the_last_record_that_names_it() {
        let mut blobs = Blobs::new(1000);
        let (hash, bytes) = blob(1, 100);
        blobs.name(hash, NamedBy::Us);
        blobs.name(hash, NamedBy::Others);
        blobs.insert(hash, bytes).unwrap();
        blobs.unname(hash, NamedBy::Us);
        assert!(blobs.contains(&hash));
        blobs.unname(hash, NamedBy::Others);
        assert!(!blobs.contains(&hash) && !blobs.is_missing(&hash));
        assert_eq!(blobs.used_bytes(), 0);
    }

    #[test]
    fn when_room_is_short_the_longest_unused_of_others_goes_and_ours_stay() {
        let mut blobs = Blobs::new(300);
        let [(ours, a), (first, b), (second, c), (third, d)] = [1, 2, 3, 4].map(|of| blob(of, 100));
        blobs.name(ours, NamedBy::Us);
        blobs.insert(ours, a).unwrap();
        for (hash, bytes) in [(first, b), (second, c)] {
            blobs.name(hash, NamedBy::Others);
            blobs.insert(hash, bytes).unwrap();
        }
        blobs.get(&first).unwrap();
        blobs.name(third, NamedBy::Others);
        blobs.insert(third, d).unwrap();
        assert!(blobs.contains(&ours) && blobs.contains(&first) && blobs.contains(&third));
        assert!(blobs.is_missing(&second));
        let (large, bytes) = blob(5, 201);
        blobs.name(large, NamedBy::Us);
        assert_eq!(blobs.insert(large, bytes), Err(BlobError::Full(100)));
    }

    proptest! {
        #[test]
        fn bytes_are_counted_and_bounded_whatever_happens(steps in proptest::collection::vec(any::<(u8, u8)>(), 0..200)) {
            let mut blobs = Blobs::new(500);
            for (what, of) in steps {
                let of = of % 12;
                let (hash, bytes) = blob(of, 20 * usize::from(of));
                let by = if what & 64 == 0 { NamedBy::Us } else { NamedBy::Others };
                match what % 4 {
                    0 => blobs.name(hash, by),
                    1 => blobs.unname(hash, by),
                    2 => drop(blobs.insert(hash, bytes)),
                    _ => drop(blobs.get(&hash)),
                }
                let kept: usize = blobs.named.values().map(super::Named::length).sum();
                prop_assert!(kept == blobs.used_bytes() && kept <= 500);
                let idle = blobs.named.values().filter(|named| named.by_us == 0 && named.bytes.is_some()).count();
                prop_assert!(idle == blobs.idle.len());
            }
        }
    }
}
