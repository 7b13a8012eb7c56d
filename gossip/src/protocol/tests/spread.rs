//! Rumours, packets and the roster, each against what it promises.

use std::time::Duration;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_assume, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::bench::{Stamp, address, mesh, start};
use crate::alive::{Alive, Presence};
use crate::config::Config;
use crate::id::{Generation, Incarnation, MemberId, Session};
use crate::moment::Moment;
use crate::packet::{
    Accusation, Ack, AskFor, Hello, Holding, MAX_BODY, Message, Ping, Reader, Relayed, Rumour, Welcome, Writer,
};
use crate::protocol::Protocol;
use crate::roster::{Member, Roster, State, fingerprint};
use crate::rumour::{Pick, Rumours, Subject};
use crate::signature::Signature;

fn id(i: u8) -> MemberId {
    MemberId::from_bytes([i; 16])
}

fn alive(i: usize, incarnation: u64) -> Alive {
    let mut body = Protocol::new(start(i, &Config::lan(), 1)).unwrap().alive().body().clone();
    body.incarnation = Incarnation(incarnation);
    let key = body.key;
    Alive::sign(body, mesh(), &Stamp(key))
}

/// A rumour of each class in turn, of a size of its own.
fn rumour(i: u8, bytes: usize) -> (Subject, Rumour) {
    match i % 4 {
        0 => (Subject::Order(i.into()), Rumour::Order(vec![i; bytes])),
        1 => {
            let life =
                crate::alive::Life { generation: Generation(1), session: Session(2), incarnation: Incarnation(3) };
            (Subject::Accused(id(i)), Rumour::Dead(Accusation { member: id(i), life, accuser: id(0) }))
        }
        2 => (Subject::Alive(id(i)), Rumour::Alive(vec![i; bytes.min(480)])),
        _ => (Subject::Record(id(i), 1), Rumour::Record { member: id(i), bytes: vec![i; bytes] }),
    }
}

fn read(bytes: &[u8]) -> Vec<Rumour> {
    Reader::new(bytes).unwrap().map(|rumour| rumour.unwrap().unwrap()).collect()
}

