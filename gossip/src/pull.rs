//! What we lack, and whom we ask for it.
//!
//! News of more than a datagram's worth is announced, and everybody who hears of it asks whoever told him: the
//! requests spread over the mesh as the rumour did, so nobody's news is an implosion upon him. Only when the tellers
//! fail is the owner asked. What is small waits a little, because its rumour is probably on its way.
//!
//! When many join at once, each is told of by somebody else, and asking each of those would mean a handshake of
//! everybody with everybody. After a few strangers, those we have talked to of late stand in for them, for as long as
//! the news may take to reach them.
//!
//! [`Pull`] decides; it neither knows what we hold nor sends anything. Its caller says what is lacking and when it is
//! no longer, asks what [`Pull::due`] plans, and reports every outcome.

mod acquaintances;
mod lack;
pub mod message;
pub mod page;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt};

use self::acquaintances::Acquaintances;
use self::lack::{Item, Lack, doubled};
use self::message::Answer;
use crate::id::MemberId;
use crate::moment::Moment;

/// How eagerly is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long to wait for a rumour before asking for what [may still come](Urgency::MayComeByItself); up to half as
    /// long again is added at random. Longer saves questions, shorter saves time when a rumour is lost. Default 30 ms.
    pub hold_back: Duration,
    /// What is due within this time goes along when its teller is asked anyway; while much is lacking, what is due within
    /// twice `hold_back`. Default 10 ms.
    pub gather: Duration,
    /// How many questions are under way at once. Each may bring a megabyte. Default 8.
    pub asks: usize,
    /// How many of them may be for blobs, so that large values never keep small ones waiting. Default 6.
    pub blob_asks: usize,
    /// About how many members one question asks, at most [`message::MAX_WANTS`]. Default 512.
    pub wants_per_ask: usize,
    /// From how many members on a question is shared out among several tellers. Default 256.
    pub share_from: usize,
    /// Among how many tellers. Default 4.
    pub share_among: usize,
    /// How long a first question may take; later ones twice as long each time, up to eight times. Default 2 s.
    pub answer_within: Duration,
    /// How long to wait once every teller and the owner have been tried in vain; twice as long after each round.
    /// Default 500 ms.
    pub retry: Duration,
    /// The longest such wait. Default 30 s.
    pub slowest: Duration,
    /// The longest such wait while somebody keeps telling us that we lack it. Default 4 s.
    pub slowest_when_told: Duration,
    /// How long to wait before the owner is asked because tellers do not have it either. They are probably about to;
    /// with hundreds of members asking the owner of something large, all of them would wait longer. Default 100 ms.
    pub spare_owner: Duration,
    /// How long to wait before somebody is asked again because whoever stood in for a stranger did not have it, while
    /// many join at once. Default 100 ms.
    pub spare_strangers: Duration,
    /// How many lacks are remembered, each of a member's records, of one blob, or of the members. Of what does not fit
    /// the caller must speak again when it next notices. Default 16,384.
    pub lacks: usize,
    /// How many of them may be of blobs. Default 4,096.
    pub blob_lacks: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            hold_back: Duration::from_millis(30),
            gather: Duration::from_millis(10),
            asks: 8,
            blob_asks: 6,
            wants_per_ask: 512,
            share_from: 256,
            share_among: 4,
            answer_within: Duration::from_secs(2),
            retry: Duration::from_millis(500),
            slowest: Duration::from_secs(30),
            slowest_when_told: Duration::from_secs(4),
            spare_owner: Duration::from_millis(100),
            spare_strangers: Duration::from_millis(100),
            lacks: 16_384,
            blob_lacks: 4096,
        }
    }
}

/// After so many questions in vain a new teller is no more promising than the old ones.
const HOPEFUL_TRIES: u32 = 4;

/// Whether to wait for a rumour first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It fits into a datagram that is probably on its way.
    MayComeByItself,
    /// It was announced, and comes only when asked for.
    Now,
}

/// Whether a lack was taken note of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is going to be asked for.
    Yes,
    /// Too much is lacking already. Say it again when it is next noticed.
    Full,
}

/// Names one question under way. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A question to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedAsk {
    /// Comes back with the outcome.
    pub ticket: Ticket,
    /// Whom to ask.
    pub teller: MemberId,
    /// What.
    pub question: PlannedQuestion,
    /// How long to wait for the whole answer, connecting included.
    pub within: Duration,
}

