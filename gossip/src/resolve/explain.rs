//! Why offers are not among the candidates: typed for programs, a sentence each for people.

use std::fmt;
use std::sync::Arc;

use super::availability::Lack;
use super::schema::SchemaMismatch;
use super::selector::Selector;
use super::tags::TagMismatch;
use crate::catalog::{Offer, Status};

/// The stages an offer passes, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It is where the selector looks.
    Namespace,
    /// Its member is there, it is healthy, and what it requires is available.
    Health,
    /// It has the right tags.
    Tags,
    /// It has a version that will do.
    Version,
    /// Its schema matches.
    Schema,
}

/// Why an offer will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is in this namespace, where the selector does not look.
    OtherNamespace(Arc<str>),
    /// Its member is dead or has left.
    Gone,
    /// Its agent says that it does not work.
    Unhealthy(Status),
    /// Something that it requires is not available.
    Withdrawn(Lack),
    /// A model cannot be shown a tool whose arguments have no schema.
    NoInputSchema,
    /// Its tags will not do.
    Tags(TagMismatch),
    /// Its version will not do.
    Version,
    /// Its schema will not do.
    Schema(SchemaMismatch),
}

/// An offer that is not among the candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Eviction {
    /// The offer.
    pub offer: Offer,
    /// Why.
    pub reason: Reason,
}

/// What each stage dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    selector: Selector,
    evictions: Vec<Eviction>,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 5] = [Self::Namespace, Self::Health, Self::Tags, Self::Version, Self::Schema];
}

impl Reason {
    /// The stage that it is a reason of.
    pub fn stage(&self) -> Stage {
        match self {
            Self::OtherNamespace(_) => Stage::Namespace,
            Self::Gone | Self::Unhealthy(_) | Self::Withdrawn(_) | Self::NoInputSchema => Stage::Health,
            Self::Tags(_) => Stage::Tags,
            Self::Version => Stage::Version,
            Self::Schema(_) => Stage::Schema,
        }
    }
}

impl Explanation {
    pub(super) fn new(selector: Selector, evictions: Vec<Eviction>) -> Self {
        Self { selector, evictions }
    }

    /// What was asked.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Everybody who offers the capability and will not do, by agent.
    pub fn evictions(&self) -> &[Eviction] {
        &self.evictions
    }

    /// Those that `stage` dropped.
    pub fn dropped_by(&self, stage: Stage) -> impl Iterator<Item = &Eviction> {
        self.evictions.iter().filter(move |eviction| eviction.reason.stage() == stage)
    }

    /// Those that `stage` let pass and a later one dropped. With the candidates, they are what it kept.
    pub fn dropped_after(&self, stage: Stage) -> impl Iterator<Item = &Eviction> {
        self.evictions.iter().filter(move |eviction| eviction.reason.stage() > stage)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherNamespace(namespace) => write!(f, "is in namespace {namespace}"),
            Self::Gone => f.write_str("is gone"),
            Self::Unhealthy(Status::Unknown) => f.write_str("does not say whether it is healthy"),
            Self::Unhealthy(_) => f.write_str("is unhealthy"),
            Self::Withdrawn(lack) => write!(f, "{lack}"),
            Self::NoInputSchema => f.write_str("has no schema for its arguments"),
            Self::Tags(mismatch) => write!(f, "{mismatch}"),
            Self::Version => f.write_str("has a version that will not do"),
            Self::Schema(mismatch) => write!(f, "{mismatch}"),
        }
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.offer, self.reason)?;
        match self.reason {
            Reason::Version => write!(f, ": {}", self.offer.tool().version),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Explanation {
    /// What was asked, and one line for each offer that will not do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.selector)?;
        self.evictions.iter().try_for_each(|eviction| write!(f, "\n  {eviction}"))
    }
}
