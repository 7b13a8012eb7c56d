//! The registry API of a seed is what its OpenAPI document says: a property-based tester of others makes requests up from
//! the document, and looks at every answer.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use mesh_node::config::NodeConfig;
use mesh_node::node::{Node, Plug};
use mesh_tests::nodes::Echo;
use mesh_tests::tree;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

/// How long the tester may take, its installation aside.
const LONGEST: Duration = Duration::from_secs(60);

/// The tester's own settings: what it may know. A seed answers unknown methods and malformed registrations as the existing
/// system does, with 404 and 200; jobs are refused with a 503, which says so; streams do not end.
const ARGUMENTS: [&str; 10] = [
    "run",
    "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    "--exclude-path-regex=^/(api/)?jobs|^/api/events$|^/api/traces/live$|^/proxy/",
    "--phases=examples,coverage,fuzzing",
    "--max-examples=8",
    "--seed=7",
    "--workers=2",
    "--request-timeout=10",
    "--generation-database=none",
    "--no-color",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_describes() {
    let installed = Command::new(tree::root().join(".ci/schemathesis")).status().await.unwrap();
    assert!(installed.success(), ".ci/schemathesis says above what it could not install");
    let home = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::seed();
    config.mesh.home = Some(home.path().to_owned());
    config.mesh.seeds = Some(vec![]);
    config.mesh.listen = Some("127.0.0.1:0".parse().unwrap());
    config.http.listen.set_port(0);
    let seed = Node::start(config, Plug { registry: Some(mesh_node::registry::api()), ..Plug::new(Echo::of(&[])) })
        .await
        .unwrap();
    let url = seed.http_url().unwrap();
    // So that there is something to be shown.
    let agent = json!({"agent_id": "clock-1", "name": "clock", "http_host": "127.0.0.1", "http_port": 1, "tools": [
        {"function_name": "date", "capability": "date", "inputSchema": {"type": "object"}}]});
    reqwest::Client::new().post(format!("{url}/heartbeat")).json(&agent).send().await.unwrap();

    let mut tester = Command::new(tree::root().join("target/tools/schemathesis/bin/schemathesis"));
    tester.args(ARGUMENTS).arg(format!("{url}/openapi.json")).current_dir(home.path()).kill_on_drop(true);
    let output = timeout(LONGEST, tester.output()).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let alive = reqwest::get(format!("{url}/agents")).await.unwrap();
    assert!(alive.status().is_success());
}
