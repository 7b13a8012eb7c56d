//! Members that send something else than they should.

use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::Gossip;
use mesh_gossip::transport::quic::MemberStream;
use tokio::time::Instant;

use super::bench::{PATIENCE, Pair, outgoing, pair, spawn, until};
use crate::call::quic::attempt::{AttemptError, Cause, NotReceived, Outgoing, Silence};
use crate::call::quic::envelope::Envelope;
use crate::call::quic::frame::{Frame, FrameError, FrameReader};
use crate::call::quic::lines::Lines;
use crate::call::quic::{CALLS, PULSES};
use crate::context::{MAX_PAYLOAD_BYTES, Scope};
use crate::run::CallId;
use crate::tool::{FaultKind, Payload};

fn envelope(argument_bytes: usize) -> Vec<u8> {
    let envelope = Envelope {
        id: CallId::random(),
        attempt: 1,
        agent: None,
        tool: "echo".into(),
        remaining: None,
        trace: None,
        trace_state: None,
        session: None,
        headers: Vec::new(),
        listens: false,
        argument_bytes,
    };
    envelope.encode().unwrap()
}

/// What comes back for these bytes.
async fn answer(pair: &Pair, bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut stream = pair.caller.open(pair.callee.me(), CALLS, PATIENCE).await.unwrap();
    stream.send.write_all(bytes).await.unwrap();
    stream.send.finish().unwrap();
    let mut frames = FrameReader::new(&mut stream.receive, || ());
    tokio::time::timeout(PATIENCE, frames.next()).await.unwrap()
}

