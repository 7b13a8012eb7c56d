//! The rogue over QUIC: questions that are none, floods of them, shipments that are bombs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::id::{MemberId, MeshId};
use mesh_gossip::keyring::MeshKey;
use mesh_gossip::pull::message::{MAX_QUESTION_BYTES, Question, Want};
use mesh_gossip::transport::quic::{Limits, Quic, QuicConfig, Trust};
use tokio::task::JoinSet;

use crate::mesh::{MESH, Mesh, keys};
use crate::rogue::Rogue;

const QUESTIONS: usize = 3_000;
const SHIPMENTS: usize = 300;
const AT_ONCE: usize = 128;
const WITHIN: Duration = Duration::from_secs(2);

struct AnyMember;

impl Trust for AnyMember {
    fn mesh_keys(&self) -> Vec<MeshKey> {
        keys().keys().cloned().collect()
    }

    fn is_banned(&self, _: &MemberId) -> bool {
        false
    }

    fn is_known(&self, _: SocketAddr) -> bool {
        true
    }
}

/// Asks and ships as much as it gets answers to; what is refused or reset is as good.
pub(crate) async fn pester(rogue: &Rogue, mesh: &Mesh) {
    let (quic, _arrivals) = Quic::bind(QuicConfig {
        address: ([127, 0, 0, 77], 0).into(),
        mesh: MeshId::of(MESH),
        session: rogue.identity.session(),
        signer: Arc::clone(&rogue.identity) as _,
        trust: Arc::new(AnyMember),
        limits: Limits::default(),
    })
    .unwrap();
    let quic = Arc::new(quic);
    let bomb = Bytes::from(zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap());
    for node in [&mesh.open, &mesh.guarded] {
        let view = node.view();
        let at = view.member(&node.me()).unwrap().alive().body().addresses[0].quic();
        let begun = std::time::Instant::now();
        let mut tasks = JoinSet::new();
        let (mut served, mut told) = (0, std::collections::BTreeMap::<String, u32>::new());
        let mut count = |done: Result<(), String>| match done {
            Ok(()) => served += 1,
            Err(why) => *told.entry(why).or_default() += 1,
        };
        for number in 0..QUESTIONS + SHIPMENTS {
            let (quic, me, bomb) = (Arc::clone(&quic), node.me(), bomb.clone());
            tasks.spawn(async move {
                let done = if number < QUESTIONS {
                    quic.ask(me, at, question(number), 1 << 20, WITHIN).await.map(drop)
                } else {
                    quic.ship(me, at, shipment(number, bomb), WITHIN).await
                };
                done.map_err(|error| error.to_string())
            });
            if tasks.len() >= AT_ONCE {
                tasks.join_next().await.into_iter().for_each(|done| count(done.unwrap()));
            }
        }
        while let Some(done) = tasks.join_next().await {
            count(done.unwrap());
        }
        println!("over QUIC {served} were served in {:?}, not so: {told:?}", begun.elapsed());
    }
    if let Some(quic) = Arc::into_inner(quic) {
        quic.shutdown(Duration::from_millis(500)).await;
    }
}

fn question(number: usize) -> Bytes {
    let member = |number: usize| MemberId::from_bytes(*(number as u128).to_le_bytes().first_chunk().unwrap());
    let want = |number: usize| Want {
        member: member(number),
        generation: mesh_gossip::id::Generation(u64::MAX),
        session: mesh_gossip::id::Session(u64::MAX),
        above: u64::MAX,
    };
    match number % 5 {
        0 => Question::Members { after: Some(member(number)) }.encode().into(),
        1 => Question::Records { wants: (0..1_024).map(want).collect() }.encode().into(),
        2 => Question::Blob { hash: [number as u8; 32] }.encode().into(),
        3 => vec![number as u8; MAX_QUESTION_BYTES].into(),
        _ => Bytes::new(),
    }
}

fn shipment(number: usize, bomb: Bytes) -> Bytes {
    match number % 3 {
        0 => bomb,
        1 => vec![number as u8; 200 << 10].into(),
        _ => Bytes::new(),
    }
}
