//! The whole mesh as one MCP server, over real sockets: an official client on one side, two agents on the other.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::View;
use mesh_gossip::seeds::SeedSpec;
use mesh_node::config::NodeConfig;
use mesh_node::context::{CallContext, Update};
use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug};
use mesh_node::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult, ListResourcesResult,
    PaginatedRequestParams, Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, Role, ServerCapabilities, ServerConfig,
};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, Peer, RequestContext, RoleClient, RoleServer, RunningService,
    serve_client_with_lifecycle,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData, ServerHandler, ServiceExt};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Gives its arguments back, after saying how far it is.
struct Echo(watch::Sender<Tools>);

#[async_trait]
impl ToolHost for Echo {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        context.outlet.send(Update::Progress { progress: 1.0, total: None, message: None }).await;
        if &*tool.name == "fail" {
            return Err(Fault::new(FaultKind::Failed, "out of paper"));
        }
        Ok(Payload::Value(arguments))
    }
}

fn echo(tools: &[&str]) -> Arc<Echo> {
    let describe = |name: &&str| {
        let mut tool = ToolDescriptor::new(*name);
        tool.description = format!("Says what {name} says.");
        tool.annotations.read_only = Some(true);
        tool.capability = Some((*name).into());
        Arc::new(tool)
    };
    Arc::new(Echo(watch::Sender::new(tools.iter().map(describe).collect())))
}

/// An author's handler with a prompt and a resource.
struct Library;

impl ServerHandler for Library {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_prompts().enable_resources().build())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("summary", Some("Sums up."), None)]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, request.name)]).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("book://one", "one")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("once upon a time", request.uri)]).into())
    }
}

#[derive(Clone, Default)]
struct Listener(Arc<Notify>);

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.notify_one();
    }
}

fn config(name: &str, home: &Path, seeds: &[&Node]) -> NodeConfig {
    let mut config = NodeConfig::new(name);
    config.mesh.home = Some(home.to_owned());
    config.mesh.seeds = Some(seeds.iter().map(|node| SeedSpec::from(node.gossip().local_addresses()[0])).collect());
    config.drain = Duration::from_secs(1);
    config
}

async fn until(node: &Node, met: impl Fn(&View) -> bool) {
    let mut views = node.gossip().watch();
    timeout(PATIENCE, views.wait_for(|view| met(view))).await.unwrap().unwrap();
}

fn offers(view: &View, count: usize) -> bool {
    view.catalog().agents().filter_map(|agent| agent.offers).map(|offers| offers.tools.len()).sum::<usize>() == count
}

async fn client(node: &Node, listener: Listener) -> RunningService<RoleClient, Listener> {
    let url = format!("{}/mesh/mcp", node.http_url().unwrap());
    timeout(PATIENCE, listener.serve(StreamableHttpClientTransport::from_uri(url))).await.unwrap().unwrap()
}

async fn names(client: &Peer<RoleClient>) -> Vec<String> {
    client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.into_owned()).collect()
}

