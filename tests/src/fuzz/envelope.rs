//! The sealed envelope and refusals: the first of our code that a stranger's bytes meet.

use std::net::{Ipv4Addr, SocketAddr};

use mesh_gossip::id::{MemberId, MeshId, Session};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::moment::Moment;
use mesh_gossip::seal::{MAX_BODY, MAX_DATAGRAM, Opener, Refusal, Refuser, Sealer};

const STRANGER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);

fn mesh() -> MeshId {
    MeshId::of("fuzz")
}

fn ring() -> Keyring {
    Keyring::new(MeshKey::from_bytes([1; 32]))
}

fn sealer(mesh: MeshId) -> Sealer {
    Sealer::new(mesh, MemberId::from_bytes([2; 16]), Session(3), &ring())
}

pub(super) fn open(bytes: &[u8]) {
    let mut opener = Opener::new(mesh(), &ring());
    match opener.open(STRANGER, bytes) {
        Ok(opened) => {
            assert!(bytes.len() <= MAX_DATAGRAM && opened.body.len() <= MAX_BODY);
            assert!(opener.open(STRANGER, bytes).is_err(), "the same datagram was opened twice");
        }
        Err(refused) => {
            let answer = Refuser::new(0).answer(Moment::ZERO, STRANGER, refused, bytes);
            assert!(answer.is_none_or(|answer| answer.len() <= bytes.len()), "an answer larger than its cause");
        }
    }
}

pub(super) fn open_corpus() -> Vec<Vec<u8>> {
    let bodies = [0, 1, 40, MAX_BODY].map(|length| vec![0x42; length]);
    let ours = bodies.iter().map(|body| sealer(mesh()).seal(body).expect("fits"));
    let other = sealer(MeshId::of("another mesh")).seal(b"hello").expect("fits");
    ours.chain([other]).collect()
}

pub(super) fn refusal(bytes: &[u8]) {
    let Ok(refusal) = Refusal::decode(bytes) else { return };
    assert!(Refusal::is(bytes));
    assert_eq!(Refusal::decode(&refusal.encode()), Ok(refusal));
}

pub(super) fn refusal_corpus() -> Vec<Vec<u8>> {
    let mut opener = Opener::new(mesh(), &ring());
    let refused = |datagram: Vec<u8>| {
        let reason = opener.open(STRANGER, &datagram).expect_err("not for us");
        Refuser::new(0).answer(Moment::ZERO, STRANGER, reason, &datagram).map(Vec::from)
    };
    let mut newer = sealer(mesh()).seal(b"hello").expect("fits");
    newer[0] += 1;
    let other_key = Keyring::new(MeshKey::from_bytes([9; 32]));
    let wrong_key = Sealer::new(mesh(), MemberId::from_bytes([2; 16]), Session(3), &other_key).seal(b"hello");
    let other_mesh = sealer(MeshId::of("another mesh")).seal(b"hello");
    [newer, wrong_key.expect("fits"), other_mesh.expect("fits")].into_iter().filter_map(refused).collect()
}
