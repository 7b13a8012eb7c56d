//! Agents without gossip join through the registry API of a seed: over real HTTP, beside a real node.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "shared/seeds.rs"]
mod seeds;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use mesh_gossip::View;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::{Query, resolve};
use mesh_gossip::seeds::SeedSpec;
use mesh_node::call::{Request, Target};
use mesh_node::config::NodeConfig;
use mesh_node::node::{Node, Plug};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use seeds::Host;

const PATIENCE: Duration = Duration::from_secs(60);

async fn start_seed(home: &Path, change: impl FnOnce(&mut NodeConfig)) -> Seed {
    let mut config = seeds::config(home);
    config.registry.check_interval = Duration::from_millis(20);
    change(&mut config);
    let node = Node::start(config, seeds::plug()).await.unwrap();
    Seed { url: node.http_url().unwrap().to_owned(), node, client: Client::new() }
}

async fn start_agent(home: &Path, seed: &Seed, capabilities: &[&'static str]) -> Node {
    let mut config = NodeConfig::new("native");
    config.mesh.home = Some(home.to_owned());
    config.mesh.seeds = Some(vec![SeedSpec::from(seed.node.gossip().local_addresses()[0])]);
    Node::start(config, Plug::new(Host::with(capabilities))).await.unwrap()
}

/// A seed, and how to talk to it.
struct Seed {
    node: Node,
    url: String,
    client: Client,
}

impl Seed {
    async fn register(&self, agent: &Value) -> Value {
        let answer = self.client.post(format!("{}/heartbeat", self.url)).json(agent).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn beat(&self, agent: &str) -> u16 {
        let url = format!("{}/heartbeat/{agent}", self.url);
        self.client.head(url).send().await.unwrap().status().as_u16()
    }

    async fn withdraw(&self, agent: &str) -> u16 {
        let url = format!("{}/agents/{agent}", self.url);
        self.client.delete(url).send().await.unwrap().status().as_u16()
    }

    async fn agents(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/agents{query}", self.url);
        let mut answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        let agents: Vec<Value> = serde_json::from_value(answer["agents"].take()).unwrap();
        assert_eq!(answer["count"], agents.len());
        agents
    }

    async fn agent(&self, id: &str) -> Value {
        self.agents("").await.into_iter().find(|agent| agent["id"] == id).unwrap_or_default()
    }

    /// Waits until a heartbeat of `agent` is answered so.
    async fn until_beat(&self, agent: &str, status: u16) {
        let met = async { while self.beat(agent).await != status {} };
        timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("{agent} is not answered {status}"));
    }
}

fn provider(id: &str, name: &str, capability: &str) -> Value {
    json!({"agent_id": id, "name": name, "http_host": "127.0.0.1", "http_port": 1234,
        "tools": [{"function_name": format!("do_{capability}"), "capability": capability,
            "inputSchema": {"type": "object", "description": "words"}}]})
}

fn consumer(id: &str, needs: &[Value]) -> Value {
    json!({"agent_id": id, "name": id, "http_host": "127.0.0.1", "http_port": 1235,
        "tools": [{"function_name": "use", "capability": format!("use-{id}"), "dependencies": needs}]})
}

#[tokio::test]
async fn a_consumer_is_told_of_changes_that_concern_it_and_of_no_others() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let dates = consumer("dates-1", &[json!({"capability": "missing"}), json!({"capability": "date"})]);
    let answer = seed.register(&dates).await;
    assert_eq!(answer["message"], "Agent registered via heartbeat");
    let nobody =
        json!({"agent_id": "", "capability": "date", "endpoint": "", "function_name": "", "status": "unresolved"});
    assert_eq!(answer["dependencies_resolved"]["use"][1], nobody);
    let other = consumer("other-1", &[json!({"capability": "weather"})]);
    seed.register(&other).await;
    assert_eq!((seed.beat("dates-1").await, seed.beat("other-1").await), (200, 200));

    seed.register(&provider("clock-1", "clock", "date")).await;
    assert_eq!((seed.beat("dates-1").await, seed.beat("other-1").await), (202, 200));
    assert_eq!(seed.beat("dates-1").await, 202, "until it asks");
    let answer = seed.register(&dates).await;
    assert_eq!(answer["message"], "Agent updated via heartbeat");
    let clock = json!({"agent_id": "clock-1", "capability": "date", "endpoint": "http://127.0.0.1:1234",
        "function_name": "do_date", "status": "available"});
    assert_eq!(answer["dependencies_resolved"]["use"][1], clock);
    assert_eq!(seed.beat("dates-1").await, 200);

    assert_eq!(seed.withdraw("clock-1").await, 204);
    seed.until_beat("dates-1", 202).await;
    assert_eq!((seed.beat("clock-1").await, seed.beat("other-1").await, seed.beat("nobody-1").await), (410, 200, 410));
    let listed = seed.agent("clock-1").await;
    assert_eq!((&listed["status"], &listed["capabilities"][0]["available"]), (&json!("unhealthy"), &json!(false)));
    let row = &seed.agent("dates-1").await["dependency_resolutions"][1];
    assert_eq!(row["status"], "unavailable");
    seed.register(&provider("clock-1", "clock", "date")).await;
    assert_eq!(seed.beat("clock-1").await, 200);
    assert_eq!(seed.beat("dates-1").await, 200, "its provider is back, as if nothing had been");
}