proptest! {
    #[test]
    fn packets_never_overflow_and_no_rumour_is_told_beyond_its_budget(
        sizes in prop::collection::vec((any::<u8>(), 0_usize..900), 1..60),
        limit in 1_u32..6,
    ) {
        let mut rumours = Rumours::default();
        for (i, bytes) in &sizes {
            let (subject, rumour) = rumour(*i, *bytes);
            rumours.tell(Moment::ZERO, subject, &rumour);
        }
        let kept = rumours.len();
        let mut told = 0;
        for _ in 0..1_000 {
            let mut packet = Writer::new(&Message::Gossip);
            let taken = rumours.fill(&mut packet, limit, Pick::Untold);
            let bytes = packet.finish();
            prop_assert!(bytes.len() <= MAX_BODY);
            prop_assert_eq!(read(&bytes).len(), taken);
            told += taken;
        }
        prop_assert_eq!(told, kept * limit as usize);
        prop_assert!(!rumours.has_untold(limit));
        prop_assert_eq!(rumours.backlog_bytes(limit), 0);
        rumours.expire(Moment::ZERO.after(Duration::from_secs(9)), limit, Duration::from_secs(2));
        prop_assert!(rumours.is_empty());
    }

    #[test]
    fn damaged_packets_are_read_or_refused_and_nothing_else(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        which in 0_usize..16,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut packet = packet(which);
        let at = at.index(packet.len());
        packet[at] = byte;
        for bytes in [bytes.as_slice(), packet.as_slice(), &packet[..at]] {
            if let Ok(reader) = Reader::new(bytes) {
                let parts = reader.count();
                prop_assert!(parts <= bytes.len());
            }
        }
    }

    #[test]
    fn the_roster_counts_and_digests_what_it_holds(
        steps in prop::collection::vec((0_usize..12, 0_u8..5), 0..200),
        seed in any::<u64>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut roster = Roster::new();
        for (at, (i, what)) in steps.iter().enumerate() {
            let alive = std::sync::Arc::new(alive(*i, at as u64 + 1));
            let id = alive.id();
            match what {
                0 => { roster.remove(&id); }
                1 => { roster.update(&id, |member| member.state = State::Dead { since: Moment::ZERO }); }
                2 => { roster.update(&id, |member| member.alive = alive.clone()); }
                3 => { roster.next_to_probe(&mut rng); }
                _ if roster.get(&id).is_none() => roster.insert(id, Member::new(alive, Moment::ZERO), &mut rng),
                _ => {}
            }
            let live: Vec<_> = roster.iter().filter(|(_, member)| member.is_live()).collect();
            let digest = live.iter().fold(0_u64, |sum, (_, member)| sum.wrapping_add(fingerprint(&member.alive)));
            prop_assert_eq!(roster.digest(), digest);
            prop_assert_eq!(roster.live(), live.len());
            let count = i % 5;
            let chosen = roster.choose(&mut rng, count, |_| true);
            prop_assert_eq!(chosen.len(), count.min(live.len()));
            prop_assert!(chosen.iter().all(|id| roster.get(id).is_some_and(Member::is_live)));
        }
    }

    #[test]
    fn a_round_of_probes_asks_everybody_once(members in 1_usize..40, seed in any::<u64>()) {
        prop_assume!(members > 0);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut roster = Roster::new();
        for i in 0..members {
            let alive = std::sync::Arc::new(alive(i, 1));
            roster.insert(alive.id(), Member::new(alive, Moment::ZERO), &mut rng);
        }
        for _ in 0..3 {
            let round: std::collections::BTreeSet<_> =
                (0..members).filter_map(|_| roster.next_to_probe(&mut rng)).collect();
            prop_assert_eq!(round.len(), members);
        }
    }
}

fn packet(which: usize) -> Vec<u8> {
    let messages = messages();
    let mut packet = Writer::new(&messages[which % messages.len()]);
    for i in 0..4 {
        packet.push(&rumour(i, 40).1.encode());
    }
    packet.push(&Rumour::Holding(Holding { member: id(9), version: u64::MAX }).encode());
    packet.finish()
}

fn messages() -> Vec<Message> {
    let word = Signature([3; 64]);
    let (nonce, digest) = (u64::MAX, 5);
    vec![
        Message::Gossip,
        Message::Ping(Ping { target: id(1), nonce, digest, behalf: None, doubt: None }),
        Message::Ping(Ping { target: id(1), nonce, digest, behalf: Some((id(2), 8)), doubt: Some(Incarnation(4)) }),
        Message::Ack(Ack { nonce, digest, word: Some(word) }),
        Message::AskFor(AskFor { target: id(1), nonce }),
        Message::Relayed(Relayed { nonce, word }),
        Message::Nack { nonce },
        Message::NotMe { nonce },
        Message::Hello(Hello { nonce, alive: vec![1; 150], members: 3, padding: vec![0; 300] }),
        Message::Welcome(Welcome { nonce, alive: vec![1; 150], observed: address(3).gossip() }),
        Message::Courier(vec![9; 100]),
    ]
}

#[test]
fn every_message_and_every_rumour_comes_back_as_it_was_sent() {
    for message in messages() {
        let mut packet = Writer::new(&message);
        let told: Vec<Rumour> = (0..8).map(|i| rumour(i, 20).1).collect();
        for rumour in &told {
            assert!(packet.push(&rumour.encode()));
        }
        let bytes = packet.finish();
        assert_eq!(Reader::new(&bytes).unwrap().message, Some(message));
        assert_eq!(read(&bytes), told);
    }
}

