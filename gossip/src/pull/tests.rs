#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::{any, prop_assert, proptest};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::message::{Answer, Members, Records, ToldRecords};
use super::{Noted, Pace, PlannedAsk, PlannedQuestion, PlannedWant, Pull, Ticket, Urgency};
use crate::id::MemberId;
use crate::moment::Moment;

fn member(number: u16) -> MemberId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    MemberId::from_bytes(bytes)
}

fn millis(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn told(member: MemberId, upto: u64, more: bool) -> ToldRecords {
    ToldRecords { member, alive: Vec::new(), records: Vec::new(), upto, more }
}

fn nothing_of(members: &[MemberId]) -> Answer {
    Answer::Records(Records { told: members.iter().map(|member| told(*member, 0, false)).collect() })
}

fn wanted(ask: &PlannedAsk) -> Vec<PlannedWant> {
    match &ask.question {
        PlannedQuestion::Records(wants) => wants.clone(),
        other => panic!("{other:?}"),
    }
}

struct Asker {
    pull: Pull,
    rng: Pcg64Mcg,
}

impl Asker {
    fn new() -> Self {
        Self::with(Pace::default())
    }

    fn with(pace: Pace) -> Self {
        Self { pull: Pull::new(pace), rng: Pcg64Mcg::seed_from_u64(1) }
    }

    fn lack(&mut self, now: u64, of: u16, teller: u16, urgency: Urgency) -> Noted {
        self.pull.lack_records(millis(now), member(of), member(teller), urgency, &mut self.rng)
    }

    fn lack_blob(&mut self, now: u64, blob: u8, teller: u16, owner: u16) -> Noted {
        self.pull.lack_blob(millis(now), [blob; 32], member(teller), member(owner), &mut self.rng)
    }

    fn due(&mut self, now: u64) -> Vec<PlannedAsk> {
        self.pull.due(millis(now), &[], &mut self.rng)
    }

    fn only(&mut self, now: u64) -> PlannedAsk {
        let mut asks = self.due(now);
        assert_eq!(asks.len(), 1, "{asks:?}");
        asks.remove(0)
    }

    fn answered(&mut self, now: u64, ticket: Ticket, answer: &Answer) {
        self.pull.answered(millis(now), ticket, answer, &mut self.rng);
    }

    fn failed(&mut self, now: u64, ticket: Ticket) {
        self.pull.failed(millis(now), ticket, &mut self.rng);
    }
}

#[test]
fn what_may_come_by_itself_waits_and_what_was_announced_does_not() {
    let mut asker = Asker::new();
    asker.lack(0, 1, 2, Urgency::MayComeByItself);
    asker.lack(0, 3, 2, Urgency::MayComeByItself);
    assert!(asker.due(29).is_empty());
    assert!((30..=45).contains(&(asker.pull.next().unwrap().as_micros() / 1000)));
    asker.lack(5, 3, 2, Urgency::Now);
    let ask = asker.only(5);
    assert_eq!((ask.teller, wanted(&ask)[0].member), (member(2), member(3)));
    asker.pull.satisfied_records(member(1));
    assert!(asker.due(60).is_empty());
}

#[test]
fn several_members_go_into_one_question() {
    let mut asker = Asker::new();
    for of in 10..20 {
        asker.lack(0, of, 2, Urgency::MayComeByItself);
        asker.lack(0, of, 2, Urgency::MayComeByItself);
    }
    let ask = asker.only(50);
    assert_eq!(wanted(&ask).len(), 10);
    assert_eq!(asker.pull.next(), Some(millis(50).after(ask.within * 2)));
}

#[test]
fn the_teller_is_asked_first_then_other_tellers_then_the_owner() {
    let mut asker = Asker::new();
    asker.lack(0, 1, 2, Urgency::Now);
    let first = asker.only(0);
    asker.lack(1, 1, 3, Urgency::Now);
    assert!(asker.due(1).is_empty());
    asker.failed(10, first.ticket);
    let second = asker.only(10);
    asker.failed(20, second.ticket);
    let third = asker.only(20);
    assert_eq!([first.teller, second.teller, third.teller], [member(2), member(3), member(1)]);
    asker.failed(30, third.ticket);
    assert!(asker.due(30 + 499).is_empty());
    assert_eq!(asker.only(30 + 750).teller, member(2));
}

#[test]
fn an_owner_is_spared_while_tellers_may_get_it_soon() {
    let mut asker = Asker::new();
    asker.lack_blob(0, 7, 2, 1);
    let ask = asker.only(0);
    asker.answered(10, ask.ticket, &Answer::Missing);
    assert!(asker.due(10).is_empty());
    asker.lack_blob(20, 7, 3, 1);
    assert_eq!(asker.only(20).teller, member(3));
    let mut asker = Asker::new();
    asker.lack_blob(0, 7, 2, 1);
    let ask = asker.only(0);
    asker.answered(10, ask.ticket, &Answer::Missing);
    assert_eq!(asker.only(160).teller, member(1));
}

#[test]
fn a_teller_with_more_to_tell_is_asked_on_at_once() {
    let mut asker = Asker::new();
    for of in [10, 11, 12] {
        asker.lack(0, of, 2, Urgency::Now);
    }
    let ask = asker.only(0);
    let order: Vec<_> = wanted(&ask).iter().map(|want| want.member).collect();
    asker.pull.satisfied_records(order[0]);
    let page = Records { told: vec![told(order[0], 9, false), told(order[1], 40, true)] };
    asker.answered(5, ask.ticket, &Answer::Records(page));
    let ask = asker.only(5);
    assert_eq!(ask.teller, member(2));
    let mut wants = wanted(&ask);
    wants.sort_by_key(|want| want.member);
    assert_eq!(wants, [PlannedWant { member: order[1], above: 40 }, PlannedWant { member: order[2], above: 0 }]);
}

#[test]
fn a_teller_that_gets_no_further_is_not_asked_on() {
    let mut asker = Asker::new();
    asker.lack(0, 1, 2, Urgency::Now);
    let ask = asker.only(0);
    asker.answered(5, ask.ticket, &Answer::Records(Records { told: vec![told(member(1), 0, true)] }));
    assert!(asker.due(5).is_empty());
    let ask = asker.only(200);
    assert_eq!(ask.teller, member(1));
    asker.answered(210, ask.ticket, &Answer::Records(Records::default()));
    assert!(asker.due(210).is_empty());
}

#[test]
fn members_are_paged_through_and_then_lacking_no_more() {
    let mut asker = Asker::new();
    asker.pull.lack_members(millis(0), member(2), Urgency::Now, &mut asker.rng);
    let ask = asker.only(0);
    let page = |more_after| Answer::Members(Members { more_after, ..Members::default() });
    asker.answered(5, ask.ticket, &page(Some(member(50))));
    let ask = asker.only(5);
    assert_eq!(ask.question, PlannedQuestion::Members { after: Some(member(50)) });
    assert_eq!(ask.teller, member(2));
    asker.answered(9, ask.ticket, &page(None));
    assert_eq!((asker.pull.lacking(), asker.pull.next()), (0, None));
}

#[test]
fn members_that_nobody_tells_are_given_up() {
    let mut asker = Asker::new();
    asker.pull.lack_members(millis(0), member(2), Urgency::Now, &mut asker.rng);
    let mut asks = 0;
    while let Some(next) = asker.pull.next() {
        for ask in asker.pull.due(next, &[], &mut asker.rng) {
            asks += 1;
            asker.pull.failed(next, ask.ticket, &mut asker.rng);
        }
    }
    assert_eq!(asks, 8);
}

#[test]
fn a_big_join_is_shared_out_among_four() {
    let mut asker = Asker::new();
    for of in 100..1100 {
        asker.lack(0, of, 2, Urgency::Now);
    }
    let others = [member(2), member(3), member(4), member(5), member(6)];
    let asks = asker.pull.due(millis(0), &others, &mut asker.rng);
    let shares: Vec<_> = asks.iter().map(|ask| (ask.teller, wanted(ask).len())).collect();
    assert_eq!(shares, [2, 3, 4, 5].map(|teller| (member(teller), 250)));
    let knows_half: Vec<_> = wanted(&asks[1]).iter().map(|want| want.member).collect();
    knows_half[..125].iter().for_each(|member| asker.pull.satisfied_records(*member));
    asker.answered(100, asks[1].ticket, &nothing_of(&knows_half));
    let again = asker.pull.due(millis(300), &others, &mut asker.rng);
    assert_eq!(again.iter().map(|ask| (ask.teller, wanted(ask).len())).collect::<Vec<_>>(), [(member(2), 125)]);
}

#[test]
fn while_many_join_at_once_those_we_know_stand_in_for_strangers() {
    let mut asker = Asker::new();
    for of in 1..=3 {
        asker.lack(0, of, 10 * of, Urgency::Now);
    }
    let asks = asker.due(0);
    assert_eq!(asks.iter().map(|ask| ask.teller).collect::<Vec<_>>(), [10, 20, 30].map(member));
    asker.pull.satisfied_records(member(1));
    asker.answered(5, asks[0].ticket, &Answer::Records(Records { told: vec![told(member(1), 1, false)] }));
    asker.lack(10, 4, 40, Urgency::Now);
    let ask = asker.only(10);
    assert_eq!(ask.teller, member(10), "three strangers are being asked already");
    asker.answered(11, ask.ticket, &nothing_of(&[member(4)]));
    assert!(asker.due(11).is_empty(), "who stands in is given time to hear of it");
    let ask = asker.only(161);
    assert_eq!(ask.teller, member(10));
    asker.failed(170, ask.ticket);
    let ask = asker.only(170);
    assert_eq!(ask.teller, member(40), "nobody is left to stand in");
    asker.lack(10_200, 5, 50, Urgency::Now);
    assert!(asker.due(10_200).iter().any(|ask| ask.teller == member(50)), "it is quiet again");
}

#[test]
fn large_values_never_keep_small_ones_waiting() {
    let mut asker = Asker::new();
    for blob in 0..100 {
        asker.lack_blob(0, blob, 2, 1);
    }
    assert_eq!(asker.due(0).len(), 6);
    assert!(asker.pull.next().unwrap() > millis(1000), "nothing to plan while all places for blobs are taken");
    asker.lack(1, 9, 2, Urgency::Now);
    assert_eq!(wanted(&asker.only(1)).len(), 1);
}

#[test]
fn tables_are_bounded_and_say_so() {
    let mut asker = Asker::with(Pace { lacks: 3, blob_lacks: 2, ..Pace::default() });
    assert_eq!(asker.lack_blob(0, 1, 2, 1), Noted::Yes);
    assert_eq!(asker.lack_blob(0, 2, 2, 1), Noted::Yes);
    assert_eq!(asker.lack_blob(0, 3, 2, 1), Noted::Full);
    assert_eq!(asker.lack(0, 1, 2, Urgency::Now), Noted::Yes);
    assert_eq!(asker.lack(0, 2, 2, Urgency::Now), Noted::Full);
    assert_eq!(asker.lack(0, 1, 3, Urgency::Now), Noted::Yes);
    asker.pull.satisfied_blob([1; 32]);
    assert_eq!(asker.lack_blob(0, 3, 2, 1), Noted::Yes);
}

#[test]
fn a_question_whose_outcome_nobody_reports_is_given_up() {
    let mut asker = Asker::new();
    asker.lack(0, 1, 2, Urgency::Now);
    let ask = asker.only(0);
    let overdue = asker.pull.next().unwrap();
    assert!(overdue > millis(0).after(ask.within));
    let again = asker.pull.due(overdue, &[], &mut asker.rng);
    assert_eq!(again[0].teller, member(1));
    asker.failed(9999, ask.ticket);
    assert_eq!(asker.pull.under_way(), 1);
}

#[test]
fn what_nobody_has_is_asked_for_ever_more_slowly_but_for_ever() {
    let mut asker = Asker::new();
    asker.lack(0, 1, 2, Urgency::Now);
    let hour = millis(3_600_000);
    let mut now = Moment::ZERO;
    let mut asks = Vec::new();
    while now < hour {
        now = asker.pull.next().unwrap();
        for ask in asker.pull.due(now, &[], &mut asker.rng) {
            asks.push(now);
            asker.pull.answered(now, ask.ticket, &nothing_of(&[member(1)]), &mut asker.rng);
        }
    }
    assert!((100..300).contains(&asks.len()), "{}", asks.len());
    let last = asks[asks.len() - 1].since(asks[asks.len() - 2]);
    assert!(last <= Duration::from_secs(45), "{last:?}");
    let before = asker.pull.next().unwrap().since(now);
    asker.pull.lack_records(now, member(1), member(2), Urgency::Now, &mut asker.rng);
    let after = asker.pull.next().unwrap().since(now);
    assert!(before > Duration::from_secs(4) && after <= Duration::from_secs(4), "{before:?} {after:?}");
}

proptest! {
    /// Lacks come up, members answer, fail or know nothing, in any order: never are more questions under way than may
    /// be, and once things calm down everything that somebody has arrives.
    #[test]
    fn everything_that_is_lacking_and_to_be_had_arrives(seed in any::<u64>(), count in 1u16..300, shared in any::<bool>()) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let pace = Pace { wants_per_ask: 50, ..Pace::default() };
        let mut pull = Pull::new(pace.clone());
        let others: Vec<_> = if shared { (0..4).map(member).collect() } else { Vec::new() };
        let mut now = Moment::ZERO;
        let mut lacking: BTreeSet<MemberId> = BTreeSet::new();
        let mut blobs: BTreeSet<[u8; 32]> = BTreeSet::new();
        let mut open: BTreeMap<Ticket, PlannedAsk> = BTreeMap::new();
        for step in 0..20_000u32 {
            let calm = step > 300;
            if !calm {
                let of = rng.random_range(0..count);
                let urgency = if rng.random_bool(0.5) { Urgency::Now } else { Urgency::MayComeByItself };
                let teller = member(rng.random_range(0..10));
                lacking.insert(member(of));
                pull.lack_records(now, member(of), teller, urgency, &mut rng);
                blobs.insert([of as u8; 32]);
                pull.lack_blob(now, [of as u8; 32], teller, member(of), &mut rng);
            }
            for ask in pull.due(now, &others, &mut rng) {
                prop_assert!(open.insert(ask.ticket, ask).is_none());
            }
            prop_assert!(open.len() <= pace.asks && open.len() == pull.under_way());
            let is_blob = |ask: &&PlannedAsk| matches!(ask.question, PlannedQuestion::Blob { .. });
            prop_assert!(open.values().filter(is_blob).count() <= pace.blob_asks);
            let answer_now = calm || rng.random_bool(0.7);
            let Some((_, ask)) = answer_now.then(|| open.pop_first()).flatten() else {
                if lacking.is_empty() && blobs.is_empty() { break; }
                now = if calm { pull.next().unwrap().max(now) } else { now.after(Duration::from_millis(3)) };
                continue;
            };
            now = now.after(Duration::from_millis(rng.random_range(0..20)));
            if rng.random_bool(if calm { 0.1 } else { 0.5 }) {
                pull.failed(now, ask.ticket, &mut rng);
                continue;
            }
            let knows = rng.random_bool(0.7);
            let answer = match &ask.question {
                PlannedQuestion::Records(wants) => {
                    prop_assert!(wants.len() <= pace.wants_per_ask);
                    let room = rng.random_range(1..60);
                    let mut told_now = Vec::new();
                    for want in wants.iter().take(room) {
                        if knows && lacking.remove(&want.member) {
                            pull.satisfied_records(want.member);
                        }
                        told_now.push(told(want.member, 1, false));
                    }
                    Answer::Records(Records { told: told_now })
                }
                PlannedQuestion::Blob { hash } if knows => {
                    blobs.remove(hash);
                    pull.satisfied_blob(*hash);
                    Answer::Blob(bytes::Bytes::new())
                }
                _ => Answer::Missing,
            };
            pull.answered(now, ask.ticket, &answer, &mut rng);
        }
        prop_assert!(lacking.is_empty() && blobs.is_empty(), "still lacking {} and {}", lacking.len(), blobs.len());
        prop_assert!(pull.lacking() == 0);
    }
}
