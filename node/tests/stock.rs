//! What stock agents of the existing system send, and what they were answered, against our registry.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_node::config::NodeConfig;
use mesh_node::context::CallContext;
use mesh_node::node::{Node, Plug};
use mesh_node::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

struct Nothing(watch::Sender<Tools>);

#[async_trait]
impl ToolHost for Nothing {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, _: Bytes, _: CallContext) -> Result<Payload, Fault> {
        panic!("nobody offers {}", tool.name)
    }
}

/// A seed, and whatever keeps it.
struct Seed {
    _home: tempfile::TempDir,
    _node: Node,
    url: String,
    client: Client,
}

async fn seed() -> Seed {
    let home = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::seed();
    config.mesh.home = Some(home.path().to_owned());
    config.mesh.seeds = Some(vec![]);
    config.mesh.listen = Some("127.0.0.1:0".parse().unwrap());
    config.http.listen.set_port(0);
    let host = Arc::new(Nothing(watch::Sender::new([].into())));
    let node =
        Node::start(config, Plug { registry: Some(mesh_node::registry::api()), ..Plug::new(host) }).await.unwrap();
    Seed { _home: home, url: node.http_url().unwrap().to_owned(), _node: node, client: Client::new() }
}

impl Seed {
    async fn send(&self, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}/heartbeat", self.url)).body(body);
        let answer = request.timeout(Duration::from_secs(20)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn agents(&self) -> Value {
        self.client.get(format!("{}/agents", self.url)).send().await.unwrap().json().await.unwrap()
    }
}

fn recorded(name: &str) -> (Value, Value) {
    let path = format!("{}/tests/stock/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    (recorded["request"].take(), recorded["answer"].take())
}

/// Those whom the recorded answer names, so that it is the right one here, too.
fn providers(answer: &Value) -> Vec<Value> {
    let mut tools: Map<String, Value> = Map::new();
    let mut endpoint = "http://127.0.0.1:1".to_owned();
    let bound =
        answer["dependencies_resolved"].as_object().unwrap().values().flat_map(|bound| bound.as_array().unwrap());
    for bound in bound.filter(|bound| bound["agent_id"] == "stub-provider-1") {
        bound["endpoint"].as_str().unwrap().clone_into(&mut endpoint);
        let name = bound["function_name"].as_str().unwrap().to_owned();
        let (capability, kwargs) = (bound["capability"].clone(), bound["kwargs"].clone());
        let tags = json!(["api", "python"]);
        tools.insert(
            name.clone(),
            json!({"function_name": name, "capability": capability, "kwargs": kwargs, "tags": tags}),
        );
    }
    for shown in answer["llm_tools"].as_object().unwrap().values().flat_map(|shown| shown.as_array().unwrap()) {
        shown["endpoint"].as_str().unwrap().clone_into(&mut endpoint);
        let name = shown["name"].as_str().unwrap().to_owned();
        tools.insert(
            name.clone(),
            json!({"function_name": name, "capability": shown["capability"],
            "description": shown["description"], "inputSchema": shown["inputSchema"]}),
        );
    }
    let at = |id: &str, endpoint: &str, tools: Vec<Value>| {
        let port: u16 = endpoint.rsplit_once(':').unwrap().1.parse().unwrap();
        json!({"agent_id": id, "http_host": "127.0.0.1", "http_port": port, "tools": tools})
    };
    let mut agents = vec![at("stub-provider-1", &endpoint, tools.into_iter().map(|(_, tool)| tool).collect())];
    if let Some(models) = answer["llm_providers"].as_object().filter(|models| !models.is_empty()) {
        let mut tools: Map<String, Value> = Map::new();
        for model in models.values() {
            let name = model["name"].as_str().unwrap().to_owned();
            let tag = if name.ends_with("stream") { "ai.mcpmesh.stream" } else { "claude" };
            tools.insert(
                name.clone(),
                json!({"function_name": name, "capability": model["capability"], "tags": [tag],
                "kwargs": model["kwargs"], "inputSchema": {"type": "object"}}),
            );
            model["endpoint"].as_str().unwrap().clone_into(&mut endpoint);
        }
        agents.push(at("stub-llm-1", &endpoint, tools.into_iter().map(|(_, tool)| tool).collect()));
    }
    agents
}

/// Every value that was recorded is there, but for those that the existing system itself has dropped since.
fn assert_within(recorded: &Value, answered: &Value, place: &str) {
    match recorded {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_dropped = matches!(name.as_str(), "ttl" | "model" | "timestamp" | "message")
                    || (name == "agent_id" && place.contains("/llm_tools/"))
                    || (name == "kwargs" && *value == json!({}))
                    || (name == "llm_providers" && *value == json!({}));
                if !is_dropped {
                    assert_within(value, &answered[name], &format!("{place}/{name}"));
                }
            }
        }
        Value::Array(items) => {
            assert_eq!(items.len(), answered.as_array().map_or(0, Vec::len), "{place}: {answered}");
            items
                .iter()
                .enumerate()
                .for_each(|(at, item)| assert_within(item, &answered[at], &format!("{place}/{at}")));
        }
        value => assert_eq!(value, answered, "{place}"),
    }
}

