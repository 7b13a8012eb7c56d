//! What the operator may do: turn the keys, force out, ban.

use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::{Gossip, GossipConfig, OrderRefused};
use mesh_gossip::identity::operator::OperatorKey;
use mesh_gossip::keyring::{KeyHash, MeshKey};
use mesh_gossip::signature::Signer;

use crate::bench::{PATIENCE, config, has_asked, key, offers, see_each_other, sees, spawn, until};

async fn obedient(operator: &OperatorKey, seeds: &[&Gossip]) -> Gossip {
    spawn(GossipConfig { operator: Some(operator.public_key()), ..config(seeds) }).await
}

/// Waits until all have these keys. There is nothing to watch, so they are asked each time the view may have changed.
async fn have_keys(nodes: &[&Gossip], keys: &[KeyHash]) {
    let all = async {
        for node in nodes {
            while node.keys().await.unwrap() != keys {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_turn_under_traffic_without_a_gap() {
    let disk = tempfile::tempdir().unwrap();
    let operator = OperatorKey::make(disk.path()).unwrap();
    let first = obedient(&operator, &[]).await;
    let second = obedient(&operator, &[&first]).await;
    let third = obedient(&operator, &[&first]).await;
    let all = [&first, &second, &third];
    see_each_other(&all).await;
    let (old, new) = (key(1).primary().hash(), MeshKey::from_bytes([9; 32]));
    let mut round = 0;
    let mut traffic = async || {
        round += 1;
        let value = round.to_string();
        third.set("round".parse().unwrap(), value.clone()).await.unwrap();
        for node in all {
            until(node, "the round", |view| offers(view, third.me(), "round", &value)).await;
        }
    };
    traffic().await;
    first.install_key(&operator, new.clone()).await.unwrap();
    have_keys(&all, &[old, new.hash()]).await;
    traffic().await;
    second.use_key(&operator, new.hash()).await.unwrap();
    traffic().await;
    have_keys(&all, &[new.hash(), old]).await;
    assert!(matches!(first.remove_key(&operator, new.hash()).await, Err(OrderRefused::Keyring(_))));
    third.remove_key(&operator, old).await.unwrap();
    have_keys(&all, &[new.hash()]).await;
    traffic().await;
    for node in all {
        let metrics = node.metrics().await.unwrap();
        assert_eq!(metrics.counts.deaths, 0);
        assert_eq!(node.view().live().count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forced_out_may_refute_and_who_is_banned_may_not() {
    let (disk, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let operator = OperatorKey::make(disk.path()).unwrap();
    let first = obedient(&operator, &[]).await;
    let second = obedient(&operator, &[&first]).await;
    let third = obedient(&operator, &[&first]).await;
    see_each_other(&[&first, &second, &third]).await;
    let victim = third.me();
    let life = first.view().member(&victim).unwrap().alive().life();
    first.force_out(&operator, victim).await.unwrap();
    for node in [&first, &second] {
        until(node, "it has refuted", |view| {
            view.member(&victim).is_some_and(|member| member.is_live() && member.alive().life() > life)
        })
        .await;
    }
    has_asked(&first, victim).await;
    has_asked(&second, victim).await;
    drop(third);
    sees(&first, victim, Standing::Dead).await;
    sees(&second, victim, Standing::Dead).await;
    first.force_out(&operator, victim).await.unwrap();
    until(&second, "the dead is forgotten", |view| view.member(&victim).is_none()).await;

    let fourth = obedient(&operator, &[&first]).await;
    let banned = fourth.me();
    sees(&second, banned, Standing::Alive).await;
    first.ban(&operator, banned).await.unwrap();
    for node in [&first, &second] {
        until(node, "it is banned", |view| view.member(&banned).is_none()).await;
    }

    let impostor = OperatorKey::make(stranger.path()).unwrap();
    assert_eq!(first.ban(&impostor, banned).await, Err(OrderRefused::OtherOperator));
    assert_eq!(first.force_out(&operator, victim).await, Err(OrderRefused::UnknownMember(victim)));
    let nobodys = spawn(config(&[])).await;
    assert_eq!(nobodys.ban(&operator, banned).await, Err(OrderRefused::NoOperator));
}
