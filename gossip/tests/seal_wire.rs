//! What travels in a sealed datagram, byte for byte, and what an opener makes of everything else.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use mesh_gossip::id::{MemberId, MeshId, Session};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::moment::Moment;
use mesh_gossip::seal::{
    Advice, MAX_BODY, MAX_DATAGRAM, OVERHEAD, Opened, Opener, REFUSAL_BYTES, Refusal, Refused, Refuser, Sealer, TooLong,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, proptest};

const SENDER: MemberId = MemberId::from_bytes(*b"0123456789abcdef");
const SESSION: Session = Session(0x1122_3344_5566_7788);

fn key(byte: u8) -> MeshKey {
    MeshKey::from_bytes([byte; 32])
}

fn ring(byte: u8) -> Keyring {
    Keyring::new(key(byte))
}

fn sealer() -> Sealer {
    Sealer::new(MeshId::of("test"), SENDER, SESSION, &ring(1))
}

fn opener() -> Opener {
    Opener::new(MeshId::of("test"), &ring(1))
}

fn from(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_envelope_is_pinned() {
    let mut sealer = sealer();
    sealer.seal(b"first").unwrap();
    let datagram = sealer.seal(b"ping").unwrap();
    let header = "a114daea691fa0e8f5303132333435363738396162636465668877665544332211";
    assert_eq!(hex(&datagram), format!("{header}0100000000000000522128603d4b1f671fb6fb1c8e450dd4907035b2"));
    assert_eq!(datagram.len(), OVERHEAD + 4);
    let opened = opener().open(from(1), &datagram).unwrap();
    assert_eq!(opened, Opened { sender: SENDER, session: SESSION, counter: 1, body: b"ping".to_vec() });
}

#[test]
fn the_refusal_is_pinned() {
    let refusal = Refusal { advice: Advice::OtherVersion { theirs: 7 }, session: SESSION, counter: 258 };
    assert_eq!(hex(&refusal.encode()), "b103070088776655443322110201000000000000");
    for advice in [Advice::WrongKey, Advice::OtherMesh, Advice::OtherVersion { theirs: 2 }] {
        let refusal = Refusal { advice, ..refusal };
        assert_eq!(Refusal::decode(&refusal.encode()), Ok(refusal));
    }
}

#[test]
fn a_datagram_is_full_at_its_limit() {
    let (mut sealer, mut opener) = (sealer(), opener());
    let full = sealer.seal(&[7; MAX_BODY]).unwrap();
    assert_eq!(full.len(), MAX_DATAGRAM);
    assert_eq!(opener.open(from(1), &full).unwrap().body, [7; MAX_BODY]);
    assert_eq!(sealer.seal(&[7; MAX_BODY + 1]), Err(TooLong { bytes: MAX_BODY + 1 }));
    assert_eq!(opener.open(from(1), &[full.as_slice(), &[0]].concat()), Err(Refused::Oversized));
    let empty = sealer.seal(&[]).unwrap();
    assert_eq!(
        opener.open(from(1), &empty).unwrap(),
        Opened { sender: SENDER, session: SESSION, counter: 1, body: vec![] }
    );
}

#[test]
fn every_reason_for_refusal_has_its_case() {
    let mut opener = opener();
    let good = sealer().seal(b"x").unwrap();
    let with = |at: usize, byte: u8| {
        let mut datagram = good.clone();
        datagram[at] = byte;
        datagram
    };
    let mut refused = |datagram: &[u8]| opener.open(from(1), datagram).unwrap_err();
    assert_eq!(refused(&[]), Refused::Short);
    assert_eq!(refused(&good[..OVERHEAD - 1]), Refused::Short);
    assert_eq!(refused(&with(0, b'S')), Refused::Foreign);
    assert_eq!(refused(&with(0, 0xA5)), Refused::OtherVersion { theirs: 5 });
    assert_eq!(refused(&with(1, !good[1])), Refused::OtherMesh);
    assert_eq!(refused(&with(5, !good[5])), Refused::UnknownKey);
    for (at, &byte) in good.iter().enumerate().skip(9) {
        assert_eq!(refused(&with(at, !byte)), Refused::BadSeal, "byte {at}");
    }
    assert_eq!(
        refused(&Sealer::new(MeshId::of("else"), SENDER, SESSION, &ring(1)).seal(b"x").unwrap()),
        Refused::OtherMesh
    );
    assert_eq!(
        refused(&Sealer::new(MeshId::of("test"), SENDER, SESSION, &ring(2)).seal(b"x").unwrap()),
        Refused::UnknownKey
    );
    opener.open(from(1), &good).unwrap();
    assert_eq!(opener.open(from(1), &good), Err(Refused::Duplicate));
    opener.open(from(2), &good).unwrap();
}

#[test]
fn a_counter_at_the_very_end_silences_nobody() {
    let mut opener = opener();
    let mut sealer = sealer();
    for _ in 0..10 {
        opener.open(from(1), &sealer.seal(b"before").unwrap()).unwrap();
    }
    // Who holds the mesh key can claim any counter of anybody; here 600 of them, next to the end.
    let mut rogue = self::sealer();
    rogue.skip_to(u64::MAX - 600);
    for _ in 0..=600 {
        opener.open(from(1), &rogue.seal(b"forged").unwrap()).unwrap();
    }
    for _ in 0..1_000 {
        let datagram = sealer.seal(b"after").unwrap();
        opener.open(from(1), &datagram).unwrap();
        assert_eq!(opener.open(from(1), &datagram), Err(Refused::Duplicate));
    }
}

#[test]
fn a_rotation_leaves_no_gap() {
    let (old, new) = (key(1), key(2));
    let mut sender_ring = Keyring::new(old.clone());
    let mut receiver_ring = Keyring::new(old.clone());
    let mut sealer = sealer();
    let mut opener = Opener::new(MeshId::of("test"), &receiver_ring);
    let first = sealer.seal(b"old").unwrap();
    opener.open(from(1), &first).unwrap();

    receiver_ring.install(new.clone()).unwrap();
    opener.rekey(&receiver_ring);
    assert_eq!(opener.open(from(1), &first), Err(Refused::Duplicate), "installing a key forgets nothing");

    let late = sealer.seal(b"still old").unwrap();
    sender_ring.install(new.clone()).unwrap();
    sender_ring.use_key(new.hash()).unwrap();
    sealer.rekey(&sender_ring);
    let fresh = sealer.seal(b"new").unwrap();
    assert_eq!(opener.open(from(1), &fresh).unwrap().counter, 2, "counters go on");
    opener.open(from(1), &late).unwrap();

    receiver_ring.use_key(new.hash()).unwrap();
    receiver_ring.remove(old.hash()).unwrap();
    opener.rekey(&receiver_ring);
    assert_eq!(opener.open(from(1), &late), Err(Refused::UnknownKey));
    assert_eq!(opener.open(from(1), &fresh), Err(Refused::Duplicate));
}

#[test]
fn invented_senders_do_not_push_out_those_who_speak() {
    let mut opener = opener();
    let mut genuine = sealer();
    let first = genuine.seal(b"1").unwrap();
    opener.open(from(1), &first).unwrap();
    opener.open(from(1), &genuine.seal(b"2").unwrap()).unwrap();
    for number in 0..20_000_u128 {
        let sender = MemberId::from_bytes(number.to_le_bytes());
        let mut rogue = Sealer::new(MeshId::of("test"), sender, Session(1), &ring(1));
        opener.open(from(2), &rogue.seal(b"rogue").unwrap()).unwrap();
        if number % 1_000 == 0 {
            opener.open(from(1), &genuine.seal(b"still here").unwrap()).unwrap();
        }
    }
    assert_eq!(opener.open(from(1), &first), Err(Refused::Duplicate));
}

#[test]
fn a_stranger_is_told_why_but_seldom_and_briefly() {
    let mut refuser = Refuser::new(1);
    let mut stranger = Sealer::new(MeshId::of("test"), SENDER, SESSION, &ring(2));
    let datagram = stranger.seal(b"hello").unwrap();
    let refused = opener().open(from(1), &datagram).unwrap_err();
    let answer = refuser.answer(Moment::ZERO, from(1), refused, &datagram).unwrap();
    assert!(answer.len() == REFUSAL_BYTES && answer.len() <= datagram.len());
    assert!(Refusal::is(&answer) && !Refusal::is(&datagram));
    let refusal = Refusal::decode(&answer).unwrap();
    assert_eq!(refusal.advice, Advice::WrongKey);
    assert!(refusal.answers(&stranger));
    assert!(!Refusal { session: Session(1), ..refusal }.answers(&stranger), "whoever did not see the session");
    assert!(!Refusal { counter: 1, ..refusal }.answers(&stranger), "not sent yet");

    let more = (0..1_000).filter(|_| refuser.answer(Moment::ZERO, from(1), refused, &datagram).is_some()).count();
    assert_eq!(more, 2);
    assert_eq!(refuser.answer(Moment::ZERO, from(9), Refused::BadSeal, &datagram), None);
    let far = |number: u32| SocketAddr::from((std::net::Ipv4Addr::from_bits(number), 1));
    let all = (0..10_000).filter(|&n| refuser.answer(Moment::ZERO, far(n), refused, &datagram).is_some()).count();
    assert_eq!(all, 47);
}

proptest! {
    #[test]
    fn any_body_comes_out_as_it_went_in(body in proptest::collection::vec(any::<u8>(), 0..=MAX_BODY)) {
        let opened = opener().open(from(1), &sealer().seal(&body).unwrap()).unwrap();
        prop_assert_eq!(opened.body, body);
    }

    #[test]
    fn nothing_that_arrives_panics(datagram in proptest::collection::vec(any::<u8>(), 0..1_400), ours in any::<bool>()) {
        let mut datagram = datagram;
        if ours {
            let head = sealer().seal(&[]).unwrap();
            datagram.splice(0..9.min(datagram.len()), head[..9].iter().copied());
        }
        let refused = opener().open(from(1), &datagram).unwrap_err();
        Refuser::new(0).answer(Moment::ZERO, from(1), refused, &datagram);
        let _ = Refusal::decode(&datagram);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_datagram_is_accepted_exactly_once_in_any_order_and_with_any_gaps(
        jumps in proptest::collection::btree_set(any::<u64>(), 0..20),
        order in Just((0..400).chain(0..400).collect::<Vec<usize>>()).prop_shuffle()
    ) {
        let (mut sealer, mut opener) = (sealer(), opener());
        let mut jumps = jumps.into_iter();
        let sent: Vec<_> = (0..400).map(|number| {
            if number % 20 == 19 && let Some(jump) = jumps.next() {
                sealer.skip_to(jump.min(u64::MAX - 400));
            }
            sealer.seal(b"x").unwrap()
        }).collect();
        let accepted = order.iter().filter(|&&at| opener.open(from(1), &sent[at]).is_ok()).count();
        prop_assert_eq!(accepted, 400);
    }
}
