//! Calls to a real rmcp server at the other end of a pipe.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ServerHandler, ServiceExt};
use serde_json::json;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::connect::{Handler, lifecycle};
use super::invoke::{Along, call};
use super::relay::{Relay, Tap};
use super::{Condition, Server, Session, Wrapped, WrappedServer, supervise};
use crate::context::{Outlet, Scope, Update};
use crate::mcp::Surface;
use crate::tool::{Fault, FaultKind, JsonObject, Payload, ToolHost};
use crate::trace::TraceContext;

const PATIENCE: Duration = Duration::from_secs(10);

/// Counts, and waits for ever, and says when it was cancelled.
#[derive(Clone, Default)]
struct Counter {
    entered: Arc<Notify>,
    cancelled: Arc<Notify>,
}

impl ServerHandler for Counter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["count", "wait"].map(|name| Tool::new(name, "", JsonObject::new()));
        Ok(ListToolsResult::with_all_items(tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            "count" => {
                let token = context.meta.get_progress_token().unwrap();
                for at in 0..20 {
                    let progress = ProgressNotificationParam::new(token.clone(), f64::from(at));
                    context.peer.notify_progress(progress).await.unwrap();
                }
                let parent = context.meta.get_traceparent().unwrap_or("none").to_owned();
                Ok(CallToolResult::structured(json!({"parent": parent, "given": request.arguments})).into())
            }
            "wait" => {
                self.entered.notify_one();
                context.ct.cancelled().await;
                self.cancelled.notify_one();
                Ok(CallToolResult::success(vec![ContentBlock::text("late")]).into())
            }
            _ => Err(ErrorData::invalid_params("no such tool", None)),
        }
    }
}

struct Pipe {
    counter: Counter,
    session: Session,
    client: RunningService<rmcp::RoleClient, Handler>,
}

impl Pipe {
    async fn open() -> Self {
        let (ours, theirs) = tokio::io::duplex(4096);
        let counter = Counter::default();
        let server = counter.clone();
        tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
        let relay = Arc::new(Relay::new("counter".into(), broadcast::Sender::new(4)));
        let (read, write) = tokio::io::split(ours);
        let transport = Tap::new(AsyncRwTransport::new_client(read, write), Arc::clone(&relay));
        let handler = Handler(Arc::clone(&relay));
        let client = rmcp::service::serve_client_with_lifecycle(handler, transport, lifecycle()).await.unwrap();
        let session =
            Session { peer: client.peer().clone(), relay, originals: [("mapped".into(), "count".into())].into() };
        Self { counter, session, client }
    }

    async fn call(&self, tool: &str, arguments: &str, scope: Scope, outlet: Outlet) -> Result<Payload, Fault> {
        let cancelled = CancellationToken::new();
        let along = Along { scope: &scope, cancelled: &cancelled, outlet: &outlet, client: None };
        timeout(PATIENCE, call("counter", Some(&self.session), tool, arguments.as_bytes(), along)).await.unwrap()
    }
}

