//! Selectors that are asked again and again: the last answer is given as long as nothing it depends on has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::selector::Selector;
use super::{Resolution, resolve};
use crate::catalog::Catalog;
use crate::schema::SchemaBodies;

/// The most selectors whose answers a [`Resolver`] keeps. When one more comes, all are dropped and it starts anew.
pub const MAX_QUERIES: usize = 4096;

/// A selector with its last answer. Ask one query only with snapshots of one catalog, the clones that its one writer
/// publishes: their epochs tell them apart, those of other catalogs do not.
///
/// Asking takes no lock. Two who ask at once may both resolve; they get the same answer.
#[derive(Debug)]
pub struct Query {
    selector: Selector,
    last: ArcSwapOption<Answer>,
}

#[derive(Debug)]
struct Answer {
    resolution: Arc<Resolution>,
    /// The youngest epoch in which it was found to stand.
    epoch: AtomicU64,
}

impl Query {
    /// Nothing was asked yet.
    pub fn new(selector: Selector) -> Self {
        Self { selector, last: ArcSwapOption::empty() }
    }

    /// What is asked.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The answer in `catalog`: the last one while the capabilities it was looked up in (those of required dependencies
    /// included) have not changed and no schema has arrived that it waited for, a new one otherwise.
    pub fn answer(&self, catalog: &Catalog, bodies: &dyn SchemaBodies) -> Arc<Resolution> {
        let epoch = catalog.epoch();
        if let Some(last) = &*self.last.load() {
            let is_same = last.epoch.load(Ordering::Relaxed) == epoch && last.resolution.pending.is_empty();
            if is_same || last.resolution.stands(catalog, bodies) {
                last.epoch.store(epoch, Ordering::Relaxed);
                return last.resolution.clone();
            }
        }
        let resolution = Arc::new(resolve(catalog, bodies, &self.selector));
        self.last.store(Some(Arc::new(Answer { resolution: resolution.clone(), epoch: AtomicU64::new(epoch) })));
        resolution
    }
}

/// Queries by selector, for those who cannot keep their own. Asking takes no lock.
#[derive(Debug, Default)]
pub struct Resolver {
    queries: ArcSwap<BTreeMap<Selector, Arc<Query>>>,
}

impl Resolver {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The query for `selector`; keep it where the same is asked often.
    pub fn query(&self, selector: &Selector) -> Arc<Query> {
        if let Some(query) = self.queries.load().get(selector) {
            return query.clone();
        }
        let query = Arc::new(Query::new(selector.clone()));
        self.queries.rcu(|queries| {
            let mut queries = if queries.len() < MAX_QUERIES { (**queries).clone() } else { BTreeMap::new() };
            queries.insert(selector.clone(), query.clone());
            queries
        });
        query
    }

    /// The answer to `selector` in `catalog`; see [`Query::answer`].
    pub fn answer(&self, catalog: &Catalog, bodies: &dyn SchemaBodies, selector: &Selector) -> Arc<Resolution> {
        self.query(selector).answer(catalog, bodies)
    }
}
