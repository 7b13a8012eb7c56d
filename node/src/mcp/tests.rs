//! The MCP server of an agent behind a real listener, asked by real clients.
#![expect(clippy::unwrap_used, deprecated, reason = "tests, of what earlier protocols have as well")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ContentBlock,
    Implementation, ListPromptsResult, PaginatedRequestParams, Prompt, ProtocolVersion, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::{ClientLifecycleMode, RequestContext};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Endpoint, Own, Surface};
use crate::context::{CallContext, Update};
use crate::propagation::Propagation;
use crate::run::{Accompany, Arrival, Dispatch};
use crate::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};

/// Some tools, and what comes of calling them.
pub(super) struct Agent {
    pub(super) tools: watch::Sender<Tools>,
    arrivals: mpsc::Sender<Arrival>,
}

#[async_trait]
impl ToolHost for Agent {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.tools.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, _: Bytes, _: CallContext) -> Result<Payload, Fault> {
        unreachable!("calls go through the dispatcher")
    }
}

#[async_trait]
impl Dispatch for Agent {
    async fn run(&self, arrival: Arrival) -> Result<Payload, Fault> {
        let _ = self.arrivals.try_send(arrival.clone());
        match &*arrival.tool {
            "echo" => Ok(Payload::Value(arrival.arguments)),
            "day" => Ok(Payload::Value("\"Monday\"".into())),
            "count" => {
                for word in ["\"one \"", "\"two\""] {
                    arrival.outlet.send(Update::Chunk(word.into())).await;
                }
                let data = Bytes::from_static(b"\"counted\"");
                arrival.outlet.send(Update::Log { level: "info", logger: None, data }).await;
                Ok(Payload::Value("\"one two\"".into()))
            }
            "wait" => {
                arrival.cancelled.cancelled().await;
                Err(Fault::new(FaultKind::Cancelled, "cancelled"))
            }
            "ask" => {
                let client = arrival.client.ok_or_else(|| Fault::new(FaultKind::Failed, "nobody to ask"))?;
                // Tools run in tasks of their own.
                let asked = tokio::spawn(async move { client.roots().await });
                asked.await.unwrap().map_err(|error| Fault::new(FaultKind::Failed, error.to_string()))?;
                Ok(Payload::Value("\"asked\"".into()))
            }
            _ => Err(Fault::new(FaultKind::Failed, "out of paper")),
        }
    }
}

#[async_trait]
impl Accompany for Agent {
    async fn accompany(&self, arrival: Arrival, work: BoxFuture<'_, Result<(), Fault>>) -> Result<(), Fault> {
        let is_refused = &*arrival.tool == "late";
        let _ = self.arrivals.try_send(arrival);
        if is_refused { Err(Fault::new(FaultKind::Overloaded, "too much to do")) } else { work.await }
    }
}

/// An author's handler with a prompt, and tools that it does not list.
struct Prompts;

impl ServerHandler for Prompts {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_prompts().build())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = vec![Prompt::new("poem", None::<String>, None)];
        Ok(ListPromptsResult { prompts, ..ListPromptsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(request.name)]).into())
    }
}

pub(super) struct Running {
    pub(super) agent: Arc<Agent>,
    arrivals: mpsc::Receiver<Arrival>,
    pub(super) url: String,
    pub(super) endpoint: Endpoint,
}