#[test]
fn a_storm_of_one_kind_leaves_room_for_the_others() {
    let mut rumours = Rumours::default();
    for version in 0..9_000_u64 {
        let record = Rumour::Record { member: id(1), bytes: vec![0; 150] };
        rumours.tell(Moment::ZERO, Subject::Record(id(1), version), &record);
    }
    let (accused, death) = rumour(1, 0);
    let (subject, record) = rumour(2, 150);
    rumours.tell(Moment::ZERO, accused, &death);
    rumours.tell(Moment::ZERO, subject, &record);
    assert!(rumours.len() <= 4_098);
    let mut packet = Writer::new(&Message::Gossip);
    rumours.fill(&mut packet, 8, Pick::Untold);
    let told = read(&packet.finish());
    assert!(told.contains(&death) && told.contains(&record));
}

#[test]
fn in_a_crowd_of_rumours_one_that_is_heard_again_is_told_less() {
    const LIMIT: u32 = 12;
    for (crowd, tellings) in [(10, LIMIT), (40, LIMIT - 3)] {
        let mut rumours = Rumours::default();
        for version in 0..crowd {
            let record = Rumour::Record { member: id(1), bytes: vec![0; 10] };
            rumours.tell(Moment::ZERO, Subject::Record(id(1), version), &record);
        }
        assert_eq!(rumours.are_many(), crowd == 40);
        rumours.heard_again(&Subject::Record(id(1), 0));
        for version in 1..crowd {
            rumours.forget(&Subject::Record(id(1), version));
        }
        let mut told = 0;
        while rumours.fill(&mut Writer::new(&Message::Gossip), LIMIT, Pick::Untold) > 0 {
            told += 1;
        }
        assert_eq!(told, tellings);
    }
}

#[test]
fn while_hundreds_join_each_telling_counts_as_three() {
    for (newcomers, tellings) in [(31, 12), (32, 4)] {
        let mut rumours = Rumours::default();
        for newcomer in 0..newcomers {
            let now = Moment::ZERO.after(Duration::from_millis(100) * u32::from(newcomer));
            rumours.welcome(now);
            rumours.tell(now, Subject::Alive(id(newcomer)), &Rumour::Alive(vec![0; 10]));
        }
        assert_eq!(rumours.is_crowd(), newcomers == 32);
        let mut told = 0;
        while rumours.fill(&mut Writer::new(&Message::Gossip), 12, Pick::Untold) > 0 {
            told += 1;
        }
        assert_eq!(told, tellings);
        rumours.expire(Moment::ZERO.after(Duration::from_secs(6)), 12, Duration::from_secs(2));
        assert!(!rumours.is_crowd());
    }
}

#[test]
fn a_newer_rumour_replaces_the_older_and_is_told_anew() {
    let mut rumours = Rumours::default();
    for bytes in [30, 40] {
        let (subject, rumour) = rumour(2, bytes);
        rumours.tell(Moment::ZERO, subject, &rumour);
        let mut packet = Writer::new(&Message::Gossip);
        assert_eq!(rumours.fill(&mut packet, 1, Pick::Untold), 1);
        assert_eq!(read(&packet.finish()), [rumour]);
    }
    let mut packet = Writer::new(&Message::Gossip);
    assert_eq!(rumours.fill(&mut packet, 1, Pick::Untold), 0);
    assert_eq!(rumours.fill(&mut packet, 1, Pick::Fresh), 1, "fresh news are repeated to whoever differs");
    assert_eq!(rumours.len(), 1);
}

#[test]
fn who_left_does_not_count_as_live() {
    let mut roster = Roster::new();
    let mut body = alive(1, 1).body().clone();
    body.presence = Presence::Left;
    let key = body.key;
    let left = std::sync::Arc::new(Alive::sign(body, mesh(), &Stamp(key)));
    roster.insert(left.id(), Member::new(left, Moment::ZERO), &mut StdRng::seed_from_u64(1));
    assert_eq!((roster.live(), roster.len(), roster.digest()), (0, 1, 0));
}
