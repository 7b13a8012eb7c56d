//! From what is lacking to questions.

use std::collections::BTreeMap;

use rand::Rng;

use super::lack::Item;
use super::message::MAX_WANTS;
use super::{PlannedAsk, PlannedQuestion, PlannedWant, Pull, Ticket, UnderWay};
use crate::id::MemberId;
use crate::moment::Moment;

/// How long beyond its deadline a question is waited for, by a factor of the deadline: its outcome is the caller's to
/// report, and this is only for a caller that forgets.
const OVERDUE_FACTOR: u32 = 2;

/// From so much that waits on, a question takes along what would else be waited for: when hundreds join, each question by
/// itself costs more than what it brings.
const MUCH: usize = 16;

/// How many times the first deadline doubles.
const MAX_DOUBLINGS: u32 = 3;

impl Pull {
    /// Plans the questions whose time has come, as many as may be under way. `others` are live members that may have
    /// much of what we lack: a large question is shared out among them and the teller.
    pub fn due(&mut self, now: Moment, others: &[MemberId], rng: &mut impl Rng) -> Vec<PlannedAsk> {
        self.give_up_overdue(now, rng);
        let mut planned = Vec::new();
        while self.under_way.len() < self.pace.asks {
            let Some((_, item)) =
                self.waiting.iter().find(|(_, item)| self.may_ask(*item)).filter(|(due, _)| *due <= now)
            else {
                break;
            };
            let item = *item;
            let stand_in = if self.spares_strangers(now) { self.acquaintances.somebody(now, rng) } else { None };
            let Some(teller) = self.teller_of(now, item, stand_in) else {
                self.drop_lack(item);
                continue;
            };
            match item {
                Item::Records(_) => self.plan_records(now, teller, stand_in, others, &mut planned),
                Item::Members | Item::Blob(_) => planned.push(self.plan(now, teller, vec![item])),
            }
        }
        planned
    }

    /// Whether so many strangers were asked just now that others are to stand in for more.
    pub(super) fn spares_strangers(&self, now: Moment) -> bool {
        !self.acquaintances.may_ask_a_stranger(now, self.is_much())
    }

    /// Whom to ask for `item` now: its teller, or in place of a stranger whoever stands in for strangers.
    fn teller_of(&self, now: Moment, item: Item, stand_in: Option<MemberId>) -> Option<MemberId> {
        let lack = self.lacks.get(&item)?;
        let teller = lack.teller()?;
        let is_replaceable = matches!(item, Item::Records(_)) && lack.may_stand_in(now, self.is_much());
        let stand_in = stand_in.filter(|_| is_replaceable && self.is_stranger(now, &teller));
        Some(stand_in.unwrap_or(teller))
    }

    /// Whether so much is lacking that hundreds must be joining.
    fn is_much(&self) -> bool {
        self.waiting.len() >= MUCH
    }

    /// Whether asking `member` begins with a handshake, as far as we can tell.
    fn is_stranger(&self, now: Moment, member: &MemberId) -> bool {
        !self.acquaintances.knows(now, member) && self.under_way.values().all(|ask| ask.teller != *member)
    }

    pub(super) fn first_waiting(&self) -> Option<Moment> {
        self.waiting.iter().find(|(_, item)| self.may_ask(*item)).map(|(due, _)| *due)
    }

    fn may_ask(&self, item: Item) -> bool {
        let is_blob = |item: &Item| matches!(item, Item::Blob(_));
        !is_blob(&item)
            || self.under_way.values().filter(|ask| ask.items.first().is_some_and(is_blob)).count()
                < self.pace.blob_asks
    }

    fn give_up_overdue(&mut self, now: Moment, rng: &mut impl Rng) {
        let overdue: Vec<Ticket> =
            self.under_way.iter().filter(|(_, ask)| ask.overdue <= now).map(|(ticket, _)| *ticket).collect();
        for ticket in overdue {
            self.failed(now, ticket, rng);
        }
    }

    /// One question for everything that `teller` is to be asked about, or several when that is much.
    fn plan_records(
        &mut self,
        now: Moment,
        teller: MemberId,
        stand_in: Option<MemberId>,
        others: &[MemberId],
        planned: &mut Vec<PlannedAsk>,
    ) {
        let gather = if self.is_much() { 2 * self.pace.hold_back } else { self.pace.gather };
        let soon = now.after(gather);
        let due = self.waiting.iter().take_while(|(due, _)| *due <= soon).map(|(_, item)| *item);
        let (fresh, again): (Vec<Item>, Vec<Item>) = due
            .filter(|item| matches!(item, Item::Records(_)))
            .filter_map(|item| self.lacks.get(&item).map(|lack| (item, lack)))
            .filter(|(item, _)| self.teller_of(now, *item, stand_in) == Some(teller))
            .map(|(item, lack)| (item, lack.is_untried() && lack.above() == 0))
            .fold((Vec::new(), Vec::new()), |(mut fresh, mut again), (item, is_fresh)| {
                if is_fresh {
                    fresh.push(item)
                } else {
                    again.push(item)
                }
                (fresh, again)
            });
        let free = self.pace.asks - self.under_way.len();
        let mut tellers = vec![teller];
        if fresh.len() >= self.pace.share_from {
            tellers.extend(others.iter().filter(|other| **other != teller).take(self.pace.share_among - 1));
            tellers.truncate(free);
        }
        let most = self.pace.wants_per_ask.clamp(1, MAX_WANTS);
        let mut shares: BTreeMap<MemberId, Vec<Item>> = BTreeMap::new();
        // Whoever goes on or was turned to after a failure is not shared out.
        shares.insert(teller, again.into_iter().take(most).collect());
        for (at, item) in fresh.into_iter().enumerate() {
            let share = shares.entry(tellers[at % tellers.len()]).or_default();
            if share.len() < most {
                share.push(item);
            }
        }
        for teller in tellers {
            if let Some(items) = shares.remove(&teller).filter(|items| !items.is_empty()) {
                planned.push(self.plan(now, teller, items));
            }
        }
    }

    fn plan(&mut self, now: Moment, teller: MemberId, items: Vec<Item>) -> PlannedAsk {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let mut tries = 0;
        let mut wants = Vec::new();
        let mut question = PlannedQuestion::Members { after: None };
        for item in &items {
            let Some(lack) = self.lacks.get_mut(item) else { continue };
            self.waiting.remove(&(lack.due, *item));
            lack.asked = Some(ticket);
            tries = tries.max(lack.tries());
            match item {
                Item::Members => question = PlannedQuestion::Members { after: lack.after() },
                Item::Records(member) => wants.push(PlannedWant { member: *member, above: lack.above() }),
                Item::Blob(hash) => question = PlannedQuestion::Blob { hash: *hash },
            }
        }
        if !wants.is_empty() {
            question = PlannedQuestion::Records(wants);
        }
        let within = self.pace.answer_within.saturating_mul(1 << tries.min(MAX_DOUBLINGS));
        let overdue = now.after(within.saturating_mul(OVERDUE_FACTOR));
        if self.is_stranger(now, &teller) {
            self.acquaintances.ask_a_stranger(now);
        }
        self.under_way.insert(ticket, UnderWay { teller, items, overdue });
        PlannedAsk { ticket, teller, question, within }
    }
}
