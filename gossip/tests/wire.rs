//! What members say to each other, byte for byte: whoever changes one of these bytes makes a mesh of its own.
//!
//! Pinned elsewhere: the envelope (`seal_wire`), records, orders, questions and answers, snapshots, proofs and the
//! courier's messages (beside their modules).
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signer as _, SigningKey};
use mesh_gossip::alive::{
    Address, Alive, AliveBody, AliveError, KeyLife, Life, MAX_ADDRESSES, MAX_ALIVE_BYTES, MAX_EXTENSION_BYTES,
    MAX_ZONE_BYTES, Presence, ProtocolRange, Summary,
};
use mesh_gossip::config::Config;
use mesh_gossip::effects::{Effects, Input};
use mesh_gossip::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
use mesh_gossip::identity::Ed25519Verifier;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::moment::Moment;
use mesh_gossip::packet::{
    Accusation, Ack, AskFor, Hello, Holding, MAX_BODY, Message, Ping, Reader, Relayed, Rumour, Welcome, Writer,
};
use mesh_gossip::protocol::{Protocol, Start};
use mesh_gossip::records::Bounds;
use mesh_gossip::roster::fingerprint;
use mesh_gossip::seal::Sealer;
use mesh_gossip::signature::{Signature, Signer, Verifier};
use mesh_gossip::wire;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const TARGET: MemberId = MemberId::from_bytes([0x33; 16]);
const OTHER: MemberId = MemberId::from_bytes([0x44; 16]);
const LIFE: Life = Life { generation: Generation(3), session: Session(5), incarnation: Incarnation(300) };
const WORD: Signature = Signature([0x5a; 64]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `count` times the byte `byte`.
fn many(byte: &str, count: usize) -> String {
    byte.repeat(count)
}

/// An ed25519 key that keeps what it signs.
struct Owner {
    key: SigningKey,
    signed: Mutex<Vec<u8>>,
}

impl Owner {
    fn new() -> Self {
        Self { key: SigningKey::from_bytes(&[7; 32]), signed: Mutex::default() }
    }

    fn last_signed(&self) -> Vec<u8> {
        self.signed.lock().unwrap().clone()
    }
}

impl Signer for Owner {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        *self.signed.lock().unwrap() = message.to_vec();
        Signature(self.key.sign(message).to_bytes())
    }
}

fn mesh() -> MeshId {
    MeshId::of("test")
}

fn body() -> AliveBody {
    AliveBody {
        key: Owner::new().public_key(),
        generation: LIFE.generation,
        session: LIFE.session,
        incarnation: LIFE.incarnation,
        addresses: vec![Address { ip: [10, 0, 0, 1].into(), gossip_port: 7745, quic_port: 7746 }],
        zone: "eu".to_owned(),
        protocol: ProtocolRange { lowest: 1, highest: 1 },
        presence: Presence::Here,
        key_life: KeyLife::Kept,
        summary: Summary { first: 1, last: 2, hash: 0x1122_3344_5566_7788 },
    }
}

#[test]
fn the_names_of_members_meshes_and_keys_are_pinned() {
    assert_eq!(MemberId::of(&PublicKey([7; 32])).to_string(), "68a9113c182359d4aea802575ddd2ae2");
    assert_eq!(hex(&mesh().0), "14daea69d951d331932cc61f0a2c9de9");
    assert_eq!(MeshKey::from_bytes([1; 32]).hash().to_string(), "1fa0e8f5");
}

