//! MCP servers of others as agents: official servers and SDKs, over standard streams and HTTP.
//!
//! What they need is installed by `.ci/node-tools` when it is missing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use mesh_node::tool::{ToolHost, Tools};
use mesh_node::wrap::{Condition, Server, Wrapped, WrappedServer};
use mesh_tests::tree;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(120);

/// Where the tools are, installed once.
async fn tools() -> PathBuf {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    let install = || async {
        let installed = Command::new(tree::root().join(".ci/node-tools")).status().await.unwrap();
        assert!(installed.success(), ".ci/node-tools failed");
        tree::root().join("target/tools")
    };
    INSTALLED.get_or_init(install).await.clone()
}

async fn npm(path: &str) -> String {
    tools().await.join("npm/node_modules").join(path).to_string_lossy().into_owned()
}

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
    let script = npm("@modelcontextprotocol/server-everything/dist/index.js").await;
    let server = wrap("everything", command("node", &[&script, "stdio"]), Some("everything"));
    let tools = until(&server, "it lists its tools", |tools| has(tools, "echo")).await;
    let echo = tools.iter().find(|tool| &*tool.name == "echo").unwrap();
    assert_eq!((echo.capability.as_deref(), echo.tags[0].as_ref()), (Some("everything"), "local"));

    let [child] = children("dist/index.js\0stdio")[..] else { panic!("one child") };
    kill(child, Signal::SIGKILL).unwrap();
    until(&server, "its tools are withdrawn", |tools| tools.is_empty()).await;
    until(&server, "it is back", |tools| has(tools, "echo")).await;
    assert_eq!(*server.condition().borrow(), Condition::Serving);

    server.stop().await;
    assert!(server.tools().borrow().is_empty());
    assert!(children("dist/index.js\0stdio").is_empty(), "a stop ends the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_without_a_capability_provide_what_they_are_called() {
    let script = npm("@modelcontextprotocol/server-filesystem/dist/index.js").await;
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
    let python = tools().await.join("python/bin/python");
    let server = wrap("adder", command(python, &["-c", script]), Some("add"));
    let tools = until(&server, "it lists its tool", |tools| has(tools, "add")).await;
    assert!(tools[0].output_schema.is_some() && tools[0].description == "Adds.");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_an_url_joins_goes_and_comes_back() {
    let script = npm("@modelcontextprotocol/server-everything/dist/index.js").await;
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