/// A question, but for what only the holder of the records knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedQuestion {
    /// Ask for the members after this one.
    Members {
        /// The last member of the page before.
        after: Option<MemberId>,
    },
    /// Ask for the records of these members.
    Records(Vec<PlannedWant>),
    /// Ask for a blob.
    Blob {
        /// Its hash.
        hash: [u8; 32],
    },
}

/// Whose records to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedWant {
    /// Whose.
    pub member: MemberId,
    /// This teller has told everything up to here in its answer before; 0 at first. Ask above this or above what is
    /// [settled](crate::records::Held::settled), whichever is higher.
    pub above: u64,
}

/// The planner.
#[derive(Debug)]
pub struct Pull {
    pace: Pace,
    lacks: BTreeMap<Item, Lack>,
    /// Every lack that is not being asked for, by when it is to be.
    waiting: BTreeSet<(Moment, Item)>,
    under_way: BTreeMap<Ticket, UnderWay>,
    acquaintances: Acquaintances,
    blob_lacks: usize,
    next_ticket: u64,
}

/// Why a question was asked in vain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vain {
    /// The teller does not have it.
    NotThere,
    /// The teller did not answer.
    NoAnswer,
}

#[derive(Debug)]
struct UnderWay {
    teller: MemberId,
    items: Vec<Item>,
    /// When to stop believing that the caller will report an outcome.
    overdue: Moment,
}

