#![expect(clippy::unwrap_used, reason = "tests")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, proptest};

use super::{member, mesh, record, verifier};
use crate::alive::Alive;
use crate::courier::address::{Name, version_of};
use crate::courier::format::{self, ACK, KEY_VALUE, NODE, SET_MAX_VERSION, SYN, SYN_ACK};
use crate::courier::guard::{self, Cleaned, Filtered, KEY, Refused, Rules, Step};
use crate::id::MemberId;

const CLUSTER: &str = "m";

/// Members 0 (ourselves) to 3 are admitted.
fn inspect(message: &[u8]) -> Result<Cleaned, Refused> {
    let admitted: Vec<MemberId> = (0..4).map(member).collect();
    let verifier = verifier();
    guard::inspect(
        message,
        &Rules {
            own: Name::of(member(0)),
            cluster: CLUSTER,
            room: 2,
            admitted: &|name| admitted.iter().copied().find(|id| Name::of(*id) == *name),
            verify: &|record| Alive::verify(record, mesh(), &*verifier).ok(),
        },
    )
}

/// A message under construction.
#[derive(Clone, Default)]
struct Forge {
    entries: Vec<Vec<u8>>,
    operations: Vec<u8>,
}

fn entry(number: u32, counters: [u64; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format::write_name(&mut bytes, &Name::of(member(number)));
    counters.iter().for_each(|counter| bytes.extend_from_slice(&counter.to_le_bytes()));
    bytes
}

impl Forge {
    fn entry(mut self, number: u32, counters: [u64; 3]) -> Self {
        self.entries.push(entry(number, counters));
        self
    }

    fn node(mut self, number: u32, last_gc_version: u64, from: u64) -> Self {
        self.operations.push(NODE);
        format::write_name(&mut self.operations, &Name::of(member(number)));
        self.operations.extend_from_slice(&last_gc_version.to_le_bytes());
        self.operations.extend_from_slice(&from.to_le_bytes());
        self
    }

    fn key_value(mut self, key: &str, value: &str, version: u64, status: u8) -> Self {
        self.operations.push(KEY_VALUE);
        format::write_text(&mut self.operations, key.as_bytes());
        format::write_text(&mut self.operations, value.as_bytes());
        self.operations.extend_from_slice(&version.to_le_bytes());
        self.operations.push(status);
        self
    }

    fn max_version(mut self, version: u64) -> Self {
        self.operations.push(SET_MAX_VERSION);
        self.operations.extend_from_slice(&version.to_le_bytes());
        self
    }

    /// What an honest member sends about `alive`.
    fn honest(self, number: u32, alive: &Alive) -> Self {
        let version = version_of(alive.life()).unwrap();
        self.node(number, 0, 0).key_value(KEY, &STANDARD_NO_PAD.encode(alive.bytes()), version, 0)
    }

    fn head(&self, kind: u8) -> Vec<u8> {
        let mut bytes = format::HEADER.to_vec();
        bytes.push(kind);
        if kind != ACK {
            bytes.extend_from_slice(&(self.entries.len() as u16).to_le_bytes());
            self.entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
        }
        bytes
    }

    fn syn(&self, cluster: &str) -> Vec<u8> {
        let mut bytes = self.head(SYN);
        format::write_text(&mut bytes, cluster.as_bytes());
        bytes
    }

    fn delta(&self, kind: u8) -> Vec<u8> {
        let mut bytes = self.head(kind);
        format::write_blocks(&mut bytes, &self.operations);
        bytes
    }

    fn inspect(&self) -> Cleaned {
        inspect(&self.delta(SYN_ACK)).unwrap()
    }
}

/// What chitchat itself makes of cleaned bytes, as text: its fields are private.
fn read_by_chitchat(cleaned: &Cleaned) -> String {
    let mut rest = &cleaned.bytes[..];
    let message = ChitchatMessage::deserialize(&mut rest).unwrap();
    assert!(rest.is_empty());
    format!("{message:?}")
}

fn filtered(cleaned: &Cleaned) -> Vec<(Filtered, u64)> {
    cleaned.filtered.iter().map(|(reason, count)| (*reason, *count)).collect()
}

#[test]
fn an_honest_message_passes_whole() {
    let alive = record(1, 5, 3);
    let forge = Forge::default().entry(0, [1, 0, 1]).entry(1, [9, 0, 9]).honest(1, &alive);
    let cleaned = forge.inspect();
    assert_eq!((cleaned.step, filtered(&cleaned)), (Step::SynAck, vec![]));
    assert_eq!(cleaned.alive.iter().map(Alive::life).collect::<Vec<_>>(), [alive.life()]);
    let text = read_by_chitchat(&cleaned);
    assert!(text.contains(&STANDARD_NO_PAD.encode(alive.bytes())));
    assert_eq!(inspect(&forge.syn(CLUSTER)).unwrap().bytes.len(), forge.syn(CLUSTER).len());
}

#[test]
fn what_is_forged_misplaced_or_mislabelled_is_left_out() {
    let honest = record(1, 5, 3);
    let value = STANDARD_NO_PAD.encode(honest.bytes());
    let version = version_of(honest.life()).unwrap();
    let mut damaged = honest.bytes().to_vec();
    damaged[40] ^= 1;
    let damaged = STANDARD_NO_PAD.encode(damaged);
    let node = || Forge::default().node(1, 0, 0);
    for (forge, reason) in [
        (node().key_value(KEY, &damaged, version, 0), Filtered::Forged),
        (Forge::default().node(2, 0, 0).key_value(KEY, &value, version, 0), Filtered::Forged),
        (node().key_value(KEY, &value, version + 1, 0), Filtered::BadCounter),
        (node().key_value(KEY, &value, u64::MAX, 0), Filtered::BadCounter),
        (node().key_value(KEY, &value, version, 1), Filtered::BadOperation),
        (node().key_value(KEY, &value, version, 2), Filtered::BadOperation),
        (node().key_value(KEY, &value, version, 255), Filtered::BadOperation),
        (node().key_value("b", &value, version, 0), Filtered::BadOperation),
        (node().key_value("", &value, version, 0), Filtered::BadOperation),
        (node().key_value("é", &value, version, 0), Filtered::BadOperation),
        (node().key_value(KEY, "not base64!", version, 0), Filtered::BadOperation),
        (node().key_value(KEY, &"A".repeat(60_000), version, 0), Filtered::BadOperation),
        (Forge::default().node(1, 7, 0).key_value(KEY, &value, version, 0), Filtered::BadCounter),
        (node().max_version(u64::MAX), Filtered::BadOperation),
        (Forge::default().key_value(KEY, &value, version, 0), Filtered::BadOperation),
    ] {
        let cleaned = forge.inspect();
        assert!(cleaned.filtered.contains_key(&reason), "{reason:?}: {:?}", cleaned.filtered);
        assert!(cleaned.alive.is_empty(), "{reason:?}");
        assert!(read_by_chitchat(&cleaned).contains("node_deltas: []"), "{reason:?}");
    }
}

#[test]
fn after_a_bad_operation_the_rest_of_that_member_is_dropped_and_the_next_goes_on() {
    let (one, two) = (record(1, 5, 3), record(2, 5, 3));
    let version = version_of(one.life()).unwrap();
    let value = STANDARD_NO_PAD.encode(one.bytes());
    let forge =
        Forge::default().node(1, 0, 0).key_value("é", "x", 1, 0).key_value(KEY, &value, version, 0).honest(2, &two);
    let cleaned = forge.inspect();
    assert_eq!(filtered(&cleaned), [(Filtered::BadOperation, 2)]);
    assert_eq!(cleaned.alive.iter().map(Alive::id).collect::<Vec<_>>(), [two.id()]);
    // `SetMaxVersion` below what came before makes chitchat panic.
    let cleaned = Forge::default().honest(1, &one).max_version(1).inspect();
    assert_eq!(filtered(&cleaned), [(Filtered::BadOperation, 1)]);
    assert!(!read_by_chitchat(&cleaned).contains("max_version: 1 "));
    // The same member twice makes chitchat refuse the whole message.
    let cleaned = Forge::default().honest(1, &one).honest(1, &one).honest(2, &two).inspect();
    assert_eq!(cleaned.filtered[&Filtered::Twice], 1);
    assert_eq!(cleaned.alive.len(), 2);
    read_by_chitchat(&cleaned);
}

#[test]
fn news_about_ourselves_reaches_the_core_and_not_chitchat() {
    let own = record(0, 99, 0);
    let cleaned = Forge::default().honest(0, &own).inspect();
    assert_eq!(filtered(&cleaned), [(Filtered::Ourselves, 1)]);
    assert_eq!(cleaned.alive.iter().map(Alive::life).collect::<Vec<_>>(), [own.life()]);
    assert!(read_by_chitchat(&cleaned).contains("node_deltas: []"));
}

#[test]
fn newcomers_pass_with_their_own_record_and_as_long_as_there_is_room() {
    let forge = (10..13)
        .fold(Forge::default(), |forge, number| forge.entry(number, [1, 0, 1]).honest(number, &record(number, 1, 0)));
    let forge = forge.entry(20, [1, 0, 1]);
    let cleaned = forge.inspect();
    assert_eq!(cleaned.newcomers, [Name::of(member(10)), Name::of(member(11))]);
    assert_eq!(cleaned.alive.len(), 3);
    assert_eq!(filtered(&cleaned), [(Filtered::Stranger, 2), (Filtered::NoRoom, 1)]);
    // Without a digest beside it chitchat has no use for a newcomer.
    let cleaned = inspect(&forge.delta(ACK)).unwrap();
    assert_eq!((cleaned.newcomers.len(), cleaned.alive.len()), (0, 3));
}

#[test]
fn digest_entries_out_of_bounds_are_left_out() {
    let forge = Forge::default()
        .entry(1, [u64::MAX, 0, 1])
        .entry(2, [1, 0, u64::MAX])
        .entry(3, [1, 1, 1])
        .entry(9, [1, 0, 1])
        .entry(0, [1, 0, 1])
        .entry(0, [2, 0, 2]);
    let cleaned = inspect(&forge.syn(CLUSTER)).unwrap();
    assert_eq!(filtered(&cleaned), [(Filtered::Stranger, 1), (Filtered::BadCounter, 3), (Filtered::Twice, 1)]);
    assert_eq!(read_by_chitchat(&cleaned).matches("NodeDigest").count(), 1);
    // Ids no member can have: another generation, an address of version 6, another length.
    let mut generation = entry(1, [1, 0, 1]);
    generation[12] = 1;
    let mut six = entry(1, [1, 0, 1]);
    six[20] = 6;
    six.splice(21..21, [0; 12]);
    let mut long = entry(1, [1, 0, 1]);
    long[0] = 11;
    long.insert(2, b'x');
    let strange = Forge { entries: vec![generation, six, long], ..Forge::default() };
    let cleaned = inspect(&strange.syn(CLUSTER)).unwrap();
    assert_eq!(filtered(&cleaned), [(Filtered::BadName, 3)]);
}

#[test]
fn messages_not_worth_reading_are_refused_by_reason() {
    let long = (0..1_200).fold(Forge::default(), |forge, number| forge.entry(number, [1, 0, 1]));
    assert_eq!(inspect(&long.syn(CLUSTER)).unwrap_err(), Refused::TooManyMembers);
    assert_eq!(inspect(&Forge::default().syn("other")).unwrap_err(), Refused::OtherMesh);
    assert_eq!(inspect(&[0x53, 0xb0, 0, 3]).unwrap_err(), Refused::Malformed, "chitchat's refusal");
    assert_eq!(inspect(&[0x53, 0xb0, 0, 255]).unwrap_err(), Refused::Malformed, "chitchat's panic for tests");
    assert_eq!(inspect(&[0x53, 0xb0, 1, 0]).unwrap_err(), Refused::Malformed, "another version");
    assert_eq!(inspect(b"").unwrap_err(), Refused::Malformed);
    let unknown = Forge { operations: vec![9], ..Forge::default() };
    assert_eq!(inspect(&unknown.delta(ACK)).unwrap_err(), Refused::Malformed);
    let mut trailing = Forge::default().delta(ACK);
    trailing.push(0);
    assert_eq!(inspect(&trailing).unwrap_err(), Refused::Malformed);
}

#[test]
fn bombs_are_refused_at_their_bound_on_either_level() {
    let outer = zstd::bulk::compress(&vec![0; 50 << 20], 1).unwrap();
    assert!(outer.len() < 20_000);
    assert_eq!(format::inflate(&outer).unwrap_err(), Refused::Uncompressible);
    assert_eq!(format::inflate(&vec![0; 200_000]).unwrap_err(), Refused::TooLong);
    let block = zstd::bulk::compress(&[0; 60_000], 1).unwrap();
    let mut message = Forge::default().head(ACK);
    for _ in 0..(65_000 / (block.len() + 3)) {
        message.push(1);
        format::write_text(&mut message, &block);
    }
    message.push(0);
    assert!(message.len() < 65_507);
    assert_eq!(inspect(&message).unwrap_err(), Refused::Bomb);
}

#[test]
fn the_bytes_of_a_message_are_pinned() {
    let forge = Forge::default().entry(1, [2, 0, 3]);
    let golden = "53b00000\
                  01000a007a6b643566696b32636700000000000000000478dbf2ff808d020000000000000000000000000000000300000000000000\
                  01006d";
    let cleaned = inspect(&forge.syn(CLUSTER)).unwrap();
    let hex: String = cleaned.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden);
    let mut rest = &cleaned.bytes[..];
    let message = ChitchatMessage::deserialize(&mut rest).unwrap();
    assert_eq!(message.serialize_to_vec(), cleaned.bytes);
}