#[tokio::test]
async fn recorded_agents_are_answered_as_they_were() {
    for name in ["tools", "models", "jobs", "a2a", "api"] {
        let seed = seed().await;
        let (request, answer) = recorded(name);
        for provider in providers(&answer) {
            assert_eq!(seed.send(provider.to_string()).await.1["status"], "success");
        }
        let (status, answered) = seed.send(request.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_within(&answer, &answered, name);
        assert_eq!(answered.get("warnings"), None, "{name}: digests of stock agents are ours");
        let again = seed.send(request.to_string()).await.1;
        assert_eq!(again["dependencies_resolved"], answered["dependencies_resolved"]);
        let listed = seed.agents().await;
        let agent =
            listed["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == request["agent_id"]).unwrap();
        for field in ["name", "agent_type", "version", "runtime"] {
            assert_eq!(agent[field], request[field], "{name}");
        }
        let provided = request["tools"].as_array().unwrap().iter().filter(|tool| tool["capability"] != "").count();
        assert_eq!(agent["capabilities"].as_array().unwrap().len(), provided);
    }
}

#[tokio::test]
async fn surfaces_are_answered_as_they_are_published() {
    let seed = seed().await;
    let answered = seed.send(recorded("a2a").0.to_string()).await.1;
    assert_eq!(answered["surfaces"][0], json!({"path": "/agents/date", "skill_id": "get-date"}));
}

#[tokio::test]
async fn bad_registrations_are_refused_one_by_one_and_touch_nobody() {
    let seed = seed().await;
    let good = recorded("tools").0;
    seed.send(good.to_string()).await;
    let mut before = seed.agents().await["agents"].take();
    for body in [
        &b"{"[..],
        b"[]",
        b"\xff\xfe",
        b"{\"agent_id\": 7}",
        b"{\"agent_id\": \"a\", \"agent_id\": \"b\"}",
        b"{}",
        b"null",
        b"",
    ] {
        let (status, answer) = seed.send(body.to_vec()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(body));
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()) && answer["timestamp"].is_string());
    }
    let tool = |fields: Value| json!({"agent_id": "bad-1", "tools": [fields]});
    for (body, named) in [
        (json!({"agent_id": "Bad_1"}), "agent_id"),
        (json!({"agent_id": "a".repeat(300)}), "agent_id"),
        (json!({"agent_id": "bad-1", "http_port": 70_000}), "http_port"),
        (json!({"agent_id": "bad-1", "http_host": "a/../b"}), "http_host"),
        (json!({"agent_id": "bad-1", "namespace": "Bad"}), "namespace"),
        (tool(json!({"function_name": "f".repeat(300), "capability": "c"})), "function"),
        (tool(json!({"function_name": "f", "capability": "c", "tags": vec!["t"; 300]})), "tags"),
        (tool(json!({"function_name": "f", "capability": "c", "description": "d".repeat(2 << 20)})), "size"),
        (json!({"agent_id": "bad-1", "tools": vec![json!({"function_name": "f", "capability": "c"}); 1025]}), "tools"),
        (
            tool(
                json!({"function_name": "f", "capability": "c", "dependencies": [{"capability": "c", "required": true}]}),
            ),
            "c → c",
        ),
    ] {
        let (status, answer) = seed.send(body.to_string()).await;
        assert_eq!((status, &answer["status"]), (StatusCode::OK, &json!("error")), "{named}");
        assert!(answer["message"].as_str().unwrap().contains(named), "{answer}");
    }
    let (status, answer) = seed.send(vec![b' '; (4 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    let mut after = seed.agents().await["agents"].take();
    for agents in [&mut before, &mut after] {
        agents[0]["last_seen"].take();
    }
    assert_eq!(before, after);
}
