//! Nodes for tests: quick to start, with a condition to wait for instead of a time.

use std::net::SocketAddr;
use std::time::Duration;

use mesh_gossip::config::Config;
use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::{Gossip, GossipConfig, View};
use mesh_gossip::id::MemberId;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::record::Value;
use mesh_gossip::seeds::SeedSpec;

/// Long enough for anything that happens at all, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub(crate) fn key(byte: u8) -> Keyring {
    Keyring::new(MeshKey::from_bytes([byte; 32]))
}

/// A node of the mesh of this test, on a free port of the loopback interface, without a disk.
pub(crate) fn config(seeds: &[&Gossip]) -> GossipConfig {
    GossipConfig {
        keys: Some(key(1)),
        listen: vec![loopback()],
        seeds: seeds.iter().map(|seed| SeedSpec::from(seed.local_addresses()[0])).collect(),
        protocol: Config::local(),
        // A port that one test gives back may be the next one of another test.
        ..GossipConfig::new(std::thread::current().name().unwrap_or("test"))
    }
}

pub(crate) async fn spawn(config: GossipConfig) -> Gossip {
    Gossip::spawn(config).await.unwrap()
}

/// Waits until the view is as wanted.
pub(crate) async fn until(gossip: &Gossip, what: &str, mut holds: impl FnMut(&View) -> bool) {
    let mut views = gossip.watch();
    let seen = tokio::time::timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
    let view = gossip.view();
    let members: Vec<_> =
        view.members().map(|member| (member.id(), member.standing(), member.records().count())).collect();
    assert!(matches!(seen, Ok(Ok(_))), "{what}: not so for {:?}, who sees {members:?}", view.me());
}

pub(crate) async fn sees(gossip: &Gossip, member: MemberId, standing: Standing) {
    until(gossip, &format!("{member:?} is {standing:?}"), |view| {
        view.member(&member).is_some_and(|member| member.standing() == standing)
    })
    .await;
}

pub(crate) fn offers(view: &View, member: MemberId, key: &str, value: &str) -> bool {
    let record = view.member(&member).and_then(|member| member.record(&key.parse().unwrap()).cloned());
    record.is_some_and(|record| *record.value() == Value::Inline(value.to_owned().into()))
}

pub(crate) async fn see_each_other(nodes: &[&Gossip]) {
    for node in nodes {
        until(node, "all are live", |view| view.live().count() == nodes.len()).await;
    }
}

/// Waits until `member` has answered a ping of the node's own: before that it may be forgotten rather than found dead.
pub(crate) async fn has_asked(gossip: &Gossip, member: MemberId) {
    until(gossip, "it has answered", |view| view.member(&member).is_some_and(|member| member.round_trip().is_some()))
        .await;
}