#[tokio::test]
async fn a_call_takes_its_trace_along_and_brings_its_progress_back_in_order() {
    let pipe = Pipe::open().await;
    let trace = TraceContext { trace_id: 7, span_id: 9, sampled: true };
    let (sender, mut updates) = mpsc::channel(64);
    let scope = Scope { trace: Some(trace), ..Scope::default() };
    let payload = pipe.call("mapped", r#"{"a":1}"#, scope, Outlet::to(sender)).await.unwrap();
    let Payload::Value(value) = payload else { panic!("a value, not {payload:?}") };
    let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
    assert_eq!(value, json!({"parent": trace.to_string(), "given": {"a": 1}}));
    let mut heard = Vec::new();
    while let Some(Update::Progress { progress, .. }) = updates.recv().await {
        heard.push(progress);
    }
    assert_eq!(heard, (0..20).map(f64::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_deadline_a_cancellation_and_a_dropped_call_cancel_the_tool() {
    let pipe = Pipe::open().await;
    let soon = Scope { deadline: Some(Instant::now() + Duration::from_millis(20)), ..Scope::default() };
    let fault = pipe.call("wait", "{}", soon, Outlet::closed()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::TimedOut);
    timeout(PATIENCE, pipe.counter.cancelled.notified()).await.unwrap();

    let (cancelled, outlet, scope) = (CancellationToken::new(), Outlet::closed(), Scope::default());
    let along = || Along { scope: &scope, cancelled: &cancelled, outlet: &outlet, client: None };
    let entered = pipe.counter.entered.notified();
    entered.await;
    let waiting = call("counter", Some(&pipe.session), "wait", b"{}", along());
    tokio::select! {
        result = waiting => panic!("{result:?} before anybody gave up"),
        () = pipe.counter.entered.notified() => {}
    }
    timeout(PATIENCE, pipe.counter.cancelled.notified()).await.unwrap();

    let (answer, ()) = tokio::join!(call("counter", Some(&pipe.session), "wait", b"{}", along()), async {
        pipe.counter.entered.notified().await;
        cancelled.cancel();
    });
    assert_eq!(answer.unwrap_err().kind, FaultKind::Cancelled);
    timeout(PATIENCE, pipe.counter.cancelled.notified()).await.unwrap();
}

#[tokio::test]
async fn wrong_arguments_unknown_tools_and_lost_servers_are_faults_of_their_kinds() {
    let pipe = Pipe::open().await;
    let kind =
        async |tool, arguments| pipe.call(tool, arguments, Scope::default(), Outlet::closed()).await.unwrap_err().kind;
    assert_eq!(kind("count", "[]").await, FaultKind::InvalidArguments);
    assert_eq!(kind("nothing", "{}").await, FaultKind::InvalidArguments);
    pipe.client.cancellation_token().cancel();
    while !pipe.session.peer.is_transport_closed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kind("count", "{}").await, FaultKind::DependencyUnavailable);
}

#[tokio::test]
async fn a_list_is_the_sign_of_life_of_a_server_without_ping() {
    let pipe = Pipe::open().await;
    assert!(!supervise::has_ping(&pipe.session.peer), "rmcp speaks the newest protocol");
    assert_eq!(supervise::list(&pipe.session.peer).await.unwrap().len(), 2);
}

/// Answers, until it is put to sleep.
#[derive(Clone, Default)]
struct Sleepy(Arc<AtomicBool>);

impl ServerHandler for Sleepy {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if self.0.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(ListToolsResult::with_all_items(vec![Tool::new("yawn", "", JsonObject::new())]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_withdrawn_within_half_a_minute_and_tried_ever_more_slowly() {
    let sleepy = Sleepy::default();
    let server = WrappedServer::start(Wrapped {
        name: "sleepy".into(),
        server: Server::Within(Surface::of(sleepy.clone())),
        capability: None,
        tags: Vec::new(),
        version: Default::default(),
    });
    let (mut tools, mut condition) = (server.tools(), server.condition());
    condition.wait_for(|now| *now == Condition::Serving).await.unwrap();
    assert_eq!(tools.borrow_and_update().len(), 1);

    sleepy.0.store(true, Ordering::SeqCst);
    let since = Instant::now();
    tools.wait_for(|tools| tools.is_empty()).await.unwrap();
    assert!(since.elapsed() <= Duration::from_secs(30), "{:?}", since.elapsed());
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        if let Condition::Down { why, pause } = &*condition.borrow_and_update() {
            assert!(why.contains("does not answer"), "{why}");
            pauses.push(pause.as_secs());
        }
        condition.changed().await.unwrap();
    }
    assert_eq!(pauses, [1, 2, 4]);

    sleepy.0.store(false, Ordering::SeqCst);
    condition.wait_for(|now| *now == Condition::Serving).await.unwrap();
    assert_eq!(tools.borrow_and_update().len(), 1);
    server.stop().await;
    assert!(tools.borrow_and_update().is_empty());
}
