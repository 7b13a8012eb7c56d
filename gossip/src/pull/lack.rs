//! One thing that is lacking, and who may have it.

use std::time::Duration;

use super::Ticket;
use crate::id::MemberId;
use crate::moment::Moment;

/// The most tellers remembered for one thing. The owner comes on top.
const MAX_TELLERS: usize = 4;

/// The most answers one teller may give before it counts as having none: a member's records at their bounds, some
/// times over.
const MAX_PAGES: u32 = 512;

/// How often members are asked for before the question is dropped.
const MAX_MEMBER_TRIES: u32 = 8;

/// How long others may stand in for a stranger that told of it; and while much is lacking, which takes everybody longer.
const STAND_IN_FOR: Duration = Duration::from_secs(2);
const STAND_IN_FOR_MUCH: Duration = Duration::from_secs(6);

/// What can be lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Members,
    Records(MemberId),
    Blob([u8; 32]),
}

#[derive(Debug)]
pub(super) struct Lack {
    /// Those who may have it, in the order they are asked: who told first, the owner last.
    tellers: Vec<MemberId>,
    owner: Option<MemberId>,
    /// Whose turn it is: an index into the tellers, or their number for an owner that is none of them.
    turn: usize,
    /// How often everybody has been tried.
    rounds: u32,
    tries: u32,
    pages: u32,
    above: u64,
    after: Option<MemberId>,
    noticed: Moment,
    /// When it was last asked for in vain.
    tried: Moment,
    pub(super) asked: Option<Ticket>,
    /// When it is to be asked for, or was.
    pub(super) due: Moment,
}

impl Lack {
    pub(super) fn new(now: Moment, teller: MemberId, owner: Option<MemberId>, due: Moment) -> Self {
        let mut lack = Self {
            tellers: Vec::new(),
            owner,
            turn: 0,
            rounds: 0,
            tries: 0,
            pages: 0,
            above: 0,
            after: None,
            noticed: now,
            tried: Moment::ZERO,
            asked: None,
            due,
        };
        lack.add_teller(teller);
        lack
    }

    /// Remembers one more who may have it, in place of whoever was asked longest ago. Whether it is a new one.
    pub(super) fn add_teller(&mut self, teller: MemberId) -> bool {
        if self.tellers.contains(&teller) {
            return false;
        }
        if self.tellers.len() == MAX_TELLERS {
            self.tellers.remove(0);
            self.turn = self.turn.saturating_sub(1);
        }
        self.tellers.push(teller);
        true
    }

    /// Whom to ask now.
    pub(super) fn teller(&self) -> Option<MemberId> {
        self.tellers.get(self.turn).copied().or(self.owner).or_else(|| self.tellers.first().copied())
    }

    /// Whether somebody else may be asked in place of a teller that is a stranger.
    pub(super) fn may_stand_in(&self, now: Moment, is_much: bool) -> bool {
        let long = if is_much { STAND_IN_FOR_MUCH } else { STAND_IN_FOR };
        self.pages == 0 && self.noticed.after(long) > now
    }

    /// Whether nobody has been asked yet.
    pub(super) fn is_untried(&self) -> bool {
        self.tries == 0 && self.pages == 0
    }

    /// When it may be asked for earliest, seeing how often it was in vain; waits double from `first` up to `longest`.
    pub(super) fn bearable(&self, first: Duration, longest: Duration) -> Moment {
        self.tried.after(doubled(first, self.rounds).min(longest))
    }

    /// Whether the owner is to be asked next.
    pub(super) fn is_owners_turn(&self) -> bool {
        self.owner.is_some() && self.teller() == self.owner
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.tries >= MAX_MEMBER_TRIES
    }

    /// How often it has been asked for in vain.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) fn above(&self) -> u64 {
        self.above
    }

    pub(super) fn after(&self) -> Option<MemberId> {
        self.after
    }

    /// Whether the teller may go on for one more page.
    pub(super) fn go_on(&mut self) -> bool {
        self.pages += 1;
        self.pages < MAX_PAGES
    }

    /// The same, above a version; not for a teller that gets no further.
    pub(super) fn go_on_above(&mut self, upto: u64) -> bool {
        let further = upto > self.above;
        self.above = self.above.max(upto);
        further && self.go_on()
    }

    /// The same, after a member.
    pub(super) fn go_on_after(&mut self, last: MemberId) -> bool {
        let further = Some(last) > self.after;
        self.after = self.after.max(Some(last));
        further && self.go_on()
    }

    /// Gives `teller` the next turn as well.
    pub(super) fn stay_with(&mut self, teller: MemberId) {
        if self.teller() != Some(teller) {
            self.tellers.retain(|other| *other != teller);
            self.tellers.insert(self.turn.min(self.tellers.len()), teller);
            self.tellers.truncate(MAX_TELLERS);
        }
    }

    /// Gives the turn to the next teller. How often everybody has been tried by now.
    pub(super) fn turn_away_from(&mut self, now: Moment, teller: MemberId) -> u32 {
        self.tries = self.tries.saturating_add(1);
        self.tried = now;
        self.pages = 0;
        self.above = 0;
        self.after = None;
        // Somebody asked on the side leaves the turn where it was.
        if self.teller() == Some(teller) {
            self.turn += 1;
        }
        let owner_comes_last = self.owner.is_some_and(|owner| !self.tellers.contains(&owner));
        if self.turn >= self.tellers.len() + usize::from(owner_comes_last) {
            self.turn = 0;
            self.rounds = self.rounds.saturating_add(1);
        }
        self.rounds
    }
}

/// `wait`, twice as long after each of `rounds`.
pub(super) fn doubled(wait: Duration, rounds: u32) -> Duration {
    wait.saturating_mul(1 << rounds.min(16))
}
