//! A node from its start to its stop, over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::gossip::Event;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::{Query, resolve};
use mesh_gossip::seeds::SeedSpec;
use mesh_gossip::{Gossip, View};
use mesh_node::call::{CallError, Request, Target};
use mesh_node::config::NodeConfig;
use mesh_node::context::CallContext;
use mesh_node::health::{HealthCheck, Verdict};
use mesh_node::node::{Node, Plug};
use mesh_node::runtime_file::running;
use mesh_node::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Greeter(watch::Sender<Tools>);

#[async_trait]
impl ToolHost for Greeter {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.0.subscribe()
    }

    async fn call(&self, _: &ToolDescriptor, arguments: Bytes, _: CallContext) -> Result<Payload, Fault> {
        Ok(Payload::Value(arguments))
    }
}

fn greeter() -> Arc<Greeter> {
    let mut tool = ToolDescriptor::new("greet");
    tool.capability = Some("greeting".into());
    Arc::new(Greeter(watch::Sender::new([Arc::new(tool)].into())))
}

/// An agent without tools.
fn silent() -> Arc<Greeter> {
    Arc::new(Greeter(watch::Sender::new([].into())))
}

fn config(name: &str, home: &Path, seeds: &[&Node]) -> NodeConfig {
    let mut config = NodeConfig::new(name);
    config.mesh.home = Some(home.to_owned());
    config.mesh.seeds = Some(seeds.iter().map(|node| SeedSpec::from(node.gossip().local_addresses()[0])).collect());
    config
}

fn providers(view: &View) -> usize {
    resolve(view.catalog(), view.schemas(), &Selector::new("greeting")).candidates.len()
}

async fn until(gossip: &Gossip, met: impl Fn(&View) -> bool) {
    let mut views = gossip.watch();
    timeout(PATIENCE, views.wait_for(|view| met(view))).await.unwrap().unwrap();
}

async fn status(node: &Node, path: &str) -> u16 {
    let url = format!("{}{path}", node.http_url().unwrap());
    reqwest::Client::builder().build().unwrap().get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_an_agent_offers_is_known_elsewhere_follows_its_health_and_goes_with_it() {
    let home = tempfile::tempdir().unwrap();
    let consumer = Node::start(config("consumer", home.path(), &[]), Plug::new(greeter())).await.unwrap();
    let works = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&works);
    let check = HealthCheck::new(move || {
        let works = asked.load(Ordering::Relaxed);
        async move { if works { Verdict::Healthy } else { Verdict::Unhealthy("no database".into()) } }
    });
    let plug = Plug { health: Some(check), ..Plug::new(greeter()) };
    let provider = Node::start(config("provider", home.path(), &[&consumer]), plug).await.unwrap();
    timeout(PATIENCE, provider.ready()).await.unwrap();
    assert_eq!((status(&provider, "/ready").await, status(&provider, "/health").await), (200, 200));
    assert_eq!(running(home.path()).len(), 2);
    until(consumer.gossip(), |view| providers(view) == 2).await;

    works.store(false, Ordering::Relaxed);
    until(consumer.gossip(), |view| providers(view) == 1).await;
    assert_eq!((status(&provider, "/health").await, status(&provider, "/livez").await), (503, 200));
    works.store(true, Ordering::Relaxed);
    until(consumer.gossip(), |view| providers(view) == 2).await;

    let mut events = consumer.gossip().events();
    provider.stop().await;
    assert_eq!(providers(&consumer.gossip().view()), 1);
    let left = async { while !matches!(events.next().await.unwrap(), Event::Member { .. }) {} };
    timeout(PATIENCE, left).await.unwrap();
    assert_eq!(running(home.path()).len(), 1);
    consumer.stop().await;
}

#[tokio::test]
async fn without_its_seed_a_node_is_not_ready_and_alone_by_choice_it_is() {
    let home = tempfile::tempdir().unwrap();
    let first = Node::start(config("first", home.path(), &[]), Plug::new(greeter())).await.unwrap();
    timeout(PATIENCE, first.ready()).await.unwrap();
    let mut lost = config("lost", home.path(), &[]);
    // Nobody listens at port 9 of loopback.
    lost.mesh.seeds = Some(vec!["127.0.0.1:9".parse().unwrap()]);
    let lost = Node::start(lost, Plug::new(greeter())).await.unwrap();
    assert_eq!((status(&lost, "/ready").await, status(&lost, "/startupz").await), (503, 503));
    assert_eq!(status(&lost, "/livez").await, 200);
}

