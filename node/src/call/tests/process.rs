//! Calls that never leave the process.

use super::bench::{Plan, ask, tool};
use crate::call::neighbours::Neighbours;
use crate::trace::SpanKind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_are_called_directly_and_arguments_are_not_copied() {
    let neighbours = Neighbours::new();
    let asker = Plan { neighbours: neighbours.clone(), ..Plan::default() }.start(&[]).await;
    let echo = Plan { neighbours, ..Plan::with([tool("echo")]) }.start(&[&asker]).await;
    asker.sees("echo", 1).await;
    let mut request = ask("echo");
    request.arguments = r#"{"a":1}"#.to_owned().into();
    let text = request.arguments.clone();
    let reply = asker.caller.call(request).await.unwrap();
    assert_eq!(echo.host.last.lock().unwrap().1.as_ptr(), text.as_ptr());
    let spans = echo.caller.ring().spans_of(reply.trace.trace_id);
    assert_eq!(spans[0].kind, SpanKind::Tool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_depends_on_itself_calls_itself_directly() {
    let own = Plan::with([tool("relay"), tool("who")]).start(&[]).await;
    own.sees("who", 1).await;
    assert_eq!(own.asks(ask("relay")).await, own.agent.as_str());
}
