//! The schema stage: whether a tool's result is what the consumer expects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::selector::{MatchMode, SchemaWish};
use crate::catalog::Tool;
use crate::schema::subset::{Mismatch, mismatches};
use crate::schema::{Digest, SchemaBodies};

/// Whether a candidate's schema is known to match; better is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaFit {
    /// A body has not arrived yet, so nobody knows.
    Pending,
    /// It matches, or nothing was asked.
    Fits,
}

/// Why a tool's schema will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaMismatch {
    /// The same schema was asked for, and the tool publishes none.
    NotPublished,
    /// The same schema was asked for, and the tool's is another.
    Other(Digest),
    /// The tool's schema lacks something.
    Lacks(Digest, Vec<Mismatch>),
}

/// Checks schemas, each pair once.
pub(super) struct SchemaCheck<'a> {
    bodies: &'a dyn SchemaBodies,
    checked: BTreeMap<(Digest, Digest), Result<SchemaFit, Vec<Mismatch>>>,
    pending: BTreeSet<Digest>,
}

impl<'a> SchemaCheck<'a> {
    pub(super) fn new(bodies: &'a dyn SchemaBodies) -> Self {
        Self { bodies, checked: BTreeMap::new(), pending: BTreeSet::new() }
    }

    pub(super) fn check(&mut self, wish: Option<&SchemaWish>, tool: &Tool) -> Result<SchemaFit, SchemaMismatch> {
        let Some(wish) = wish else { return Ok(SchemaFit::Fits) };
        match (wish.mode, tool.output) {
            (_, Some(published)) if published == wish.digest => Ok(SchemaFit::Fits),
            (MatchMode::Subset, None) => Ok(SchemaFit::Fits),
            (MatchMode::Strict, None) => Err(SchemaMismatch::NotPublished),
            (MatchMode::Strict, Some(published)) => Err(SchemaMismatch::Other(published)),
            (MatchMode::Subset, Some(published)) => {
                let compared = self.compare(wish.digest, published);
                compared.map_err(|mismatches| SchemaMismatch::Lacks(published, mismatches))
            }
        }
    }

    pub(super) fn into_pending(self) -> Vec<Digest> {
        self.pending.into_iter().collect()
    }

    fn compare(&mut self, expected: Digest, published: Digest) -> Result<SchemaFit, Vec<Mismatch>> {
        let (bodies, pending) = (self.bodies, &mut self.pending);
        let compare = || {
            let mut fetch = |digest| {
                let body = bodies.body(&digest);
                if body.is_none() {
                    pending.insert(digest);
                }
                body
            };
            let (Some(consumer), Some(producer)) = (fetch(expected), fetch(published)) else {
                return Ok(SchemaFit::Pending);
            };
            let found = mismatches(&consumer, &producer);
            if found.is_empty() { Ok(SchemaFit::Fits) } else { Err(found) }
        };
        self.checked.entry((expected, published)).or_insert_with(compare).clone()
    }
}

impl fmt::Display for SchemaMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublished => f.write_str("publishes no schema"),
            Self::Other(_) => f.write_str("has another schema"),
            Self::Lacks(_, mismatches) => {
                f.write_str("has a schema that does not fit: ")?;
                let all: Vec<_> = mismatches.iter().map(Mismatch::to_string).collect();
                f.write_str(&all.join(", "))
            }
        }
    }
}