#[tokio::test]
async fn a_taken_port_is_exchanged_unless_others_rely_on_it() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wishes = config("x", home.path(), &[]);
    wishes.http.listen = taken.local_addr().unwrap();
    let node = Node::start(wishes.clone(), Plug::new(greeter())).await.unwrap();
    assert_eq!(status(&node, "/livez").await, 200);
    wishes.http.port_taken = mesh_node::config::PortTaken::Refuse;
    let refused = Node::start(wishes, Plug::new(greeter())).await.unwrap_err().to_string();
    assert!(refused.contains("MESH_HTTP_LISTEN"), "{refused}");
}

#[tokio::test]
async fn who_is_told_to_serve_a_registry_that_the_program_does_not_hold_is_told_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let mut wishes = config("x", home.path(), &[]);
    wishes.registry.enabled = Some(true);
    let refused = Node::start(wishes.clone(), Plug::new(greeter())).await.unwrap_err().to_string();
    assert!(refused.contains("Agent::registry()") && refused.contains("meshctl seed"), "{refused}");
    let plug = || Plug { registry: Some(mesh_node::registry::api()), ..Plug::new(greeter()) };
    let node = Node::start(wishes.clone(), plug()).await.unwrap();
    assert_eq!(status(&node, "/agents").await, 200);
    wishes.registry.enabled = None;
    let node = Node::start(wishes, plug()).await.unwrap();
    assert_eq!(status(&node, "/agents").await, 404);
}

#[tokio::test]
async fn a_tool_is_called_across_nodes_and_by_any_mcp_client_and_refuses_when_its_agent_leaves() {
    let home = tempfile::tempdir().unwrap();
    let provider = Node::start(config("provider", home.path(), &[]), Plug::new(greeter())).await.unwrap();
    let consumer = Node::start(config("consumer", home.path(), &[&provider]), Plug::new(silent())).await.unwrap();
    timeout(PATIENCE, consumer.ready()).await.unwrap();
    until(consumer.gossip(), |view| providers(view) == 1).await;
    let request = Request::new(
        Target::Capability(Arc::new(Query::new(Selector::new("greeting")))),
        Bytes::from_static(br#"{"name":"Ada"}"#),
    );
    let reply = consumer.caller().call(request.clone()).await.unwrap();
    assert_eq!(reply.payload, Payload::Value(Bytes::from_static(br#"{"name":"Ada"}"#)));
    assert_eq!(reply.agent, provider.agent_id());

    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"greet","arguments":{"a":1}}}"#;
    let client = reqwest::Client::new();
    let post = |origin: Option<&str>| {
        let request = client.post(format!("{}/mcp", provider.http_url().unwrap())).body(call);
        let request = request.header("content-type", "application/json");
        origin.map_or(request.try_clone().unwrap(), |origin| request.header("origin", origin)).send()
    };
    let answer: serde_json::Value = post(None).await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["a"], 1, "{answer}");
    assert_eq!(post(Some("https://elsewhere.example")).await.unwrap().status(), 403);

    provider.stop().await;
    assert!(matches!(consumer.caller().call(request).await, Err(CallError::Unresolved { .. })));
}

#[tokio::test]
async fn a_request_that_is_being_answered_when_the_node_stops_is_answered_and_one_without_end_is_cut_short() {
    let home = tempfile::tempdir().unwrap();
    let (begun, mut arrivals) = tokio::sync::mpsc::channel(2);
    let (release, gate) = watch::channel(false);
    let handler = move |axum::extract::Path(name): axum::extract::Path<String>| {
        let (begun, mut gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(()).await.unwrap();
            gate.wait_for(|open| *open && name == "soon").await.unwrap();
            "done"
        }
    };
    let plug =
        Plug { router: Some(axum::Router::new().route("/{name}", axum::routing::get(handler))), ..Plug::new(silent()) };
    let mut wishes = config("shop", home.path(), &[]);
    wishes.drain = Duration::from_secs(2);
    let node = Node::start(wishes, plug).await.unwrap();
    let url = node.http_url().unwrap().to_owned();
    let get = |name: &str| tokio::spawn(reqwest::get(format!("{url}/{name}")));
    let (soon, never) = (get("soon"), get("never"));
    for _ in 0..2 {
        timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    }
    let mut stop = tokio::spawn(node.stop());
    assert!(timeout(Duration::from_millis(300), &mut stop).await.is_err(), "it did not wait");
    release.send_replace(true);
    assert_eq!(timeout(PATIENCE, soon).await.unwrap().unwrap().unwrap().text().await.unwrap(), "done");
    timeout(Duration::from_secs(10), stop).await.unwrap().unwrap();
    assert!(timeout(PATIENCE, never).await.unwrap().unwrap().is_err());
}
