//! What everybody believes, held against what is true, and how long it takes until everybody knows something.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_gossip::moment::Moment;

use crate::host::{News, Standing};
use crate::network::HostSet;
use crate::world::Watch;

/// Something that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// A member is there, in this life of its or a later one.
    There {
        /// Who.
        member: u32,
        /// Which life, counted from 0.
        life: u32,
    },
    /// A member is not there (any more).
    Gone {
        /// Who.
        member: u32,
    },
    /// A record is held in this version or a later one.
    Record {
        /// Whose.
        member: u32,
        /// Which.
        key: u32,
        /// At least this version.
        version: u64,
    },
    /// Whoever resolves is not given this provider (any more).
    NotGiven {
        /// Who.
        member: u32,
    },
}

/// The key that stands for being given, in place of a record's.
const GIVEN: u32 = u32::MAX;

impl Fact {
    fn subject(self) -> Subject {
        match self {
            Self::There { member, .. } | Self::Gone { member } => Subject { member, key: None },
            Self::Record { member, key, .. } => Subject { member, key: Some(key) },
            Self::NotGiven { member } => Subject { member, key: Some(GIVEN) },
        }
    }
}

/// Names an event whose spreading is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId(usize);

/// How an event spread.
#[derive(Clone, Debug)]
pub struct Spread {
    /// When it happened.
    pub since: Moment,
    /// How long each learnt fact took, in the order of learning.
    pub took: Vec<Duration>,
    /// How many (observer, fact) pairs are still missing.
    pub missing: u32,
}

impl Spread {
    /// How long it took until everybody knew everything; `None` while somebody does not.
    pub fn to_all(&self) -> Option<Duration> {
        (self.missing == 0).then(|| self.took.last().copied().unwrap_or_default())
    }
}

/// Who was wrongly taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseDeath {
    /// When.
    pub at: Moment,
    /// By whom.
    pub observer: u32,
    /// Who.
    pub member: u32,
    /// Until when; `None` while it lasts.
    pub until: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    member: u32,
    key: Option<u32>,
}

#[derive(Debug)]
struct Waiting {
    event: EventId,
    fact: Fact,
    missing: HostSet,
}

/// See the [module's page](self).
#[derive(Debug, Default)]
pub struct Ledger {
    beliefs: Vec<Vec<Standing>>,
    believed_lives: Vec<Vec<u32>>,
    lives: Vec<u32>,
    up: Vec<bool>,
    excused: HostSet,
    divided: Vec<HostSet>,
    given: Vec<HostSet>,
    wrong: u64,
    settled: Option<Moment>,
    spreads: Vec<Spread>,
    waiting: BTreeMap<Subject, Vec<Waiting>>,
    false_deaths: Vec<FalseDeath>,
    open_false_deaths: BTreeMap<(u32, u32), usize>,
    suspicions: u64,
    refutations: u64,
    refusals: u64,
    seen: Vec<u32>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// A host is up from now on, in this life. It knows nobody yet.
    pub fn started(&mut self, now: Moment, host: u32, life: u32) {
        let index = host as usize;
        while self.up.len() <= index {
            self.up.push(false);
            self.lives.push(0);
            self.seen.push(0);
            self.beliefs.push(Vec::new());
            self.believed_lives.push(Vec::new());
        }
        let size = self.up.len();
        for row in &mut self.beliefs {
            row.resize(size, Standing::Unknown);
        }
        for row in &mut self.believed_lives {
            row.resize(size, 0);
        }
        let before = self.wrong_around(index);
        self.up[index] = true;
        self.lives[index] = life;
        self.beliefs[index].fill(Standing::Unknown);
        self.believed_lives[index].fill(0);
        self.seen[index] = 0;
        self.set_wrong(now, self.wrong - before + self.wrong_around(index));
    }

    /// A host is down from now on: crashed or left.
    pub fn stopped(&mut self, now: Moment, host: u32) {
        let before = self.wrong_around(host as usize);
        self.up[host as usize] = false;
        self.set_wrong(now, self.wrong - before + self.wrong_around(host as usize));
        let ended: Vec<_> =
            self.open_false_deaths.keys().filter(|(by, of)| *by == host || *of == host).copied().collect();
        for pair in ended {
            self.end_false_death(now, pair);
        }
        for waiting in self.waiting.values_mut().flatten() {
            if waiting.missing.remove(host) {
                self.spreads[waiting.event.0].missing -= 1;
            }
        }
    }

    /// Deaths of these hosts are not held against anybody: they are stalled, cut off, or were a moment ago.
    pub fn excuse(&mut self, hosts: HostSet) {
        self.excused = hosts;
    }

    /// Members on one side of any of these sets cannot reach those on the other, or could not a moment ago: to take
    /// them for dead is right.
    pub fn divide(&mut self, sets: Vec<HostSet>) {
        self.divided = sets;
    }

