//! Calls to MCP servers that know nothing of the mesh: rmcp's own, with and without sessions, and odd ones.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use mesh_gossip::catalog::{AgentId, Offers, Tool};
use mesh_gossip::gossip::keys;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ProgressNotificationParam,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::bench::{Plan, TestNode, ask};
use crate::call::CallError;
use crate::context::{Outlet, Update};
use crate::tool::{FaultKind, Payload};

/// A server with one tool, which says what it was given.
#[derive(Clone)]
struct Server;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(token) = context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, 1.0).with_message("half way");
            // The listener may have gone.
            let _ = context.peer.notify_progress(progress).await;
        }
        match &*request.name {
            "image" => Ok(CallToolResult::success(vec![ContentBlock::image("aGk=", "image/png")]).into()),
            "fail" => Ok(CallToolResult::error(vec![ContentBlock::text("as asked")]).into()),
            "echo" => Ok(CallToolResult::structured(json!({"said": request.arguments})).into()),
            name => Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
        }
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn rmcp_server(is_stateful: bool) -> SocketAddr {
    let config =
        StreamableHttpServerConfig::default().with_legacy_session_mode(is_stateful).with_json_response(!is_stateful);
    let service = StreamableHttpService::new(|| Ok(Server), Arc::new(LocalSessionManager::default()), config);
    serve(Router::new().nest_service("/mcp", service)).await
}

/// A node that offers, as of an agent of somebody else's, the tools of the server at `url`.
async fn adopt(url: String, tools: &[&str]) -> TestNode {
    let asker = Plan::default().start(&[]).await;
    let agent: AgentId = "foreign-00000000".parse().unwrap();
    let mut offers = Offers::new(agent.clone(), "foreign");
    offers.endpoints = vec![url];
    offers.tools = tools.iter().map(|name| Tool::new(*name, *name)).collect();
    // A member that is in nobody's process, as a seed that adopts would be.
    let seed = Plan { name: "seed", ..Plan::default() }.start(&[&asker]).await;
    seed.gossip.set(keys::offers(&agent).unwrap(), offers.encode().unwrap()).await.unwrap();
    asker.sees(tools[0], 1).await;
    asker.keep(seed)
}

async fn calls_go_well_at(address: SocketAddr) {
    let asker = adopt(format!("http://{address}"), &["echo", "image", "fail", "none"]).await;
    let mut request = ask("echo");
    request.arguments = r#"{"x":1}"#.into();
    for _ in 0..2 {
        let reply = asker.caller.call(request.clone()).await.unwrap();
        assert_eq!(reply.payload, Payload::Value(r#"{"said":{"x":1}}"#.into()));
    }
    let image = asker.caller.call(ask("image")).await.unwrap().payload;
    let Payload::Content(content) = image else { panic!("content") };
    assert_eq!(serde_json::from_slice::<Value>(&content).unwrap()["content"][0]["type"], "image");
    for (tool, kind) in [("fail", FaultKind::Failed), ("none", FaultKind::UnknownTool)] {
        let error = asker.caller.call(ask(tool)).await.unwrap_err();
        assert!(matches!(&error, CallError::Fault { fault, .. } if fault.kind == kind), "{error}");
    }
    let mut bad = ask("echo");
    bad.arguments = r#"{}},{"x":1"#.into();
    let error = asker.caller.call(bad).await.unwrap_err();
    assert!(matches!(error, CallError::Fault { fault, .. } if fault.kind == FaultKind::InvalidArguments));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_sessions_is_called_with_one_post() {
    calls_go_well_at(rmcp_server(false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_a_session_gets_one() {
    calls_go_well_at(rmcp_server(true).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_comes_before_the_result() {
    let asker = adopt(format!("http://{}/mcp", rmcp_server(true).await), &["echo"]).await;
    let (outlet, mut updates) = mpsc::channel(8);
    asker.caller.call_streaming(ask("echo"), Outlet::to(outlet)).await.unwrap();
    let progress = Update::Progress { progress: 1.0, total: None, message: Some("half way".into()) };
    assert_eq!(updates.recv().await, Some(progress));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_stock_servers_read_travel() {
    let seen: Arc<Mutex<HeaderMap>> = Arc::default();
    let kept = Arc::clone(&seen);
    let answer = move |headers: HeaderMap, body: String| async move {
        *kept.lock().unwrap() = headers;
        let id = serde_json::from_str::<Value>(&body).unwrap()["id"].clone();
        let wrapped = json!({"content": [], "structuredContent": {"result": 7},
            "_meta": {"fastmcp": {"wrap_result": true}}});
        json!({"jsonrpc": "2.0", "id": id, "result": wrapped}).to_string()
    };
    let address = serve(Router::new().route("/mcp", post(answer))).await;
    let asker = adopt(format!("http://{address}"), &["echo"]).await;
    let reply = asker.caller.call(ask("echo")).await.unwrap();
    assert_eq!(reply.payload, Payload::Value("7".into()));
    let headers = seen.lock().unwrap().clone();
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("x-trace-id"), reply.trace.trace_hex());
    assert!(header("traceparent").contains(&reply.trace.trace_hex()));
    assert_eq!(header("x-parent-span").len(), 16);
    assert!(header("x-mesh-timeout").parse::<u64>().unwrap() >= 290);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_wrong_is_told_in_terms_of_what_to_do() {
    for (status, body, kind) in [
        (StatusCode::UNAUTHORIZED, "who are you", Some(FaultKind::Forbidden)),
        (StatusCode::SERVICE_UNAVAILABLE, "", Some(FaultKind::Overloaded)),
        (StatusCode::INTERNAL_SERVER_ERROR, "", Some(FaultKind::Failed)),
        (StatusCode::NOT_FOUND, "no such page", None),
    ] {
        let address = serve(Router::new().route("/mcp", post(move || async move { (status, body) }))).await;
        let asker = adopt(format!("http://{address}"), &["echo"]).await;
        let error = asker.caller.call(ask("echo")).await.unwrap_err();
        match (&error, kind) {
            (CallError::Fault { fault, .. }, Some(kind)) => assert_eq!(fault.kind, kind, "{error}"),
            (CallError::Unreachable { why, .. }, None) => assert!(why.contains(body), "{why}"),
            _ => panic!("{status}: {error}"),
        }
    }
    let asker = adopt("http://127.0.0.1:1".to_owned(), &["echo"]).await;
    let error = asker.caller.call(ask("echo")).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }) && !error.may_have_run(), "{error}");
    let nothing = serve(Router::new().route("/mcp", post(|| async { "nothing" }))).await;
    let asker = adopt(format!("http://{nothing}"), &["echo"]).await;
    let error = asker.caller.call(ask("echo")).await.unwrap_err();
    assert!(matches!(error, CallError::MayHaveRun { .. }), "{error}");
}
