//! The records of a member: those we write ourselves ([`Own`]) and those we hold of somebody else ([`Held`]).
//!
//! Versions count a member's changes, whatever the key, so "everything above version 17" names what somebody lacks.
//! Of a key only the newest record is kept. A removal is a record like any other until the owner has re-signed, above
//! it, everything that is older than it and still in use; then the owner raises `first`, and what lies below is void.
//!
//! A summary covers all of it: the sum of the marks of all records that are not void (see
//! [`Record::mark`](crate::record::Record::mark)), which costs one addition a change.
//!
//! A restart needs no removals at all: it starts empty under a new generation, and everything older is void.

mod held;
mod own;
mod table;

pub use held::{Accepted, Held};
pub use own::{Own, SetError};

/// How much one member may offer. The same throughout a mesh, or at least nowhere lower than with those who offer most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most keys in use. A seed that speaks for thousands of foreign agents needs thousands.
    pub records: usize,
    /// The most bytes of the records in use, blobs not included.
    pub bytes: usize,
}

/// How many times its bounds a member takes with those who hold its records: once for what is in use, once for
/// removals, and for a while again for what has become void and is still awaited anew.
const HELD_TIMES: usize = 4;

impl Bounds {
    fn held_records(&self) -> usize {
        self.records.saturating_mul(HELD_TIMES)
    }

    fn held_bytes(&self) -> usize {
        self.bytes.saturating_mul(HELD_TIMES)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { records: 20_000, bytes: 64 << 20 }
    }
}

#[cfg(test)]
mod tests;
