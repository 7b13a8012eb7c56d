//! What we offer ourselves.

use std::sync::Arc;

use super::Bounds;
use super::table::Table;
use crate::alive::Summary;
use crate::id::{Generation, MemberId, MeshId, Session};
use crate::record::{Key, MAX_BLOB_BYTES, MAX_INLINE_BYTES, Record, RecordBody, Value};
use crate::signature::Signer;

/// How many removals are tolerated beyond the number of keys in use.
const SPARE_REMOVALS: usize = 16;

/// The most records re-signed or dropped beside one change. More than one, so that removals are dropped faster than
/// they come; few, because every survivor is news to the whole mesh and none of it is urgent.
const STEPS_PER_CHANGE: usize = 4;

/// The records a member signs itself. The owner re-signs its alive record with [`Own::summary`] after every change.
#[derive(Debug)]
pub struct Own {
    member: MemberId,
    life: (Generation, Session),
    mesh: MeshId,
    bounds: Bounds,
    table: Table,
    removals: usize,
    /// Bytes of the records in use, removals not counted.
    bytes_in_use: usize,
}

/// Why a record was not set. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The value is beyond what a record may hold or name. Make values with [`Value::of`].
    #[error("a value has at most {MAX_INLINE_BYTES} bytes in a record and at most {MAX_BLOB_BYTES} as a blob")]
    TooLarge,
    /// As many keys are in use as a member may have. Remove some, or raise [`Bounds::records`] in the whole mesh.
    #[error("all {0} keys that a member may have are in use")]
    TooMany(usize),
    /// The records in use have as many bytes as they may. Remove some, or raise [`Bounds::bytes`] in the whole mesh.
    #[error("all {0} bytes that a member's records may have are in use")]
    TooManyBytes(usize),
}

impl Own {
    /// No records yet. Versions start over, because `life` is above every life that had any.
    pub fn new(member: MemberId, life: (Generation, Session), mesh: MeshId, bounds: Bounds) -> Self {
        Self { member, life, mesh, bounds, table: Table::default(), removals: 0, bytes_in_use: 0 }
    }

    /// Says `value` under `key` from now on; [`Value::Removed`] withdraws the key. Returns what the mesh is to be told,
    /// oldest first: the new record, perhaps survivors that were re-signed, or nothing when nothing changes.
    ///
    /// # Errors
    /// [`SetError`] when the value or all records together are beyond their bounds.
    pub fn set(&mut self, key: Key, value: Value, signer: &dyn Signer) -> Result<Vec<Arc<Record>>, SetError> {
        let old = self.table.get(&key).filter(|record| !record.value().is_removed());
        match old {
            Some(old) if *old.value() == value => return Ok(Vec::new()),
            None if value.is_removed() => return Ok(Vec::new()),
            _ => {}
        }
        if !value.is_within_bounds() {
            return Err(SetError::TooLarge);
        }
        if old.is_none() && self.in_use() >= self.bounds.records {
            return Err(SetError::TooMany(self.bounds.records));
        }
        let old_bytes = old.map_or(0, |record| record.bytes().len());
        let record = self.sign(key, value, signer);
        let grows = !record.value().is_removed();
        if grows && self.bytes_in_use - old_bytes + record.bytes().len() > self.bounds.bytes {
            return Err(SetError::TooManyBytes(self.bounds.bytes));
        }
        let mut changed = vec![Arc::clone(&record)];
        self.put(record);
        let mut steps = STEPS_PER_CHANGE;
        while (steps > 0 && self.removals > self.in_use() + SPARE_REMOVALS) || (self.is_full() && self.removals > 0) {
            changed.extend(self.retire_oldest(signer));
            steps = steps.saturating_sub(1);
        }
        Ok(changed)
    }

    /// Withdraws `key`. Returns what the mesh is to be told, as [`Own::set`] does.
    pub fn remove(&mut self, key: Key, signer: &dyn Signer) -> Vec<Arc<Record>> {
        self.set(key, Value::Removed, signer).expect("a removal is within all bounds")
    }

    /// What goes into the alive record.
    pub fn summary(&self) -> Summary {
        self.table.summary()
    }

    /// The record of a key in use.
    pub fn get(&self, key: &Key) -> Option<&Arc<Record>> {
        self.table.get(key).filter(|record| !record.value().is_removed())
    }

    /// The records in use, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.table.iter().filter(|record| !record.value().is_removed())
    }

    /// All records above `version`, removals included, oldest first.
    pub fn after(&self, version: u64) -> &[Arc<Record>] {
        self.table.after(version)
    }

    /// How many keys are in use.
    pub fn in_use(&self) -> usize {
        self.table.len() - self.removals
    }

    /// Whether others could not hold another record.
    fn is_full(&self) -> bool {
        self.table.len() >= self.bounds.records.saturating_mul(2)
    }

    fn sign(&self, key: Key, value: Value, signer: &dyn Signer) -> Arc<Record> {
        let (generation, session) = self.life;
        let version = self.table.summary().last + 1;
        Arc::new(Record::sign(
            RecordBody { member: self.member, generation, session, key, version, value },
            self.mesh,
            signer,
        ))
    }

    fn put(&mut self, record: Arc<Record>) {
        self.count(&record, 1);
        if let Some(old) = self.table.insert(record) {
            self.count(&old, -1);
        }
    }

    fn count(&mut self, record: &Record, sign: isize) {
        if record.value().is_removed() {
            self.removals = self.removals.wrapping_add_signed(sign);
        } else {
            let bytes = isize::try_from(record.bytes().len()).expect("a record is small");
            self.bytes_in_use = self.bytes_in_use.wrapping_add_signed(sign * bytes);
        }
    }

    /// Makes the oldest record void. A removal is forgotten, as nothing older is left that it must keep down; anything
    /// else is signed anew.
    fn retire_oldest(&mut self, signer: &dyn Signer) -> Option<Arc<Record>> {
        let oldest = self.table.take_oldest()?;
        self.count(&oldest, -1);
        if oldest.value().is_removed() {
            return None;
        }
        let survivor = self.sign(oldest.key().clone(), oldest.value().clone(), signer);
        self.put(Arc::clone(&survivor));
        Some(survivor)
    }
}
