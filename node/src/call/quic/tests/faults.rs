//! Callees that are lost, full, or leaving.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;

use super::bench::{PATIENCE, counts, outgoing, pair, pair_with};
use crate::call::quic::attempt::{AttemptError, Cause, Fate, NotReceived, Outgoing, Silence};
use crate::call::quic::serve::ServeLimits;
use crate::tool::{FaultKind, Payload};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_goes_ends_its_calls_at_once_even_those_that_endure() {
    let pair = pair().await;
    let callee = pair.callee.me();
    let call = pair.lines.attempt(callee, Outgoing { silence: Silence::Endures, ..outgoing("wait", "{}") });
    let go = async {
        counts(&pair.tools.begun, 1).await;
        drop(pair.callee);
    };
    let (outcome, ()) = tokio::join!(async { tokio::time::timeout(PATIENCE, call).await }, go);
    let error = outcome.unwrap().unwrap_err();
    assert!(matches!(error, AttemptError::Broken { cause: Cause::Lost | Cause::Gone, .. }), "{error:?}");
    assert!(!error.did_not_run());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_leaves_is_gone_for_its_callers() {
    let pair = pair().await;
    let callee = pair.callee.me();
    let call = pair.lines.attempt(callee, outgoing("wait", "{}"));
    let leave = async {
        counts(&pair.tools.begun, 1).await;
        pair.callee.leave().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(async { tokio::time::timeout(PATIENCE, call).await }, leave);
    let error = outcome.unwrap().unwrap_err();
    assert!(matches!(error, AttemptError::Broken { cause: Cause::Lost | Cause::Gone, .. }), "{error:?}");
    super::bench::until(&pair.caller, "it has left", |view| view.live().count() == 1).await;
    let error = pair.lines.attempt(callee, outgoing("echo", "{}")).await.unwrap_err();
    assert_eq!(error, NotReceived::NotThere.into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_panics_breaks_its_call_and_gives_back_its_place() {
    let pair = pair_with(ServeLimits { calls: 1, ..ServeLimits::default() }).await;
    let error = pair.call(outgoing("panic", "{}")).await.unwrap_err();
    assert_eq!(error, AttemptError::Broken { cause: Cause::Lost, fate: Fate::Received });
    counts(&pair.tools.over, 1).await;
    // The place is given back after the answer was cut short.
    let again = async {
        while pair.call(outgoing("echo", "{}")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    assert_eq!(pair.server.held_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_is_full_says_so_and_has_not_run_the_call() {
    let pair = pair_with(ServeLimits { calls: 1, ..ServeLimits::default() }).await;
    let waiting = pair.call(outgoing("wait", "{}"));
    let refused = async {
        counts(&pair.tools.begun, 1).await;
        pair.call(outgoing("echo", "{}")).await.unwrap_err()
    };
    tokio::select! {
        _ = waiting => panic!("it never returns"),
        error = refused => {
            assert!(matches!(&error, AttemptError::Fault(fault) if fault.kind == FaultKind::Overloaded), "{error:?}");
            assert!(error.did_not_run());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_at_once_have_a_result_or_a_clear_refusal_each() {
    let pair = pair_with(ServeLimits { calls: 16, ..ServeLimits::default() }).await;
    let calls = (0..10_000).map(|_| pair.lines.attempt(pair.callee.me(), outgoing("echo", "{}")));
    let outcomes = tokio::time::timeout(2 * PATIENCE, join_all(calls)).await.unwrap();
    let mut served = 0;
    for outcome in outcomes {
        match outcome {
            Ok(payload) => {
                assert_eq!(payload, Payload::Value("{}".into()));
                served += 1;
            }
            Err(error) => {
                let is_clear = match &error {
                    AttemptError::NotReceived(why) => matches!(why, NotReceived::NoStream | NotReceived::Busy),
                    AttemptError::Fault(fault) => fault.kind == FaultKind::Overloaded,
                    _ => false,
                };
                assert!(is_clear && error.did_not_run(), "{error:?}");
            }
        }
    }
    assert!(served > 0);
    assert_eq!((pair.server.held_bytes(), pair.lines.under_way(&pair.callee.me())), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_drains_refuses_new_calls_and_finishes_those_under_way_also_when_they_are_sent_again() {
    let pair = pair().await;
    let mut waiting = Box::pin(pair.call(outgoing("wait", "{}")));
    tokio::select! {
        _ = &mut waiting => panic!("it never returns"),
        () = counts(&pair.tools.begun, 1) => {}
    }
    pair.server.drain(Duration::from_millis(1)).await;
    assert_eq!(pair.server.under_way(), 1, "the patience was short");
    let error = pair.call(outgoing("echo", "{}")).await.unwrap_err();
    assert!(matches!(&error, AttemptError::Fault(fault) if fault.kind == FaultKind::Draining), "{error:?}");
    assert!(error.did_not_run());
    pair.tools.knows.store(true, Ordering::SeqCst);
    assert_eq!(pair.call(outgoing("echo", "{}")).await, Ok(Payload::Value("{}".into())));
    drop(waiting);
    let drained = tokio::time::timeout(PATIENCE, pair.server.drain(2 * PATIENCE)).await;
    assert!(drained.is_ok() && pair.server.under_way() == 0);
}
