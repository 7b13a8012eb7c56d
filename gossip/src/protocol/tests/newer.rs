//! Members of this version among members of a newer one.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::bench::{Bench, Spoken, Stamp, address, mesh, start};
use crate::alive::{Alive, AliveBody, ProtocolRange};
use crate::config::Config;
use crate::effects::{AskId, Effects, Input, Standing};
use crate::id::{MemberId, PublicKey};
use crate::packet::{Hello, MAX_BODY, Message, Reader, Rumour, Welcome, Writer};
use crate::protocol::Protocol;
use crate::pull::message::{Answer, Question};
use crate::record::Key;
use crate::reject::Reject;
use crate::signature::Signer;
use crate::wire;

const MEMBERS: usize = 8;

/// The first so many are of a newer version.
const NEWER: usize = 4;

/// A message and a rumour of a kind that came later.
const LATER: u8 = 200;

const EXTENSION: &[u8] = b"what came later";

/// The records of newer members as those sign them: more protocol versions, and an extension.
fn sign_newer(body: &AliveBody) -> Vec<u8> {
    let body = AliveBody { protocol: ProtocolRange { lowest: 1, highest: 3 }, ..body.clone() };
    let says = wire::encode(&(&body, EXTENSION));
    let signature = Stamp(body.key).sign(&[b"mesh alive 1", &mesh().0[..], &says].concat());
    [&says[..], &signature.0].concat()
}

/// An alive record as a newer member tells it: its own kind's in the newer form.
fn retell(bytes: Vec<u8>, newer: &BTreeMap<MemberId, PublicKey>) -> Vec<u8> {
    match Alive::verify(&bytes, mesh(), &super::bench::Stamps) {
        Ok(alive) if newer.contains_key(&alive.id()) => sign_newer(alive.body()),
        _ => bytes,
    }
}

