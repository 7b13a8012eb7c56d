//! Alive records, records and orders. The signature is taken on trust here, so that what lies behind it is reached.

use bytes::Bytes;
use mesh_gossip::alive::{
    Address, Alive, AliveBody, KeyLife, Life, MAX_ADDRESSES, MAX_ALIVE_BYTES, MAX_ZONE_BYTES, Presence, ProtocolRange,
    Summary,
};
use mesh_gossip::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
use mesh_gossip::keyring::MeshKey;
use mesh_gossip::order::{MAX_ORDER_BYTES, Order, OrderBody, SignedOrder};
use mesh_gossip::record::{Record, RecordBody, Value};
use mesh_gossip::signature::{Signature, Signer, Verifier};

pub(super) const KEY: PublicKey = PublicKey([7; 32]);
const LIFE: (Generation, Session) = (Generation(3), Session(0x0123_4567_89AB_CDEF));

/// Signs with a constant, and believes everything.
pub(super) struct Credulous;

impl Signer for Credulous {
    fn public_key(&self) -> PublicKey {
        KEY
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([0x5A; 64])
    }
}

impl Verifier for Credulous {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &Signature) -> bool {
        true
    }
}

pub(super) fn mesh() -> MeshId {
    MeshId::of("fuzz")
}

pub(super) fn alive(bytes: &[u8]) {
    let Ok(alive) = Alive::verify(bytes, mesh(), &Credulous) else { return };
    assert!(bytes.len() <= MAX_ALIVE_BYTES && alive.bytes().as_ref() == bytes);
    let body = alive.body();
    assert!(body.addresses.len() <= MAX_ADDRESSES && body.zone.len() <= MAX_ZONE_BYTES);
    assert_eq!(alive.id(), MemberId::of(&body.key));
    let again = Alive::verify(alive.bytes(), mesh(), &Credulous).expect("accepted once");
    assert_eq!(again.body(), body);
}

pub(super) fn alive_corpus() -> Vec<Vec<u8>> {
    let address =
        |ip: &str| Address { ip: ip.parse().expect("an address written here"), gossip_port: 7946, quic_port: 7947 };
    let plain = AliveBody {
        key: KEY,
        generation: LIFE.0,
        session: LIFE.1,
        incarnation: Incarnation(9),
        addresses: vec![address("10.1.2.3")],
        zone: String::new(),
        protocol: ProtocolRange { lowest: 1, highest: 2 },
        presence: Presence::Here,
        key_life: KeyLife::Kept,
        summary: Summary { first: 1, last: 300, hash: u64::MAX },
    };
    let full = AliveBody {
        addresses: vec![address("fd00::1"); MAX_ADDRESSES],
        zone: "z".repeat(MAX_ZONE_BYTES),
        presence: Presence::Left,
        key_life: KeyLife::Ephemeral,
        generation: Generation(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        ..plain.clone()
    };
    [plain, full].into_iter().map(|body| Alive::sign(body, mesh(), &Credulous).bytes().to_vec()).collect()
}

pub(super) fn record(bytes: &[u8]) {
    let Ok(record) = Record::verify(bytes, &KEY, LIFE, mesh(), &Credulous) else { return };
    assert!(record.version() > 0 && record.bytes().as_ref() == bytes);
    assert_eq!((record.member(), record.life()), (MemberId::of(&KEY), LIFE));
    let again = Record::verify(record.bytes(), &KEY, LIFE, mesh(), &Credulous).expect("accepted once");
    assert_eq!(again.body(), record.body());
}

pub(super) fn record_corpus() -> Vec<Vec<u8>> {
    let inline = |length: usize| Value::of(Bytes::from(vec![b'v'; length])).expect("within bounds");
    let values = [inline(0), inline(200), inline(4096), inline(70_000), Value::Removed];
    let sign = |(version, value)| {
        let key = "offers/weather".parse().expect("a key written here");
        let body = RecordBody { member: MemberId::of(&KEY), generation: LIFE.0, session: LIFE.1, key, version, value };
        Record::sign(body, mesh(), &Credulous).bytes().to_vec()
    };
    [1, 250, 251, 1 << 40, u64::MAX].into_iter().zip(values).map(sign).collect()
}

pub(super) fn order(bytes: &[u8]) {
    let Ok(order) = SignedOrder::verify(bytes, mesh(), &KEY, &Credulous) else { return };
    assert!(bytes.len() <= MAX_ORDER_BYTES && order.bytes().as_ref() == bytes);
    assert_eq!(SignedOrder::verify(order.bytes(), mesh(), &KEY, &Credulous), Ok(order));
}

pub(super) fn order_corpus() -> Vec<Vec<u8>> {
    let key = MeshKey::from_bytes([8; 32]);
    let member = MemberId::from_bytes([6; 16]);
    let life = Life { generation: LIFE.0, session: LIFE.1, incarnation: Incarnation(u64::MAX) };
    let bodies = [
        OrderBody::Use(key.hash()),
        OrderBody::Remove(key.hash()),
        OrderBody::Install(key),
        OrderBody::Ban(member),
        OrderBody::Unban(member),
        OrderBody::Forget(member, life),
    ];
    let sign = |body| SignedOrder::sign(Order { number: 1_790_000_000_000, body }, mesh(), &Credulous);
    bodies.into_iter().map(|body| sign(body).bytes().to_vec()).collect()
}
