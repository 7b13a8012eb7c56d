//! MCP software of others against our agents: the conformance suite, the inspector, the official SDKs.
//!
//! What they need is installed by `.ci/node-tools` when it is missing.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::Output;

use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug};
use mesh_tests::conformance::Conformance;
use mesh_tests::nodes::{Echo, door, start, url};
use mesh_tests::others::{npm, script};
use mesh_tests::tree;

/// A node with the fixture as its agent, and a tool of our own beside the handler's.
async fn node(name: &str) -> Node {
    let surface = Some(Surface::of(Conformance::default()));
    start(name, &[], Plug { surface, ..Plug::new(Echo::of(&["add"])) }).await
}

/// All that the suite demands of the server at `url`, in both protocols; but for the scenarios that a file in
/// `tests/clients` called after `name` and the version lists, and no fewer than these. What it finds goes into a folder.
async fn conforms(name: &str, url: &str) {
    for version in ["2025-11-25", "2026-07-28"] {
        let found = tree::root().join("target/conformance").join(name).join(version);
        // Of an earlier run, if there was one.
        let _ = std::fs::remove_dir_all(&found);
        let found = found.display().to_string();
        let mut arguments = vec!["server", "--url", url, "--requirements", version, "-o", &found];
        let excepted = tree::root().join(format!("tests/clients/{name}-{version}.yml"));
        if excepted.exists() {
            arguments.extend(["--expected-failures", excepted.to_str().unwrap()]);
        }
        match npm("conformance", &arguments).await {
            Ok(said) => println!("{version} {name}: {}", said.lines().find(|line| line.starts_with("Total")).unwrap()),
            Err(said) => panic!("{url} does not conform to {version}; see {found}\n{said}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_conforms_to_both_protocols() {
    let agent = node("fixture").await;
    conforms("direct", &url(&agent, "/mcp")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_conforms_through_another_node() {
    let agent = node("fixture").await;
    conforms("relayed", &url(&door(&agent).await, "/mesh/mcp/fixture")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_mesh_as_one_server_conforms() {
    let agent = node("fixture").await;
    conforms("mesh", &url(&door(&agent).await, "/mesh/mcp")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_http_client_conforms() {
    let session = ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"];
    let single = [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    let session = session.map(|scenario| (scenario, "2025-11-25"));
    for (scenario, version) in session.into_iter().chain(single.map(|scenario| (scenario, "2026-07-28"))) {
        let found = tree::root().join("target/conformance/client").join(version).display().to_string();
        let command = env!("CARGO_BIN_EXE_conformance-client");
        let arguments =
            ["client", "--command", command, "--scenario", scenario, "--spec-version", version, "-o", &found];
        let said = npm("conformance", &arguments).await;
        said.unwrap_or_else(|said| panic!("{scenario} of {version}; see {found}\n{said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_calls_it_in_all_three_eras() {
    let agent = node("fixture").await;
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
    let agent = node("fixture").await;
    for client in ["client.py", "client.mjs"] {
        let run = script(client).await.arg(url(&agent, "/mcp")).output().await;
        let Output { status, stderr, .. } = run.unwrap();
        assert!(status.success(), "{client}: {}", String::from_utf8_lossy(&stderr));
    }
}