    /// Watches how long it takes until each of `observers` knows all of `facts`.
    pub fn expect(&mut self, now: Moment, facts: &[Fact], observers: impl Iterator<Item = u32> + Clone) -> EventId {
        let event = EventId(self.spreads.len());
        let mut missing_in_all = 0;
        for fact in facts {
            let missing: HostSet = observers.clone().filter(|observer| !self.knows(*observer, *fact)).collect();
            let count = missing.len();
            if count > 0 {
                missing_in_all += count;
                self.waiting.entry(fact.subject()).or_default().push(Waiting { event, fact: *fact, missing });
            }
        }
        self.spreads.push(Spread { since: now, took: Vec::new(), missing: missing_in_all });
        event
    }

    /// How an event has spread so far.
    pub fn spread(&self, event: EventId) -> &Spread {
        &self.spreads[event.0]
    }

    /// How everything that was expected has spread so far.
    pub fn spreads(&self) -> &[Spread] {
        &self.spreads
    }

    /// Stops watching an event.
    pub fn forget(&mut self, event: EventId) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|waiting| waiting.event != event);
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    /// Nobody need learn this any more: it is no longer true.
    pub fn withdraw(&mut self, fact: Fact) {
        let Some(waiting) = self.waiting.get_mut(&fact.subject()) else { return };
        for waiting in waiting.iter().filter(|waiting| waiting.fact == fact) {
            self.spreads[waiting.event.0].missing -= waiting.missing.len();
        }
        waiting.retain(|waiting| waiting.fact != fact);
    }

    /// Since when everybody who is up has been right about everybody.
    pub fn agreed_since(&self) -> Option<Moment> {
        self.settled
    }

    /// How many (observer, member) pairs are wrong at present.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Every time somebody took a live member for dead.
    pub fn false_deaths(&self) -> &[FalseDeath] {
        &self.false_deaths
    }

    /// How often somebody suspected somebody.
    pub fn suspicions(&self) -> u64 {
        self.suspicions
    }

    /// How often somebody had to say that it lives.
    pub fn refutations(&self) -> u64 {
        self.refutations
    }

    /// How often somebody refused what a peer sent.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// How many members a host takes for live, itself included; 0 when it is down.
    pub fn seen_by(&self, host: u32) -> u32 {
        let index = host as usize;
        if self.up.get(index).copied().unwrap_or(false) { self.seen[index] + 1 } else { 0 }
    }

    /// How many hosts are up.
    pub fn up(&self) -> u32 {
        u32::try_from(self.up.iter().filter(|up| **up).count()).expect("hosts are counted in 32 bits")
    }

    /// What a member is in an observer's eyes.
    pub fn standing(&self, observer: u32, member: u32) -> Standing {
        self.beliefs[observer as usize][member as usize]
    }

    /// Whether an observer takes a member for live.
    pub fn sees(&self, observer: u32, member: u32) -> bool {
        is_there(self.standing(observer, member))
    }

    fn knows(&self, observer: u32, fact: Fact) -> bool {
        match fact {
            Fact::Gone { member } => observer == member || !is_there(self.standing(observer, member)),
            // Whether the belief is about this life is only told when it is learnt.
            Fact::There { member, .. } => observer == member,
            Fact::Record { member, .. } => observer == member,
            Fact::NotGiven { member } => !self.given.get(observer as usize).is_some_and(|set| set.contains(member)),
        }
    }

    fn is_wrong(&self, observer: usize, member: usize) -> bool {
        observer != member && self.up[observer] && is_there(self.beliefs[observer][member]) != self.up[member]
    }

    /// Wrong pairs that a host is part of.
    fn wrong_around(&self, host: usize) -> u64 {
        let others = (0..self.up.len()).filter(|other| *other != host);
        let wrong = |other: usize| u64::from(self.is_wrong(host, other)) + u64::from(self.is_wrong(other, host));
        others.map(wrong).sum()
    }

    fn set_wrong(&mut self, now: Moment, wrong: u64) {
        self.wrong = wrong;
        if wrong > 0 {
            self.settled = None;
        } else if self.settled.is_none() {
            self.settled = Some(now);
        }
    }

    fn end_false_death(&mut self, now: Moment, pair: (u32, u32)) {
        if let Some(index) = self.open_false_deaths.remove(&pair) {
            self.false_deaths[index].until = Some(now);
        }
    }

    fn believe(&mut self, now: Moment, observer: u32, member: u32, life: u32, standing: Standing) {
        let (by, of) = (observer as usize, member as usize);
        if by == of || of >= self.up.len() || !self.up[by] {
            return;
        }
        self.suspicions += u64::from(standing == Standing::Suspect);
        // The end of an earlier life (with another key) says nothing about the one that is known by now.
        if life < self.believed_lives[by][of] {
            return;
        }
        self.believed_lives[by][of] = life;
        let before = std::mem::replace(&mut self.beliefs[by][of], standing);
        let (was, is) = (is_there(before), is_there(standing));
        if was != is {
            self.seen[by] = if is { self.seen[by] + 1 } else { self.seen[by] - 1 };
            let wrong = if is == self.up[of] { self.wrong - 1 } else { self.wrong + 1 };
            self.set_wrong(now, wrong);
        }
        if is {
            self.end_false_death(now, (observer, member));
        } else if was && standing == Standing::Dead && self.is_unjust(observer, member, life) {
            self.open_false_deaths.insert((observer, member), self.false_deaths.len());
            self.false_deaths.push(FalseDeath { at: now, observer, member, until: None });
        }
        let there = |fact| match fact {
            Fact::There { life: least, .. } => is && life >= least,
            Fact::Gone { .. } => !is,
            Fact::Record { .. } | Fact::NotGiven { .. } => false,
        };
        self.learn(now, observer, Subject { member, key: None }, there);
    }

    /// Whether nothing excuses taking a member for dead.
    fn is_unjust(&self, observer: u32, member: u32, life: u32) -> bool {
        let of = member as usize;
        self.up[of]
            && life == self.lives[of]
            && !self.excused.contains(member)
            && !self.divided.iter().any(|set| set.contains(observer) != set.contains(member))
    }

    fn learn(&mut self, now: Moment, observer: u32, subject: Subject, holds: impl Fn(Fact) -> bool) {
        let Some(waiting) = self.waiting.get_mut(&subject) else {
            return;
        };
        let mut some_done = false;
        for waiting in waiting.iter_mut() {
            if holds(waiting.fact) && waiting.missing.remove(observer) {
                let spread = &mut self.spreads[waiting.event.0];
                spread.took.push(now.since(spread.since));
                spread.missing -= 1;
                some_done |= waiting.missing.is_empty();
            }
        }
        if some_done {
            waiting.retain(|waiting| !waiting.missing.is_empty());
            if waiting.is_empty() {
                self.waiting.remove(&subject);
            }
        }
    }
}

