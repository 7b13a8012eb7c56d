//! Which of two candidates is better: one comparison, and all policy is in it.

use std::cmp::Reverse;

use super::schema::SchemaFit;
use crate::catalog::{AgentId, Offer, Standing};
use crate::id::MemberId;
use crate::resolve::version::Version;

/// How good a candidate is, whoever it is. The order of the fields is the order of precedence; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank<'a> {
    /// A schema that is not here yet ranks last: an answer of the wrong shape is worse than a retry.
    pub schema: SchemaFit,
    /// A suspect ranks behind everybody who is not.
    pub standing: Standing,
    /// One preferred tag outweighs any version.
    pub tags: u32,
    /// The newer version is better.
    pub version: &'a Version,
}

/// A candidate's place: its rank, then its id, so that no two are equal and everybody orders them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score<'a> {
    /// How good it is.
    pub rank: Rank<'a>,
    /// Among equals the smallest agent id comes first, then function, member and place among its agent's tools.
    pub key: Reverse<(&'a AgentId, &'a str, MemberId, usize)>,
}

impl<'a> Score<'a> {
    pub(super) fn new(rank: Rank<'a>, offer: &'a Offer) -> Self {
        Self { rank, key: Reverse(offer.key()) }
    }
}
