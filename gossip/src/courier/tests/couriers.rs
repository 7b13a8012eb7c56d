#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{member, mesh, record, verifier};
use crate::alive::Alive;
use crate::courier::guard::{MAX_MEMBERS, Refused};
use crate::courier::{CourierConfig, CourierHandle, FromCourier, Limits, PutError, spawn};
use crate::id::{MemberId, MeshId};

struct Node {
    id: MemberId,
    courier: CourierHandle,
    wishes: mpsc::Receiver<FromCourier>,
    learnt: Vec<Alive>,
}

fn config(number: u32) -> CourierConfig {
    CourierConfig { own: member(number), mesh: mesh(), verifier: verifier(), limits: Limits::default() }
}

fn node(number: u32) -> Node {
    let (courier, wishes) = spawn(config(number));
    Node { id: member(number), courier, wishes, learnt: Vec::new() }
}

fn put(node: &Node, alive: &Alive) {
    node.courier.put(&Arc::new(alive.clone())).unwrap();
}

/// Members that all hold the first record of everyone.
fn nodes(count: u32) -> BTreeMap<MemberId, Node> {
    let records: Vec<Alive> = (0..count).map(|number| record(number, 1, 0)).collect();
    let nodes = (0..count).map(|number| (member(number), node(number)));
    nodes.inspect(|(_, node)| records.iter().for_each(|alive| put(node, alive))).collect()
}

