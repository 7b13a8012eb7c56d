//! Nodes meet, offer and leave.

use std::time::Duration;

use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::{JoinState, Stopped};

use crate::bench::{PATIENCE, config, has_asked, offers, see_each_other, sees, spawn, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_meet_and_see_what_the_others_offer() {
    let first = spawn(config(&[])).await;
    first.joined(PATIENCE).await.unwrap();
    let second = spawn(config(&[&first])).await;
    let third = spawn(config(&[&first])).await;
    second.joined(PATIENCE).await.unwrap();
    third.joined(PATIENCE).await.unwrap();
    assert_eq!(third.join_state(), JoinState::Joined);
    see_each_other(&[&first, &second, &third]).await;
    for (node, value) in [(&first, "one"), (&second, "two"), (&third, "three")] {
        node.set("name".parse().unwrap(), value).await.unwrap();
    }
    let members = [(first.me(), "one"), (second.me(), "two"), (third.me(), "three")];
    for node in [&first, &second, &third] {
        until(node, "all records", |view| members.iter().all(|(id, value)| offers(view, *id, "name", value))).await;
    }
    first.remove("name".parse().unwrap()).await.unwrap();
    until(&third, "one record less", |view| view.member(&members[0].0).unwrap().records().next().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_is_seen_as_left_and_who_is_killed_as_dead() {
    let first = spawn(config(&[])).await;
    let second = spawn(config(&[&first])).await;
    let third = spawn(config(&[&first])).await;
    see_each_other(&[&first, &second, &third]).await;
    let (leaver, victim) = (second.me(), third.me());
    tokio::time::timeout(Duration::from_secs(5), second.leave()).await.unwrap().unwrap();
    sees(&first, leaver, Standing::Left).await;
    sees(&third, leaver, Standing::Left).await;
    assert_eq!(second.set("late".parse().unwrap(), "x").await, Err(Stopped.into()));
    assert_eq!(second.leave().await, Err(Stopped));
    has_asked(&first, victim).await;
    drop(third);
    sees(&first, victim, Standing::Dead).await;
}
