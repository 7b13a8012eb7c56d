//! Members that nobody is: keys of the rogue's, at addresses where nobody answers or somebody else does.

use mesh_gossip::alive::{Address, Alive, AliveBody, KeyLife, Presence, Summary};
use mesh_gossip::id::{Incarnation, MemberId, MeshId};
use mesh_gossip::identity::Identity;
use mesh_gossip::protocol::PROTOCOL;
use mesh_gossip::signature::Signer;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::mesh::MESH;

/// What a member that is at `addresses` says of itself.
pub(crate) fn body_of(identity: &Identity, addresses: Vec<Address>) -> AliveBody {
    AliveBody {
        key: identity.public_key(),
        generation: identity.generation(),
        session: identity.session(),
        incarnation: Incarnation(0),
        addresses,
        zone: String::new(),
        protocol: PROTOCOL,
        presence: Presence::Here,
        key_life: KeyLife::Kept,
        summary: Summary::default(),
    }
}

pub(crate) fn sign(body: AliveBody, identity: &Identity) -> Alive {
    Alive::sign(body, MeshId::of(MESH), identity)
}

/// So many invented members; every third one claims to live where a real member does.
pub(crate) fn invent(count: usize, real: &[Address], rng: &mut StdRng) -> Vec<(MemberId, Vec<u8>)> {
    let invent = |number: usize| {
        let identity = Identity::ephemeral();
        let nowhere =
            Address { ip: [127, 0, 9, rng.random()].into(), gossip_port: rng.random_range(1..1_000), quic_port: 9 };
        let address = if number.is_multiple_of(3) { real[rng.random_range(0..real.len())] } else { nowhere };
        let mut body = body_of(&identity, vec![address]);
        if number.is_multiple_of(2) {
            body.incarnation = Incarnation(rng.random());
            body.summary = Summary { first: rng.random(), last: u64::MAX, hash: rng.random() };
        }
        (identity.id(), sign(body, &identity).bytes().to_vec())
    };
    (0..count).map(invent).collect()
}