pub(super) fn tools(names: &[&'static str]) -> Tools {
    names.iter().map(|name| Arc::new(ToolDescriptor::new(*name))).collect()
}

pub(super) async fn serve(surface: Surface) -> Running {
    // Another test of this process may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (arrived, arrivals) = mpsc::channel(256);
    let names = ["echo", "day", "count", "wait", "ask", "fail"];
    let agent = Arc::new(Agent { tools: watch::channel(tools(&names)).0, arrivals: arrived });
    let calls = Arc::clone(&agent) as Arc<dyn Accompany>;
    let propagation = Propagation::new(["x-tenant"]);
    let own = Own::new("tester", "1.2.3", "Says things.", &*agent, calls, propagation);
    let endpoint = surface.endpoint(own);
    let router = endpoint.at("/mcp");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Running { agent, arrivals, url, endpoint }
}

/// As `curl -d` sends it: called a form, accepting anything.
pub(super) async fn curl(url: &str, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded");
    let answer = request.header("accept", "*/*").body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

pub(super) fn call(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

#[tokio::test]
async fn plain_curl_lists_and_calls() {
    let running = serve(Surface::default()).await;
    for url in [running.url.clone(), format!("{}/", running.url)] {
        let (status, listed) = curl(&url, json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"})).await;
        assert_eq!((status, &listed["result"]["tools"][0]["name"]), (200, &json!("echo")), "{listed}");
        let (_, echoed) = curl(&url, call("echo", json!({"n": 1}))).await;
        assert_eq!(echoed["result"]["structuredContent"], json!({"n": 1}), "{echoed}");
        assert_eq!(echoed["result"]["content"], json!([{"type": "text", "text": "{\"n\":1}"}]));
        let (_, day) = curl(&url, call("day", json!({}))).await;
        assert_eq!(day["result"]["structuredContent"], json!({"result": "Monday"}));
        assert_eq!(day["result"]["_meta"]["fastmcp"]["wrap_result"], true);
    }
}

#[tokio::test]
async fn a_failed_call_is_a_result_and_an_unknown_tool_is_an_error() {
    let running = serve(Surface::default()).await;
    let (status, failed) = curl(&running.url, call("fail", json!({}))).await;
    assert_eq!((status, &failed["result"]["isError"]), (200, &json!(true)));
    assert_eq!(failed["result"]["content"][0]["text"], "out of paper");
    let (_, unknown) = curl(&running.url, call("nothing", json!({}))).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn what_headers_say_arrives_with_the_call() {
    let mut running = serve(Surface::default()).await;
    let request = reqwest::Client::new().post(&running.url).json(&call("echo", json!({})));
    let headers = [("x-mesh-timeout", "5"), ("x-session-id", "s"), ("x-tenant", "t"), ("cookie", "c")];
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let scope = running.arrivals.recv().await.unwrap().scope;
    assert!(scope.deadline.is_some());
    assert_eq!(scope.session.unwrap().as_str(), "s");
    assert_eq!(scope.headers.iter().filter(|(name, _)| &**name == "x-tenant").count(), 1);
    assert!(scope.headers.iter().all(|(name, _)| &**name != "cookie"));
}

/// Remembers what it is told.
#[derive(Clone)]
pub(super) struct Client(mpsc::Sender<String>);

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::builder().enable_roots().build(), Implementation::default())
    }

    async fn on_progress(
        &self,
        told: rmcp::model::ProgressNotificationParam,
        _: rmcp::service::NotificationContext<rmcp::RoleClient>,
    ) {
        let _ = self.0.try_send(told.message.unwrap_or_default());
    }

    async fn on_tool_list_changed(&self, _: rmcp::service::NotificationContext<rmcp::RoleClient>) {
        let _ = self.0.try_send("changed".into());
    }

    #[expect(deprecated, reason = "clients of earlier protocols have it")]
    async fn on_logging_message(
        &self,
        told: rmcp::model::LoggingMessageNotificationParam,
        _: rmcp::service::NotificationContext<rmcp::RoleClient>,
    ) {
        let _ = self.0.try_send(format!("log {}", told.data));
    }
}

pub(super) async fn client(
    url: &str,
    mode: ClientLifecycleMode,
) -> (rmcp::service::RunningService<rmcp::RoleClient, Client>, mpsc::Receiver<String>) {
    let (told, heard) = mpsc::channel(256);
    let transport = StreamableHttpClientTransport::from_uri(url.to_owned());
    (rmcp::serve_client_with_lifecycle(Client(told), transport, mode).await.unwrap(), heard)
}

pub(super) fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None }
}

#[tokio::test]
async fn a_session_hears_chunks_logs_and_changes() {
    let running = serve(Surface::default()).await;
    let (client, mut heard) = client(&running.url, ClientLifecycleMode::Initialize).await;
    let info = client.peer_info().unwrap();
    assert_eq!(info.server_info.as_ref().unwrap().name, "tester");
    assert_eq!(info.instructions.as_deref(), Some("Says things."));
    let result = client.call_tool(CallToolRequestParams::new("count")).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({"result": "one two"})));
    // This client tells its handler from several tasks.
    let mut told = BTreeSet::new();
    for _ in 0..3 {
        told.insert(heard.recv().await.unwrap());
    }
    assert_eq!(told, ["one ", "two", "log \"counted\""].map(str::to_owned).into());
    running.agent.tools.send_replace(tools(&["echo"]));
    assert_eq!(heard.recv().await.unwrap(), "changed");
    assert_eq!(client.list_all_tools().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_of_the_newest_protocol_calls_without_a_session() {
    let running = serve(Surface::default()).await;
    let (client, _) = client(&running.url, modern()).await;
    let result = client.call_tool(CallToolRequestParams::new("day")).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({"result": "Monday"})));
}

#[tokio::test]
async fn a_client_that_gives_up_cancels_the_call() {
    let mut running = serve(Surface::default()).await;
    let (client, _) = client(&running.url, ClientLifecycleMode::Initialize).await;
    let calling = tokio::spawn(async move { client.call_tool(CallToolRequestParams::new("wait")).await });
    let arrival = running.arrivals.recv().await.unwrap();
    calling.abort();
    arrival.cancelled.cancelled().await;
}

#[tokio::test]
async fn a_tool_asks_its_client_from_any_task() {
    let running = serve(Surface::default()).await;
    let (client, _) = client(&running.url, ClientLifecycleMode::Initialize).await;
    let result = client.call_tool(CallToolRequestParams::new("ask")).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({"result": "asked"})), "{result:?}");
}

#[tokio::test]
async fn the_authors_prompts_are_served_beside_our_tools() {
    let running = serve(Surface::of(Prompts)).await;
    let (client, _) = client(&running.url, ClientLifecycleMode::Initialize).await;
    assert_eq!(client.list_all_prompts().await.unwrap()[0].name, "poem");
    assert_eq!(client.list_all_tools().await.unwrap().len(), 6);
    let capabilities = client.peer_info().unwrap().capabilities.clone();
    assert!(capabilities.prompts.is_some() && capabilities.tools.unwrap().list_changed == Some(true));
}

#[tokio::test]
async fn the_authors_tools_run_as_ours_do() {
    let mut running = serve(Surface::of(Prompts)).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = reqwest::Client::new().post(&running.url).header("traceparent", parent);
    let answer: Value = request.json(&call("rhyme", json!({}))).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "rhyme", "{answer}");
    let arrival = running.arrivals.recv().await.unwrap();
    assert_eq!((&*arrival.tool, arrival.scope.trace.unwrap().to_string().as_str()), ("rhyme", parent));
    let (_, refused) = curl(&running.url, call("late", json!({}))).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert_eq!(refused["result"]["_meta"]["mesh/fault"], "overloaded");
}
