//! A node that cannot join says why, in one sentence.

use std::time::Duration;

use mesh_gossip::gossip::{GossipConfig, NotJoined};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::transport::udp::Datagrams;

use crate::bench::{PATIENCE, config, key, loopback, see_each_other, spawn};

/// What stands in the way, once that is known.
async fn obstacle(config: GossipConfig, expected: &str) -> String {
    let node = spawn(config).await;
    let found = async {
        loop {
            match node.joined(Duration::from_millis(300)).await.unwrap_err() {
                NotJoined::Seeking(obstacle) if obstacle.to_string().contains(expected) => return obstacle.to_string(),
                NotJoined::Seeking(_) => {}
                other => panic!("{other}"),
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("expected {expected:?}, got {:?}", node.join_state()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sentence_names_the_key_the_mesh_or_the_silence() {
    let seed = spawn(config(&[])).await;
    let at = seed.local_addresses()[0];
    let wrong_key = GossipConfig { keys: Some(key(2)), ..config(&[&seed]) };
    let said = obstacle(wrong_key, "wrong mesh key").await;
    assert!(said.contains(&at.to_string()), "{said}");
    let other_mesh = GossipConfig { mesh: "other".into(), ..config(&[&seed]) };
    let said = obstacle(other_mesh, "other mesh name").await;
    assert!(said.contains("\"other\""), "{said}");
    // Bound, so that nobody else answers there, and silent.
    let silent = Datagrams::bind(loopback()).unwrap();
    let nobody = GossipConfig { seeds: vec![SeedSpec::from(silent.local_addr())], ..config(&[]) };
    let said = obstacle(nobody, "nobody answered").await;
    assert!(said.contains(&silent.local_addr().to_string()), "{said}");
    let no_name = GossipConfig { seeds: vec!["nowhere.invalid:7".parse().unwrap()], ..config(&[]) };
    let said = obstacle(no_name, "nowhere.invalid:7").await;
    assert!(said.contains("resolved"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_obstacle_that_goes_away_is_forgotten() {
    let place = Datagrams::bind(loopback()).unwrap();
    let at = place.local_addr();
    let early = spawn(GossipConfig { seeds: vec![SeedSpec::from(at)], ..config(&[]) }).await;
    early.joined(Duration::from_millis(50)).await.unwrap_err();
    drop(place);
    let late = spawn(GossipConfig { listen: vec![at], ..config(&[]) }).await;
    early.joined(PATIENCE).await.unwrap();
    see_each_other(&[&early, &late]).await;
}
