//! What goes over a proved connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use quinn::{ReadError, ReadExactError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Recipe, SOON};
use crate::transport::quic::{AskError, Handler, KindTaken, MemberStream, Reset, Work};
use crate::transport::stream::{FIRST_FREE_KIND, MAX_ASK_BYTES, MAX_SHIP_BYTES};

const KIND: u8 = FIRST_FREE_KIND + 1;

#[tokio::test]
async fn what_is_shipped_arrives_up_to_its_bound_and_not_beyond() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let largest = Bytes::from(vec![7; MAX_SHIP_BYTES]);
    a.quic.ship(b.id, b.address, largest.clone(), SOON).await.unwrap();
    let shipment = b.arrivals.ships.recv().await.unwrap();
    assert_eq!((shipment.from, shipment.message), (a.id, largest));
    assert_eq!(shipment.address, a.address);
    let outcome = a.quic.ship(b.id, b.address, vec![7; MAX_SHIP_BYTES + 1].into(), SOON).await;
    assert_eq!(outcome, Err(AskError::TooLong { limit: MAX_SHIP_BYTES }));
    let outcome = a.quic.ask(b.id, b.address, vec![7; MAX_ASK_BYTES + 1].into(), 1, SOON).await;
    assert_eq!(outcome, Err(AskError::TooLong { limit: MAX_ASK_BYTES }));
}

#[tokio::test]
async fn a_member_that_sends_more_than_it_may_is_cut_off() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    for (kind, bound) in [(1, MAX_ASK_BYTES), (2, MAX_SHIP_BYTES)] {
        // Past our own check, as a rogue member would.
        let shared = a.quic.shared_for_tests();
        let link = shared.link_to(b.id, b.address).await.unwrap();
        let mut stream = crate::transport::stream::open(&link, kind).await.unwrap();
        let sent = stream.send.write_all(&vec![7; 2 * bound]).await;
        assert!(sent.is_err() || stream.send.finish().is_ok());
        let said = stream.receive.read_to_end(1).await;
        assert!(
            matches!(said, Err(quinn::ReadToEndError::Read(ReadError::Reset(code))) if code == Reset::TooLong.code())
        );
    }
    assert_eq!(b.quic.counts().reset(Reset::TooLong), 2);
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_not_taken() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    b.echo();
    let question = Bytes::from_static(b"0123456789");
    assert_eq!(a.quic.ask(b.id, b.address, question.clone(), 9, SOON).await, Err(AskError::AnswerTooLong));
    assert_eq!(a.quic.ask(b.id, b.address, question.clone(), 10, SOON).await, Ok(question));
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let large: Bytes = (0..5_000_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>().into();
    let (asked, ()) = tokio::join!(a.quic.ask(b.id, b.address, "all".into(), 5_000_000, SOON), async {
        b.arrivals.asks.recv().await.unwrap().reply.send(large.clone());
    });
    assert!(asked.unwrap() == large);
}

#[tokio::test]
async fn full_queues_and_unanswered_questions_are_told_to_the_asker() {
    let limits = super::Limits { max_waiting: 1, ..Default::default() };
    let (a, mut b) = (Recipe::of(1).start(), Recipe { limits, ..Recipe::of(2) }.start());
    let first = {
        let (quic, id, address) = (Arc::clone(&a.quic), b.id, b.address);
        tokio::spawn(async move { quic.ask(id, address, "first".into(), 10, SOON).await })
    };
    // One shipment fills that queue; the question is in its own before the shipment is acknowledged or not.
    a.quic.ship(b.id, b.address, "one".into(), SOON).await.unwrap();
    assert_eq!(a.quic.ship(b.id, b.address, "two".into(), SOON).await, Err(AskError::Busy));
    let ask = b.arrivals.asks.recv().await.unwrap();
    drop(ask.reply);
    assert_eq!(first.await.unwrap(), Err(AskError::Declined));
}

#[tokio::test]
async fn a_peer_that_never_answers_hits_the_deadline() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let asked = a.quic.ask(b.id, b.address, "well?".into(), 10, Duration::from_millis(100)).await;
    assert_eq!(asked, Err(AskError::TimedOut));
    // The link has shown signs of life and stays; the question still waits there, its reply goes nowhere.
    b.arrivals.asks.recv().await.unwrap().reply.send("too late".into());
    b.echo();
    assert_eq!(a.ask(&b, "again").await.unwrap(), "again");
    assert_eq!(a.quic.counts().dialled, 1);
}

