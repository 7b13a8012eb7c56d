//! Somebody without the mesh key, who sees what is on the wire.

use std::collections::VecDeque;

use mesh_gossip::gossip::Gossip;
use mesh_gossip::id::{MemberId, MeshId, Session};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::packet::{Message, Ping, Rumour, Writer};
use mesh_gossip::seal::{Advice, Refusal, Sealer};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::mesh::{MESH, Mesh, keys};

/// How many genuine datagrams it has seen and throws again.
const SEEN: usize = 1_024;

pub(crate) struct Outsider {
    rng: StdRng,
    seen: VecDeque<Vec<u8>>,
    foreign: Sealer,
    elsewhere: Sealer,
}

impl Outsider {
    pub(crate) fn new(seed: u64, mesh: &Mesh) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let members: Vec<MemberId> = mesh.nodes().map(Gossip::me).collect();
        let alive = mesh.open.view().member(&members[1]).unwrap().alive().bytes().to_vec();
        let mut seen = VecDeque::new();
        for sender in &members {
            let mut sealer = Sealer::new(MeshId::of(MESH), *sender, Session(rng.next_u64()), &keys());
            for _ in 0..SEEN / members.len() {
                let target = members[rng.random_range(0..members.len())];
                let ping = Ping { target, nonce: rng.next_u64(), digest: rng.next_u64(), behalf: None, doubt: None };
                let mut body = Writer::new(&Message::Ping(ping));
                body.push(&Rumour::Alive(alive.clone()).encode());
                seen.push_back(sealer.seal(&body.finish()).unwrap());
            }
        }
        let other = Keyring::new(MeshKey::from_bytes([8; 32]));
        let sealer = |mesh: &str, ring: &Keyring| Sealer::new(MeshId::of(mesh), members[0], Session(1), ring);
        Self { foreign: sealer(MESH, &other), elsewhere: sealer("elsewhere", &keys()), rng, seen }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let mut genuine = self.seen[rng.random_range(0..self.seen.len())].clone();
        match rng.random_range(0..10) {
            0 | 1 => genuine,
            2 | 3 => {
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..genuine.len());
                    genuine[at] ^= rng.random_range(1..=u8::MAX);
                }
                genuine
            }
            4 => {
                genuine.truncate(rng.random_range(0..genuine.len()));
                genuine
            }
            // In the name of somebody else, in another session, with another counter.
            5 => {
                let (from, to) = [(9, 25), (25, 33), (33, 41)][rng.random_range(0..3)];
                rng.fill_bytes(&mut genuine[from..to]);
                genuine
            }
            6 => self.foreign.seal(&genuine[41..]).unwrap(),
            7 => self.elsewhere.seal(&genuine[41..]).unwrap(),
            8 => {
                let mut noise = vec![0; rng.random_range(0..1_400)];
                rng.fill_bytes(&mut noise);
                if let Some(first) = noise.first_mut().filter(|_| rng.random()) {
                    *first = 0xA0 | rng.random_range(0..16);
                }
                noise
            }
            _ => {
                let advice = [Advice::WrongKey, Advice::OtherMesh, Advice::OtherVersion { theirs: 2 }];
                let advice = advice[rng.random_range(0..advice.len())];
                Refusal { advice, session: Session(rng.next_u64()), counter: rng.next_u64() }.encode().to_vec()
            }
        }
    }
}