fn is_there(standing: Standing) -> bool {
    matches!(standing, Standing::Alive | Standing::Suspect)
}

impl Watch for Ledger {
    fn see(&mut self, now: Moment, host: u32, news: News) {
        match news {
            News::Member { member, life, standing } => self.believe(now, host, member, life, standing),
            News::Record { member, key, version } => {
                let subject = Subject { member, key: Some(key) };
                self.learn(
                    now,
                    host,
                    subject,
                    |fact| matches!(fact, Fact::Record { version: least, .. } if version >= least),
                );
            }
            News::Provider { member, given } => {
                let by = host as usize;
                if self.given.len() <= by {
                    self.given.resize(by + 1, HostSet::default());
                }
                if given {
                    self.given[by].insert(member);
                } else {
                    self.given[by].remove(member);
                    let subject = Subject { member, key: Some(GIVEN) };
                    self.learn(now, host, subject, |fact| matches!(fact, Fact::NotGiven { .. }));
                }
            }
            News::Refuted => self.refutations += 1,
            News::Refused => self.refusals += 1,
            News::Joined => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1_000)
    }

    fn three_who_know_each_other() -> Ledger {
        let mut ledger = Ledger::new();
        for host in 0..3 {
            ledger.started(at(0), host, 0);
        }
        for (by, of) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            assert_eq!(ledger.agreed_since(), None);
            ledger.see(at(1), by, News::Member { member: of, life: 0, standing: Standing::Alive });
        }
        ledger
    }

    #[test]
    fn agreement_begins_when_the_last_one_is_right() {
        let mut ledger = three_who_know_each_other();
        assert_eq!(ledger.agreed_since(), Some(at(1)));
        ledger.stopped(at(5), 2);
        let event = ledger.expect(at(5), &[Fact::Gone { member: 2 }], 0..2);
        assert_eq!(ledger.agreed_since(), None);
        for (by, when) in [(1, 7), (0, 9)] {
            ledger.see(at(when), by, News::Member { member: 2, life: 0, standing: Standing::Dead });
        }
        assert_eq!(ledger.agreed_since(), Some(at(9)));
        assert_eq!(ledger.spread(event).to_all(), Some(Duration::from_millis(4)));
        assert!(ledger.false_deaths().is_empty());
    }

    #[test]
    fn a_live_member_taken_for_dead_counts_until_it_is_seen_again() {
        let mut ledger = three_who_know_each_other();
        ledger.see(at(3), 0, News::Member { member: 1, life: 0, standing: Standing::Dead });
        assert_eq!((ledger.wrong(), ledger.false_deaths().len()), (1, 1));
        ledger.see(at(4), 0, News::Member { member: 1, life: 0, standing: Standing::Alive });
        assert_eq!(ledger.false_deaths()[0].until, Some(at(4)));
        assert_eq!(ledger.agreed_since(), Some(at(4)));
    }

    #[test]
    fn who_goes_down_need_not_learn_any_more() {
        let mut ledger = three_who_know_each_other();
        let fact = Fact::Record { member: 0, key: 1, version: 2 };
        let event = ledger.expect(at(2), &[fact], 0..3);
        ledger.see(at(3), 1, News::Record { member: 0, key: 1, version: 1 });
        ledger.see(at(4), 1, News::Record { member: 0, key: 1, version: 2 });
        assert_eq!(ledger.spread(event).missing, 1);
        ledger.stopped(at(5), 2);
        assert_eq!(ledger.spread(event).to_all(), Some(Duration::from_millis(2)));
    }
}