#[tokio::test]
async fn streams_of_a_registered_kind_go_to_their_owner_and_others_are_reset() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let mut stream = a.quic.open(b.id, b.address, KIND, SOON).await.unwrap();
    let said = stream.receive.read_exact(&mut [0]).await;
    assert!(
        matches!(said, Err(ReadExactError::ReadError(ReadError::Reset(code))) if code == Reset::UnknownKind.code())
    );
    assert_eq!(b.quic.counts().reset(Reset::UnknownKind), 1);

    assert_eq!(b.quic.register(1, 1).err(), Some(KindTaken(1)));
    let mut streams = b.quic.register(KIND, 1).unwrap();
    assert_eq!(b.quic.register(KIND, 1).err(), Some(KindTaken(KIND)));
    let mut stream = a.quic.open(b.id, b.address, KIND, SOON).await.unwrap();
    stream.send.write_all(b"hello").await.unwrap();
    stream.send.finish().unwrap();
    let mut taken = streams.recv().await.unwrap();
    assert_eq!(taken.member, a.id);
    assert_eq!(taken.receive.read_to_end(10).await.unwrap(), b"hello");
    taken.send.write_all(b"yourself").await.unwrap();
    taken.send.finish().unwrap();
    assert_eq!(stream.receive.read_to_end(10).await.unwrap(), b"yourself");

    drop(streams);
    assert!(b.quic.register(KIND, 1).is_ok(), "a dropped receiver gives the kind back");
}

#[tokio::test]
async fn a_registered_kind_whose_queue_is_full_is_reset_as_busy() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let _streams = b.quic.register(KIND, 1).unwrap();
    let mut first = a.quic.open(b.id, b.address, KIND, SOON).await.unwrap();
    let mut second = a.quic.open(b.id, b.address, KIND, SOON).await.unwrap();
    let (mut one, mut two) = ([0], [0]);
    // One of the two waits in the queue for ever, the other is turned away.
    let said = tokio::select! {
        said = first.receive.read_exact(&mut one) => said,
        said = second.receive.read_exact(&mut two) => said,
    };
    assert!(matches!(said, Err(ReadExactError::ReadError(ReadError::Reset(code))) if code == Reset::Busy.code()));
}

/// Says in which task it served a stream, and takes its time for that when told to.
struct Clerk {
    served: mpsc::Sender<tokio::task::Id>,
    is_slow: AtomicBool,
}

impl Handler for Clerk {
    fn take(&self, stream: MemberStream) -> Result<Option<Work>, (Reset, Box<MemberStream>)> {
        let (served, is_slow) = (self.served.clone(), self.is_slow.load(Ordering::Relaxed));
        Ok(Some(Box::pin(async move {
            let begun = Instant::now();
            while is_slow && begun.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            served.try_send(tokio::task::id()).unwrap();
            drop(stream);
        })))
    }

    fn is_closed(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn streams_are_served_where_they_arrive_until_one_would_hold_up_the_others() {
    let (a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let (served, mut tasks) = mpsc::channel(1);
    let clerk = Arc::new(Clerk { served, is_slow: AtomicBool::new(false) });
    b.quic.hand_to(KIND, clerk.clone()).unwrap();
    let mut by = Vec::new();
    // The first may come before anybody waits for it.
    for is_slow in [false, false, false, true, false] {
        clerk.is_slow.store(is_slow, Ordering::Relaxed);
        let _stream = a.quic.open(b.id, b.address, KIND, SOON).await.unwrap();
        by.push(tasks.recv().await.unwrap());
    }
    assert!(by[1] == by[2] && by[2] == by[3], "{by:?}");
    assert_ne!(by[3], by[4]);
}

#[tokio::test]
async fn shutdown_leaves_no_task_and_tells_the_peers() {
    let (a, mut b) = (Recipe::of(1).start(), Recipe::of(2).start());
    b.echo();
    assert!(a.ask(&b, "x").await.is_ok());
    let tasks = a.quic.tasks_for_tests();
    assert!(!tasks.is_empty());
    let pending = b.quic.connections();
    Arc::into_inner(a.quic).unwrap().shutdown(SOON).await;
    assert!(tasks.is_empty());
    super::reaches(pending, 0).await;
}

#[tokio::test]
async fn dropping_the_endpoint_ends_its_tasks_and_fails_what_is_under_way() {
    let (mut a, b) = (Recipe::of(1).start(), Recipe::of(2).start());
    let asking = {
        let (quic, id, address) = (Arc::clone(&b.quic), a.id, a.address);
        tokio::spawn(async move { quic.ask(id, address, "x".into(), 10, SOON).await })
    };
    let ask = a.arrivals.asks.recv().await.unwrap();
    let tasks = a.quic.tasks_for_tests();
    drop(a.quic);
    tasks.wait().await;
    assert_eq!(asking.await.unwrap(), Err(AskError::Lost));
    ask.reply.send("nobody listens".into());
}
