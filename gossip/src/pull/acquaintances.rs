//! Whom we have talked to over streams of late. A question to anybody else begins with a handshake, which costs both ends
//! a hundred times what the question does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::id::MemberId;
use crate::moment::Moment;

/// The most that are remembered.
const KEPT: usize = 64;

/// For how long: well below the time after which an idle connection is closed.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// So many strangers are asked within [`STRANGERS_WITHIN`] without a second thought. More come up when many join at once:
/// each is told of by somebody else. While much is lacking it is so many within [`STRANGERS_WITHIN_OF_MUCH`].
const STRANGERS: usize = 3;
const STRANGERS_WITHIN: Duration = Duration::from_secs(2);
const STRANGERS_WITHIN_OF_MUCH: Duration = KEPT_FOR;

#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    /// When each last asked or answered.
    met: BTreeMap<MemberId, Moment>,
    /// When strangers were asked, oldest first.
    strangers: VecDeque<Moment>,
}

impl Acquaintances {
    pub(super) fn meet(&mut self, now: Moment, member: MemberId) {
        self.met.insert(member, now);
        if self.met.len() > KEPT {
            let longest_ago = self.met.iter().min_by_key(|(_, at)| **at).map(|(member, _)| *member);
            longest_ago.and_then(|member| self.met.remove(&member));
        }
    }

    pub(super) fn lose(&mut self, member: &MemberId) {
        self.met.remove(member);
    }

    pub(super) fn knows(&self, now: Moment, member: &MemberId) -> bool {
        self.met.get(member).is_some_and(|at| at.after(KEPT_FOR) > now)
    }

    /// A stranger is being asked something.
    pub(super) fn ask_a_stranger(&mut self, now: Moment) {
        self.strangers.push_back(now);
        if self.strangers.len() > STRANGERS {
            self.strangers.pop_front();
        }
    }

    /// Whether one more stranger may be asked as if nothing were going on.
    pub(super) fn may_ask_a_stranger(&self, now: Moment, is_much: bool) -> bool {
        let within = if is_much { STRANGERS_WITHIN_OF_MUCH } else { STRANGERS_WITHIN };
        let is_over = |at: &Moment| at.after(within) <= now;
        self.strangers.len() < STRANGERS || self.strangers.front().is_none_or(is_over)
    }

    /// One of those who are no strangers.
    pub(super) fn somebody(&self, now: Moment, rng: &mut impl Rng) -> Option<MemberId> {
        let known: Vec<MemberId> = self.met.keys().filter(|member| self.knows(now, member)).copied().collect();
        (!known.is_empty()).then(|| known[rng.random_range(0..known.len())])
    }
}
