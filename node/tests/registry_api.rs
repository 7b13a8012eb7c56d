//! What a seed serves besides registrations, over real HTTP: history, proxy, traces, administration, dashboard.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "shared/seeds.rs"]
mod seeds;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt;
use mesh_gossip::resolve::Query;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::seeds::SeedSpec;
use mesh_node::call::{Request, Target};
use mesh_node::config::NodeConfig;
use mesh_node::node::{Node, Plug};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use seeds::Host;

const PATIENCE: Duration = Duration::from_secs(60);

/// A seed, and how to talk to it.
struct Seed {
    node: Node,
    url: String,
    client: Client,
}

impl Seed {
    async fn start(home: &Path) -> Self {
        let mut config = seeds::config(home);
        config.registry.check_interval = Duration::from_millis(20);
        let node = Node::start(config, seeds::plug()).await.unwrap();
        Self { url: node.http_url().unwrap().to_owned(), node, client: Client::new() }
    }

    async fn ask(&self, path: &str) -> Response {
        timeout(PATIENCE, self.client.get(format!("{}{path}", self.url)).send()).await.unwrap().unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(path).await.json().await.unwrap()
    }

    async fn register(&self, id: &str, port: u16, more: Value) {
        let mut agent = json!({"agent_id": id, "name": id.split('-').next().unwrap(), "http_host": "127.0.0.1",
            "http_port": port, "tools": [{"function_name": "f", "capability": "c",
            "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}}}]});
        agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.client.post(format!("{}/heartbeat", self.url)).json(&agent).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["status"], "success");
    }

    async fn withdraw(&self, id: &str) {
        self.client.delete(format!("{}/agents/{id}", self.url)).send().await.unwrap();
    }

    /// Asks until the answer is as it should be.
    async fn until(&self, path: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let mut last = self.get(path).await;
        let asked = async {
            while !is_right(&last) {
                last = self.get(path).await;
            }
        };
        let answered = timeout(PATIENCE, asked).await;
        assert!(answered.is_ok(), "{path} answers {last}");
        last
    }
}

/// The kinds of the events in an answer, newest first.
fn kinds(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

/// An agent that speaks HTTP only: tells what it was sent, redirects, and streams without end.
async fn http_agent() -> u16 {
    let tell = |headers: HeaderMap, body: Bytes| async move {
        let names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        Json(json!({"headers": names, "body": body.len()}))
    };
    let stream = || async {
        let endless = futures::stream::iter([Ok::<_, std::io::Error>("data: 1\n\n")]).chain(futures::stream::pending());
        ([("content-type", "text/event-stream")], axum::body::Body::from_stream(endless)).into_response()
    };
    let router = Router::new()
        .route("/mcp", post(tell))
        .route("/mcp/away", get(|| async { Redirect::temporary("http://127.0.0.1:1/secret") }))
        .route("/mcp/stream", get(stream));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test]
async fn what_happens_to_agents_is_remembered_over_a_restart_of_the_seed() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let mut config = NodeConfig::new("native");
    config.mesh.home = Some(home.path().to_owned());
    config.mesh.seeds = Some(vec![SeedSpec::from(seed.node.gossip().local_addresses()[0])]);
    let native = Node::start(config, Plug::new(Host::with(&["date"]))).await.unwrap();
    let id = native.agent_id().to_string();

    seed.register("clock-1", 1234, json!({})).await;
    seed.register("page-1", 1234, json!({"agent_type": "api"})).await;
    seed.withdraw("clock-1").await;
    seed.register("clock-1", 1234, json!({})).await;
    let events = seed.until("/events?agent_id=clock-1", |answer| answer["count"] == 3).await;
    assert_eq!(kinds(&events), ["register", "unregister", "register"]);
    assert_eq!(events["events"][2]["data"], json!({"agent_type": "mcp_agent", "name": "clock", "version": "1.0.0"}));
    assert_eq!(events["events"][1]["data"]["reason"], "graceful_shutdown");
    assert_eq!(events["events"][0]["data"]["reason"], "recovery");
    let of_native = format!("/events?agent_id={id}");
    seed.until(&of_native, |answer| kinds(answer) == ["register"]).await;
    native.stop().await;
    seed.until(&of_native, |answer| kinds(answer) == ["unregister", "register"]).await;
    assert_eq!(seed.get("/events?agent_id=page-1").await["count"], 0, "nobody is told of those who only consume");
    let schemas = seed.until("/schemas", |answer| answer["count"].as_u64() > Some(0)).await;
    let hash = schemas["schemas"][0]["hash"].as_str().unwrap().to_owned();

    seed.node.stop().await;
    let seed = Seed::start(home.path()).await;
    let events = seed.get("/events?limit=2&type=register").await;
    assert_eq!((kinds(&events), &events["count"]), (vec!["register", "register"], &json!(2)));
    assert_eq!(seed.get(&format!("/schemas/{hash}")).await["hash"], json!(hash));
    let missing = seed.ask("/schemas/sha256:0").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.json::<Value>().await.unwrap()["error"], "schema not found: sha256:0");
}

#[tokio::test]
async fn how_a_dependency_came_to_its_provider_is_an_event() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    seed.register("clock-1", 1234, json!({})).await;
    let needs = json!({"tools": [{"function_name": "use", "capability": "use",
        "dependencies": [{"capability": "c"}]}]});
    seed.register("user-1", 1235, needs.clone()).await;
    let path = "/events?agent_id=user-1&function_name=use";
    let events = seed.until(path, |answer| answer["count"] == 1).await;
    let event = &events["events"][0];
    assert_eq!((&event["event_type"], &event["function_name"]), (&json!("dependency_resolved"), &json!("use")));
    assert_eq!(event["data"]["chosen"]["agent_id"], "clock-1");
    assert!(event["data"]["stages"].as_array().unwrap().iter().any(|stage| stage["stage"] == "health"));
    seed.register("user-1", 1235, needs.clone()).await;
    seed.withdraw("clock-1").await;
    seed.register("user-1", 1235, needs).await;
    let events = seed.until(path, |answer| answer["count"] == 2).await;
    assert_eq!(kinds(&events), ["dependency_unresolved", "dependency_resolved"], "the same again is not told");
    assert_eq!(events["events"][0]["data"]["prior_chosen"], "clock-1");
}

#[tokio::test]
async fn requests_are_passed_on_to_agents_and_to_nobody_else() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let port = http_agent().await;
    seed.register("clock-1", port, json!({})).await;
    let url = |target: &str| format!("{}/proxy/{target}", seed.url);
    let send =
        |target: String| seed.client.post(url(&target)).header("authorization", "Bearer secret").body("{}").send();
    for target in [format!("127.0.0.1:{port}/mcp"), format!("clock-1:{port}/mcp"), format!("clock:{port}/mcp?x=1")] {
        let answer: Value = send(target).await.unwrap().json().await.unwrap();
        assert_eq!(answer["body"], 2);
        assert!(!answer["headers"].as_array().unwrap().contains(&json!("authorization")), "{answer}");
    }
    for (target, status, why) in [
        ("127.0.0.1:1/mcp".to_owned(), 403, "Target host '127.0.0.1:1' is not a registered agent"),
        (format!("localhost:{port}/mcp"), 403, "is not a registered agent"),
        (format!("clock-1@127.0.0.1:{port}/mcp"), 403, "is not a registered agent"),
        (format!("127.0.0.1:{port}/admin"), 400, "Only /mcp/* paths are allowed for proxying"),
        (format!("127.0.0.1:{port}/mcp/%2e%2e/admin"), 400, "Only /mcp/* paths are allowed for proxying"),
        (format!("127.0.0.1:{port}"), 400, "Invalid target format: missing path."),
    ] {
        let answer = send(target.clone()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{target}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"].as_str().unwrap().contains(why) && body["timestamp"].is_string(), "{body}");
    }
    let away = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let away = away.get(url(&format!("127.0.0.1:{port}/mcp/away"))).send().await.unwrap();
    assert_eq!((away.status().as_u16(), away.headers().get("location")), (307, None), "nobody is led elsewhere");

    let budget = seed.client.get(url(&format!("127.0.0.1:{port}/mcp/stream"))).header("x-mesh-timeout", "1");
    let text = timeout(PATIENCE, budget.send()).await.unwrap().unwrap().text().await.unwrap();
    assert_eq!(text, "data: 1\n\n\n: mesh-proxy-timeout budget=1s\n\n");
    seed.register("dead-1", 1, json!({})).await;
    let dead = send("dead-1:1/mcp".to_owned()).await.unwrap();
    assert_eq!(dead.status(), StatusCode::BAD_GATEWAY);
    assert!(
        dead.json::<Value>().await.unwrap()["error"].as_str().unwrap().starts_with("Failed to reach target agent: ")
    );
}

#[tokio::test]
async fn agents_of_our_own_are_reached_through_the_proxy_and_their_calls_are_traces() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let mut config = NodeConfig::new("native");
    config.mesh.home = Some(home.path().to_owned());
    config.mesh.seeds = Some(vec![SeedSpec::from(seed.node.gossip().local_addresses()[0])]);
    let native = Node::start(config, Plug::new(Host::with(&["date"]))).await.unwrap();
    let at = native.http_url().unwrap().strip_prefix("http://").unwrap().to_owned();
    seed.until("/agents", |answer| answer["count"] == 1).await;
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "date", "arguments": {"a": 1}}});
    let send = seed.client.post(format!("{}/proxy/{at}/mcp", seed.url)).json(&call);
    let answer = send.header("accept", "application/json, text/event-stream").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("content"));

    let mut frames = seed.ask("/api/traces/live").await.bytes_stream();
    let mut told = String::new();
    let mut hear = async |what: &str| {
        while !told.contains(what) {
            told.push_str(std::str::from_utf8(&frames.next().await.unwrap().unwrap()).unwrap());
        }
        std::mem::take(&mut told)
    };
    timeout(PATIENCE, hear("event: connected")).await.unwrap();
    let query = Arc::new(Query::new(Selector::new("date")));
    // What was over when the page first looked is not told.
    let call = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            let target = Target::Capability(Arc::clone(&query));
            seed.node.caller().call(Request::new(target, &b"{}"[..])).await.unwrap();
        }
    };
    let live = timeout(PATIENCE, async {
        tokio::select! { live = hear("event: trace_completed") => live, () = call => unreachable!("it has no end") }
    });
    let live = live.await.unwrap();
    assert!(live.contains("native"), "{live}");
    // The last call was given up with the wait for its event.
    let recent = seed.until("/api/trace/recent?success=true", |answer| answer["count"].as_u64() > Some(0)).await;
    let id = recent["traces"][0]["trace_id"].as_str().unwrap();
    let has_run =
        |trace: &Value| trace["Spans"].as_array().is_some_and(|all| all.iter().any(|span| span["Operation"] == "date"));
    let trace = seed.until(&format!("/trace/{id}"), has_run).await;
    assert_eq!((&trace["TraceID"], &trace["Success"]), (&json!(id), &json!(true)));
    let spans = trace["Spans"].as_array().unwrap();
    let tool = spans.iter().find(|span| span["Operation"] == "date").unwrap();
    assert_eq!((&tool["AgentName"], &tool["Runtime"]), (&json!("native"), &json!("rust")));
    assert_eq!(trace["SpanCount"], spans.len());
    let missing = seed.ask("/trace/00000000000000000000000000000001").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let traffic = seed.until("/api/trace/traffic?window=1h", |answer| answer["total_calls"].as_u64() > Some(0)).await;
    assert_eq!(traffic["edge_stats"][0]["target"], "native");
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_the_existing_system_does() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    for path in ["/jobs", "/jobs/x", "/jobs/x/events", "/api/jobs/x"] {
        let answer = seed.ask(path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("jobs"));
    }
    let unknown = seed.ask("/nowhere").await;
    assert_eq!(
        (unknown.status(), unknown.text().await.unwrap().as_str()),
        (StatusCode::NOT_FOUND, "404 page not found")
    );
    let bad = seed.ask("/events?limit=x").await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert!(
        bad.json::<Value>().await.unwrap()["msg"].as_str().unwrap().starts_with("Invalid format for parameter limit")
    );
    assert_eq!(seed.get("/api/nowhere").await, json!({"error": "API endpoint not found"}));
    assert_eq!(seed.get("/a2a/agents").await, json!({"surfaces": []}));
    assert_eq!(seed.get("/admin/entities").await, json!({"entities": []}));
    assert_eq!(seed.get("/openapi.json").await["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_administration_makes_agents_register_again_and_holds_jobs_back() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    seed.register("clock-1", 1234, json!({})).await;
    let beat = || seed.client.head(format!("{}/heartbeat/clock-1", seed.url)).send();
    assert_eq!(beat().await.unwrap().status(), StatusCode::OK);
    let rotated = seed.client.post(format!("{}/admin/rotate", seed.url)).send().await.unwrap();
    let rotated: Value = rotated.json().await.unwrap();
    let expected = json!({"message": "Rotation triggered for all agents", "affected_agents": 1, "entity_id": ""});
    assert_eq!(rotated, expected);
    assert_eq!(beat().await.unwrap().status(), StatusCode::ACCEPTED);
    seed.until("/events?type=rotate", |answer| answer["count"] == 1).await;
    let drain = format!("{}/admin/drain", seed.url);
    for (answer, expected) in [
        (seed.client.post(&drain).send().await.unwrap(), true),
        (seed.client.get(&drain).send().await.unwrap(), true),
        (seed.client.delete(&drain).send().await.unwrap(), false),
    ] {
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({"draining": expected, "live_claims": 0}));
    }
    // Through another proxy the caller may be anybody.
    let forwarded = seed.client.get(&drain).header("x-forwarded-for", "10.0.0.9").send().await.unwrap();
    assert_eq!(forwarded.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_surface_is_listed_with_where_it_is_published() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let surfaces = json!([{"path": "/agents/date", "skill_id": "get-date"}]);
    seed.register("date-1", 1234, json!({"agent_type": "a2a", "surfaces": surfaces})).await;
    let listed = seed.until("/a2a/agents", |answer| answer["surfaces"] != json!([])).await;
    assert_eq!(listed, json!({"surfaces": [{"path": "/agents/date", "skill_id": "get-date"}]}));
}

#[tokio::test]
async fn a_page_that_watches_is_told_of_the_past_and_of_what_happens() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    seed.register("clock-1", 1234, json!({})).await;
    seed.until("/api/schemas", |answer| answer["count"] == 1).await;
    seed.until("/api/events/history", |answer| answer["count"] == 1).await;
    let mut frames = seed.ask("/api/events").await.bytes_stream();
    let mut heard = String::new();
    let mut hear = async |what: &str| {
        while !heard.contains(what) {
            heard.push_str(std::str::from_utf8(&frames.next().await.unwrap().unwrap()).unwrap());
        }
        heard.clone()
    };
    let past = timeout(PATIENCE, hear("agent_registered")).await.unwrap();
    assert!(past.starts_with("event: connected\n"), "{past}");
    seed.withdraw("clock-1").await;
    timeout(PATIENCE, hear("agent_deregistered")).await.unwrap();
    timeout(PATIENCE, hear("event: edge_stats")).await.unwrap();

    let agents = seed.get("/api/agents").await;
    assert_eq!(agents["agents"], seed.get("/agents").await["agents"]);
    let is_orphaned = |answer: &Value| answer["count"] == 1 && answer["schemas"][0]["provider_count"] == 0;
    seed.until("/api/schemas", is_orphaned).await;
    seed.register("clock-1", 1234, json!({})).await;
    let row = seed.until("/api/schemas", |answer| answer["schemas"][0]["provider_count"] == 1).await;
    assert_eq!(row["schemas"][0]["sample_function"], "f");
    let hash = row["schemas"][0]["hash"].as_str().unwrap();
    let usage = seed.get(&format!("/api/schemas/{hash}/usage")).await;
    assert_eq!(
        (&usage["providers"][0]["agent_id"], &usage["providers"][0]["role"]),
        (&json!("clock-1"), &json!("input"))
    );
}