#[tokio::test]
async fn who_falls_silent_is_unhealthy_after_the_time_out_and_comes_back_by_registering() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |config| config.registry.heartbeat_timeout = Duration::from_millis(700)).await;
    seed.register(&provider("clock-1", "clock", "date")).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1400) {
        assert_eq!(seed.beat("clock-1").await, 200);
    }
    let unhealthy = async { while seed.agent("clock-1").await["status"] != "unhealthy" {} };
    timeout(PATIENCE, unhealthy).await.unwrap();
    assert_eq!(seed.beat("clock-1").await, 410);
    seed.register(&provider("clock-1", "clock", "date")).await;
    assert_eq!((seed.beat("clock-1").await, &seed.agent("clock-1").await["status"]), (200, &json!("healthy")));
}

#[tokio::test]
async fn replicas_are_spread_over_consumers_and_names_go_by_agent_id() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    for id in ["clock-1", "clock-2", "zz-clock-1"] {
        seed.register(&provider(id, id.rsplit_once('-').unwrap().0, "date")).await;
    }
    let mut served = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..40 {
        let answer = seed.register(&consumer(&format!("user-{number}"), &[json!({"capability": "date"})])).await;
        let bound = answer["dependencies_resolved"]["use"][0]["agent_id"].as_str().unwrap();
        *served.entry(bound.to_owned()).or_default() += 1;
    }
    assert_eq!(served.len(), 2, "{served:?}");
    assert!(served["clock-1"] > 8 && served["clock-2"] > 8, "{served:?}");
    seed.withdraw("clock-1").await;
    seed.withdraw("clock-2").await;
    let answer = seed.register(&consumer("user-1", &[json!({"capability": "date"})])).await;
    assert_eq!(answer["dependencies_resolved"]["use"][0]["agent_id"], "zz-clock-1");
    seed.register(&provider("clock-2", "clock", "date")).await;
    let answer = seed.register(&consumer("user-1", &[json!({"capability": "date"})])).await;
    assert_eq!(answer["dependencies_resolved"]["use"][0]["agent_id"], "clock-2");
}

#[tokio::test]
async fn a_required_cycle_is_refused_and_a_broken_chain_is_told_all_along() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let link = |id: &str, capability: &str, needs: &str| {
        json!({"agent_id": id, "http_host": "127.0.0.1", "http_port": 9, "tools": [{"function_name": "f",
            "capability": capability, "dependencies": [{"capability": needs, "required": true}]}]})
    };
    seed.register(&provider("c-1", "c", "c")).await;
    seed.register(&link("b-1", "b", "c")).await;
    let answer = seed.register(&consumer("a-1", &[json!({"capability": "b"})])).await;
    assert_eq!(answer["dependencies_resolved"]["use"][0]["status"], "available");
    let refused = seed.register(&link("x-1", "c", "b")).await;
    assert_eq!(
        (&refused["status"], &refused["message"]),
        (&json!("error"), &json!("required dependency cycle: c → b → c"))
    );
    assert_eq!(seed.agent("x-1").await, Value::Null);

    seed.withdraw("c-1").await;
    seed.until_beat("a-1", 202).await;
    let listed = seed.agent("b-1").await;
    assert_eq!(listed["status"], "healthy");
    assert_eq!(listed["capabilities"][0]["unavailable_reason"], "required dep 'c' unresolved");
}

