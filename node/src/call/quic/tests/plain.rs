//! Calls that go as they should.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bench::{PATIENCE, counts, outgoing, pair};
use crate::call::quic::attempt::{AttemptError, Fate, Outgoing};
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope, SessionKey, Update};
use crate::tool::{Fault, FaultKind, Payload};
use crate::trace::TraceContext;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_come_back_as_the_tool_wrote_them() {
    let pair = pair().await;
    let text = Bytes::from_static(b"{\"a\" :1}");
    assert_eq!(pair.call(outgoing("echo", text.clone())).await, Ok(Payload::Value(text.clone())));
    assert_eq!(pair.call(outgoing("content", text.clone())).await, Ok(Payload::Content(text)));
    assert_eq!(pair.call(outgoing("echo", Bytes::new())).await, Ok(Payload::Value(Bytes::new())));
    let fault = Fault { kind: FaultKind::Failed, message: "as asked".into(), data: Some("[1]".into()) };
    assert_eq!(pair.call(outgoing("fail", "{}")).await, Err(AttemptError::Fault(fault)));
    let unknown = pair.call(outgoing("nothing", "{}")).await.unwrap_err();
    assert!(matches!(&unknown, AttemptError::Fault(fault) if fault.kind == FaultKind::UnknownTool));
    assert!(unknown.did_not_run());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_results_have_come_is_found_out_without_another_call_and_they_are_under_way_until_then() {
    let pair = pair().await;
    for _ in 0..3 {
        pair.call(outgoing("echo", "{}")).await.unwrap();
    }
    counts(&pair.tools.delivered, 3).await;
    let drained = tokio::time::timeout(PATIENCE, pair.server.drain(2 * PATIENCE)).await;
    assert!(drained.is_ok() && pair.server.under_way() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_travels_with_a_call_arrives_and_the_deadline_shrinks() {
    let pair = pair().await;
    let scope = Scope {
        deadline: Some(Instant::now() + PATIENCE),
        trace: Some(TraceContext { trace_id: 1, span_id: 2, sampled: true }),
        trace_state: Some("a=b".into()),
        session: Some(SessionKey::try_from("s").unwrap()),
        headers: vec![("x-a".into(), "1".into())],
    };
    pair.call(Outgoing { scope: scope.clone(), ..outgoing("echo", "{}") }).await.unwrap();
    let arrived = pair.tools.scope.lock().unwrap().clone();
    assert!(arrived.deadline.is_some_and(|deadline| deadline > Instant::now() && deadline < Instant::now() + PATIENCE));
    assert_eq!((arrived.trace, arrived.trace_state), (scope.trace, scope.trace_state));
    assert_eq!((arrived.session, arrived.headers), (scope.session, scope.headers));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_go_both_ways_and_one_byte_more_neither() {
    let pair = pair().await;
    let most = Bytes::from(vec![b'5'; MAX_PAYLOAD_BYTES]);
    let echoed = pair.call(outgoing("echo", most.clone())).await;
    let Ok(Payload::Value(back)) = echoed else { panic!("it fits: {echoed:?}") };
    assert!(back == most);
    let error = pair.call(outgoing("large", most.clone())).await.unwrap_err();
    assert!(matches!(error, AttemptError::Fault(fault) if fault.kind == FaultKind::TooLarge));
    let more = Bytes::from(vec![b'5'; MAX_PAYLOAD_BYTES + 1]);
    let error = pair.call(outgoing("echo", more)).await.unwrap_err();
    assert!(error.did_not_run() && matches!(error, AttemptError::TooLarge { what: "arguments", .. }));
    assert_eq!(*pair.tools.begun.borrow(), 2);
    assert_eq!(pair.server.held_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_come_in_order_before_the_result_to_those_who_listen() {
    let pair = pair().await;
    let (queue, mut updates) = mpsc::channel(1);
    let call = pair.call(Outgoing { outlet: Outlet::to(queue), ..outgoing("count", "{}") });
    let listen = async {
        let mut heard = Vec::new();
        while let Some(update) = updates.recv().await {
            heard.push(update);
        }
        heard
    };
    let (outcome, heard) = tokio::join!(call, listen);
    assert_eq!(outcome, Ok(Payload::Value("3".into())));
    assert_eq!(heard.len(), 7);
    assert_eq!(heard[5], Update::Chunk("2".into()));
    let Update::Log { level, logger, data } = &heard[6] else { panic!("the last is a log message") };
    assert_eq!((*level, logger.as_deref(), &data[..]), ("warning", Some("counter"), &b"\"done\""[..]));
    assert_eq!(pair.call(outgoing("count", "{}")).await, Ok(Payload::Value("3".into())), "nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_takes_nothing_halts_the_tool_and_holds_nobody_up() {
    let pair = pair().await;
    let (queue, mut updates) = mpsc::channel(1);
    let lines = pair.lines.clone();
    let callee = pair.callee.me();
    let call = Outgoing { outlet: Outlet::to(queue), ..outgoing("pour", "{}") };
    let task = tokio::spawn(async move { lines.attempt(callee, call).await });
    assert!(updates.recv().await.is_some());
    // It stands still when it has not moved while other calls came and went.
    let mut before = 0;
    loop {
        for _ in 0..100 {
            pair.call(outgoing("echo", "{}")).await.unwrap();
        }
        let poured = pair.tools.poured.load(Ordering::Relaxed);
        assert!(poured < 16 << 20, "{poured} bytes are under way to somebody who takes none");
        if poured == before {
            break;
        }
        before = poured;
    }
    drop(updates);
    task.abort();
    counts(&pair.tools.over, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_reaches_the_tool_first_as_a_word_then_as_an_end() {
    let pair = pair().await;
    let mut call = Box::pin(pair.call(outgoing("wait", "{}")));
    tokio::select! {
        _ = &mut call => panic!("it never returns"),
        () = counts(&pair.tools.begun, 1) => {}
    }
    drop(call);
    counts(&pair.tools.cancelled, 1).await;
    counts(&pair.tools.over, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_attempt_and_the_run() {
    let pair = pair().await;
    let scope = Scope { deadline: Some(Instant::now() + Duration::from_millis(100)), ..Scope::default() };
    let error = pair.call(Outgoing { scope, ..outgoing("wait", "{}") }).await.unwrap_err();
    assert!(matches!(error, AttemptError::TimedOut { fate: Fate::Received | Fate::Unconfirmed }), "{error:?}");
    counts(&pair.tools.over, 1).await;
    let scope = Scope { deadline: Some(Instant::now()), ..Scope::default() };
    let error = pair.call(Outgoing { scope, ..outgoing("wait", "{}") }).await.unwrap_err();
    assert!(matches!(error, AttemptError::TimedOut { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_served_to_the_last_call() {
    let pair = pair().await;
    let calls = (0..500).map(|_| pair.call(outgoing("echo", "{}")));
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome, Ok(Payload::Value("{}".into())));
    }
}