#[tokio::test]
async fn huge_bodies_are_refused_and_slow_writers_and_idle_connections_keep_nobody_from_being_served() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let port = http_agent().await;
    seed.register("clock-1", port, json!({})).await;
    let address = seed.url.strip_prefix("http://").unwrap().to_owned();
    let connect = async |request: String| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    // Held open for as long as the test runs.
    let mut idle = Vec::new();
    for number in 0..150 {
        let begun =
            ["", "GET /agents HT", "POST /heartbeat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"];
        idle.push(connect(begun[number % 3].to_owned()).await);
    }
    for path in ["/heartbeat".to_owned(), format!("/proxy/clock-1:{port}/mcp")] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 104857600\r\n\r\n");
        let mut stream = connect(head).await;
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), "HTTP/1.1 413", "{path}");
    }
    // Nobody said how much it would be.
    let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1 << 20])).take(100);
    let body = reqwest::Body::wrap_stream(pieces);
    let sent = seed.client.post(format!("{}/proxy/clock-1:{port}/mcp", seed.url)).body(body).send();
    let refused = timeout(PATIENCE, sent).await.unwrap();
    assert!(refused.map_or(true, |answer| !answer.status().is_success()), "100 MiB do not pass");
    assert_eq!(seed.get("/agents").await["count"], 1);
}
