//! Tasks of agents, through the mesh as one MCP server: an official client, two replicas of an agent, and the door.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug};
use mesh_tests::conformance::Conformance;
use mesh_tests::lab::eventually;
use mesh_tests::nodes::{Echo, door, start, url};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig, GetTaskParams,
    Implementation, ProtocolVersion, Task, TaskPayload, UpdateTaskParams,
};
use rmcp::service::{ClientLifecycleMode, RoleClient, RunningService, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ErrorData};
use serde_json::json;

/// A client that knows tasks, and can be asked by them.
struct Patient;

impl ClientHandler for Patient {
    fn get_info(&self) -> ClientConfig {
        let able = ClientCapabilities::builder().enable_elicitation().enable_tasks().build();
        ClientConfig::new(able, Implementation::new("patient", "1.0.0"))
    }
}

type Client = RunningService<RoleClient, Patient>;

/// A client of the whole mesh that says `key` where replicas are chosen.
async fn client(door: &Node, key: &str) -> Client {
    let header = (reqwest::header::HeaderName::from_static("x-session-id"), key.parse().unwrap());
    let config = StreamableHttpClientTransportConfig::with_uri(url(door, "/mesh/mcp")).custom_headers([header].into());
    let transport = StreamableHttpClientTransport::from_config(config);
    let mode =
        ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
    serve_client_with_lifecycle(Patient, transport, mode).await.unwrap()
}

async fn begin(client: &Client, tool: &str, seconds: f64) -> Task {
    let arguments = json!({ "seconds": seconds }).as_object().unwrap().clone();
    let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    match client.call_tool_once(request).await.unwrap() {
        CallToolResponse::Task(created) => created.task,
        other => panic!("{tool} is no task: {other:?}"),
    }
}

/// What is known of a task, once that is what is wanted.
async fn until(client: &Client, id: &str, is_wanted: impl Fn(&TaskPayload) -> bool) -> TaskPayload {
    eventually(id, || async {
        let known = client.get_task(GetTaskParams::new(id)).await.unwrap().task;
        assert_eq!(known.task.task_id, id);
        Some(known.payload).filter(|payload| is_wanted(payload))
    })
    .await
}

async fn agent(seeds: &[&Node]) -> Node {
    let seeds: Vec<_> = seeds.iter().flat_map(|node| node.gossip().local_addresses()).copied().collect();
    let surface = Some(Surface::of(Conformance::default()));
    start("fixture", &seeds, Plug { surface, ..Plug::new(Echo::of(&["add"])) }).await
}

fn refusal(error: rmcp::ServiceError) -> ErrorData {
    match error {
        rmcp::ServiceError::McpError(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_asked_about_answered_and_ended_through_the_whole_mesh() {
    let agent = agent(&[]).await;
    let door = door(&agent).await;
    let client = client(&door, "one").await;
    assert!(client.peer_info().unwrap().capabilities.supports_tasks());

    let quick = begin(&client, "slow_compute", 0.0).await;
    let done = until(&client, &quick.task_id, |payload| matches!(payload, TaskPayload::Completed { .. })).await;
    assert!(format!("{done:?}").contains("computed"), "{done:?}");

    let asking = begin(&client, "confirm_delete", 0.0).await;
    let asks = until(&client, &asking.task_id, |payload| matches!(payload, TaskPayload::InputRequired { .. })).await;
    let TaskPayload::InputRequired { input_requests } = asks else { unreachable!() };
    let yes = |key: &String| (key.clone(), json!({"action": "accept", "content": {"confirm": true}}));
    let answers: BTreeMap<_, _> = input_requests.keys().map(yes).collect();
    let answers = serde_json::from_value(json!(answers)).unwrap();
    client.update_task(UpdateTaskParams::new(&asking.task_id, answers)).await.unwrap();
    let done = until(&client, &asking.task_id, |payload| matches!(payload, TaskPayload::Completed { .. })).await;
    assert!(format!("{done:?}").contains("deleted"), "{done:?}");

    let endless = begin(&client, "slow_compute", 3600.0).await;
    client.cancel_task(CancelTaskParams::new(&endless.task_id)).await.unwrap();
    until(&client, &endless.task_id, |payload| matches!(payload, TaskPayload::Cancelled)).await;
    for unknown in ["7", "7~nobody-00000000"] {
        let error = client.get_task(GetTaskParams::new(unknown)).await.unwrap_err();
        assert!(refusal(error).message.contains('7'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_stay_with_their_replicas_and_are_lost_with_them() {
    let first = agent(&[]).await;
    let second = agent(&[&first]).await;
    let door = door(&first).await;
    let mut views = door.gossip().watch();
    let both = |view: &mesh_gossip::View| {
        view.catalog().agents().filter_map(|agent| agent.offers).filter(|offers| &*offers.name == "fixture").count()
            == 2
    };
    views.wait_for(|view| both(view)).await.unwrap();
    // Clients are spread over replicas by what they are called: some go to each.
    let mut tasks = BTreeMap::new();
    for number in 0..64 {
        let client = client(&door, &format!("client {number}")).await;
        let task = begin(&client, "slow_compute", 3600.0).await;
        tasks.insert(task.task_id.rsplit_once('~').unwrap().1.to_owned(), task.task_id);
        if tasks.len() == 2 {
            break;
        }
    }
    let (one, other) = (first.agent_id().to_string(), second.agent_id().to_string());
    let anybody = client(&door, "somebody else").await;
    for id in tasks.values() {
        until(&anybody, id, |payload| matches!(payload, TaskPayload::Working)).await;
    }
    second.stop().await;
    views.wait_for(|view| !both(view)).await.unwrap();
    let error = refusal(anybody.get_task(GetTaskParams::new(&tasks[&other])).await.unwrap_err());
    assert!(error.message.contains("lost") && error.message.contains(&other), "{error:?}");
    until(&anybody, &tasks[&one], |payload| matches!(payload, TaskPayload::Working)).await;
}