/// Genuine messages of every kind.
fn genuine() -> impl Strategy<Value = Vec<u8>> {
    let forge = Forge::default()
        .entry(0, [5, 0, 5])
        .entry(1, [7, 0, 7])
        .entry(10, [7, 0, 7])
        .honest(1, &record(1, 5, 3))
        .honest(10, &record(10, 1, 0))
        .honest(0, &record(0, 8, 0));
    let mut packed = forge.head(SYN_ACK);
    packed.push(1);
    format::write_text(&mut packed, &zstd::bulk::compress(&forge.operations, 3).unwrap());
    packed.push(0);
    proptest::sample::select(vec![forge.syn(CLUSTER), forge.delta(SYN_ACK), forge.delta(ACK), packed])
}

/// One thing done to a message.
#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<usize>();
    proptest::prop_oneof![
        (place, any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (place, proptest::sample::select(vec![0, 1, 2, 0x7f, 0x80, 0xff])).prop_map(|(at, byte)| Damage::Set(at, byte)),
        place.prop_map(Damage::Cut),
        (place, proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place, 1..400_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn apply(mut message: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        let length = message.len().max(1);
        match damage {
            Damage::Set(at, byte) => message.iter_mut().skip(at % length).take(1).for_each(|old| *old = byte),
            Damage::Cut(at) => message.truncate(at % length),
            Damage::Insert(at, bytes) => {
                let at = (at % length).min(message.len());
                message.splice(at..at, bytes);
            }
            Damage::Repeat(at, count) => {
                let at = (at % length).min(message.len());
                let end = (at + count).min(message.len());
                let piece = message[at..end].to_vec();
                message.splice(at..at, piece);
            }
        }
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_done_to_a_message_chitchat_can_read_what_is_left_and_it_is_true(
        message in (genuine(), proptest::collection::vec(damage(), 0..6)).prop_map(|(m, d)| apply(m, d)),
    ) {
        if let Ok(cleaned) = inspect(&message) {
            let again = inspect(&cleaned.bytes).unwrap();
            assert_eq!(again.bytes, cleaned.bytes, "cleaning what is clean changes nothing");
            assert!(again.filtered.is_empty(), "{:?}", again.filtered);
            read_by_chitchat(&cleaned);
            let known = [record(1, 5, 3), record(10, 1, 0), record(0, 8, 0)];
            assert!(cleaned.alive.iter().all(|alive| known.iter().any(|k| k.bytes() == alive.bytes())));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), header in Just(format::HEADER)) {
        let _ = format::inflate(&bytes);
        let _ = inspect(&bytes);
        let _ = inspect(&[&header[..], &bytes].concat());
    }
}
