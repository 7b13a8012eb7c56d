//! Who gets a connection, and that a pair has one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{LOOPBACK, Recipe, SOON, id_of};
use crate::transport::link::LINGER;
use crate::transport::quic::{AskError, Close, DialError};
use crate::transport::stream::open;

/// A kind of streams.
const KIND: u8 = 16;

#[tokio::test]
async fn two_nodes_ask_each_other_over_one_connection() {
    let (mut a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    a.echo();
    b.echo();
    assert_eq!(a.ask(&b, "from a").await.unwrap(), "from a");
    assert_eq!(b.ask(&a, "from b").await.unwrap(), "from b");
    assert_eq!((a.quic.counts().dialled, a.quic.counts().accepted), (1, 0));
    assert_eq!((b.quic.counts().dialled, b.quic.counts().accepted), (0, 1));
    assert_eq!(b.quic.counts().retries, 1, "an unknown address is validated");
    assert!(a.quic.counts().sent_bytes > 1_200 && b.quic.counts().received_bytes > 1_200);
}

#[tokio::test]
async fn a_hundred_callers_share_one_dial() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    b.echo();
    let calls = (0..100).map(|_| {
        let (quic, id, address) = (Arc::clone(&a.quic), b.id, b.address);
        tokio::spawn(async move { quic.ask(id, address, "x".into(), 10, SOON).await })
    });
    for call in calls.collect::<Vec<_>>() {
        // The queue of questions holds 64; the member says so rather than let them pile up.
        assert!(matches!(call.await.unwrap(), Ok(_) | Err(AskError::Busy)));
    }
    assert_eq!((a.quic.counts().dialled, b.quic.counts().accepted), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_dials_end_with_one_connection_and_every_question_answered() {
    for round in 0..20 {
        let (mut a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
        a.echo();
        b.echo();
        let (to_b, to_a) = tokio::join!(a.ask(&b, "to b"), b.ask(&a, "to a"));
        assert_eq!((to_b.unwrap(), to_a.unwrap()), ("to b".into(), "to a".into()), "round {round}");
        a.has_connections(1).await;
        b.has_connections(1).await;
        assert_eq!(a.ask(&b, "still").await.unwrap(), "still");
        assert_eq!(b.ask(&a, "there").await.unwrap(), "there");
    }
}

#[tokio::test]
async fn a_connection_that_was_replaced_serves_its_streams_to_their_end_and_such_as_come_late() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let mut streams = b.quic.register(KIND, 1).unwrap();
    let shared = a.quic.shared_for_tests();
    let old = shared.link_to(b.id, b.address).await.unwrap();
    // `a` dials once more, as if it knew nothing of the first one; `b` replaces that, and waits for what is on its way.
    shared.pool.forget(&old);
    let new = shared.link_to(b.id, b.address).await.unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    let mut stream = open(&old, KIND).await.unwrap();
    let mut taken = streams.recv().await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 4 * LINGER {
        stream.send.write_all(b"x").await.unwrap();
        taken.receive.read_exact(&mut [0]).await.unwrap();
    }
    b.has_connections(2).await;
    drop((stream, taken));
    b.has_connections(1).await;
    a.has_connections(1).await;
    assert!(!old.is_open() && new.is_open());
}

#[tokio::test]
async fn connections_that_were_replaced_have_a_bound_and_end_with_their_member() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let mut streams = b.quic.register(KIND, 16).unwrap();
    let shared = a.quic.shared_for_tests();
    let (mut links, mut held) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let link = shared.link_to(b.id, b.address).await.unwrap();
        held.push((open(&link, KIND).await.unwrap(), streams.recv().await.unwrap()));
        shared.pool.forget(&link);
        links.push(link);
    }
    // The one in use, and four that still serve.
    b.has_connections(5).await;
    assert!(links[7].is_open() && !links[0].is_open());
    b.quic.disconnect(&a.id, Close::Banned);
    b.has_connections(0).await;
}

#[tokio::test]
async fn a_wrong_mesh_key_or_mesh_name_is_what_the_dialler_is_told() {
    let b = Recipe::of(2).start();
    let wrong = Recipe { keys: vec![[7; 32]], ..Recipe::of(1) }.start();
    assert_eq!(wrong.ask(&b, "x").await, Err(AskError::Dial(DialError::WrongKey)));
    let keyless = Recipe { keys: vec![], ..Recipe::of(3) }.start();
    assert_eq!(keyless.ask(&b, "x").await, Err(AskError::Dial(DialError::WrongKey)));
    let elsewhere = Recipe { mesh: "elsewhere", ..Recipe::of(4) }.start();
    assert_eq!(elsewhere.ask(&b, "x").await, Err(AskError::Dial(DialError::OtherMesh)));
    assert_eq!((b.quic.counts().closed(Close::WrongKey), b.quic.counts().closed(Close::OtherMesh)), (1, 1));
    assert_eq!(b.quic.counts().accepted, 0);
}

