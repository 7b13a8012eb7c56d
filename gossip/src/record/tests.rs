#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{Key, MAX_BLOB_BYTES, MAX_INLINE_BYTES, MAX_KEY_BYTES, MAX_RECORD_BYTES, Record, RecordBody, RecordError};
use super::{TooLarge, Value};
use crate::id::{Generation, MemberId, MeshId, PublicKey, Session};
use crate::signature::{Signature, Signer, Verifier};

/// Signatures that are hashes of key and message: forgeable by anybody, but never by accident.
pub(crate) struct Seal(pub(crate) PublicKey);

impl Signer for Seal {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        blake3::Hasher::new_keyed(&self.0.0).update(message).finalize_xof().fill(&mut signature);
        Signature(signature)
    }
}

impl Verifier for Seal {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        Self(*key).sign(message) == *signature
    }
}

const OWNER: Seal = Seal(PublicKey([7; 32]));
const LIFE: (Generation, Session) = (Generation(3), Session(0x1122_3344_5566_7788));

fn mesh() -> MeshId {
    MeshId::of("test")
}

fn body(key: &str, version: u64, value: Value) -> RecordBody {
    let member = MemberId::of(&OWNER.0);
    RecordBody { member, generation: LIFE.0, session: LIFE.1, key: key.parse().unwrap(), version, value }
}

fn inline(length: usize) -> Value {
    Value::of(vec![b'v'; length].into()).unwrap()
}

fn verify(bytes: &[u8]) -> Result<Record, RecordError> {
    Record::verify(bytes, &OWNER.0, LIFE, mesh(), &OWNER)
}

#[test]
fn what_was_signed_verifies_and_says_the_same() {
    for value in [inline(0), inline(100), inline(MAX_INLINE_BYTES), inline(MAX_INLINE_BYTES + 1), Value::Removed] {
        let signed = Record::sign(body("offers", 5, value), mesh(), &OWNER);
        let verified = verify(signed.bytes()).unwrap();
        assert_eq!(verified.body(), signed.body());
        assert_eq!(verified.mark(), signed.mark());
        assert_eq!(verified.bytes(), signed.bytes());
    }
}

#[test]
fn the_longest_record_is_within_its_bound() {
    let record = Record::sign(body(&"k".repeat(MAX_KEY_BYTES), u64::MAX, inline(MAX_INLINE_BYTES)), mesh(), &OWNER);
    assert_eq!(record.bytes().len(), MAX_RECORD_BYTES);
    verify(record.bytes()).unwrap();
}

#[test]
fn a_hundred_bytes_cost_little_more_than_their_signature() {
    let record = Record::sign(body("health", 300, inline(100)), mesh(), &OWNER);
    assert_eq!(record.bytes().len(), 100 + 64 + 4 + 7 + 3 + 2);
}

#[test]
fn the_wire_form_is_pinned() {
    let bytes = |value| Record::sign(body("offers", 258, value), mesh(), &OWNER).bytes()[..].to_vec();
    let unsigned = |bytes: &[u8]| bytes[..bytes.len() - 64].to_vec();
    let head = [0x88, 0x77, 0x66, 0x55, 6, b'o', b'f', b'f', b'e', b'r', b's', 251, 2, 1];
    assert_eq!(unsigned(&bytes(inline(3))), [&head[..], &[0, 3, b'v', b'v', b'v']].concat());
    let blob = Value::Blob { hash: [9; 32], bytes: 65536 };
    assert_eq!(unsigned(&bytes(blob)), [&head[..], &[1], &[9; 32], &[252, 0, 0, 1, 0]].concat());
    assert_eq!(unsigned(&bytes(Value::Removed)), [&head[..], &[2]].concat());
    let signed = Record::sign(body("offers", 258, Value::Removed), mesh(), &OWNER);
    assert_eq!(signed.mark(), 688_289_565_615_735_049);
    assert_eq!(signed.bytes()[15..23], [216, 168, 191, 107, 7, 51, 9, 37], "signature over the pinned message");
}

#[test]
fn a_record_counts_only_for_its_owner_its_life_and_its_mesh() {
    let record = Record::sign(body("offers", 1, inline(10)), mesh(), &OWNER);
    let other = PublicKey([8; 32]);
    let check = |key, life, mesh| Record::verify(record.bytes(), key, life, mesh, &OWNER).unwrap_err();
    assert_eq!(check(&other, LIFE, mesh()), RecordError::Forged);
    assert_eq!(check(&OWNER.0, (Generation(4), LIFE.1), mesh()), RecordError::Forged);
    assert_eq!(check(&OWNER.0, (Generation(4), Session(1)), mesh()), RecordError::OtherLife);
    assert_eq!(check(&OWNER.0, LIFE, MeshId::of("other")), RecordError::Forged);
}

#[test]
fn bodies_beyond_their_bounds_are_malformed() {
    let sealed = |unsigned: &super::Unsigned| {
        let mut bytes = crate::wire::encode(unsigned);
        let message = super::signed_message(MemberId::of(&OWNER.0), LIFE, mesh(), &bytes);
        bytes.extend_from_slice(&OWNER.sign(&message).0);
        verify(&bytes).unwrap_err()
    };
    let unsigned = |key: &str, version, value| super::Unsigned {
        life: super::life_tag(LIFE.1),
        key: key.to_owned(),
        version,
        value,
    };
    use super::UnsignedValue::{Blob, Inline, Removed};
    for bad in [
        unsigned("", 1, Removed),
        unsigned("a b", 1, Removed),
        unsigned("é", 1, Removed),
        unsigned(&"k".repeat(MAX_KEY_BYTES + 1), 1, Removed),
        unsigned("k", 0, Removed),
        unsigned("k", 1, Inline(vec![0; MAX_INLINE_BYTES + 1])),
        unsigned("k", 1, Blob { hash: [0; 32], bytes: MAX_INLINE_BYTES as u32 }),
        unsigned("k", 1, Blob { hash: [0; 32], bytes: MAX_BLOB_BYTES as u32 + 1 }),
    ] {
        assert_eq!(sealed(&bad), RecordError::Malformed);
    }
}

#[test]
fn values_are_inline_blobs_or_refused_by_size() {
    assert!(matches!(inline(MAX_INLINE_BYTES), Value::Inline(_)));
    assert!(matches!(inline(MAX_INLINE_BYTES + 1), Value::Blob { bytes: 4097, .. }));
    assert!(matches!(inline(MAX_BLOB_BYTES), Value::Blob { .. }));
    let bytes = MAX_BLOB_BYTES + 1;
    assert_eq!(Value::of(vec![0; bytes].into()), Err(TooLarge { bytes }));
}

#[test]
fn keys_are_visible_ascii() {
    assert!("a/b:c~!".parse::<Key>().is_ok());
    for bad in ["", " ", "a\n", "a\u{7f}", "ü"] {
        assert!(bad.parse::<Key>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn bytes_of_strangers_never_verify(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<proptest::sample::Index>(), change in 1u8..) {
        let record = Record::sign(body("offers", 300, inline(40)), mesh(), &OWNER);
        let mut bytes = record.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn a_cut_record_is_noticed(at in any::<proptest::sample::Index>()) {
        let record = Record::sign(body("offers", 300, inline(40)), mesh(), &OWNER);
        let cut = at.index(record.bytes().len());
        prop_assert_eq!(verify(&record.bytes()[..cut]).is_err(), true);
    }
}
