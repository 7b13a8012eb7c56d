//! Clients that mean a seed's registry harm, or do not know better: nothing that they do touches other agents.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "shared/seeds.rs"]
mod seeds;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::seeds::SeedSpec;
use mesh_node::config::NodeConfig;
use mesh_node::node::{Node, Plug};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use seeds::Host;

const PATIENCE: Duration = Duration::from_secs(60);

/// Files that the test needs besides its connections.
const SPARE_FILES: usize = 3_000;

/// A seed with an agent that behaves.
struct Seed {
    node: Node,
    url: String,
    client: Client,
}

impl Seed {
    async fn start(home: &Path) -> Self {
        let node = Node::start(seeds::config(home), seeds::plug()).await.unwrap();
        let seed = Self { url: node.http_url().unwrap().to_owned(), node, client: fresh() };
        let clock =
            json!({"agent_id": "clock-1", "name": "clock", "tools": [{"function_name": "f", "capability": "c"}]});
        let (status, answer) = seed.post(clock.to_string()).await;
        assert_eq!((status, &answer["status"]), (200, &json!("success")));
        seed
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let sent = self.client.post(format!("{}/heartbeat", self.url)).body(body).send();
        let answer = timeout(PATIENCE, sent).await.unwrap().unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ask(&self, method: Method, path: &str) -> StatusCode {
        let sent = self.client.request(method, format!("{}{path}", self.url)).send();
        timeout(PATIENCE, sent).await.unwrap().unwrap().status()
    }

    /// The agent that behaves is as well as it was, and alone.
    async fn is_untouched(&self, after: &str) {
        assert_eq!(self.ask(Method::HEAD, "/heartbeat/clock-1").await, StatusCode::OK, "{after}");
        let listed = self.client.get(format!("{}/agents", self.url)).send();
        let agents: Value = timeout(PATIENCE, listed).await.unwrap().unwrap().json().await.unwrap();
        assert_eq!((&agents["count"], &agents["agents"][0]["status"]), (&json!(1), &json!("healthy")), "{after}");
    }

    /// Writes `bytes` as they are; what comes back until the connection ends.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).await.unwrap();
        // It may be refused before all of it is written.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A client that opens a connection for each request: one that it kept may have given way to others.
fn fresh() -> Client {
    Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// How many files this process may have open.
fn files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_keep_no_agent_from_beating() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let address = seed.url.strip_prefix("http://").unwrap();
    // Both ends are in this process, but the seed keeps few of its own.
    let count = files().saturating_sub(SPARE_FILES).min(10_000);
    assert!(count > 0, "allow this test more than {SPARE_FILES} open files");
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream = timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap();
        let begun = ["", "GET /agents HT", "POST /heartbeat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{"];
        // Those who came first have been ended by now, which is what is wanted.
        let _ = stream.write_all(begun[number % 3].as_bytes()).await;
        idle.push(stream);
        if number % 1_000 == 0 {
            seed.is_untouched("some connections").await;
        }
    }
    seed.is_untouched("all connections").await;
    let newcomer = json!({"agent_id": "clock-2", "name": "clock"}).to_string();
    let answer = timeout(PATIENCE, Client::new().post(format!("{}/heartbeat", seed.url)).body(newcomer).send());
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_registration_is_refused_with_what_is_wrong_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    let nested = format!(r#"{{"agent_id":"a","tools":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let latin = b"{\"agent_id\":\"a\",\"description\":\"caf\xe9\"}".to_vec();
    let long = format!(r#"{{"agent_id":"a","description":"{}"}}"#, "x".repeat(5 << 20));
    let malformed = [
        (400, latin, "Invalid JSON"),
        (400, br#"{"agent_id":"a","agent_id":"b"}"#.to_vec(), "duplicate field"),
        (400, br#"{"agent_id":"a","tools":[{"tags":[],"tags":[]}]}"#.to_vec(), "duplicate field"),
        (400, nested.into_bytes(), "Invalid JSON"),
        (400, b"\0\0\0\0".to_vec(), "Invalid JSON"),
        (400, br#"{"agent_id":"a""#.to_vec(), "Invalid JSON"),
        (400, br#"{"agent_id":"a","http_port":1e400}"#.to_vec(), "Invalid JSON"),
        (413, long.into_bytes(), "more than"),
    ];
    for (expected, body, why) in malformed {
        let (status, answer) = seed.post(body).await;
        let error = answer["error"].as_str().unwrap().to_owned();
        assert!(status == expected && error.contains(why) && error.len() < 500, "{expected} {why}: {status} {error}");
        seed.is_untouched(why).await;
    }
    let many: Vec<Value> =
        (0..20_000).map(|at| json!({"function_name": format!("f{at}"), "capability": "c"})).collect();
    let tool = |field: &str, value: Value| json!([{"function_name": "f", "capability": "c", (field): value}]);
    let refused = [
        ("agent_id", json!("Ünïcode"), "agent_id"),
        ("agent_id", json!("../clock-1"), "agent_id"),
        ("agent_id", json!("a".repeat(100_000)), "agent_id"),
        ("name", json!("x".repeat(100_000)), "name"),
        ("http_host", json!("clock.example/../@evil"), "http_host"),
        ("http_port", json!(70_000), "http_port"),
        ("tools", json!(many), "tools"),
        ("tools", tool("description", json!("x".repeat(2 << 20))), ""),
        ("tools", tool("tags", json!(vec!["x"; 100_000])), ""),
        ("tools", tool("capability", json!("x".repeat(1 << 20))), ""),
    ];
    for (field, value, why) in refused {
        let mut agent = json!({"agent_id": "evil-1", "http_host": "h", "http_port": 1});
        agent[field] = value;
        let (status, answer) = seed.post(agent.to_string()).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!((status, &answer["status"]), (200, &json!("error")), "{field} {why}: {answer}");
        assert!(message.contains(why) && message.len() < 1_000, "{field}: {message}");
        seed.is_untouched(field).await;
    }
}

#[tokio::test]
async fn ids_that_nobody_can_have_are_gone_and_ids_of_others_are_not_to_be_had() {
    let home = tempfile::tempdir().unwrap();
    let seed = Seed::start(home.path()).await;
    for id in ["%ff%fe", "CLOCK-1", "clock-1%00", "..%2Fclock-1", "a%20b", &"a".repeat(5_000)] {
        assert!(matches!(seed.ask(Method::HEAD, &format!("/heartbeat/{id}")).await.as_u16(), 400 | 410), "{id}");
        assert!(matches!(seed.ask(Method::DELETE, &format!("/agents/{id}")).await.as_u16(), 204 | 400), "{id}");
        seed.is_untouched(id).await;
    }
    for request in [
        &b"POST /heartbeat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\ncontent-length: 5\r\n\r\n{}"[..],
        b"POST /heartbeat HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\nZZ\r\n{}",
        b"\xff\xfe\xfd\r\n\r\n",
        b"GET /agents HTTP/9.9\r\n\r\n",
    ] {
        let answer = seed.raw(request).await;
        let shown = String::from_utf8_lossy(request);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{shown}: {answer}");
        seed.is_untouched(&shown).await;
    }
    let mut header = b"GET /agents HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
    header.resize(1 << 20, b'x');
    let answer = seed.raw(&header).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    seed.is_untouched("a huge header").await;

    // An agent on a node of ours speaks for itself, and keeps its id.
    let mut config = NodeConfig::new("native");
    config.mesh.home = Some(home.path().to_owned());
    config.mesh.seeds = Some(vec![SeedSpec::from(seed.node.gossip().local_addresses()[0])]);
    let native = Node::start(config, Plug::new(Host::with(&["date"]))).await.unwrap();
    let id = native.agent_id();
    let sees = |view: &Arc<mesh_gossip::View>| view.catalog().agents().any(|agent| agent.owner.agent == id);
    timeout(PATIENCE, seed.node.gossip().watch().wait_for(sees)).await.unwrap().unwrap();
    let claim = json!({"agent_id": id.as_str(), "http_host": "evil", "http_port": 1}).to_string();
    let (_, answer) = seed.post(claim).await;
    assert!(answer["message"].as_str().unwrap().contains("speaks for itself"), "{answer}");
}

#[tokio::test]
async fn the_administration_is_on_its_own_port_alone_when_it_has_one() {
    let home = tempfile::tempdir().unwrap();
    // Of the system, so that nobody else takes it meanwhile: it is let go of right before.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    let mut config = seeds::config(home.path());
    config.registry.admin_port = Some(port);
    drop(free);
    let node = Node::start(config, seeds::plug()).await.unwrap();
    let (url, admin, client) = (node.http_url().unwrap(), format!("http://127.0.0.1:{port}"), Client::new());
    for path in ["/admin/rotate", "/admin/drain"] {
        let here = client.post(format!("{url}{path}")).send().await.unwrap().status();
        let there = client.post(format!("{admin}{path}")).send().await.unwrap().status();
        assert_eq!((here, there), (StatusCode::NOT_FOUND, StatusCode::OK), "{path}");
    }
    let elsewhere = client.get(format!("{admin}/agents")).send().await.unwrap();
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND, "nothing else is there");
}