async fn fault(pair: &Pair, bytes: &[u8]) -> FaultKind {
    let Ok(Frame::Outcome(Err(fault))) = answer(pair, bytes).await else { panic!("it is refused in words") };
    fault.kind
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_sends_nonsense_is_told_so_and_holds_nothing() {
    let pair = pair().await;
    assert_eq!(fault(&pair, &[255; 40]).await, FaultKind::InvalidArguments);
    assert_eq!(fault(&pair, &[3, 0, 1, 2, 3]).await, FaultKind::InvalidArguments);
    assert_eq!(fault(&pair, &[1, 0, 200]).await, FaultKind::InvalidArguments);
    assert_eq!(fault(&pair, &[0, 0]).await, FaultKind::InvalidArguments);
    assert_eq!(fault(&pair, &envelope(MAX_PAYLOAD_BYTES + 1)).await, FaultKind::TooLarge);
    assert_eq!(fault(&pair, &envelope(usize::MAX)).await, FaultKind::TooLarge);
    let more = [envelope(2), b"{} ".to_vec()].concat();
    assert_eq!(fault(&pair, &more).await, FaultKind::InvalidArguments);
    let less = [envelope(MAX_PAYLOAD_BYTES), b"{}".to_vec()].concat();
    assert!(matches!(answer(&pair, &less).await, Err(FrameError::Broken(_))));
    assert!(matches!(answer(&pair, &envelope(2)[..20]).await, Err(FrameError::Broken(_))));
    assert!(matches!(answer(&pair, b"").await, Err(FrameError::Broken(_))));
    let echo = Ok(Frame::Outcome(Ok(Payload::Value("{}".into()))));
    assert_eq!(answer(&pair, &[envelope(2), b"{}".to_vec()].concat()).await, echo);
    assert_eq!((*pair.tools.begun.borrow(), pair.server.held_bytes()), (1, 0));
}

/// A caller, and a callee that is a bare gossip node.
async fn strangers() -> (Lines, Gossip) {
    let caller = std::sync::Arc::new(spawn(&[]).await);
    let callee = spawn(&[&caller]).await;
    until(&caller, "sees the callee", |view| view.live().count() == 2).await;
    until(&callee, "sees the caller", |view| view.live().count() == 2).await;
    (Lines::new(caller), callee)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_answers_nonsense_is_found_out() {
    let (lines, callee) = strangers().await;
    let mut calls = callee.register(CALLS, 8).await.unwrap();
    let nonsense: [&[u8]; 5] =
        [b"", b"\x10\xff\xff\xff\xff", b"\x10\x05\0\0\0{}", b"\x12\x01\0\0\0\x01", b"\x10\x02\0\0\0{}too much"];
    for bytes in nonsense {
        let answer = async {
            let mut stream: MemberStream = calls.recv().await.unwrap();
            stream.send.write_all(bytes).await.unwrap();
            stream.send.finish().unwrap();
            stream
        };
        let (outcome, _stream) = tokio::join!(lines.attempt(callee.me(), outgoing("echo", "{}")), answer);
        let error = outcome.unwrap_err();
        assert!(matches!(error, AttemptError::Broken { cause: Cause::Garbled, .. }), "{bytes:?}: {error:?}");
    }
    let answer = async {
        let mut stream: MemberStream = calls.recv().await.unwrap();
        stream.send.write_all(b"\x63\x02\0\0\0??\x10\x02\0\0\0{}").await.unwrap();
        stream.send.finish().unwrap();
        stream
    };
    let (outcome, _stream) = tokio::join!(lines.attempt(callee.me(), outgoing("echo", "{}")), answer);
    assert_eq!(outcome, Ok(Payload::Value("{}".into())), "what a newer version says besides is skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_take_no_calls_or_are_not_there_or_have_too_much_to_do_have_not_run_them() {
    let (lines, callee) = strangers().await;
    let outcome = lines.attempt(callee.me(), outgoing("echo", "{}")).await;
    assert_eq!(outcome, Err(NotReceived::TakesNone.into()));
    let nobody = mesh_gossip::MemberId::from_bytes([9; 16]);
    assert_eq!(lines.attempt(nobody, outgoing("echo", "{}")).await, Err(NotReceived::NotThere.into()));
    let _never_taken = callee.register(CALLS, 1).await.unwrap();
    let calls = (0..8).map(|_| lines.attempt(callee.me(), outgoing("echo", "{}")));
    let (first, _, _) = futures::future::select_all(calls.map(Box::pin)).await;
    assert_eq!(first, Err(NotReceived::Busy.into()));
    assert!(first.unwrap_err().did_not_run());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_member_loses_the_calls_that_may_be_repeated_and_is_watched_until_it_answers() {
    let (lines, callee) = strangers().await;
    let _calls = callee.register(CALLS, 8).await.unwrap();
    let mut pulses = callee.register(PULSES, 8).await.unwrap();
    let mut changes = lines.changes();
    let outcome = lines.attempt(callee.me(), outgoing("echo", "{}")).await;
    // Its socket still confirms what arrives.
    assert!(matches!(outcome, Err(AttemptError::Broken { cause: Cause::Silent, .. })), "{outcome:?}");
    let scope = Scope { deadline: Some(Instant::now() + Duration::from_millis(500)), ..Scope::default() };
    let patient = Outgoing { silence: Silence::Endures, scope, ..outgoing("echo", "{}") };
    let patience = lines.attempt(callee.me(), patient).await;
    assert!(matches!(patience, Err(AttemptError::TimedOut { .. })), "{patience:?}");
    assert!(lines.is_silent(&callee.me()) && lines.under_way(&callee.me()) == 0);
    changes.mark_unchanged();
    tokio::spawn(async move {
        // The first may have been given up for another one.
        while let Some(stream) = pulses.recv().await {
            tokio::spawn(crate::call::quic::pulse::answer(stream));
        }
    });
    let answers = changes.wait_for(|_| !lines.is_silent(&callee.me()));
    assert!(tokio::time::timeout(PATIENCE, answers).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_bytes_of_arguments_than_agreed_are_refused_as_overload() {
    let limits = crate::call::quic::serve::ServeLimits { argument_bytes: 1_000, ..Default::default() };
    let pair = super::bench::pair_with(limits).await;
    let error = pair.call(outgoing("echo", Bytes::from(vec![b'1'; 2_000_000]))).await.unwrap_err();
    assert!(matches!(&error, AttemptError::Fault(fault) if fault.kind == FaultKind::Overloaded), "{error:?}");
    assert!(error.did_not_run());
    pair.call(outgoing("echo", "{}")).await.unwrap();
}
