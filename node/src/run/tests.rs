//! A runner on its own.

use std::time::Duration;

use mesh_gossip::MemberId;
use tokio::time::Instant;

use super::{Accompany, Arrival, RunSettings};
use crate::call::options::CallOptions;
use crate::call::tests::bench::{Plan, counts, tool};
use crate::context::{Origin, Scope};
use crate::propagation::Propagation;
use crate::tool::{FaultKind, Payload, ToolDescriptor};
use crate::trace::{Outcome, SpanKind};

fn arrival(tool: &str, arguments: &str) -> Arrival {
    Arrival::new(tool, arguments.to_owned(), Origin::Client)
}

#[tokio::test]
async fn what_stock_callers_put_into_arguments_is_taken_out_and_used() {
    let propagate = Propagation::new(["x-team-*"]);
    let settings = RunSettings { propagate, ..RunSettings::default() };
    let node = Plan { settings, ..Plan::with([tool("echo")]) }.start(&[]).await;
    let arguments = r#"{"a":1,"_trace_id":"aaaabbbbccccddddaaaabbbbccccdddd","_parent_span":"1111222233334444","_mesh_headers":{"X-Team-A":"red","cookie":"no"},"session_id":"anna"}"#;
    let payload = node.runner.run(arrival("echo", arguments)).await.unwrap();
    assert_eq!(payload, Payload::Value(r#"{"a":1,"session_id":"anna"}"#.into()));
    let scope = node.host.last.lock().unwrap().0.clone();
    assert_eq!(scope.headers, [("x-team-a".into(), "red".into())]);
    assert_eq!(scope.session.unwrap().as_str(), "anna");
    let span = node.caller.ring().last().unwrap();
    assert_eq!((span.trace, span.parent), (0xaaaa_bbbb_cccc_dddd_aaaa_bbbb_cccc_dddd, Some(0x1111_2222_3333_4444)));
    assert_eq!(scope.trace.unwrap().span_id, span.span);
}

#[tokio::test]
async fn a_call_that_is_brought_twice_runs_once() {
    let node = Plan::with([tool("who")]).start(&[]).await;
    let member = MemberId::from_bytes([1; 16]);
    let once = Arrival { origin: Origin::Member(member), ..arrival("who", "{}") };
    let (one, two) = tokio::join!(node.runner.run(once.clone()), node.runner.run(once.clone()));
    assert_eq!(one, two);
    assert_eq!(node.runner.run(once).await, two);
    assert_eq!(node.host.runs(), 1);
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_does_not_run() {
    let settings = RunSettings { most: 1, ..RunSettings::default() };
    let node = Plan { settings, hangs: true, ..Plan::with([tool("wait")]) }.start(&[]).await;
    let (runner, first) = (node.runner.clone(), arrival("wait", "{}"));
    let running = tokio::spawn(async move { runner.run(first).await });
    counts(&node.host.begun, 1).await;
    assert_eq!(node.runner.under_way(), 1);
    let fault = node.runner.run(arrival("wait", "{}")).await.unwrap_err();
    assert_eq!((fault.kind, node.host.runs()), (FaultKind::Overloaded, 1));
    running.abort();
    counts(&node.host.cancelled, 0).await;
}

#[tokio::test]
async fn who_drains_takes_no_more_and_waits_for_the_rest() {
    let node = Plan { hangs: true, ..Plan::with([tool("wait"), tool("who")]) }.start(&[]).await;
    let first = arrival("wait", "{}");
    let (runner, token, call) = (node.runner.clone(), first.cancelled.clone(), first);
    let running = tokio::spawn(async move { runner.run(call).await });
    counts(&node.host.begun, 1).await;
    assert_eq!(node.runner.drain(Instant::now()).await, 1);
    assert_eq!(node.runner.run(arrival("who", "{}")).await.unwrap_err().kind, FaultKind::Draining);
    token.cancel();
    assert_eq!(node.runner.drain(Instant::now() + Duration::from_secs(20)).await, 0);
    assert_eq!(running.await.unwrap().unwrap_err().kind, FaultKind::Cancelled);
    assert_eq!(*node.host.cancelled.borrow(), 1, "it was told, and could clean up");
}

#[tokio::test]
async fn every_way_in_which_a_tool_fails_is_a_fault_that_says_so() {
    let timeout = Some(Duration::from_millis(50));
    let wait = ToolDescriptor { options: CallOptions { timeout, ..CallOptions::default() }, ..tool("wait") };
    let node = Plan { hangs: true, ..Plan::with([tool("panic"), tool("fail"), tool("echo"), wait]) }.start(&[]).await;
    let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
    for (name, arguments, kind, outcome) in [
        ("panic", "{}", FaultKind::Panicked, Some(Outcome::Error)),
        ("fail", "{}", FaultKind::Failed, Some(Outcome::Error)),
        ("wait", "{}", FaultKind::TimedOut, Some(Outcome::TimedOut)),
        ("none", "{}", FaultKind::UnknownTool, None),
        ("echo", "[]", FaultKind::InvalidArguments, None),
        ("echo", deep.as_str(), FaultKind::InvalidArguments, None),
    ] {
        let before = node.caller.ring().len();
        let fault = node.runner.run(arrival(name, arguments)).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{name}: {fault}");
        let spans = node.caller.ring().len() - before;
        assert_eq!((spans > 0).then(|| node.caller.ring().last().unwrap().outcome), outcome, "{name}");
    }
    let mut stray = arrival("echo", "{}");
    stray.agent = Some("other-00000000".parse().unwrap());
    assert_eq!(node.runner.run(stray).await.unwrap_err().kind, FaultKind::UnknownTool);
}

#[tokio::test]
async fn tools_that_require_credentials_or_a_session_are_not_run_without() {
    let options = CallOptions { auth_required: Some(true), ..CallOptions::default() };
    let secret = ToolDescriptor { options, ..tool("secret") };
    let options = CallOptions { session_required: Some(true), ..CallOptions::default() };
    let mine = ToolDescriptor { options, ..tool("mine") };
    let node = Plan::with([secret, mine]).start(&[]).await;
    assert_eq!(node.runner.run(arrival("secret", "{}")).await.unwrap_err().kind, FaultKind::Forbidden);
    assert_eq!(node.runner.run(arrival("mine", "{}")).await.unwrap_err().kind, FaultKind::InvalidArguments);
    node.runner.run(arrival("mine", r#"{"session_id":"anna"}"#)).await.unwrap();
}

#[tokio::test]
async fn work_that_somebody_else_does_is_bounded_and_told_of_as_a_run() {
    let settings = RunSettings { most: 1, ..RunSettings::default() };
    let node = Plan { settings, ..Plan::with([tool("who")]) }.start(&[]).await;
    node.runner.accompany(arrival("who", "{}"), Box::pin(async { Ok(()) })).await.unwrap();
    let span = node.caller.ring().last().unwrap();
    assert_eq!((span.kind, &*span.name, span.outcome), (SpanKind::Tool, "who", Outcome::Ok));
    node.runner.accompany(arrival("made up", "{}"), Box::pin(async { Ok(()) })).await.unwrap();
    assert_eq!(&*node.caller.ring().last().unwrap().name, "unlisted");

    let soon = Scope { deadline: Some(Instant::now() + Duration::from_millis(20)), ..Scope::default() };
    let late = Arrival { scope: soon, ..arrival("who", "{}") };
    let nested = async {
        let second = node.runner.accompany(arrival("who", "{}"), Box::pin(async { Ok(()) })).await;
        assert_eq!(second.unwrap_err().kind, FaultKind::Overloaded);
        std::future::pending().await
    };
    let fault = node.runner.accompany(late, Box::pin(nested)).await.unwrap_err();
    assert_eq!((fault.kind, node.host.runs()), (FaultKind::TimedOut, 0));
    let panics = node.runner.accompany(arrival("who", "{}"), Box::pin(async { panic!("as asked") })).await;
    assert_eq!(panics.unwrap_err().kind, FaultKind::Panicked);
}