async fn call(client: &Peer<RoleClient>, name: &str) -> Result<serde_json::Value, String> {
    let arguments = [("x".to_owned(), 1.into())].into_iter().collect();
    let request = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
    let result = client.call_tool(request).await.map_err(|error| error.to_string())?;
    match result.structured_content {
        Some(value) if result.is_error != Some(true) => Ok(value),
        _ => Err(result.content[0].as_text().unwrap().text.clone()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_prompts_and_resources_of_all_agents_are_behind_one_endpoint_and_come_and_go() {
    let home = tempfile::tempdir().unwrap();
    let mut door = config("door", home.path(), &[]);
    door.http.gateway = Some(true);
    let door = Node::start(door, Plug::new(echo(&[]))).await.unwrap();
    let plug = Plug { surface: Some(Surface::of(Library)), ..Plug::new(echo(&["add", "fail"])) };
    let one = Node::start(config("one", home.path(), &[&door]), plug).await.unwrap();
    until(&door, |view| offers(view, 2)).await;

    let heard = Listener::default();
    let client = client(&door, heard.clone()).await;
    assert_eq!(names(&client).await, ["add", "fail"]);
    let add = client.list_all_tools().await.unwrap().remove(0);
    assert_eq!(add.description.as_deref(), Some("Says what add says."));
    assert_eq!(add.annotations.unwrap().read_only_hint, Some(true), "as its agent describes it");
    assert_eq!(call(&client, "add").await.unwrap(), json!({"x": 1}));
    assert_eq!(call(&client, "one.add").await.unwrap(), json!({"x": 1}));
    assert!(call(&client, "fail").await.unwrap_err().contains("out of paper"));
    assert!(call(&client, "nothing").await.unwrap_err().contains("unknown tool"));

    let prompts = client.list_all_prompts().await.unwrap();
    assert_eq!(prompts[0].name, "summary");
    for name in ["summary", "one.summary"] {
        let prompt = client.get_prompt(GetPromptRequestParams::new(name)).await.unwrap();
        assert_eq!(prompt.messages.len(), 1);
    }
    assert_eq!(client.list_all_resources().await.unwrap()[0].uri, "book://one");
    let read = client.read_resource(ReadResourceRequestParams::new("book://one")).await.unwrap();
    assert_eq!(read.contents.len(), 1);

    let two = Node::start(config("two", home.path(), &[&door]), Plug::new(echo(&["add"]))).await.unwrap();
    timeout(PATIENCE, async {
        while names(&client).await != ["fail", "one.add", "two.add"] {
            heard.0.notified().await;
        }
    })
    .await
    .unwrap();
    assert!(call(&client, "add").await.unwrap_err().contains("one.add, two.add"));
    assert_eq!(call(&client, "two.add").await.unwrap(), json!({"x": 1}));
    two.stop().await;
    timeout(PATIENCE, async {
        while names(&client).await != ["add", "fail"] {
            heard.0.notified().await;
        }
    })
    .await
    .unwrap();
    one.stop().await;
    door.stop().await;
}

/// Asks its client who it is, and says who asked.
struct Asker(&'static str, watch::Sender<Tools>);

impl Asker {
    fn new(name: &'static str) -> Arc<Self> {
        let ask = ToolDescriptor { asks_client: true, ..ToolDescriptor::new("ask") };
        Arc::new(Self(name, watch::Sender::new([Arc::new(ask)].into())))
    }
}

#[async_trait]
impl ToolHost for Asker {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.1.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, _: Bytes, context: CallContext) -> Result<Payload, Fault> {
        let failed = |why: String| Fault::new(FaultKind::Failed, why);
        context.outlet.send(Update::Progress { progress: 1.0, total: None, message: None }).await;
        let client = context.client.ok_or_else(|| failed("nobody to ask".to_owned()))?;
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let question = json!({"mode": "form", "message": "Who are you?", "requestedSchema": schema});
        let answer = client.elicit(serde_json::from_value(question).unwrap()).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        Ok(Payload::Value(json!({"asked": self.0, "answer": answer.content}).to_string().into()))
    }
}

/// A client whose user is called Anna.
struct Anna;

impl ClientHandler for Anna {
    fn get_info(&self) -> ClientConfig {
        let able = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(able, Implementation::new("anna", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"name": "Anna"})))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_asks_the_client_of_the_gateway_and_another_replica_does_when_the_first_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let mut door = config("door", home.path(), &[]);
    door.http.gateway = Some(true);
    let door = Node::start(door, Plug::new(echo(&[]))).await.unwrap();
    let start = async |name| Node::start(config("asker", home.path(), &[&door]), Plug::new(Asker::new(name))).await;
    let mut replicas = [("one", Some(start("one").await.unwrap())), ("two", Some(start("two").await.unwrap()))];
    until(&door, |view| offers(view, 2)).await;
    let url = format!("{}/mesh/mcp", door.http_url().unwrap());
    let transport = StreamableHttpClientTransport::from_uri(url.clone());
    let client = serve_client_with_lifecycle(Anna, transport, ClientLifecycleMode::Initialize).await.unwrap();
    let first = call(&client, "ask").await.unwrap();
    assert_eq!(first["answer"], json!({"name": "Anna"}));
    assert_eq!(call(&client, "ask").await.unwrap(), first, "a client stays with its replica");

    let served = replicas.iter_mut().find(|(name, _)| first["asked"] == *name).unwrap();
    served.1.take().unwrap().stop().await;
    let second = call(&client, "ask").await.unwrap();
    assert_eq!(second["answer"], json!({"name": "Anna"}));
    assert_ne!(second["asked"], first["asked"]);

    // Who cannot be asked hears so, as does the tool.
    let transport = StreamableHttpClientTransport::from_uri(url);
    let mute = timeout(PATIENCE, Listener::default().serve(transport)).await.unwrap().unwrap();
    let refused = call(&mute, "ask").await.unwrap_err();
    assert!(refused.contains("elicitation") || refused.contains("nobody to ask"), "{refused}");
}
