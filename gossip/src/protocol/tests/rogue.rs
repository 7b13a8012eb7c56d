//! What a member that holds the mesh key but not the others' keys can do: nothing that lasts.

use std::time::Duration;

use super::bench::{Bench, Stamp, address, mesh, start};
use crate::alive::Alive;
use crate::config::Config;
use crate::effects::{Input, Standing};
use crate::id::{Incarnation, MemberId, PublicKey};
use crate::packet::{Accusation, Holding, Message, Ping, Reader, Rumour, Welcome, Writer};
use crate::protocol::Protocol;

fn whisper(bench: &mut Bench, to: usize, sender: MemberId, rumours: &[Rumour]) {
    let mut packet = Writer::new(&Message::Gossip);
    for rumour in rumours {
        assert!(packet.push(&rumour.encode()));
    }
    let body = packet.finish();
    bench.hand(to, Input::Datagram { from: address(99).gossip(), sender, body: &body });
}

#[test]
fn nobody_dies_of_what_a_rogue_says() {
    let mut bench = Bench::joined(8);
    for round in 0..200_u64 {
        for victim in 0..8 {
            let mut life = bench.members[victim].alive().life();
            if round % 3 == 0 {
                life.incarnation = Incarnation(u64::MAX - round);
            }
            let accuser = bench.id((victim + 1) % 8);
            let accusation = Accusation { member: bench.id(victim), life, accuser };
            whisper(&mut bench, (victim + 3) % 8, accuser, &[Rumour::Dead(accusation), Rumour::Suspect(accusation)]);
        }
        bench.run(Duration::from_millis(20));
    }
    bench.run(Duration::from_secs(3));
    let deaths = bench
        .notices
        .iter()
        .flatten()
        .filter(|(_, notice)| matches!(notice, crate::effects::Notice::Member { standing: Standing::Dead, .. }));
    assert_eq!(deaths.count(), 0);
    assert!((0..8).all(|at| bench.live(at) == 7));
}

#[test]
fn invented_members_are_gone_soon_and_cost_nobody_a_place() {
    let mut bench = Bench::joined(6);
    let teller = bench.id(1);
    for i in 0..3_000_u32 {
        let key = PublicKey(*blake3::hash(&i.to_le_bytes()).as_bytes());
        let mut body = Protocol::new(start(0, &Config::lan(), 1)).unwrap().alive().body().clone();
        body.key = key;
        body.addresses = vec![address(60_000)];
        let alive = Alive::sign(body, mesh(), &Stamp(key));
        whisper(&mut bench, 0, teller, &[Rumour::Alive(alive.bytes().to_vec())]);
    }
    bench.run(Duration::from_secs(25));
    for at in 0..6 {
        assert_eq!(bench.live(at), 5, "member {at} sees the real ones and no other");
        assert_eq!(bench.members[at].roster().len(), 5);
    }
}

fn invented(seed: u32) -> Alive {
    let key = PublicKey(*blake3::hash(&seed.to_le_bytes()).as_bytes());
    let mut body = Protocol::new(start(0, &Config::lan(), 1)).unwrap().alive().body().clone();
    body.key = key;
    body.addresses = vec![address(60_000)];
    Alive::sign(body, mesh(), &Stamp(key))
}

#[test]
fn a_record_in_a_welcome_proves_nobody() {
    let mut bench = Bench::joined(4);
    let stranger = invented(1);
    // A ping of somebody unknown makes us say hello; the rogue answers with the record of somebody it invented.
    let ping = Ping { target: bench.id(0), nonce: 7, digest: 0, behalf: None, doubt: None };
    let body = Writer::new(&Message::Ping(ping)).finish();
    let from = address(60_001).gossip();
    let sends = bench.with(0, |core, now, out| {
        core.handle(now, Input::Datagram { from, sender: stranger.id(), body: &body }, out);
        std::mem::take(&mut out.sends)
    });
    let hello = sends.iter().find_map(|send| match Reader::new(&send.body).unwrap().message {
        Some(Message::Hello(hello)) => Some(hello),
        _ => None,
    });
    let welcome = Welcome { nonce: hello.unwrap().nonce, alive: stranger.bytes().to_vec(), observed: from };
    let body = Writer::new(&Message::Welcome(welcome)).finish();
    bench.hand(0, Input::Datagram { from, sender: stranger.id(), body: &body });
    assert_eq!(bench.live(0), 4);
    bench.run(Duration::from_secs(5));
    assert_eq!(bench.members[0].roster().len(), 3, "whoever does not answer a ping is not there");
}

#[test]
fn what_was_never_announced_is_not_asked_for_for_ever() {
    let mut bench = Bench::joined(4);
    bench.with(1, |core, now, out| {
        core.set(now, "offers".parse().unwrap(), bytes::Bytes::from_static(b"x"), out).unwrap();
    });
    bench.run(Duration::from_secs(1));
    let holding = Rumour::Holding(Holding { member: bench.id(1), version: u64::MAX });
    let teller = bench.id(2);
    whisper(&mut bench, 0, teller, &[holding]);
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.members[0].pull.lacking(), 0);
    assert!(bench.members[0].heralded.is_empty());
}

#[test]
fn a_neighbour_at_a_members_address_raises_suspicion_but_kills_nobody() {
    let mut bench = Bench::joined(5);
    bench.run(Duration::from_millis(37));
    let not_me: Vec<u64> = bench.members[0].inquiries.keys().copied().collect();
    for nonce in not_me {
        let body = Writer::new(&Message::NotMe { nonce }).finish();
        let sender = bench.id(1);
        bench.hand(0, Input::Datagram { from: address(1).gossip(), sender, body: &body });
    }
    bench.run(Duration::from_secs(3));
    assert!((0..5).all(|at| bench.live(at) == 4));
}

#[test]
fn endless_accusations_do_not_make_the_accused_slow() {
    let mut bench = Bench::joined(5);
    for _ in 0..100 {
        let accusation =
            Accusation { member: bench.id(0), life: bench.members[0].alive().life(), accuser: bench.id(1) };
        let sender = bench.id(1);
        whisper(&mut bench, 0, sender, &[Rumour::Suspect(accusation)]);
        bench.run(Duration::from_millis(50));
        assert!(bench.members[0].awareness() <= 2);
    }
}
