//! Records of one member in two orders, and the sum of their marks.

use std::sync::Arc;

use crate::alive::Summary;
use crate::record::{Key, Record};

/// The newest record of every key. Two sorted vectors of shared records: a tenth of the memory of maps where a
/// thousand members hold ten records each of a thousand others, and an insertion among tens of thousands still moves
/// only kilobytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    by_version: Vec<Arc<Record>>,
    by_key: Vec<Arc<Record>>,
    bytes: usize,
    summary: Summary,
}

impl Table {
    /// Over everything that is not void. `last` never falls.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// How many records there are, void ones included.
    pub(super) fn len(&self) -> usize {
        self.by_version.len()
    }

    /// How many bytes they have, void ones included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Record>> {
        self.find(key).ok().map(|at| &self.by_key[at])
    }

    /// In order of their keys, void ones included.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Arc<Record>> {
        self.by_key.iter()
    }

    /// Everything above `version` that is not void, oldest first.
    pub(super) fn after(&self, version: u64) -> &[Arc<Record>] {
        let void = |record: &Arc<Record>| record.version() <= version || record.version() < self.summary.first;
        &self.by_version[self.by_version.partition_point(void)..]
    }

    /// Puts a record that is newer than what its key has, and not void. Returns what it replaces.
    pub(super) fn insert(&mut self, record: Arc<Record>) -> Option<Arc<Record>> {
        debug_assert!(record.version() >= self.summary.first);
        self.summary.last = self.summary.last.max(record.version());
        self.summary.hash = self.summary.hash.wrapping_add(record.mark());
        self.bytes += record.bytes().len();
        let old = match self.find(record.key()) {
            Ok(at) => Some(std::mem::replace(&mut self.by_key[at], Arc::clone(&record))),
            Err(at) => {
                self.by_key.insert(at, Arc::clone(&record));
                None
            }
        };
        if let Some(old) = &old {
            self.forget_version_of(old);
        }
        let at = self.by_version.partition_point(|held| held.version() <= record.version());
        self.by_version.insert(at, record);
        old
    }

    /// Takes out the record of the lowest version and makes void what may still be elsewhere up to it. For a table
    /// without void records.
    pub(super) fn take_oldest(&mut self) -> Option<Arc<Record>> {
        let oldest = Arc::clone(self.by_version.first()?);
        if let Ok(at) = self.find(oldest.key()) {
            self.by_key.remove(at);
        }
        self.forget_version_of(&oldest);
        self.summary.first = oldest.version() + 1;
        Some(oldest)
    }

    /// Makes everything below `first` void. Void records stay until [`Self::drop_void`].
    pub(super) fn raise(&mut self, first: u64) {
        let below = self.by_version.partition_point(|record| record.version() < first);
        let already = self.by_version.partition_point(|record| record.version() < self.summary.first);
        for record in self.by_version.get(already..below).unwrap_or_default() {
            self.summary.hash = self.summary.hash.wrapping_sub(record.mark());
        }
        self.summary.first = self.summary.first.max(first);
    }

    /// Notes that versions up to `last` are known to have existed.
    pub(super) fn reach(&mut self, last: u64) {
        self.summary.last = self.summary.last.max(last);
    }

    /// Takes the void records out, oldest first.
    pub(super) fn drop_void(&mut self) -> Vec<Arc<Record>> {
        let first = self.summary.first;
        let void = self.by_version.partition_point(|record| record.version() < first);
        if void == 0 {
            return Vec::new();
        }
        self.by_key.retain(|record| record.version() >= first);
        let dropped: Vec<_> = self.by_version.drain(..void).collect();
        self.bytes -= dropped.iter().map(|record| record.bytes().len()).sum::<usize>();
        dropped
    }

    fn forget_version_of(&mut self, old: &Arc<Record>) {
        self.bytes -= old.bytes().len();
        if old.version() >= self.summary.first {
            self.summary.hash = self.summary.hash.wrapping_sub(old.mark());
        }
        // A member that signs one version twice gets both in; the key tells them apart.
        let from = self.by_version.partition_point(|record| record.version() < old.version());
        if let Some(at) = self.by_version[from..].iter().position(|record| Arc::ptr_eq(record, old)) {
            self.by_version.remove(from + at);
        }
    }

    fn find(&self, key: &Key) -> Result<usize, usize> {
        self.by_key.binary_search_by(|record| record.key().cmp(key))
    }
}
