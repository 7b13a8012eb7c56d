//! MCP servers of others as agents: official servers and SDKs, over standard streams and HTTP.
//!
//! What they need is installed by `.ci/node-tools` when it is missing.
#![expect(clippy::unwrap_used, deprecated, reason = "tests, of what earlier protocols have as well")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::resolve::Query;
use mesh_node::call::{CallError, Request, Target};
use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug};
use mesh_node::tool::{Payload, ToolHost, Tools};
use mesh_node::wrap::{Condition, Server, Wrapped, WrappedServer};
use mesh_tests::lab::Lab;
use mesh_tests::nodes::{door, knows, start, url};
use mesh_tests::others::{node, package, python};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, Implementation, SamplingMessage,
};
use rmcp::service::{ClientLifecycleMode, RequestContext, RoleClient, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ErrorData};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(120);

fn command(program: impl Into<PathBuf>, arguments: &[&str]) -> Server {
    Server::Command {
        program: program.into().into(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: BTreeMap::new(),
        directory: None,
    }
}

fn wrap(name: &str, server: Server, capability: Option<&str>) -> WrappedServer {
    WrappedServer::start(Wrapped {
        name: name.into(),
        server,
        capability: capability.map(Into::into),
        tags: vec!["local".into()],
        version: Default::default(),
    })
}

async fn until(server: &WrappedServer, what: &str, holds: impl Fn(&Tools) -> bool) -> Tools {
    let mut tools = server.tools();
    let seen = tokio::time::timeout(PATIENCE, tools.wait_for(|tools| holds(tools))).await;
    let condition = server.condition().borrow().clone();
    seen.unwrap_or_else(|_| panic!("{what}: not so, {condition:?}")).unwrap().clone()
}

fn has(tools: &Tools, name: &str) -> bool {
    tools.iter().any(|tool| &*tool.name == name)
}

/// The processes of this one's children whose command line has `part`.
fn children(part: &str) -> Vec<Pid> {
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let stat = read("stat");
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent == Some(own) && read("cmdline").contains(part)
    };
    pids.filter(is_child).map(Pid::from_raw).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_withdrawn_and_comes_back() {
    let script = package("@modelcontextprotocol/server-everything/dist/index.js").await;
    let server = wrap("everything", command("node", &[&script, "stdio", "mortal"]), Some("everything"));
    let tools = until(&server, "it lists its tools", |tools| has(tools, "echo")).await;
    let echo = tools.iter().find(|tool| &*tool.name == "echo").unwrap();
    assert_eq!((echo.capability.as_deref(), echo.tags[0].as_ref()), (Some("everything"), "local"));

    let [child] = children("dist/index.js\0stdio\0mortal")[..] else { panic!("one child") };
    kill(child, Signal::SIGKILL).unwrap();
    until(&server, "its tools are withdrawn", |tools| tools.is_empty()).await;
    until(&server, "it is back", |tools| has(tools, "echo")).await;
    let mut condition = server.condition();
    let serves = condition.wait_for(|now| *now == Condition::Serving);
    tokio::time::timeout(PATIENCE, serves).await.unwrap().unwrap();

    server.stop().await;
    assert!(server.tools().borrow().is_empty());
    assert!(children("dist/index.js\0stdio\0mortal").is_empty(), "a stop ends the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_without_a_capability_provide_what_they_are_called() {
    let script = package("@modelcontextprotocol/server-filesystem/dist/index.js").await;
    let folder = tempfile::tempdir().unwrap();
    let server = wrap("files", command("node", &[&script, folder.path().to_str().unwrap()]), None);
    let tools = until(&server, "it lists its tools", |tools| has(tools, "list_directory")).await;
    assert!(tools.iter().all(|tool| tool.capability.as_ref() == Some(&tool.name)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_python_sdk_joins() {
    let script = "from mcp.server.mcpserver import MCPServer\n\
                  server = MCPServer('adder')\n\
                  @server.tool()\n\
                  def add(a: int, b: int) -> int:\n\
                  \x20   'Adds.'\n\
                  \x20   return a + b\n\
                  server.run('stdio')\n";
    let server = wrap("adder", command(python().await, &["-c", script]), Some("add"));
    let tools = until(&server, "it lists its tool", |tools| has(tools, "add")).await;
    assert!(tools[0].output_schema.is_some() && tools[0].description == "Adds.");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_an_url_joins_goes_and_comes_back() {
    let script = package("@modelcontextprotocol/server-everything/dist/index.js").await;
    let port = free_port();
    let start = async || {
        let mut child = Command::new("node");
        child.args([&script, "streamableHttp"]).env("PORT", port.to_string()).kill_on_drop(true);
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // It says so when it listens, and goes on talking: to nobody it would answer nobody.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while !lines.next_line().await.unwrap().unwrap().contains("listening") {}
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        child
    };
    let mut child = start().await;
    let url = format!("http://127.0.0.1:{port}/mcp").as_str().into();
    let server = wrap("remote", Server::Url { url, headers: HashMap::new() }, Some("everything"));
    until(&server, "it lists its tools", |tools| has(tools, "echo")).await;
    child.kill().await.unwrap();
    until(&server, "its tools are withdrawn", |tools| tools.is_empty()).await;
    let _child = start().await;
    until(&server, "it is back", |tools| has(tools, "echo")).await;
    server.stop().await;
}

/// A port that was free a moment ago: the server takes none by itself.
fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn meshctl_starts_a_server_of_others_calls_it_and_stops_it() {
    let script = package("@modelcontextprotocol/server-everything/dist/index.js").await;
    let node = node().await;
    let lab = Lab::new();
    let flags = ["--name", "every", "--capability", "everything", "--tags", "local", "--"];
    lab.succeed(&[&["start", "-d"], &flags[..], &[node.to_str().unwrap(), &script, "stdio"]].concat());
    lab.succeed(&["wait", "every"]);
    assert!(lab.succeed(&["call", "every:echo", r#"{"message": "hello"}"#]).contains("Echo: hello"));
    let listed = lab.succeed(&["list", "--tools", "--json"]);
    assert!(listed.contains("everything") && listed.contains("get-tiny-image"), "{listed}");
    lab.succeed(&["stop"]);
    assert!(lab.nodes().is_empty(), "a stop ends the agent, its server and the seed");
}

/// An agent in front of `server`, as `meshctl wrap` makes one.
async fn agent(name: &str, server: WrappedServer, seeds: &[&Node]) -> Node {
    let seeds: Vec<_> = seeds.iter().flat_map(|node| node.gossip().local_addresses().to_owned()).collect();
    let server = Arc::new(server);
    let surface = Some(Surface::of(server.rest()));
    start(name, &seeds, Plug { surface, ..Plug::new(server) }).await
}

/// A client whose user is called Anna, and whose model says little.
struct Anna;

impl ClientHandler for Anna {
    fn get_info(&self) -> ClientConfig {
        let able = ClientCapabilities::builder().enable_elicitation().enable_sampling().build();
        ClientConfig::new(able, Implementation::new("anna", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"name": "Anna", "check": true})))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::assistant_text("as little as that");
        Ok(CreateMessageResult::new(message, "small".to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_asks_is_asked_of_the_client_that_calls_near_and_far() {
    let script = package("@modelcontextprotocol/server-everything/dist/index.js").await;
    let server = wrap("everything", command("node", &[&script, "stdio"]), Some("everything"));
    until(&server, "it lists its tools", |tools| has(tools, "trigger-sampling-request")).await;
    let agent = agent("everything", server, &[]).await;
    let door = door(&agent).await;
    let elicit = CallToolRequestParams::new("trigger-elicitation-request");
    let prompt = json!({"prompt": "Say something."}).as_object().unwrap().clone();
    let sample = CallToolRequestParams::new("trigger-sampling-request").with_arguments(prompt);
    for way in [url(&agent, "/mcp"), url(&door, "/mesh/mcp/everything"), url(&door, "/mesh/mcp")] {
        let transport = StreamableHttpClientTransport::from_uri(way.clone());
        let client = serve_client_with_lifecycle(Anna, transport, ClientLifecycleMode::Initialize).await.unwrap();
        let elicited = client.call_tool(elicit.clone()).await.unwrap();
        assert!(json!(elicited).to_string().contains("Anna"), "{way}: {elicited:?}");
        let sampled = client.call_tool(sample.clone()).await.unwrap();
        assert!(json!(sampled).to_string().contains("as little as that"), "{way}: {sampled:?}");
        client.cancel().await.unwrap();
    }
    // Nobody who is no MCP client can be asked, and the server is told so.
    let mut request = Request::new(Target::Agent("everything".into()), "{}");
    request.tool = Some("trigger-elicitation-request".into());
    let error = door.caller().call(request).await.unwrap_err();
    let CallError::Fault { fault, .. } = &error else { panic!("{error}") };
    assert!(fault.message.contains("nobody can be asked"), "{error}");
    assert!(fault.message.contains("-32601"), "as MCP says it: {error}");
}

/// A server whose tools die of the first call, and leave a file behind by which later ones see that somebody did.
const MORTAL: &str = r#"
import os, sys
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("mortal")

def die() -> str:
    try:
        os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "alive"
    os._exit(1)

@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look() -> str:
    return die()

@server.tool()
def act() -> str:
    return die()

server.run("stdio")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_server_is_lost_goes_on_to_the_next_provider_if_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead");
    let python = python().await;
    let server = |name| wrap(name, command(&python, &["-c", MORTAL, dead.to_str().unwrap()]), None);
    let (one, two) = (server("one"), server("two"));
    for server in [&one, &two] {
        until(server, "it lists its tools", |tools| has(tools, "look")).await;
    }
    let mut conditions = [one.condition(), two.condition()];
    let one = agent("one", one, &[]).await;
    let two = agent("two", two, &[&one]).await;
    let consumer = door(&two).await;
    let both_are_known = async || {
        for name in ["one", "two"] {
            knows(&consumer, |offers| &*offers.name == name && !offers.tools.is_empty()).await;
        }
    };
    both_are_known().await;
    let call = |tool: &str| consumer.caller().call(Request::new(capability(tool), "{}"));
    let reply = call("look").await.unwrap();
    assert_eq!(reply.attempts, 2);
    let Payload::Content(content) = reply.payload else { panic!("its text is not the structured content's") };
    assert!(String::from_utf8_lossy(&content).contains("alive"));

    let [first, second] = &mut conditions;
    let fell = |now: &Condition| matches!(now, Condition::Down { .. });
    let notices = async {
        tokio::select! {
            fallen = first.wait_for(fell) => drop(fallen.unwrap()),
            fallen = second.wait_for(fell) => drop(fallen.unwrap()),
        }
    };
    tokio::time::timeout(PATIENCE, notices).await.unwrap();
    for condition in &mut conditions {
        tokio::time::timeout(PATIENCE, condition.wait_for(|now| *now == Condition::Serving)).await.unwrap().unwrap();
    }
    both_are_known().await;
    std::fs::remove_file(&dead).unwrap();
    let error = call("act").await.unwrap_err();
    assert!(matches!(error, CallError::MayHaveRun { .. }), "{error}");
}

fn capability(name: &str) -> Target {
    Target::Capability(Arc::new(Query::new(name.parse().unwrap())))
}
