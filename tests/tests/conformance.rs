//! MCP software of others against our agents: the conformance suite, the inspector, the official SDKs.
//!
//! What they need is installed by `.ci/node-tools` when it is missing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::config::Config;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_node::config::NodeConfig;
use mesh_node::context::CallContext;
use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug};
use mesh_node::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};
use mesh_tests::conformance::Conformance;
use mesh_tests::tree;
use tokio::process::Command;
use tokio::sync::{OnceCell, watch};

/// A tool of our own beside the handler's.
struct Echo(watch::Sender<Tools>);

impl Echo {
    fn new() -> Self {
        let description = "Gives back what it is given.".into();
        let add = ToolDescriptor { description, ..ToolDescriptor::new("add") };
        Self(watch::Sender::new([Arc::new(add)].into()))
    }
}

#[async_trait]
impl ToolHost for Echo {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, arguments: Bytes, _: CallContext) -> Result<Payload, Fault> {
        Ok(Payload::Value(arguments))
    }
}

/// A node with the fixture as its agent, which serves the whole mesh as well.
async fn node(name: &str, seeds: &[SocketAddr]) -> Node {
    let mut config = NodeConfig::new(name);
    config.mesh.keys = Some(Keyring::new(MeshKey::from_bytes([1; 32])));
    config.mesh.listen = Some(([127, 0, 0, 1], 0).into());
    config.mesh.seeds = Some(seeds.iter().map(|seed| (*seed).into()).collect());
    config.mesh.protocol = Config::local();
    config.http.gateway = Some(true);
    let surface = Some(Surface::of(Conformance::default()));
    Node::start(config, Plug { surface, ..Plug::new(Arc::new(Echo::new())) }).await.unwrap()
}

fn url(node: &Node, path: &str) -> String {
    format!("{}{path}", node.http_url().unwrap())
}

/// Installs what is missing, once for all tests of this process.
async fn tools() -> &'static Path {
    static TOOLS: OnceCell<PathBuf> = OnceCell::const_new();
    TOOLS
        .get_or_init(|| async {
            let root = tree::root();
            let installed = Command::new(root.join(".ci/node-tools")).status().await.unwrap();
            assert!(installed.success(), ".ci/node-tools failed: it says above what it could not install");
            root.join("target/tools")
        })
        .await
}

/// Runs a program of the npm packages, and answers what it says.
async fn npm(program: &str, arguments: &[&str]) -> Result<String, String> {
    let modules = tools().await.join("npm/node_modules");
    let node = modules.join("node/bin");
    let path = std::env::join_paths([node.as_os_str(), OsStr::new("/usr/bin"), OsStr::new("/bin")]).unwrap();
    let mut command = Command::new(node.join("node"));
    command.arg(modules.join(".bin").join(program)).args(arguments).env("PATH", path).stdin(Stdio::null());
    let run = tokio::time::timeout(Duration::from_secs(180), command.kill_on_drop(true).output());
    let output = run.await.expect("it ends within three minutes").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// All that the suite demands of the server at `url`, in both protocols; what it finds goes into a folder called `name`.
async fn conforms(name: &str, url: &str) {
    for version in ["2025-11-25", "2026-07-28"] {
        let found = tree::root().join("target/conformance").join(name).join(version);
        // Of an earlier run, if there was one.
        let _ = std::fs::remove_dir_all(&found);
        let found = found.display().to_string();
        match npm("conformance", &["server", "--url", url, "--requirements", version, "-o", &found]).await {
            Ok(said) => println!("{version} {name}: {}", said.lines().find(|line| line.starts_with("Total")).unwrap()),
            Err(said) => panic!("{url} does not conform to {version}; see {found}\n{said}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_conforms_to_both_protocols() {
    let agent = node("fixture", &[]).await;
    conforms("direct", &url(&agent, "/mcp")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_conforms_through_another_node() {
    let far = node("fixture", &[]).await;
    let near = node("near", far.gossip().local_addresses()).await;
    near.ready().await;
    near.gossip().watch().wait_for(|view| view.catalog().agents().count() == 2).await.unwrap();
    conforms("relayed", &url(&near, "/mesh/mcp/fixture")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_calls_it_in_all_three_eras() {
    let agent = node("fixture", &[]).await;
    let url = url(&agent, "/mcp");
    for era in ["legacy", "auto", "modern"] {
        let call = ["--cli", &url, "--transport", "http", "--protocol-era", era, "--format", "json", "-q"];
        let call = [&call[..], &["--method", "tools/call", "--tool-name", "add", "--tool-arg", "left=2"]].concat();
        let said = npm("mcp-inspector", &call).await.unwrap_or_else(|said| panic!("{era}: {said}"));
        assert!(said.contains("left"), "{era}: {said}");
    }
    let list = ["--cli", &url, "--transport", "http", "--strict", "--method", "tools/list"];
    npm("mcp-inspector", &list).await.unwrap_or_else(|said| panic!("schemas: {said}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdks_are_clients_of_it() {
    let agent = node("fixture", &[]).await;
    let url = url(&agent, "/mcp");
    let scripts = tree::root().join("tests/clients");
    let python =
        Command::new(tools().await.join("python/bin/python")).arg(scripts.join("client.py")).arg(&url).output();
    let python = python.await.unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    // Packages are looked for beside the script.
    let script = tools().await.join("npm/client.mjs");
    std::fs::copy(scripts.join("client.mjs"), &script).unwrap();
    let node = tools().await.join("npm/node_modules/node/bin/node");
    let typescript = Command::new(node).arg(&script).arg(&url).output().await.unwrap();
    assert!(typescript.status.success(), "{}", String::from_utf8_lossy(&typescript.stderr));
}