#[test]
fn the_alive_record_is_pinned() {
    let owner = Owner::new();
    let alive = Alive::sign(body(), mesh(), &owner);
    let says = [
        "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", // public key
        "03",                                                               // generation
        "05",                                                               // session
        "fb2c01",                                                           // incarnation: 300
        "01",                                                               // one address
        "00",                                                               // of IP version 4
        "0a000001",                                                         // 10.0.0.1
        "fb411e",                                                           // gossip port: 7745
        "fb421e",                                                           // QUIC port: 7746
        "026575",                                                           // zone: eu
        "0101",                                                             // protocol versions 1 to 1
        "00",                                                               // here
        "00",                                                               // key on disk
        "01",                                                               // first version that is not void
        "02",                                                               // highest version
        "fd8877665544332211",                                               // hash of the records
        "00",                                                               // no extension
    ]
    .concat();
    let signature = "6b6849477d1b4df8ab0ade1a32ecc89f11dd5b4f9c07fc2383b744532507b367\
                     972e5686367c95c61cd22b8ebc56a16b723b112178e7a783afa3808c272f9501";
    assert_eq!(hex(alive.bytes()), format!("{says}{signature}"));
    assert_eq!(hex(&owner.last_signed()), format!("{}{}{says}", hex(b"mesh alive 1"), hex(&mesh().0)));
    assert_eq!(fingerprint(&alive), 5_346_692_661_259_939_310, "what pings and acks compare");
    let verified = Alive::verify(alive.bytes(), mesh(), &Ed25519Verifier::new()).unwrap();
    assert_eq!((verified.body(), verified.life()), (&body(), LIFE));
    assert_eq!(Alive::peek(alive.bytes()), Ok((alive.id(), LIFE)));
    assert_eq!(
        Alive::verify(alive.bytes(), MeshId::of("else"), &Ed25519Verifier::new()).unwrap_err(),
        AliveError::Forged
    );
}

#[test]
fn the_other_choices_of_an_alive_record_are_pinned() {
    let (ip, gossip_port, quic_port) = ("fd00::1".parse().unwrap(), 7745, 7746);
    assert_eq!(
        hex(&wire::encode(&Address { ip, gossip_port, quic_port })),
        format!("01fd{}01fb411efb421e", many("00", 14))
    );
    assert_eq!(wire::encode(&Presence::Left), [1]);
    assert_eq!(wire::encode(&KeyLife::Ephemeral), [1]);
}

/// The record of a newer version, as that version would sign it.
fn extended(extension: &[u8]) -> Vec<u8> {
    let owner = Owner::new();
    let says = wire::encode(&(body(), extension));
    let signature = owner.sign(&[b"mesh alive 1", &mesh().0[..], &says].concat());
    [&says[..], &signature.0].concat()
}

#[test]
fn what_a_newer_version_adds_to_its_alive_record_is_kept_as_it_came() {
    let verify = |bytes: &[u8]| Alive::verify(bytes, mesh(), &Ed25519Verifier::new());
    assert_eq!(extended(&[]), Alive::sign(body(), mesh(), &Owner::new()).bytes()[..]);
    let newer = extended(&[9; MAX_EXTENSION_BYTES]);
    let alive = verify(&newer).unwrap();
    assert_eq!((alive.body(), &alive.bytes()[..]), (&body(), &newer[..]));
    let mut changed = newer.clone();
    changed[newer.len() - 65] = 8;
    assert_eq!(verify(&changed).unwrap_err(), AliveError::Forged, "an extension is signed");
    assert_eq!(verify(&extended(&[9; MAX_EXTENSION_BYTES + 1])).unwrap_err(), AliveError::Malformed);
    assert_eq!(verify(&[&newer[..], &[0]].concat()).unwrap_err(), AliveError::Malformed, "nothing follows a signature");
}