/// What a process has open: somewhere to connect to, and its connections. All of it goes when it is dropped.
struct Place {
    port: u16,
    connections: watch::Receiver<usize>,
    _holds: AbortOnDropHandle<()>,
}

async fn place() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, connections) = watch::channel(0);
    let hold = async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            count.send_replace(held.len());
        }
    };
    Place { port, connections, _holds: AbortOnDropHandle::new(tokio::spawn(hold)) }
}

#[tokio::test]
async fn an_agent_is_out_as_soon_as_its_process_ends_and_an_answer_of_any_kind_keeps_it() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let (mut clock, app) = (place().await, place().await);
    let at = |id: &str, kind: &str, port: u16| {
        let mut agent = provider(id, id, id.split_once('-').unwrap().0);
        (agent["http_port"], agent["agent_type"]) = (port.into(), kind.into());
        agent
    };
    seed.register(&at("clock-1", "mcp_agent", clock.port)).await;
    seed.register(&at("app-1", "api", app.port)).await;
    seed.register(&at("nowhere-1", "mcp_agent", 1)).await;
    seed.register(&consumer("dates-1", &[json!({"capability": "clock"})])).await;
    let registry = |agent: &str| seed.client.post(format!("{}/doubt/{agent}", seed.url)).send();
    assert_eq!(registry("clock-1").await.unwrap().status(), StatusCode::NOT_FOUND, "only members may doubt");
    timeout(PATIENCE, clock.connections.wait_for(|count| *count > 0)).await.unwrap().unwrap();
    assert_eq!(*app.connections.borrow(), 0, "nobody looks where applications may not be");
    drop((clock, app));
    seed.until_beat("dates-1", 202).await;
    assert_eq!(seed.beat("clock-1").await, 410);
    assert_eq!((seed.beat("app-1").await, seed.beat("nowhere-1").await), (200, 200));
}

#[tokio::test]
async fn an_agent_that_closes_idle_connections_and_ends_between_two_of_them_is_out_too() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut agent = provider("clock-1", "clock", "date");
    agent["http_port"] = listener.local_addr().unwrap().port().into();
    seed.register(&agent).await;
    // That of the watch, and that of the look when it was closed.
    for _ in 0..2 {
        drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
    }
    assert_eq!(seed.beat("clock-1").await, 200, "it was there");
    drop(listener);
    // Beats renew the lease: it does not run out.
    seed.until_beat("clock-1", 410).await;
}

