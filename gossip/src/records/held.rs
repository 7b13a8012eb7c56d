//! What we hold of another member.

use std::sync::Arc;

use super::Bounds;
use super::table::Table;
use crate::alive::Summary;
use crate::id::{Generation, Session};
use crate::record::{Key, Record};

/// The records of another member's present life. Of a new life make a new one: everything here is void then.
#[derive(Clone, Debug)]
pub struct Held {
    life: (Generation, Session),
    table: Table,
    known: Summary,
    settled: u64,
    overflowed: bool,
}

/// What became of a record that somebody brought.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It is news: tell others.
    Newer {
        /// What its key had before.
        replaced: Option<Arc<Record>>,
    },
    /// We had it, or a newer one of its key.
    Known,
    /// It is of another life, or below `first`.
    Void,
    /// The member offers more than one member may. We do without, and no longer count as missing what we refused.
    OverBound,
}

impl Held {
    /// Nothing yet of the life that `known`, the summary in the member's newest alive record, is about.
    pub fn new(life: (Generation, Session), known: Summary) -> Self {
        let mut held = Self { life, table: Table::default(), known: Summary::default(), settled: 0, overflowed: false };
        held.know(known);
        held
    }

    /// Which generation and session of the member it is about.
    pub fn life(&self) -> (Generation, Session) {
        self.life
    }

    /// Takes note of the summary in a newer alive record of this life. What falls below its `first` is void: it is not
    /// handed on any more, but stays readable until its successor arrived or nothing is missing (see
    /// [`Held::drop_void`]), because most of it was merely re-signed.
    pub fn know(&mut self, known: Summary) {
        if known.first > self.known.first {
            self.overflowed = false;
        }
        self.known = known;
        self.table.raise(known.first);
        self.settle();
    }

    /// Takes a record in, unless what is held is as new.
    pub fn accept(&mut self, record: Arc<Record>, bounds: &Bounds) -> Accepted {
        if record.life() != self.life || record.version() < self.table.summary().first {
            return Accepted::Void;
        }
        let (old_records, old_bytes) = match self.table.get(record.key()) {
            Some(held) if held.version() >= record.version() => return Accepted::Known,
            Some(held) => (1, held.bytes().len()),
            None => (0, 0),
        };
        let records = self.table.len() - old_records + 1;
        let bytes = self.table.bytes() - old_bytes + record.bytes().len();
        let grows = old_records == 0 || record.bytes().len() > old_bytes;
        if grows && (records > bounds.held_records() || bytes > bounds.held_bytes()) {
            self.overflowed = true;
            return Accepted::OverBound;
        }
        if record.bytes().len() < old_bytes {
            self.overflowed = false;
        }
        let replaced = self.table.insert(record);
        self.settle();
        Accepted::Newer { replaced }
    }

    /// Takes out what is void and will not come back, oldest first: to be told to readers as removed. Nothing before
    /// everything else is here.
    pub fn drop_void(&mut self) -> Vec<Arc<Record>> {
        if self.is_missing() { Vec::new() } else { self.table.drop_void() }
    }

    /// Whether the owner offers something that is not here. `false` also while we hold records that are newer than the
    /// newest summary we know: it says nothing then, and its successor is under way.
    pub fn is_missing(&self) -> bool {
        let here = self.table.summary();
        here.last <= self.known.last && here.hash != self.known.hash && !self.overflowed
    }

    /// The version up to which nothing is missing: ask for what is above.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Whether nothing would come of a record of this version: it is here, or so is what made it void.
    pub fn holds(&self, version: u64) -> bool {
        let above = self.table.after(version.saturating_sub(1));
        self.settled >= version || above.first().is_some_and(|record| record.version() == version)
    }

    /// What is here. Comparable with the summary in an alive record.
    pub fn summary(&self) -> Summary {
        self.table.summary()
    }

    /// The newest record of a key, a removal included.
    pub fn get(&self, key: &Key) -> Option<&Arc<Record>> {
        self.table.get(key)
    }

    /// The records in use, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.table.iter().filter(|record| !record.value().is_removed())
    }

    /// All records above `version`, removals included, oldest first.
    pub fn after(&self, version: u64) -> &[Arc<Record>] {
        self.table.after(version)
    }

    /// How many records there are, removals included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none, not even removals.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// How many bytes the records have.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    fn settle(&mut self) {
        let here = self.table.summary();
        if here.last <= self.known.last && here.hash == self.known.hash {
            self.table.reach(self.known.last);
            self.settled = self.known.last;
        }
    }
}
