//! A world of couriers with real chitchat in them, run twice.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::alive::{Address, Alive, AliveBody, KeyLife, Presence, ProtocolRange, Summary};
use mesh_gossip::courier::{CourierConfig, CourierHandle, FromCourier, Limits, spawn};
use mesh_gossip::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
use mesh_gossip::signature::{Signature, Signer, Verifier};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::on_fresh_thread;

struct Unsigned(PublicKey);

impl Signer for Unsigned {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([7; 64])
    }
}

impl Verifier for Unsigned {
    fn verify(&self, _: &PublicKey, _: &[u8], _: &Signature) -> bool {
        true
    }
}

fn mesh() -> MeshId {
    MeshId::of("entropy")
}

fn record(number: u32, incarnation: u64) -> Arc<Alive> {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    let [.., c, d] = number.to_be_bytes();
    let body = AliveBody {
        key: PublicKey(key),
        generation: Generation(1_790_000_000_000),
        session: Session(u64::from(number)),
        incarnation: Incarnation(incarnation),
        addresses: vec![Address { ip: IpAddr::V4(Ipv4Addr::new(10, 0, c, d)), gossip_port: 1, quic_port: 2 }],
        zone: String::new(),
        protocol: ProtocolRange { lowest: 1, highest: 1 },
        presence: Presence::Here,
        key_life: KeyLife::Kept,
        summary: Summary { first: 1, last: incarnation, hash: incarnation },
    };
    Arc::new(Alive::sign(body, mesh(), &Unsigned(PublicKey(key))))
}

struct Node {
    courier: CourierHandle,
    wishes: mpsc::Receiver<FromCourier>,
}

/// Everything that happened, in order: when, who, what.
async fn history(seed: u64, count: u32) -> Vec<(u64, u32, Vec<u8>)> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let start = Instant::now();
    let ids: Vec<MemberId> = (0..count).map(|number| record(number, 0).id()).collect();
    let mut nodes = BTreeMap::new();
    for number in 0..count {
        let verifier = Arc::new(Unsigned(PublicKey([0; 32])));
        let own = ids[number as usize];
        let (courier, wishes) = spawn(CourierConfig { own, mesh: mesh(), verifier, limits: Limits::default() });
        for other in 0..count {
            courier.put(&record(other, 0)).expect("there is room");
        }
        nodes.insert(number, Node { courier, wishes });
    }
    let mut trace = Vec::new();
    let mut on_the_way: BTreeMap<(u64, u64), (u32, u32, Vec<u8>)> = BTreeMap::new();
    let mut sent = 0;
    let mut now = 0;
    while now < 600_000 {
        // News that only some hear of, and an exchange; then whatever is on the way in the next seconds.
        for _ in 0..40 {
            let (about, hearer) = (rng.random_range(0..count), rng.random_range(0..count));
            nodes[&hearer].courier.put(&record(about, now + rng.random_range(0..100))).expect("there is room");
        }
        let (asker, asked) = (rng.random_range(0..count), rng.random_range(0..count));
        nodes[&asker].courier.exchange_with(ids[asked as usize]);
        let mut touched = vec![asker];
        // Whole seconds and short ways, so that much of it happens in the very millisecond of a tick.
        now += 1_000 * rng.random_range(1..5);
        loop {
            for number in touched.drain(..) {
                let node = nodes.get_mut(&number).expect("a node");
                node.courier.settled().await;
                while let Ok(wish) = node.wishes.try_recv() {
                    let at = u64::try_from(start.elapsed().as_millis()).expect("a short history");
                    let bytes = match wish {
                        FromCourier::Send { to, bytes } => {
                            let to = ids.iter().position(|id| *id == to).expect("a member") as u32;
                            sent += 1;
                            on_the_way.insert((at + rng.random_range(0..3), sent), (number, to, bytes.clone()));
                            bytes
                        }
                        FromCourier::Learnt(records) => {
                            records.iter().flat_map(|alive| alive.bytes().to_vec()).collect()
                        }
                    };
                    trace.push((at, number, bytes));
                }
            }
            let Some(first) = on_the_way.first_entry().filter(|first| first.key().0 < now) else { break };
            let ((at, _), (from, to, bytes)) = first.remove_entry();
            sleep_until(start + Duration::from_millis(at)).await;
            let _ = nodes[&to].courier.received(ids[from as usize], bytes);
            touched.push(to);
        }
        sleep_until(start + Duration::from_millis(now)).await;
    }
    trace
}

fn world(seed: u64) -> Vec<(u64, u32, Vec<u8>)> {
    on_fresh_thread(seed, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime needs nothing").block_on(history(seed, 20))
    })
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_last_byte() {
    let once = world(1);
    assert!(once.len() > 300, "{} events", once.len());
    // Side by side with other worlds, whose use of the process must not show.
    std::thread::scope(|scope| {
        let again: Vec<_> = [1, 2, 1].map(|seed| scope.spawn(move || world(seed))).into_iter().collect();
        let again: Vec<_> = again.into_iter().map(|world| world.join().expect("a world")).collect();
        assert!(again[0] == once && again[2] == once);
        assert!(again[1] != once);
    });
}

#[test]
fn a_thread_of_no_world_gets_the_systems_randomness() {
    let drawn: HashSet<u64> =
        (0..8).map(|_| std::thread::spawn(|| RandomState::new().hash_one(0)).join().expect("a thread")).collect();
    assert_eq!(drawn.len(), 8);
    let seeded: HashSet<u64> = (0..8).map(|_| on_fresh_thread(5, || RandomState::new().hash_one(0))).collect();
    assert_eq!(seeded.len(), 1);
    let seeded: HashSet<u64> = (0..8).map(|_| on_fresh_thread(5, || rand::rng().random())).collect();
    assert_eq!(seeded.len(), 1, "rand asks elsewhere");
}