/// Carries messages until there are none; returns how many bytes that took.
async fn carry_all(nodes: &mut BTreeMap<MemberId, Node>) -> usize {
    let mut carried = 0;
    loop {
        let mut sent = Vec::new();
        for node in nodes.values_mut() {
            node.courier.settled().await;
            while let Ok(wish) = node.wishes.try_recv() {
                match wish {
                    FromCourier::Send { to, bytes } => sent.push((node.id, to, bytes)),
                    FromCourier::Learnt(records) => node.learnt.extend(records),
                }
            }
        }
        if sent.is_empty() {
            return carried;
        }
        for (from, to, bytes) in sent {
            carried += bytes.len();
            let _ = nodes[&to].courier.received(from, bytes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_exchange_brings_whatever_was_missed() {
    let mut nodes = nodes(20);
    // Everyone but the first heard of these.
    for (id, node) in &nodes {
        for number in 5..15 {
            if *id != member(0) {
                put(node, &record(number, 1, 4));
            }
        }
    }
    nodes[&member(0)].courier.exchange_with(member(9));
    carry_all(&mut nodes).await;
    let mut learnt: Vec<MemberId> = nodes[&member(0)].learnt.iter().map(Alive::id).collect();
    let mut missed: Vec<MemberId> = (5..15).map(member).collect();
    learnt.sort();
    missed.sort();
    assert_eq!(learnt, missed);
    assert!(nodes[&member(9)].learnt.is_empty());
    // What has been learnt is held: the next exchange brings nothing.
    nodes.get_mut(&member(0)).unwrap().learnt.clear();
    nodes[&member(0)].courier.exchange_with(member(11));
    carry_all(&mut nodes).await;
    assert!(nodes.values().all(|node| node.learnt.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn couriers_repair_on_several_threads_and_real_time_as_well() {
    let mut nodes = nodes(20);
    put(&nodes[&member(9)], &record(5, 2, 0));
    for (asker, answerer) in [(0, 9), (1, 9), (2, 0), (3, 1)] {
        nodes[&member(asker)].courier.exchange_with(member(answerer));
        carry_all(&mut nodes).await;
        put(&nodes[&member(asker)], &record(5, 2, 0));
    }
    for asker in 0..4 {
        assert_eq!(nodes[&member(asker)].learnt.len(), 1, "member {asker}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_who_answers_learns_too() {
    let mut nodes = nodes(3);
    put(&nodes[&member(0)], &record(2, 7, 0));
    nodes[&member(0)].courier.exchange_with(member(1));
    carry_all(&mut nodes).await;
    assert_eq!(nodes[&member(1)].learnt.iter().map(Alive::life).collect::<Vec<_>>(), [record(2, 7, 0).life()]);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_learnt_by_either_side_and_held_only_once_admitted() {
    let mut nodes = nodes(2);
    let stranger = record(77, 1, 0);
    put(&nodes[&member(0)], &stranger);
    for (asker, answerer) in [(1, 0), (0, 1)] {
        nodes[&member(asker)].courier.exchange_with(member(answerer));
        carry_all(&mut nodes).await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let learnt = std::mem::take(&mut nodes.get_mut(&member(1)).unwrap().learnt);
        assert_eq!(learnt.iter().map(Alive::id).collect::<Vec<_>>(), [stranger.id()], "{asker} asks");
    }
    put(&nodes[&member(1)], &stranger);
    nodes[&member(1)].courier.exchange_with(member(0));
    carry_all(&mut nodes).await;
    assert!(nodes[&member(1)].learnt.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_killed_chitchat_is_started_again_from_the_roster() {
    let mut nodes = nodes(20);
    for (id, node) in &nodes {
        if *id != member(0) {
            put(node, &record(7, 1, 1));
        }
    }
    // Brings member 7's record, and chitchat up with it.
    nodes[&member(0)].courier.exchange_with(member(2));
    carry_all(&mut nodes).await;
    nodes.get_mut(&member(0)).unwrap().learnt.clear();
    let first = &nodes[&member(0)].courier;
    first.shared.lock().kill = true;
    first.shared.wake.notify_one();
    first.settled().await;
    first.exchange_with(member(3));
    let bytes = carry_all(&mut nodes).await;
    let first = &nodes[&member(0)];
    assert_eq!(first.courier.counts().deaths, 1);
    // Only what was missed travelled: the roster was there again.
    assert_eq!(first.learnt.iter().map(Alive::id).collect::<Vec<_>>(), [member(7)]);
    assert!(bytes < 5_000, "{bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_chitchat_that_keeps_dying_is_left_alone_for_a_minute() {
    let mut nodes = nodes(2);
    let kill = |node: &Node| {
        node.courier.shared.lock().kill = true;
        node.courier.shared.wake.notify_one();
    };
    for _ in 0..20 {
        nodes[&member(0)].courier.exchange_with(member(1));
        carry_all(&mut nodes).await;
        kill(&nodes[&member(0)]);
        carry_all(&mut nodes).await;
    }
    let counts = nodes[&member(0)].courier.counts();
    assert_eq!((counts.deaths, counts.refused.get(&Refused::Down)), (6, Some(&14)));
    tokio::time::sleep(Duration::from_secs(61)).await;
    nodes[&member(0)].courier.exchange_with(member(1));
    carry_all(&mut nodes).await;
    assert_eq!(nodes[&member(0)].courier.counts().asked, counts.asked + 1);
}

#[tokio::test(start_paused = true)]
async fn members_that_are_gone_are_swept_out_after_a_minute() {
    let mut nodes = nodes(20);
    carry_all(&mut nodes).await;
    nodes[&member(0)].courier.exchange_with(member(1));
    let full = carry_all(&mut nodes).await;
    for number in 2..20 {
        nodes[&member(0)].courier.remove(member(number));
        nodes[&member(1)].courier.remove(member(number));
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    nodes[&member(0)].courier.exchange_with(member(1));
    let swept = carry_all(&mut nodes).await;
    assert_eq!(nodes[&member(0)].courier.counts().sweeps, 1);
    assert!(swept < full / 2, "{full} bytes before, {swept} after");
    assert!(nodes.values().all(|node| node.learnt.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn answers_nobody_asked_for_and_strangers_and_haste_are_turned_away() {
    let mut nodes = nodes(3);
    carry_all(&mut nodes).await;
    nodes[&member(0)].courier.exchange_with(member(1));
    nodes[&member(0)].courier.settled().await;
    let Ok(FromCourier::Send { bytes: opening, .. }) = nodes.get_mut(&member(0)).unwrap().wishes.try_recv() else {
        panic!("no opening message")
    };
    let one = nodes.get_mut(&member(1)).unwrap();
    assert_eq!(one.courier.received(member(50), opening.clone()), Err(Refused::Stranger));
    for _ in 0..3 {
        one.courier.received(member(0), opening.clone()).unwrap();
        one.courier.settled().await;
    }
    let Ok(FromCourier::Send { bytes: answer, .. }) = one.wishes.try_recv() else { panic!("no answer") };
    assert!(one.wishes.try_recv().is_err(), "one answer to three questions in a row");
    assert_eq!(one.courier.counts().refused[&Refused::TooOften], 2);
    let two = &nodes[&member(2)].courier;
    two.received(member(1), answer).unwrap();
    two.settled().await;
    assert_eq!(two.counts().refused[&Refused::Unasked], 1);
    two.received(member(1), b"no message at all".to_vec()).unwrap();
    two.settled().await;
    assert_eq!(two.counts().refused[&Refused::Uncompressible], 1);
}

#[tokio::test(start_paused = true)]
async fn a_courier_of_another_mesh_is_turned_away() {
    let mut nodes = nodes(2);
    let config = CourierConfig { mesh: MeshId::of("another"), ..config(0) };
    let (courier, wishes) = spawn(config);
    let foreign = Node { id: member(0), courier, wishes, learnt: Vec::new() };
    put(&foreign, &record(1, 1, 0));
    foreign.courier.exchange_with(member(1));
    nodes.insert(member(0), foreign);
    carry_all(&mut nodes).await;
    assert_eq!(nodes[&member(1)].courier.counts().refused[&Refused::OtherMesh], 1);
}

#[tokio::test(start_paused = true)]
async fn the_courier_refuses_members_before_the_edge_of_the_digest() {
    let full = node(0);
    for number in 0..MAX_MEMBERS as u32 {
        put(&full, &record(number, 1, 0));
    }
    let beyond = Arc::new(record(5_000, 1, 0));
    assert_eq!(full.courier.put(&beyond), Err(PutError::Full { members: MAX_MEMBERS }));
    full.courier.remove(member(17));
    assert_eq!(full.courier.put(&beyond), Ok(()));
    // The one that went is still in chitchat when the new one comes: it is swept out at once.
    full.courier.settled().await;
    assert!(matches!(full.courier.put(&Arc::new(record(5_001, u64::MAX, 0))), Err(PutError::Unreal(_))));
}

#[tokio::test(start_paused = true)]
async fn couriers_at_the_edge_of_the_digest_still_repair() {
    let mut nodes: BTreeMap<MemberId, Node> = (0..2).map(|number| (member(number), node(number))).collect();
    for number in 0..MAX_MEMBERS as u32 {
        let alive = record(number, 1_800_000_000_000 + u64::from(number), 1);
        nodes.values().for_each(|node| put(node, &alive));
    }
    let newer: Vec<Alive> = (100..120).map(|number| record(number, 1_900_000_000_000, 0)).collect();
    newer.iter().for_each(|alive| put(&nodes[&member(1)], alive));
    nodes[&member(0)].courier.exchange_with(member(1));
    let bytes = carry_all(&mut nodes).await;
    assert_eq!(nodes[&member(0)].learnt.len(), newer.len());
    assert!(bytes < 100_000, "{bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_courier_that_nobody_listens_to_neither_grows_nor_loses_what_it_reads() {
    let mut nodes = nodes(40);
    carry_all(&mut nodes).await;
    for number in 1..40 {
        nodes[&member(0)].courier.exchange_with(member(number));
    }
    nodes[&member(0)].courier.settled().await;
    assert_eq!(nodes[&member(0)].wishes.len(), Limits::default().waiting_messages);
    let first = &nodes[&member(0)].courier;
    let refused = (0..100).filter(|_| first.received(member(1), vec![0; 100_000]) == Err(Refused::Busy)).count();
    assert!(refused >= 90, "{refused} of 100");
}

#[tokio::test(start_paused = true)]
async fn nothing_outlives_the_handle() {
    let mut node = node(0);
    put(&node, &record(0, 1, 0));
    put(&node, &record(1, 1, 0));
    node.courier.exchange_with(member(1));
    node.courier.settled().await;
    let shared = Arc::downgrade(&node.courier.shared);
    drop(node.courier);
    while node.wishes.recv().await.is_some() {}
    tokio::task::yield_now().await;
    assert!(shared.upgrade().is_none());
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