#[tokio::test]
async fn any_key_of_the_ring_proves_also_one_installed_a_moment_ago() {
    let (mut a, mut b) = (Recipe::of(1).start(), Recipe { keys: vec![[2; 32]], ..Recipe::of(2) }.start());
    a.echo();
    b.echo();
    assert_eq!(a.ask(&b, "x").await, Err(AskError::Dial(DialError::WrongKey)));
    b.trust.keys.lock().unwrap().push([1; 32]);
    assert_eq!(a.ask(&b, "a proves with its key").await.unwrap(), "a proves with its key");
    let other = Recipe { keys: vec![[9; 32], [1; 32]], ..Recipe::of(3) }.start();
    assert_eq!(
        other.ask(&a, "x").await,
        Err(AskError::Dial(DialError::WrongKey)),
        "its first key is what it proves with"
    );
}

#[tokio::test]
async fn a_connection_proved_with_a_key_that_left_the_ring_can_be_closed() {
    let (mut a, b) = (Recipe { keys: vec![[1; 32], [2; 32]], ..Recipe::of(1) }.start(), Recipe::of(2).start());
    a.echo();
    assert!(b.ask(&a, "x").await.is_ok());
    a.quic.drop_former_keys();
    assert!(b.ask(&a, "the key is still good").await.is_ok());
    assert_eq!(b.quic.counts().dialled, 1);
    a.trust.keys.lock().unwrap().remove(0);
    a.quic.drop_former_keys();
    b.has_connections(0).await;
    assert_eq!(b.ask(&a, "x").await, Err(AskError::Dial(DialError::WrongKey)));
}

#[tokio::test]
async fn whoever_is_not_the_expected_member_is_named() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let outcome = a.quic.ask(id_of(3), b.address, "x".into(), 10, SOON).await;
    assert_eq!(outcome, Err(AskError::Dial(DialError::WrongMember { found: b.id })));
    let outcome = a.quic.ask(id_of(3), a.address, "x".into(), 10, SOON).await;
    assert_eq!(outcome, Err(AskError::Dial(DialError::Myself)));
    assert_eq!(a.ask(&a, "x").await, Err(AskError::Dial(DialError::Myself)));
}

#[tokio::test]
async fn a_ban_refuses_both_ways_and_ends_what_there_is() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    b.echo();
    assert!(a.ask(&b, "x").await.is_ok());
    b.trust.banned.lock().unwrap().insert(a.id);
    b.quic.disconnect(&a.id, Close::Banned);
    a.has_connections(0).await;
    assert_eq!(a.ask(&b, "x").await, Err(AskError::Dial(DialError::BannedThere)));
    assert_eq!(b.ask(&a, "x").await, Err(AskError::Dial(DialError::BannedHere)));
}

#[tokio::test]
async fn a_failed_dial_fails_every_waiter_and_is_not_remembered() {
    let nobody = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let limits = super::Limits { handshake_deadline: Duration::from_millis(200), ..Default::default() };
    let a = Recipe { limits, ..Recipe::of(1) }.start();
    let address = nobody.local_addr().unwrap();
    let ask = || a.quic.ask(id_of(2), address, "x".into(), 10, SOON);
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!((one, two), (Err(DialError::NoAnswer.into()), Err(DialError::NoAnswer.into())));
    assert_eq!(a.quic.counts().dials_failed, 1);
    drop(nobody);
    let mut b = Recipe { address, ..Recipe::of(2) }.start();
    b.echo();
    assert!(a.ask(&b, "x").await.is_ok());
}

#[tokio::test]
async fn a_process_started_again_replaces_its_former_self_whoever_dialled_that() {
    // Both orders of ids, because the lower one's dials are preferred within one life of a pair.
    for (here, there) in [(1, 2), (2, 1)] {
        let (mut a, b) = (Recipe::of(here).start(), Recipe::of(there).start());
        a.echo();
        let link = a.quic.shared_for_tests().link_to(b.id, b.address).await.unwrap();
        assert!(link.is_open());
        // Another process on the same key; the former one has not said goodbye.
        let mut again = Recipe { session: 99, ..Recipe::of(there) }.start();
        again.echo();
        assert_eq!(again.ask(&a, "x").await.unwrap(), "x");
        assert_eq!(a.quic.ask(again.id, b.address, "who?".into(), 10, SOON).await.unwrap(), "who?");
        a.has_connections(1).await;
        assert!(!link.is_open());
    }
}