#[test]
fn the_longest_alive_record_is_within_its_bound_and_fits_a_hello() {
    struct Anybody;
    impl Verifier for Anybody {
        fn verify(&self, _: &PublicKey, _: &[u8], _: &Signature) -> bool {
            true
        }
    }
    let ip = "fd00::1".parse().unwrap();
    let body = AliveBody {
        generation: Generation(u64::MAX),
        session: Session(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        addresses: vec![Address { ip, gossip_port: 7745, quic_port: 7746 }; MAX_ADDRESSES],
        zone: "z".repeat(MAX_ZONE_BYTES),
        summary: Summary { first: u64::MAX, last: u64::MAX, hash: u64::MAX },
        ..body()
    };
    let bytes = [wire::encode(&(&body, vec![9_u8; MAX_EXTENSION_BYTES])), vec![0; 64]].concat();
    assert!(bytes.len() <= MAX_ALIVE_BYTES, "{} bytes", bytes.len());
    Alive::verify(&bytes, mesh(), &Anybody).unwrap();
    let hello = Hello { nonce: u64::MAX, alive: bytes, members: u32::MAX, padding: vec![0; MAX_ALIVE_BYTES] };
    assert!(Writer::new(&Message::Hello(hello)).finish().len() <= MAX_BODY);
}

/// Every kind of message with its bytes: kind, length, and the fields of its body.
fn messages() -> Vec<(Message, Vec<String>)> {
    let (target, other) = (&many("33", 16), &many("44", 16));
    let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let nonce = 0x0102_0304_0506_0708;
    let ping = Ping { target: TARGET, nonce, digest: 9, behalf: None, doubt: None };
    let asked = Ping { behalf: Some((OTHER, 7)), doubt: Some(Incarnation(300)), ..ping.clone() };
    let hello = Hello { nonce: 4, alive: vec![1, 2, 3], members: 260, padding: vec![0; 4] };
    let four = Welcome { nonce: 4, alive: vec![1, 2, 3], observed: "192.0.2.1:7745".parse().unwrap() };
    let six = Welcome { observed: "[fd00::1]:7745".parse().unwrap(), ..four.clone() };
    vec![
        (Message::Gossip, texts(&["00", "0000"])),
        // target, nonce, digest, on nobody's behalf, no doubt
        (Message::Ping(ping), texts(&["01", "1c00", target, "fd0807060504030201", "09", "00", "00"])),
        // … on behalf of `other` under the nonce 7, in doubt of incarnation 300
        (
            Message::Ping(asked),
            texts(&["01", "3000", target, "fd0807060504030201", "09", "01", other, "07", "01", "fb2c01"]),
        ),
        // nonce, digest, no word
        (Message::Ack(Ack { nonce: 1, digest: 2, word: None }), texts(&["02", "0300", "01", "02", "00"])),
        (
            Message::Ack(Ack { nonce: 1, digest: 2, word: Some(WORD) }),
            texts(&["02", "4300", "01", "02", "01", &many("5a", 64)]),
        ),
        // target, nonce
        (Message::AskFor(AskFor { target: TARGET, nonce: 3 }), texts(&["03", "1100", target, "03"])),
        // nonce, word
        (Message::Relayed(Relayed { nonce: 3, word: WORD }), texts(&["04", "4100", "03", &many("5a", 64)])),
        // nonce
        (Message::Nack { nonce: 250 }, texts(&["05", "0100", "fa"])),
        (Message::NotMe { nonce: 251 }, texts(&["06", "0300", "fbfb00"])),
        // nonce, alive record behind its length, members, padding behind its length
        (Message::Hello(hello), texts(&["07", "0d00", "04", "03010203", "fb0401", "0400000000"])),
        // nonce, alive record behind its length, IP version, address, port
        (Message::Welcome(four), texts(&["08", "0d00", "04", "03010203", "00", "c0000201", "fb411e"])),
        (
            Message::Welcome(six),
            texts(&["08", "1900", "04", "03010203", "01", &format!("fd{}01", many("00", 14)), "fb411e"]),
        ),
        // whatever the courier says
        (Message::Courier(vec![1, 2, 3]), texts(&["09", "0300", "010203"])),
    ]
}

/// Every kind of rumour with its bytes: length, kind, and the fields of its body.
fn rumours() -> Vec<(Rumour, Vec<String>)> {
    let (target, other) = (&many("33", 16), &many("44", 16));
    let texts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let accusation = Accusation { member: TARGET, life: LIFE, accuser: OTHER };
    vec![
        // an alive record
        (Rumour::Alive(vec![1, 2, 3]), texts(&["0400", "01", "010203"])),
        // the accused, its generation, session and incarnation, the accuser
        (Rumour::Suspect(accusation), texts(&["2600", "02", target, "03", "05", "fb2c01", other])),
        (Rumour::Dead(accusation), texts(&["2600", "03", target, "03", "05", "fb2c01", other])),
        // whose, a record
        (Rumour::Record { member: TARGET, bytes: vec![1, 2, 3] }, texts(&["1400", "04", target, "010203"])),
        // whose, up to which version
        (Rumour::Holding(Holding { member: TARGET, version: 300 }), texts(&["1400", "05", target, "fb2c01"])),
        // an order
        (Rumour::Order(vec![1, 2, 3]), texts(&["0400", "06", "010203"])),
    ]
}

#[test]
fn every_kind_of_message_is_pinned() {
    for (message, pinned) in messages() {
        let bytes = Writer::new(&message).finish();
        assert_eq!(hex(&bytes), pinned.concat(), "{message:?}");
        let claimed = usize::from(u16::from_le_bytes([bytes[1], bytes[2]]));
        assert_eq!(claimed, bytes.len() - 3, "{message:?} claims its own length");
        let mut packet = Reader::new(&bytes).unwrap();
        assert_eq!(packet.message.take(), Some(message));
        assert!(packet.next().is_none());
    }
}

#[test]
fn every_kind_of_rumour_is_pinned() {
    for (rumour, pinned) in rumours() {
        let mut packet = Writer::new(&Message::Gossip);
        let room = packet.room();
        assert!(packet.push(&rumour.encode()));
        assert_eq!(room - packet.room(), 2 + rumour.encode().len(), "{rumour:?} takes the room it claims");
        let bytes = packet.finish();
        assert_eq!(hex(&bytes), format!("000000{}", pinned.concat()), "{rumour:?}");
        let claimed = usize::from(u16::from_le_bytes([bytes[3], bytes[4]]));
        assert_eq!(claimed, bytes.len() - 5, "{rumour:?} claims its own length");
        let told: Vec<_> = Reader::new(&bytes).unwrap().collect();
        assert_eq!(told, [Ok(Some(rumour))]);
    }
}

/// Everything at once: a ping, then a rumour of every kind.
fn talkative() -> Vec<u8> {
    let mut packet = Writer::new(&messages().swap_remove(2).0);
    for (rumour, _) in rumours() {
        assert!(packet.push(&rumour.encode()));
    }
    packet.finish()
}

#[test]
fn a_message_and_its_rumours_stand_one_behind_the_other() {
    let (_, ping) = messages().swap_remove(2);
    let told: String = rumours().iter().map(|(_, pinned)| pinned.concat()).collect();
    let bytes = talkative();
    assert_eq!(hex(&bytes), format!("{}{told}", ping.concat()));
    let mut packet = Reader::new(&bytes).unwrap();
    assert_eq!(packet.message.take(), Some(messages().swap_remove(2).0));
    assert!(packet.map(|rumour| rumour.unwrap().unwrap()).eq(rumours().into_iter().map(|(rumour, _)| rumour)));
}

#[test]
fn a_whole_datagram_is_pinned() {
    let sender = MemberId::of(&Owner::new().public_key());
    let mut sealer = Sealer::new(mesh(), sender, Session(5), &Keyring::new(MeshKey::from_bytes([1; 32])));
    let mut packet =
        Writer::new(&Message::Ping(Ping { target: TARGET, nonce: 1, digest: 2, behalf: None, doubt: None }));
    assert!(packet.push(&rumours().swap_remove(4).0.encode()));
    let says = packet.finish();
    assert_eq!(hex(&says), format!("011400{}01020000140005{}fb2c01", many("33", 16), many("33", 16)));
    let datagram = sealer.seal(&says).unwrap();
    let clear = [
        "a1",                               // of this protocol, format version 1
        "14daea69",                         // mesh
        "1fa0e8f5",                         // key
        "e4897072b81b18eb96e88d48f1820b98", // sender
        "0500000000000000",                 // session
        "0000000000000000",                 // counter
    ]
    .concat();
    let sealed = "00b9389974c643aa9ac59fb54443a88a02b29133475217ac4a70c8b5eb82456b8875fb1d6b4e7a548b662333ad";
    let tag = "43a9e395d5d57194960eb9cf549c36c7";
    assert_eq!(hex(&datagram), format!("{clear}{sealed}{tag}"));
}

#[test]
fn what_a_newer_version_appends_is_ignored() {
    for (message, _) in messages() {
        let signed_or_opaque = matches!(message, Message::Courier(_));
        let plain = Writer::new(&message).finish();
        let body = [&plain[3..], b"added"].concat();
        let length = u16::try_from(body.len()).unwrap().to_le_bytes();
        let longer = [&plain[..1], &length, &body].concat();
        let mut packet = Reader::new(&longer).unwrap();
        assert_eq!(packet.message.take() == Some(message), !signed_or_opaque);
        assert!(packet.next().is_none());
    }
    for (rumour, _) in rumours() {
        let signed = matches!(rumour, Rumour::Alive(_) | Rumour::Record { .. } | Rumour::Order(_));
        let mut packet = Writer::new(&Message::Gossip);
        assert!(packet.push(&[&rumour.encode()[..], b"added"].concat()));
        let told: Vec<_> = Reader::new(&packet.finish()).unwrap().collect();
        assert_eq!(told == [Ok(Some(rumour))], !signed);
    }
}

#[test]
fn what_has_an_unknown_kind_is_skipped_by_its_length() {
    for kind in (10..=255).step_by(35) {
        let known = rumours().swap_remove(4).0;
        let mut packet = [kind, 2, 0, 7, 7].to_vec();
        packet.extend([3, 0, kind, 7, 7]);
        packet.extend(u16::try_from(known.encode().len()).unwrap().to_le_bytes());
        packet.extend(known.encode());
        let mut packet = Reader::new(&packet).unwrap();
        assert_eq!(packet.message.take(), None);
        assert_eq!(packet.collect::<Vec<_>>(), [Ok(None), Ok(Some(known))]);
    }
}

#[test]
fn the_word_for_an_asker_is_pinned() {
    let owner = Arc::new(Owner::new());
    let start = Start {
        config: Config::lan(),
        mesh: mesh(),
        signer: owner.clone(),
        verifier: Arc::new(Ed25519Verifier::new()),
        generation: LIFE.generation,
        session: LIFE.session,
        addresses: body().addresses,
        zone: String::new(),
        key_life: KeyLife::Kept,
        operator: None,
        remembered: Vec::new(),
        bounds: Bounds::default(),
        randomness: [0; 32],
    };
    let mut member = Protocol::new(start).unwrap();
    let behalf = Some((OTHER, 0x0102_0304_0506_0708));
    let ping = Ping { target: member.id(), nonce: 1, digest: 2, behalf, doubt: None };
    let body = Writer::new(&Message::Ping(ping)).finish();
    let mut out = Effects::default();
    let from = "10.0.0.9:7745".parse().unwrap();
    member.handle(Moment::ZERO, Input::Datagram { from, sender: TARGET, body: &body }, &mut out);
    let mut answer = Reader::new(&out.sends[0].body).unwrap();
    let Some(Message::Ack(ack)) = answer.message.take() else { panic!("no ack") };
    let message =
        [b"mesh word 1", &mesh().0[..], &[8, 7, 6, 5, 4, 3, 2, 1], OTHER.as_bytes(), member.id().as_bytes()].concat();
    assert_eq!(ack.word, Some(owner.sign(&message)));
}

fn any_member() -> impl Strategy<Value = MemberId> {
    any::<[u8; 16]>().prop_map(MemberId::from_bytes)
}

fn any_message() -> impl Strategy<Value = Message> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..400);
    let behalf = proptest::option::of((any_member(), any::<u64>()));
    let doubt = proptest::option::of(any::<u64>().prop_map(Incarnation));
    prop_oneof![
        (any_member(), any::<[u64; 2]>(), behalf, doubt).prop_map(|(target, [nonce, digest], behalf, doubt)| {
            Message::Ping(Ping { target, nonce, digest, behalf, doubt })
        }),
        (any::<[u64; 2]>(), proptest::option::of(any::<[u8; 64]>().prop_map(Signature)))
            .prop_map(|([nonce, digest], word)| Message::Ack(Ack { nonce, digest, word })),
        (any::<u64>(), bytes(), any::<u32>(), bytes())
            .prop_map(|(nonce, alive, members, padding)| Message::Hello(Hello { nonce, alive, members, padding })),
        (any::<u64>(), bytes(), any::<std::net::SocketAddr>())
            .prop_map(|(nonce, alive, observed)| Message::Welcome(Welcome { nonce, alive, observed: plain(observed) })),
        bytes().prop_map(Message::Courier),
    ]
}

