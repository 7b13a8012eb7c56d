//! Where datagrams come in: how much one source may send, what is opened, and what strangers are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::alive::{Address, Alive};
use crate::id::MemberId;
use crate::identity;
use crate::moment::Moment;
use crate::roster::{Member, Proof, Roster};
use crate::seal::{Advice, Opened, Opener, REFUSAL_BYTES, RateLimit, RateLimits, Refusal, Refuser, Sealer};

/// What to do about a datagram.
pub(super) enum Verdict {
    /// Give it to the core.
    Opened(Opened),
    /// Tell its sender why it was refused.
    Refuse([u8; REFUSAL_BYTES]),
    /// Its sender could not read what we sent.
    Advised(Advice),
    /// Nothing; it has been counted.
    Dropped,
}

pub(super) struct Gate {
    limit: RateLimit,
    refuser: Refuser,
    refused: BTreeMap<&'static str, u64>,
    /// Addresses that have an allowance, with the members it was given for: whoever claims to live there too and is
    /// found out does not take it away from them.
    homes: BTreeSet<(SocketAddr, MemberId)>,
}

impl Gate {
    pub(super) fn new(limits: RateLimits) -> Self {
        let seed = || u64::from_le_bytes(identity::random());
        Self {
            limit: RateLimit::new(limits, seed()),
            refuser: Refuser::new(seed()),
            refused: BTreeMap::new(),
            homes: BTreeSet::new(),
        }
    }

    pub(super) fn judge(
        &mut self,
        now: Moment,
        from: SocketAddr,
        datagram: &[u8],
        opener: &mut Opener,
        sealer: &Sealer,
    ) -> Verdict {
        if !self.limit.allow(now, from, 1) {
            return self.drop_for("too_many");
        }
        if Refusal::is(datagram) {
            return match Refusal::decode(datagram) {
                Ok(refusal) if refusal.answers(sealer) => Verdict::Advised(refusal.advice),
                _ => self.drop_for("bad_refusal"),
            };
        }
        match opener.open(from, datagram) {
            Ok(opened) => Verdict::Opened(opened),
            Err(refused) => {
                let answer = self.refuser.answer(now, from, refused, datagram);
                let dropped = self.drop_for(refused.label());
                answer.map_or(dropped, Verdict::Refuse)
            }
        }
    }

    /// This member does not live there any more.
    pub(super) fn forget(&mut self, alive: &Alive) {
        for address in alive.body().addresses.iter().map(Address::gossip) {
            let (first, last) = (MemberId::from_bytes([0; 16]), MemberId::from_bytes([0xff; 16]));
            if self.homes.remove(&(address, alive.id()))
                && self.homes.range((address, first)..=(address, last)).count() == 0
            {
                self.limit.forget(address);
            }
        }
    }

    /// Gives live members that have answered an allowance of their own. To be called now and then.
    pub(super) fn know(&mut self, roster: &Roster) {
        let answered = |member: &&Member| member.is_live() && member.proof == Proof::Answered;
        for member in roster.iter().map(|(_, member)| member).filter(answered) {
            for address in member.alive.body().addresses.iter().map(Address::gossip) {
                if self.homes.insert((address, member.alive.id())) {
                    self.limit.know(address);
                }
            }
        }
    }

    /// What was dropped unread, by reason.
    pub(super) fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }

    fn drop_for(&mut self, reason: &'static str) -> Verdict {
        *self.refused.entry(reason).or_default() += 1;
        Verdict::Dropped
    }
}