#[tokio::test]
async fn a_member_that_died_without_a_word_and_came_back_is_found_by_the_next_question() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    b.echo();
    let mut again = Recipe { session: 99, ..Recipe::of(2) }.start();
    again.echo();
    // One address, behind it first the old process and then the new one.
    let address = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let lives_at = address.local_addr().unwrap();
    let (process, mut lives) = tokio::sync::watch::channel(b.address);
    let client = a.address;
    tokio::spawn(async move {
        let mut packet = [0; 2_000];
        while let Ok((length, from)) = address.recv_from(&mut packet).await {
            let to = if from == client { *lives.borrow_and_update() } else { client };
            address.send_to(&packet[..length], to).await.unwrap();
        }
    });
    assert_eq!(a.quic.ask(b.id, lives_at, "x".into(), 10, SOON).await.unwrap(), "x");
    process.send_replace(again.address);
    // The old connection would take 30 s to time out; the new process resets it under the key the old one had.
    let asked = tokio::time::timeout(SOON / 2, a.quic.ask(b.id, lives_at, "y".into(), 10, SOON)).await;
    assert_eq!(asked.unwrap().unwrap(), "y");
    assert_eq!((a.quic.counts().dialled, again.quic.counts().served), (2, 1));
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room() {
    let limits = super::Limits { max_links: 2, ..Default::default() };
    let a = Recipe { limits, ..Recipe::of(1) }.start();
    let mut others: Vec<_> = (2..5).map(|seed| Recipe::of(seed).start()).collect();
    for other in &mut others {
        other.echo();
    }
    for other in &others {
        assert!(a.ask(other, "x").await.is_ok());
    }
    others[0].has_connections(0).await;
    a.has_connections(2).await;
    assert!(a.ask(&others[0], "back again").await.is_ok());
}

#[tokio::test]
async fn when_all_connections_are_busy_no_other_is_begun() {
    let limits = super::Limits { max_links: 1, ..Default::default() };
    let mut a = Recipe { limits, ..Recipe::of(1) }.start();
    let (b, c) = (Recipe::of(2).start(), Recipe::of(3).start());
    let asking = {
        let (quic, id, address) = (Arc::clone(&b.quic), a.id, a.address);
        tokio::spawn(async move { quic.ask(id, address, "x".into(), 10, SOON).await })
    };
    let ask = a.arrivals.asks.recv().await.unwrap();
    assert_eq!(a.ask(&c, "x").await, Err(AskError::Dial(DialError::Full)));
    assert_eq!(c.ask(&a, "x").await, Err(AskError::Dial(DialError::Busy)));
    ask.reply.send("at last".into());
    assert_eq!(asking.await.unwrap().unwrap(), "at last");
}

#[tokio::test]
async fn who_is_gone_without_a_word_is_told_and_dialled_in_vain_for_no_longer_than_a_round_trip() {
    let mut a = Recipe::of(1).start();
    let theirs = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let entered = theirs.enter();
    let mut b = Recipe::of(2).start();
    b.echo();
    drop(entered);
    assert_eq!(a.ask(&b, "there").await.unwrap(), "there");
    // As if its process had been killed: nothing of it is left that could say goodbye.
    let (id, address) = (b.id, b.address);
    tokio::task::spawn_blocking(move || theirs.shutdown_timeout(SOON)).await.unwrap();
    drop(b);
    let ask = || a.quic.ask(id, address, "gone".into(), 10, SOON);
    // What is sent to it may end before that is told, or not at all.
    let in_vain = async {
        let answer = ask().await;
        assert!(answer.is_err(), "{answer:?}");
        std::future::pending().await
    };
    tokio::select! {
        told = a.arrivals.refusals.recv() => assert_eq!(told, Some(id)),
        () = in_vain => {}
        () = tokio::time::sleep(SOON) => panic!("nobody was told"),
    }
    a.quic.disconnect(&id, Close::Silent);
    let begun = Instant::now();
    assert_eq!(ask().await, Err(AskError::Dial(DialError::NobodyThere)));
    assert!(begun.elapsed() < SOON / 2);
}