#[tokio::test]
async fn a_caller_that_is_refused_has_the_seed_look() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let native = start_agent(home.path(), &seed, &[]).await;
    native.ready().await;
    // Nobody was ever there, so that no connection can have told.
    let mut agent = provider("clock-1", "clock", "date");
    agent["http_port"] = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().into();
    seed.register(&agent).await;
    let query = Arc::new(Query::new(Selector::new("date")));
    let refused = async {
        while seed.beat("clock-1").await == 200 {
            let call = Request::new(Target::Capability(Arc::clone(&query)), &b"{}"[..]);
            assert!(native.caller().call(call).await.is_err());
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(seed.beat("clock-1").await, 410);
}

#[tokio::test]
async fn two_seeds_are_one_registry_and_one_goes_on_when_the_other_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let first = start_seed(home.path(), |_| {}).await;
    let seeds = vec![SeedSpec::from(first.node.gossip().local_addresses()[0])];
    let second = start_seed(home.path(), |config| config.mesh.seeds = Some(seeds)).await;
    second.node.ready().await;
    let mut dates = consumer("dates-1", &[json!({"capability": "date"})]);
    dates["a2a_consumer"] = json!(true);
    assert_eq!(first.register(&provider("clock-1", "clock", "date")).await["status"], "success");
    second.until_beat("clock-1", 200).await;
    assert_eq!(first.register(&dates).await["dependencies_resolved"]["use"][0]["agent_id"], "clock-1");
    second.until_beat("dates-1", 200).await;
    assert_eq!(second.register(&dates).await["message"], "Agent updated via heartbeat");
    let holders = |view: &View| view.catalog().agents().filter(|agent| agent.owner.agent.as_str() == "dates-1").count();
    let mut views = second.node.gossip().watch();
    timeout(PATIENCE, views.wait_for(|view| holders(view) > 0)).await.unwrap().unwrap();
    assert_eq!(holders(&second.node.gossip().view()), 1, "it is one agent");
    let (here, there) = (first.agent("dates-1").await, second.agent("dates-1").await);
    for field in ["status", "created_at", "a2a_producer", "a2a_consumer", "endpoint", "capabilities"] {
        assert_eq!(here[field], there[field], "{field}");
    }
    assert_eq!((&there["status"], &there["a2a_consumer"]), (&json!("healthy"), &json!(true)));

    // Dropped, it says no goodbye.
    drop(first);
    let selector = Selector::new("date");
    let resolves = |view: &View| !resolve(view.catalog(), view.schemas(), &selector).candidates.is_empty();
    let taken_over = async {
        loop {
            assert!(resolves(&second.node.gossip().view()), "there is no gap");
            match second.beat("clock-1").await {
                200 | 503 => {}
                202 => return,
                other => panic!("{other}"),
            }
        }
    };
    timeout(PATIENCE, taken_over).await.unwrap();
    let answer = second.register(&dates).await;
    assert_eq!(answer["dependencies_resolved"]["use"][0]["agent_id"], "clock-1");
    assert_eq!(second.withdraw("clock-1").await, 204);
    assert_eq!(second.beat("clock-1").await, 410);
}

#[tokio::test]
async fn agents_on_both_sides_find_and_call_each_other() {
    let home = tempfile::tempdir().unwrap();
    let seed = start_seed(home.path(), |_| {}).await;
    let native = start_agent(home.path(), &seed, &["echo"]).await;
    native.ready().await;
    // As stock agents answer: one JSON-RPC message for each request, without a session.
    let mcp = Router::new().route(
        "/mcp",
        post(|Json(asked): Json<Value>| async move {
            let said = asked["params"]["arguments"]["name"].as_str().unwrap().to_owned();
            Json(json!({"jsonrpc": "2.0", "id": asked["id"], "result": {
            "content": [{"type": "text", "text": format!("hello {said}")}], "isError": false}}))
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, mcp).await.unwrap() });
    let greeter = json!({"agent_id": "greeter-1", "name": "greeter", "http_host": "127.0.0.1", "http_port": port,
        "tools": [{"function_name": "greet", "capability": "greeting", "dependencies": [{"capability": "echo"}]}]});
    let bound = async {
        loop {
            let mut answer = seed.register(&greeter).await;
            let bound = answer["dependencies_resolved"]["greet"][0].take();
            if bound["status"] == "available" {
                return bound;
            }
        }
    };
    let bound = timeout(PATIENCE, bound).await.unwrap();
    assert_eq!((&bound["function_name"], &bound["endpoint"]), (&json!("echo"), &json!(native.http_url().unwrap())));

    let query = Arc::new(Query::new(Selector::new("greeting")));
    let shown = |view: &Arc<View>| !query.answer(view.catalog(), view.schemas()).candidates.is_empty();
    timeout(PATIENCE, native.gossip().watch().wait_for(shown)).await.unwrap().unwrap();
    let call = Request::new(Target::Capability(Arc::clone(&query)), &br#"{"name":"you"}"#[..]);
    let said = native.caller().call(call).await.unwrap();
    assert!(format!("{said:?}").contains("hello you"), "{said:?}");
    let ids: Vec<Value> = seed.agents("").await.into_iter().map(|agent| agent["id"].clone()).collect();
    assert_eq!(ids, [json!("greeter-1"), json!(native.agent_id().as_str())], "a seed is no agent");
    assert_eq!(seed.agents("?capabilities=ECH&fuzzy=true").await.len(), 1);
    assert_eq!(seed.agents("?capabilities=ech").await.len(), 0);
    assert_eq!(seed.agents("?type=api").await.len(), 0);
}