fn part(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

/// A packet as a newer member says it: fields added to every body, rumours of a later kind, and mere gossip under a
/// message of a later kind.
fn say_newer(packet: &[u8], newer: &BTreeMap<MemberId, PublicKey>) -> Vec<u8> {
    let mut reader = Reader::new(packet).unwrap();
    let message = match reader.message.take().unwrap() {
        Message::Hello(Hello { nonce, alive, members, padding }) => {
            Message::Hello(Hello { nonce, alive: retell(alive, newer), members, padding })
        }
        Message::Welcome(Welcome { nonce, alive, observed }) => {
            Message::Welcome(Welcome { nonce, alive: retell(alive, newer), observed })
        }
        message => message,
    };
    let plain = Writer::new(&message).finish();
    let kind = if message == Message::Gossip { LATER } else { plain[0] };
    let added: &[u8] = if matches!(message, Message::Courier(_)) { &[] } else { b"added" };
    let mut bytes = [&[kind], &part(&[&plain[3..], added].concat())[..]].concat();
    let mut told: Vec<_> = reader
        .map(|rumour| match rumour.unwrap().unwrap() {
            Rumour::Alive(alive) => Rumour::Alive(retell(alive, newer)).encode(),
            signed @ (Rumour::Record { .. } | Rumour::Order(_)) => signed.encode(),
            rumour @ (Rumour::Suspect(_) | Rumour::Dead(_) | Rumour::Holding(_)) => {
                [&rumour.encode()[..], b"added"].concat()
            }
        })
        .collect();
    told.insert(0, [&[LATER], &b"a rumour of a later kind"[..]].concat());
    for rumour in told.iter().map(|rumour| part(rumour)) {
        if bytes.len() + rumour.len() <= MAX_BODY {
            bytes.extend(rumour);
        }
    }
    bytes
}

/// Half of the members are of a newer version, and all have met.
fn mixed() -> Bench {
    let mut bench = Bench::new(MEMBERS);
    let newer: BTreeMap<_, _> = (0..NEWER).map(|at| (bench.id(at), bench.members[at].alive().body().key)).collect();
    bench.speech = Box::new(move |from, spoken, words| match spoken {
        _ if from >= NEWER => words,
        Spoken::Packet => say_newer(&words, &newer),
        Spoken::Question => [&words[..], b"added"].concat(),
        Spoken::Answer if words[1] == 0 && !matches!(Answer::decode(&words), Ok(Answer::Blob(_))) => {
            [&words[..], b"added"].concat()
        }
        Spoken::Answer => words,
    });
    bench.run(Duration::from_secs(3));
    bench
}

fn agree(bench: &Bench) -> bool {
    let digest = bench.members[0].digest();
    (0..MEMBERS).all(|at| bench.live(at) == MEMBERS - 1 && bench.members[at].digest() == digest)
}

fn damage(bench: &Bench) -> usize {
    bench.rejects.iter().filter(|reject| matches!(reject, Reject::Malformed | Reject::Forged)).count()
}

#[test]
fn older_and_newer_members_are_one_mesh() {
    let mut bench = mixed();
    bench.run(Duration::from_secs(30));
    assert!(agree(&bench));
    assert_eq!(damage(&bench), 0);
    assert!(bench.rejects.contains(&Reject::UnknownKind), "what is of a later kind is counted");
    let accused = |at: usize| {
        bench.notices[at].iter().any(|(_, notice)| {
            matches!(notice, crate::effects::Notice::Member { standing: Standing::Suspect | Standing::Dead, .. })
        })
    };
    assert!(!(0..MEMBERS).any(accused), "nobody was even suspected");
}

#[test]
fn what_newer_members_say_of_themselves_is_passed_on_as_it_came() {
    let mut bench = mixed();
    let old = MEMBERS - 1;
    let mut out = Effects::default();
    let request = Question::Members { after: None }.encode();
    let (from, now) = (bench.id(NEWER), bench.now);
    bench.members[old].handle(now, Input::Asked { from, ask: AskId(0), request: &request }, &mut out);
    let Ok(Answer::Members(page)) = Answer::decode(&out.replies[0].1) else { panic!("no members") };
    for at in 0..NEWER {
        let record = sign_newer(bench.members[at].alive().body());
        assert!(page.members.iter().any(|told| told.alive == record), "member {at}");
        let known = &bench.members[old].roster().get(&bench.id(at)).unwrap().alive;
        assert_eq!(known.body().protocol.highest, 3);
    }
}

#[test]
fn records_go_both_ways_between_older_and_newer_members() {
    let mut bench = mixed();
    for (owner, size) in [(0, 100), (1, 3_000), (2, 50_000), (5, 100), (6, 3_000), (7, 50_000)] {
        let (key, value): (Key, _) = ("offers".parse().unwrap(), Bytes::from(vec![7; size]));
        bench.with(owner, |member, now, out| member.set(now, key.clone(), value.clone(), out)).unwrap();
        bench.run_until(Duration::from_secs(2), |bench| {
            (0..MEMBERS).filter(|at| *at != owner).all(|at| {
                let member = bench.members[at].roster().get(&bench.id(owner)).unwrap();
                let record = member.records.as_ref().and_then(|held| held.get(&key));
                record.is_some_and(|record| match record.value() {
                    crate::record::Value::Blob { hash, .. } => bench.members[at].blobs().contains(hash),
                    _ => true,
                })
            })
        });
    }
    bench.run(Duration::from_secs(2));
    assert!(agree(&bench));
    assert_eq!(damage(&bench), 0);
}

#[test]
fn crashes_are_found_among_older_and_newer_members() {
    for dead in [1, MEMBERS - 1] {
        let mut bench = mixed();
        bench.silent.insert(dead);
        let others = || (0..MEMBERS).filter(move |at| *at != dead);
        bench.run_until(Duration::from_millis(2_500), |bench| {
            others().all(|at| bench.standing(at, dead) == Some(Standing::Dead))
        });
        assert!(others().all(|at| bench.live(at) == MEMBERS - 2), "and nobody else");
        bench.silent.remove(&dead);
        bench.run_until(Duration::from_secs(10), agree);
    }
}

#[test]
fn a_question_of_a_later_kind_is_answered_with_that() {
    let mut bench = Bench::joined(2);
    let mut out = Effects::default();
    let (from, now) = (bench.id(1), bench.now);
    bench.members[0].handle(now, Input::Asked { from, ask: AskId(0), request: &[LATER, 1, 2] }, &mut out);
    assert_eq!(out.replies, [(AskId(0), Answer::Unsupported.encode())]);
    assert!(out.rejects.is_empty());
}

#[test]
fn a_rumour_of_a_later_kind_is_dropped_where_it_is_heard() {
    let mut bench = Bench::joined(6);
    let body = [Writer::new(&Message::Gossip).finish(), part(&[LATER, 1, 2, 3])].concat();
    let sender = bench.id(1);
    bench.hand(0, Input::Datagram { from: address(1).gossip(), sender, body: &body });
    bench.run(Duration::from_secs(5));
    assert_eq!(bench.rejects, [Reject::UnknownKind], "counted once, told to nobody");
}

#[test]
fn a_member_that_speaks_no_version_of_ours_is_a_member_all_the_same() {
    let mut bench = Bench::joined(3);
    let mut body = Protocol::new(start(9, &Config::lan(), 1)).unwrap().alive().body().clone();
    body.protocol = ProtocolRange { lowest: 7, highest: 9 };
    let alive = Alive::sign(body.clone(), mesh(), &Stamp(body.key));
    let packet =
        [Writer::new(&Message::Gossip).finish(), part(&Rumour::Alive(alive.bytes().to_vec()).encode())].concat();
    let sender = alive.id();
    bench.hand(0, Input::Datagram { from: address(9).gossip(), sender, body: &packet });
    assert!(bench.members[0].roster().get(&sender).is_some(), "whether it answers decides, as for everybody");
}