/// Flow labels and scopes of IPv6 mean something on one host only and do not travel.
fn plain(address: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(address.ip(), address.port())
}

fn any_rumour() -> impl Strategy<Value = Rumour> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        bytes().prop_map(Rumour::Alive),
        bytes().prop_map(Rumour::Order),
        (any_member(), bytes()).prop_map(|(member, bytes)| Rumour::Record { member, bytes }),
        (any_member(), any::<u64>()).prop_map(|(member, version)| Rumour::Holding(Holding { member, version })),
        (any_member(), any::<[u64; 3]>(), any_member()).prop_map(
            |(member, [generation, session, incarnation], accuser)| {
                let (generation, session) = (Generation(generation), Session(session));
                let life = Life { generation, session, incarnation: Incarnation(incarnation) };
                Rumour::Dead(Accusation { member, life, accuser })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in any_message(), told in proptest::collection::vec(any_rumour(), 0..8)) {
        let mut packet = Writer::new(&message);
        let fitted: Vec<Rumour> = told.into_iter().filter(|rumour| packet.push(&rumour.encode())).collect();
        let bytes = packet.finish();
        prop_assert!(bytes.len() <= MAX_BODY);
        let mut packet = Reader::new(&bytes).unwrap();
        prop_assert_eq!(packet.message.take(), Some(message));
        prop_assert_eq!(packet.collect::<Result<Vec<_>, _>>(), Ok(fitted.into_iter().map(Some).collect::<Vec<_>>()));
    }

    #[test]
    fn a_damaged_or_cut_packet_is_read_to_its_end(
        at in any::<proptest::sample::Index>(), change in 1u8.., cut in any::<proptest::sample::Index>()
    ) {
        let mut bytes = talkative();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(packet) = Reader::new(bytes) {
                prop_assert!(packet.count() <= bytes.len() / 2);
            }
        }
    }

    #[test]
    fn no_bytes_panic(kind in 0..12u8, bytes in proptest::collection::vec(any::<u8>(), 0..MAX_BODY)) {
        let bytes = [&[kind], &bytes[..]].concat();
        if let Ok(packet) = Reader::new(&bytes) {
            prop_assert!(packet.count() <= bytes.len() / 2);
        }
        prop_assert!(Alive::verify(&bytes, mesh(), &Ed25519Verifier::new()).is_err());
    }

    #[test]
    fn a_damaged_alive_record_is_refused(at in any::<proptest::sample::Index>(), change in 1u8..) {
        let mut bytes = extended(b"newer");
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(Alive::verify(&bytes, mesh(), &Ed25519Verifier::new()).is_err());
    }
}
