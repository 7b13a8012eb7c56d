//! Who provides what somebody needs: candidates best first, and why the others are not among them.
//!
//! Every offer of the wanted capability passes the stages namespace, health (its member, itself, and whatever it
//! requires in turn), tags, version and schema; the survivors are ordered by [`Score`]. Nothing here is decided by the
//! order in which offers arrived.

pub mod affinity;
mod availability;
mod explain;
pub mod llm;
mod query;
pub mod sample;
mod schema;
mod score;
pub mod selector;
pub mod tags;
pub mod version;

use std::collections::BTreeSet;
use std::sync::Arc;

use availability::Availability;
pub use availability::{Lack, LackReason};
pub use explain::{Eviction, Explanation, Reason, Stage};
pub use query::{MAX_QUERIES, Query, Resolver};
use schema::SchemaCheck;
pub use schema::{SchemaFit, SchemaMismatch};
pub use score::{Rank, Score};
use selector::{DEFAULT_NAMESPACE, MatchMode, Selector};

use crate::catalog::{Catalog, Offer, Row, Standing};
use crate::schema::{Digest, SchemaBodies};

/// What came of a selector.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// All who will do, best first.
    pub candidates: Vec<Candidate>,
    /// Why the others will not.
    pub explanation: Explanation,
    /// The capabilities it was looked up in, and their stamps: while none changes, the answer stands.
    depends: Vec<(Arc<str>, u64)>,
    /// Schemas that were needed and are not here yet: when one arrives, the answer may change.
    pending: Vec<Digest>,
}

/// An offer that will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The offer.
    pub offer: Offer,
    /// What membership thinks of its member.
    pub standing: Standing,
    /// What its tags are worth to the selector.
    pub tag_score: u32,
    /// Whether its schema is known to match.
    pub schema: SchemaFit,
}

/// Whom a resolution is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// A tool that depends on it.
    Tool,
    /// A model, which can only be shown tools whose arguments have a schema.
    Model,
}

/// Resolves `selector` against `catalog`. Bodies of schemas come from `bodies`; one that is not there keeps the
/// candidate, ranks it last, and is listed in [`Resolution::pending_schemas`].
///
/// A selector that names no namespace looks into `default`; see [`Selector::asked_in`].
pub fn resolve(catalog: &Catalog, bodies: &dyn SchemaBodies, selector: &Selector) -> Resolution {
    resolve_for(Audience::Tool, catalog, bodies, selector)
}

fn resolve_for(audience: Audience, catalog: &Catalog, bodies: &dyn SchemaBodies, selector: &Selector) -> Resolution {
    let mut judge = Judge::new(audience, catalog, bodies, DEFAULT_NAMESPACE);
    judge.availability.touch(&selector.capability);
    let rows = catalog.rows(&selector.capability);
    let mut candidates = Vec::with_capacity(rows.len());
    let mut evictions = Vec::new();
    for row in rows {
        match judge.judge(selector, row) {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => evictions.push(Eviction { offer: row.offer.clone(), reason }),
        }
    }
    candidates.sort_by(|a, b| b.score().cmp(&a.score()));
    let (depends, pending) = judge.availability.into_traces();
    Resolution { candidates, explanation: Explanation::new(selector.clone(), evictions), depends, pending }
}

/// The schemas that resolving `selectors` needs or will need: fetch them before they are asked for.
pub fn needed_schemas<'a>(catalog: &Catalog, selectors: impl IntoIterator<Item = &'a Selector>) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    for selector in selectors {
        let Some(wish) = selector.schema.filter(|wish| wish.mode == MatchMode::Subset) else {
            continue;
        };
        let published = catalog.rows(&selector.capability).iter().filter_map(|row| row.offer.tool().output);
        let before = needed.len();
        needed.extend(published.filter(|digest| *digest != wish.digest));
        if needed.len() > before {
            needed.insert(wish.digest);
        }
    }
    needed
}

/// Passes offers through the stages.
struct Judge<'a> {
    audience: Audience,
    home: &'a str,
    availability: Availability<'a>,
}

impl<'a> Judge<'a> {
    fn new(audience: Audience, catalog: &'a Catalog, bodies: &'a dyn SchemaBodies, home: &'a str) -> Self {
        Self { audience, home, availability: Availability::new(catalog, SchemaCheck::new(bodies)) }
    }

    fn judge(&mut self, selector: &Selector, row: &'a Row) -> Result<Candidate, Reason> {
        let tool = row.offer.tool();
        if !selector.namespace.includes(&row.offer.offers().namespace, self.home) {
            return Err(Reason::OtherNamespace(row.offer.offers().namespace.clone()));
        }
        if row.standing == Standing::Gone {
            return Err(Reason::Gone);
        }
        if !row.status.is_usable() {
            return Err(Reason::Unhealthy(row.status));
        }
        if !self.availability.is_available(row) {
            return Err(Reason::Withdrawn(self.availability.lack(row)));
        }
        if self.audience == Audience::Model && tool.input.is_none() {
            return Err(Reason::NoInputSchema);
        }
        let tag_score = selector.tags.score(&tool.tags).map_err(Reason::Tags)?;
        if !selector.version.allows(&tool.version) {
            return Err(Reason::Version);
        }
        let schema = self.availability.schemas.check(selector.schema.as_ref(), tool).map_err(Reason::Schema)?;
        Ok(Candidate { offer: row.offer.clone(), standing: row.standing, tag_score, schema })
    }
}

impl Resolution {
    /// The best candidate: what the existing system would have answered.
    pub fn best(&self) -> Option<&Candidate> {
        self.candidates.first()
    }

    /// All candidates as good as the best one; a caller chooses among them per call.
    pub fn equals(&self) -> &[Candidate] {
        let Some(best) = self.best() else { return &[] };
        let equal = self.candidates.iter().take_while(|candidate| candidate.rank() == best.rank()).count();
        &self.candidates[..equal]
    }

    /// Schemas that were needed and had not arrived.
    pub fn pending_schemas(&self) -> &[Digest] {
        &self.pending
    }

    /// Whether the answer still stands.
    fn stands(&self, catalog: &Catalog, bodies: &dyn SchemaBodies) -> bool {
        self.depends.iter().all(|(capability, stamp)| catalog.stamp(capability) == *stamp)
            && !self.pending.iter().any(|digest| bodies.body(digest).is_some())
    }
}

impl Candidate {
    /// Its place among the candidates.
    pub fn score(&self) -> Score<'_> {
        Score::new(self.rank(), &self.offer)
    }

    /// How good it is, whoever it is.
    pub fn rank(&self) -> Rank<'_> {
        Rank { schema: self.schema, standing: self.standing, tags: self.tag_score, version: &self.offer.tool().version }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