impl Pull {
    /// Nothing is lacking yet.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            lacks: BTreeMap::new(),
            waiting: BTreeSet::new(),
            under_way: BTreeMap::new(),
            acquaintances: Acquaintances::default(),
            blob_lacks: 0,
            next_ticket: 0,
        }
    }

    /// We do not hold everything that `member` offers; `teller` may. Saying so again changes nothing, unless it names
    /// another teller or is more urgent.
    pub fn lack_records(
        &mut self,
        now: Moment,
        member: MemberId,
        teller: MemberId,
        urgency: Urgency,
        rng: &mut impl Rng,
    ) -> Noted {
        self.lack(now, Item::Records(member), teller, Some(member), urgency, rng)
    }

    /// We do not hold the blob that a record of `owner` names; `teller` may. It is asked for at once.
    pub fn lack_blob(
        &mut self,
        now: Moment,
        hash: [u8; 32],
        teller: MemberId,
        owner: MemberId,
        rng: &mut impl Rng,
    ) -> Noted {
        self.lack(now, Item::Blob(hash), teller, Some(owner), Urgency::Now, rng)
    }

    /// `teller` may know members that we do not. Given up when a few questions brought no answer.
    pub fn lack_members(&mut self, now: Moment, teller: MemberId, urgency: Urgency, rng: &mut impl Rng) -> Noted {
        self.lack(now, Item::Members, teller, None, urgency, rng)
    }

    /// Nothing of `member` is missing any more, or nothing of it counts any more.
    pub fn satisfied_records(&mut self, member: MemberId) {
        self.drop_lack(Item::Records(member));
    }

    /// The blob is here, or no record names it any more.
    pub fn satisfied_blob(&mut self, hash: [u8; 32]) {
        self.drop_lack(Item::Blob(hash));
    }

    /// An answer came and the caller has made of it what it could, [`Pull::satisfied_records`] and
    /// [`Pull::satisfied_blob`] included. What is still lacking is asked for further: of the same teller as long as it
    /// has more to tell, of somebody else otherwise.
    pub fn answered(&mut self, now: Moment, ticket: Ticket, answer: &Answer, rng: &mut impl Rng) {
        let Some(UnderWay { teller, items, .. }) = self.under_way.remove(&ticket) else { return };
        self.meet(now, teller);
        for (at, item) in items.iter().enumerate() {
            let Some(lack) = self.lacks.get_mut(item).filter(|lack| lack.asked == Some(ticket)) else { continue };
            let goes_on = match (item, answer) {
                (Item::Members, Answer::Members(page)) => match page.more_after {
                    None => {
                        self.drop_lack(*item);
                        continue;
                    }
                    Some(after) => lack.go_on_after(after),
                },
                (Item::Records(member), Answer::Records(told)) => {
                    match told.told.iter().find(|told| told.member == *member) {
                        Some(told) => told.more && lack.go_on_above(told.upto),
                        // Cut off before its turn. A teller that leaves out what it was asked first is not going on.
                        None => at > 0 && !told.told.is_empty() && lack.go_on(),
                    }
                }
                _ => false,
            };
            if goes_on {
                lack.stay_with(teller);
                lack.asked = None;
                lack.due = now;
                self.waiting.insert((now, *item));
            } else {
                self.try_next(now, *item, teller, Vain::NotThere, rng);
            }
        }
    }

    /// No answer came, or none that could be read.
    pub fn failed(&mut self, now: Moment, ticket: Ticket, rng: &mut impl Rng) {
        let Some(UnderWay { teller, items, .. }) = self.under_way.remove(&ticket) else { return };
        self.acquaintances.lose(&teller);
        for item in items {
            if self.lacks.get(&item).is_some_and(|lack| lack.asked == Some(ticket)) {
                self.try_next(now, item, teller, Vain::NoAnswer, rng);
            }
        }
    }

    /// `member` asks us something, or has answered: while many strangers are to be asked, such as it is asked instead.
    pub fn meet(&mut self, now: Moment, member: MemberId) {
        self.acquaintances.meet(now, member);
    }

    /// When [`Pull::due`] has something to plan, if nothing else happens before. The past means at once.
    pub fn next(&self) -> Option<Moment> {
        let waiting = if self.under_way.len() < self.pace.asks { self.first_waiting() } else { None };
        let overdue = self.under_way.values().map(|ask| ask.overdue).min();
        waiting.into_iter().chain(overdue).min()
    }

    /// How many questions are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How much is lacking: members of whom records are, blobs, and perhaps members.
    pub fn lacking(&self) -> usize {
        self.lacks.len()
    }

    fn lack(
        &mut self,
        now: Moment,
        item: Item,
        teller: MemberId,
        owner: Option<MemberId>,
        urgency: Urgency,
        rng: &mut impl Rng,
    ) -> Noted {
        let wait = match urgency {
            Urgency::Now => Duration::ZERO,
            Urgency::MayComeByItself => jittered(self.pace.hold_back, rng),
        };
        if let Some(lack) = self.lacks.get_mut(&item) {
            let is_new = lack.add_teller(teller);
            if lack.asked.is_none() {
                let is_hopeful = lack.is_untried() || (is_new && lack.tries() < HOPEFUL_TRIES);
                let bearable = lack.bearable(self.pace.retry, self.pace.slowest_when_told);
                let due = if is_hopeful { now.after(wait) } else { now.after(wait).max(bearable) };
                self.waiting.remove(&(lack.due, item));
                lack.due = lack.due.min(due);
                self.waiting.insert((lack.due, item));
            }
            return Noted::Yes;
        }
        let is_blob = matches!(item, Item::Blob(_));
        if self.lacks.len() >= self.pace.lacks || (is_blob && self.blob_lacks >= self.pace.blob_lacks) {
            return Noted::Full;
        }
        let due = now.after(wait);
        self.blob_lacks += usize::from(is_blob);
        self.lacks.insert(item, Lack::new(now, teller, owner, due));
        self.waiting.insert((due, item));
        Noted::Yes
    }

    fn drop_lack(&mut self, item: Item) {
        if let Some(lack) = self.lacks.remove(&item) {
            self.waiting.remove(&(lack.due, item));
            self.blob_lacks -= usize::from(matches!(item, Item::Blob(_)));
        }
    }

    /// Turns to the next teller after `teller` was asked in vain.
    fn try_next(&mut self, now: Moment, item: Item, teller: MemberId, vain: Vain, rng: &mut impl Rng) {
        let is_spared = self.spares_strangers(now);
        let Some(lack) = self.lacks.get_mut(&item) else { return };
        let stands_in = is_spared && lack.teller() != Some(teller);
        let round = lack.turn_away_from(now, teller);
        if item == Item::Members && lack.is_hopeless() {
            return self.drop_lack(item);
        }
        let wait = match (round, vain) {
            (0, Vain::NotThere) if lack.is_owners_turn() => self.pace.spare_owner,
            (0, Vain::NotThere) if stands_in => self.pace.spare_strangers,
            // At once the first time round: whoever failed, the others have it.
            (0, _) => Duration::ZERO,
            _ => doubled(self.pace.retry, round - 1).min(self.pace.slowest),
        };
        lack.asked = None;
        lack.due = now.after(jittered(wait, rng));
        self.waiting.insert((lack.due, item));
    }
}

/// `wait`, and up to half of it more.
fn jittered(wait: Duration, rng: &mut impl Rng) -> Duration {
    let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
    wait + Duration::from_micros(rng.random_range(0..=micros / 2))
}

#[cfg(test)]
mod tests;
