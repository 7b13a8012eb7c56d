//! Resolving, spreading, failing over, giving up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::Owner;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bench::{Plan, ask, counts, idempotent, provides, tool};
use crate::call::options::CallOptions;
use crate::call::{CallError, CallSettings, Request, Tailor, Target};
use crate::context::{Outlet, Scope, Update};
use crate::tool::{FaultKind, Payload, ToolDescriptor};
use crate::trace::{Outcome, SpanKind, TraceContext};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_spread_over_equals_and_leave_their_spans_behind() {
    let asker = Plan::default().start(&[]).await;
    let one = Plan::with([tool("who")]).start(&[&asker]).await;
    let two = Plan::with([tool("who")]).start(&[&asker]).await;
    asker.sees("who", 2).await;
    let mut served = BTreeMap::new();
    for _ in 0..100 {
        *served.entry(asker.asks(ask("who")).await).or_insert(0) += 1;
    }
    assert!(served.len() == 2 && served.values().all(|count| *count >= 40), "{served:?}");
    assert_eq!(one.host.runs() + two.host.runs(), 100);

    let reply = asker.caller.call(ask("who")).await.unwrap();
    let spans = asker.caller.ring().spans_of(reply.trace.trace_id);
    let kinds: Vec<_> = spans.iter().map(|span| (span.kind, span.outcome)).collect();
    assert_eq!(kinds, [(SpanKind::Attempt, Outcome::Ok), (SpanKind::Call, Outcome::Ok)]);
    assert_eq!(spans[0].parent, Some(spans[1].span));
    let server = if reply.agent == one.agent { &one } else { &two };
    let runs = server.caller.ring().spans_of(reply.trace.trace_id);
    assert_eq!((runs[0].kind, runs[0].parent), (SpanKind::Tool, Some(spans[0].span)));
    assert_eq!(&*runs[0].agent, reply.agent.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_call_goes_on_to_the_next_when_its_replica_dies() {
    let asker = Plan::default().start(&[]).await;
    let dies = Plan { hangs: true, ..Plan::with([idempotent("wait")]) }.start(&[&asker]).await;
    let lives = Plan::with([idempotent("wait")]).start(&[&asker]).await;
    asker.sees("wait", 2).await;
    // Whoever is asked second of two equals: both are asked until the one that hangs has it.
    let call = loop {
        let caller = asker.caller.clone();
        let call = tokio::spawn(async move { caller.call(ask("wait")).await });
        let mut begun = dies.host.begun.subscribe();
        tokio::select! {
            _ = begun.wait_for(|begun| *begun > 0) => break call,
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
    };
    drop(dies);
    let reply = call.await.unwrap().unwrap();
    assert_eq!((reply.agent, reply.attempts), (lives.agent.clone(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_may_have_run_is_not_repeated_unless_it_is_idempotent() {
    let asker = Plan::default().start(&[]).await;
    let dies = Plan { hangs: true, ..Plan::with([tool("wait")]) }.start(&[&asker]).await;
    asker.sees("wait", 1).await;
    let caller = asker.caller.clone();
    let call = tokio::spawn(async move { caller.call(ask("wait")).await });
    counts(&dies.host.begun, 1).await;
    let lives = Plan::with([tool("wait")]).start(&[&asker]).await;
    asker.sees("wait", 2).await;
    let agent = dies.agent.clone();
    drop(dies);
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::MayHaveRun { agent: lost, .. } if *lost == agent), "{error}");
    assert!(error.may_have_run());
    assert_eq!(lives.host.runs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_received_goes_on_whatever_it_is() {
    let asker = Plan::default().start(&[]).await;
    let full = Plan::with([tool("who")]);
    let full = Plan { settings: crate::run::RunSettings { most: 0, ..Default::default() }, ..full };
    let full = full.start(&[&asker]).await;
    let free = Plan::with([tool("who")]).start(&[&asker]).await;
    asker.sees("who", 2).await;
    for _ in 0..10 {
        assert_eq!(asker.asks(ask("who")).await, free.agent.as_str());
    }
    assert_eq!(full.host.runs(), 0);
    let owner = Owner { member: full.gossip.me(), agent: full.agent.clone() };
    let mut request = Request::new(Target::Exactly(owner), "{}");
    request.tool = Some("who".into());
    let error = asker.caller.call(request).await.unwrap_err();
    assert!(matches!(error, CallError::Fault { fault, .. } if fault.kind == FaultKind::Overloaded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_behind_an_agent_counts_as_the_agent_lost() {
    let asker = Plan::default().start(&[]).await;
    let again = ToolDescriptor { name: "lose".into(), ..idempotent("again") };
    let once = ToolDescriptor { name: "lose".into(), ..tool("once") };
    let loses = |tool| Plan { hangs: true, ..Plan::with([tool]) };
    let _loses = loses(again.clone()).start(&[&asker]).await;
    let lives = Plan::with([again]).start(&[&asker]).await;
    let _alone = loses(once).start(&[&asker]).await;
    asker.sees("again", 2).await;
    asker.sees("once", 1).await;
    for _ in 0..10 {
        assert_eq!(asker.caller.call(ask("again")).await.unwrap().agent, lives.agent);
    }
    assert!(matches!(asker.caller.call(ask("once")).await, Err(CallError::MayHaveRun { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_ends_a_tool_that_never_returns() {
    let asker = Plan::default().start(&[]).await;
    let timeout = Some(Duration::from_millis(200));
    let wait = ToolDescriptor { options: CallOptions { timeout, ..CallOptions::default() }, ..tool("wait") };
    let hangs = Plan { hangs: true, ..Plan::with([wait]) }.start(&[&asker]).await;
    asker.sees("wait", 1).await;
    let error = asker.caller.call(ask("wait")).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    counts(&hangs.host.cancelled, 1).await;
    let mut request = ask("wait");
    request.scope.deadline = Some(Instant::now());
    assert!(matches!(asker.caller.call(request).await, Err(CallError::TimedOut { .. })));
    assert_eq!(hangs.host.runs(), 1, "what is late already is not sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_cancels_the_tool() {
    let asker = Plan::default().start(&[]).await;
    let hangs = Plan { hangs: true, ..Plan::with([tool("wait")]) }.start(&[&asker]).await;
    asker.sees("wait", 1).await;
    let caller = asker.caller.clone();
    let call = tokio::spawn(async move { caller.call(ask("wait")).await });
    counts(&hangs.host.begun, 1).await;
    call.abort();
    counts(&hangs.host.cancelled, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capability_with_several_tools_wants_a_name() {
    let asker = Plan::default().start(&[]).await;
    let history = [provides("save", "history"), provides("load", "history"), ToolDescriptor::new("hidden")];
    let history = Plan { name: "history", ..Plan::with(history) }.start(&[&asker]).await;
    asker.sees("history", 2).await;
    let error = asker.caller.call(ask("history")).await.unwrap_err();
    let CallError::SeveralTools { agent, tools, .. } = error else { panic!("{error}") };
    assert_eq!((agent, tools), (history.agent.clone(), vec!["load".to_owned(), "save".to_owned()]));
    for name in ["save", "hidden"] {
        let mut request = ask("history");
        request.tool = Some(name.into());
        assert_eq!(asker.asks(request).await, history.agent.as_str());
    }
    for target in ["history", history.agent.as_str()] {
        let mut request = Request::new(Target::Agent(target.into()), "{}");
        request.tool = Some("load".into());
        assert_eq!(asker.asks(request.clone()).await, history.agent.as_str());
        request.tool = Some("none".into());
        let error = asker.caller.call(request).await.unwrap_err();
        assert!(matches!(error, CallError::Fault { fault, .. } if fault.kind == FaultKind::UnknownTool));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_provides_is_an_error_that_says_why() {
    let asker = Plan::with([tool("who")]).start(&[]).await;
    asker.sees("who", 1).await;
    let error = asker.caller.call(ask("nobody")).await.unwrap_err();
    assert_eq!(error.to_string(), "dependency_unavailable: nobody provides nobody: nobody offers it");
    let error = asker.caller.call(ask("who fast")).await.unwrap_err().to_string();
    assert!(error.contains("fast") && error.contains(asker.agent.as_str()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_looks_for_the_mesh_waits_for_a_provider() {
    let provider = Plan::with([tool("who")]).start(&[]).await;
    let asker = Plan::default().start(&[&provider]).await;
    assert_eq!(asker.asks(ask("who")).await, provider.agent.as_str());
    let impatient = CallSettings { settle: Duration::ZERO, ..CallSettings::default() };
    let nowhere = Plan { calls: impatient, ..Plan::default() };
    let gone = Plan::default().start(&[]).await;
    let nowhere = nowhere.start(&[&gone]).await;
    drop(gone);
    let error = nowhere.caller.call(ask("who")).await.unwrap_err();
    assert!(matches!(error, CallError::Unresolved { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_come_in_order_and_before_the_result() {
    let asker = Plan::default().start(&[]).await;
    let _counter = Plan::with([tool("count")]).start(&[&asker]).await;
    asker.sees("count", 1).await;
    let (outlet, mut updates) = mpsc::channel(1);
    let call = asker.caller.call_streaming(ask("count"), Outlet::to(outlet));
    let listen = async {
        let mut heard = Vec::new();
        while let Some(update) = updates.recv().await {
            heard.push(update);
        }
        heard
    };
    let (reply, heard) = tokio::join!(call, listen);
    assert_eq!(reply.unwrap().payload, Payload::Value("3".into()));
    assert_eq!(heard, ["0", "1", "2"].map(|text| Update::Chunk(text.into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_calls_is_one_trace_and_its_deadline_shrinks() {
    let asker = Plan::default().start(&[]).await;
    let relay = Plan { name: "relay", ..Plan::with([tool("relay")]) }.start(&[&asker]).await;
    let who = Plan::with([tool("who")]).start(&[&asker]).await;
    asker.sees("relay", 1).await;
    relay.sees("who", 1).await;
    let mut request = ask("relay");
    let trace = TraceContext::root();
    let deadline = Instant::now() + Duration::from_secs(20);
    request.scope = Scope {
        trace: Some(trace),
        deadline: Some(deadline),
        headers: vec![("x-mesh-calling-job-id".into(), "7".into()), ("cookie".into(), "no".into())],
        ..Scope::default()
    };
    assert_eq!(asker.asks(request).await, who.agent.as_str());
    let (scope, _) = who.host.last.lock().unwrap().clone();
    assert_eq!(scope.trace.unwrap().trace_id, trace.trace_id);
    assert!(scope.deadline.unwrap() <= deadline + Duration::from_millis(50));
    assert_eq!(scope.headers, [("x-mesh-calling-job-id".into(), "7".into())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tool_demands_is_asked_of_the_caller_before_anything_is_sent() {
    let asker = Plan::default().start(&[]).await;
    let options = CallOptions { session_required: Some(true), ..CallOptions::default() };
    let picky = ToolDescriptor { options, ..tool("who") };
    let options = CallOptions { auth_required: Some(true), ..CallOptions::default() };
    let secret = ToolDescriptor { options, ..tool("secret") };
    let picky = Plan::with([picky, secret]).start(&[&asker]).await;
    asker.sees("who", 1).await;
    assert!(matches!(asker.caller.call(ask("who")).await, Err(CallError::Invalid(_))));
    assert!(matches!(asker.caller.call(ask("secret")).await, Err(CallError::NoCredentials { .. })));
    assert_eq!(picky.host.runs(), 0);
    let mut request = ask("who");
    request.arguments = r#"{"session_id":"anna"}"#.into();
    asker.asks(request).await;
    let mut request = ask("secret");
    request.scope.headers = vec![("authorization".into(), "Bearer x".into())];
    let error = asker.caller.call(request).await.unwrap_err();
    assert!(matches!(error, CallError::Fault { fault, .. } if fault.kind == FaultKind::Forbidden));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_idempotent_call_fails_when_one_of_two_replicas_dies_under_load() {
    let asker = Plan::default().start(&[]).await;
    let dies = Plan::with([idempotent("who")]).start(&[&asker]).await;
    let lives = Plan::with([idempotent("who")]).start(&[&asker]).await;
    asker.sees("who", 2).await;
    let mut dies = Some(dies);
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        pace.tick().await;
        if number == 100 {
            dies = None;
        }
        let caller = asker.caller.clone();
        calls.spawn(async move { caller.call(ask("who")).await.map(|reply| reply.agent) });
    }
    assert!(dies.is_none());
    let served = calls.join_all().await;
    let failed: Vec<_> = served.iter().filter_map(|served| served.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let by_the_other = served.iter().flatten().filter(|agent| **agent == lives.agent).count();
    assert!((120..200).contains(&by_the_other), "{by_the_other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_at_once_than_a_node_makes_are_refused_at_once() {
    let calls = CallSettings { most: 1, ..CallSettings::default() };
    let asker = Plan { calls, ..Plan::default() }.start(&[]).await;
    let hangs = Plan { hangs: true, ..Plan::with([tool("wait")]) }.start(&[&asker]).await;
    asker.sees("wait", 1).await;
    let caller = asker.caller.clone();
    let first = tokio::spawn(async move { caller.call(ask("wait")).await });
    counts(&hangs.host.begun, 1).await;
    assert!(matches!(asker.caller.call(ask("wait")).await, Err(CallError::Overloaded(_))));
    first.abort();
    assert!(first.await.is_err());
    let mut request = ask("wait");
    request.options.timeout = Some(Duration::from_millis(50));
    let error = asker.caller.call(request).await.unwrap_err();
    assert!(!matches!(error, CallError::Overloaded(_)), "there is room again: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_fails_is_called_again_elsewhere_unless_it_was_heard() {
    let asker = Plan::default().start(&[]).await;
    let tools = || Plan::with([idempotent("fail"), idempotent("break")]);
    let (one, other) = (tools().start(&[&asker]).await, tools().start(&[&asker]).await);
    asker.sees("break", 2).await;
    let again = |capability| {
        let mut request = ask(capability);
        request.options.retry_count = Some(1);
        request
    };
    let runs = || one.host.runs() + other.host.runs();
    asker.caller.call(again("fail")).await.unwrap_err();
    assert_eq!(runs(), 2);
    let (queue, mut updates) = mpsc::channel(8);
    asker.caller.call_streaming(again("break"), Outlet::to(queue)).await.unwrap_err();
    assert_eq!(runs(), 3);
    assert!(updates.recv().await.is_some() && updates.recv().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_heard_of_what_it_requires_is_called_once_more() {
    let asker = Plan::default().start(&[]).await;
    let late = Plan::with([tool("hear")]).start(&[&asker]).await;
    let never = Plan::with([tool("lack")]).start(&[&asker]).await;
    asker.sees("hear", 1).await;
    asker.sees("lack", 1).await;
    assert_eq!(asker.asks(ask("hear")).await, late.agent.as_str());
    let error = asker.caller.call(ask("lack")).await.unwrap_err();
    let CallError::Fault { fault, .. } = error else { panic!("{error}") };
    assert_eq!((fault.kind, never.host.runs()), (FaultKind::DependencyUnavailable, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_rest_is_left_alone_while_others_are_there() {
    let asker = Plan::default().start(&[]).await;
    let busy = Plan::with([provides("busy", "work")]).start(&[&asker]).await;
    let free = Plan::with([provides("who", "work")]).start(&[&asker]).await;
    asker.sees("work", 2).await;
    for _ in 0..20 {
        assert_eq!(asker.asks(ask("work")).await, free.agent.as_str());
    }
    assert!(busy.host.runs() <= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_can_be_written_for_whoever_is_chosen() {
    let asker = Plan::default().start(&[]).await;
    let echo = Plan::with([tool("echo")]).start(&[&asker]).await;
    asker.sees("echo", 1).await;
    let tailor: Tailor = Arc::new(|tool| format!("{{\"for\":\"{}\"}}", tool.function).into());
    let reply = asker.caller.call(Request { tailor: Some(tailor), ..ask("echo") }).await.unwrap();
    assert_eq!(reply.payload, Payload::Value(r#"{"for":"echo"}"#.into()));
    assert_eq!(echo.host.runs(), 1);
}
