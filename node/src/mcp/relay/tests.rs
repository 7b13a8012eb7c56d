//! Agents behind a relay: on another node, on this one, and at an URL.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::config::Config;
use mesh_gossip::gossip::keys;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::{Gossip, GossipConfig, MemberId};
use rmcp::model::CallToolRequestParams;
use rmcp::service::ClientLifecycleMode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Relay;
use crate::call::exchange::{self, AT_ONCE, KIND};
use crate::mcp::tests::{Running, call, client, curl, modern, serve};
use crate::mcp::{Endpoint, Surface};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};

/// A node with one agent, which relays as well.
struct Node {
    gossip: Arc<Gossip>,
    running: Running,
    url: String,
    serving: [JoinHandle<()>; 2],
}

async fn node(name: &str, seeds: &[SocketAddr]) -> Node {
    let config = GossipConfig {
        keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
        listen: vec![([127, 0, 0, 1], 0).into()],
        seeds: seeds.iter().map(|seed| (*seed).into()).collect(),
        protocol: Config::local(),
        ..GossipConfig::new("relays")
    };
    let gossip = Arc::new(Gossip::spawn(config).await.unwrap());
    let running = serve(Surface::default()).await;
    let endpoint = running.endpoint.clone();
    let labels = BTreeMap::from([(TRANSPORT_LABEL.to_owned(), TRANSPORT_MESH.to_owned())]);
    offer(&gossip, name, labels, Vec::new()).await;
    let streams = gossip.register(KIND, AT_ONCE).await.unwrap();
    let answering = tokio::spawn(exchange::serve(Arc::new(Own(endpoint.clone())), streams));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/mesh/mcp", listener.local_addr().unwrap());
    let router: Router = Relay::new(Arc::clone(&gossip), endpoint, reqwest::Client::new()).router();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let relaying = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    Node { gossip, running, url, serving: [answering, relaying] }
}

/// What the agent says to other nodes.
struct Own(Endpoint);

#[async_trait]
impl exchange::Answer for Own {
    async fn answer(&self, _: MemberId, request: Request<Body>) -> Response<Body> {
        self.0.serve(request).await
    }
}

async fn offer(gossip: &Gossip, name: &str, labels: BTreeMap<String, String>, endpoints: Vec<String>) {
    let agent = AgentId::native(name, &gossip.me()).unwrap();
    let offers = Offers { labels, endpoints, ..Offers::new(agent.clone(), name) };
    gossip.set(keys::offers(&agent).unwrap(), offers.encode().unwrap()).await.unwrap();
}

/// Until `gossip` knows of `count` agents.
async fn knows(gossip: &Gossip, count: usize) {
    gossip.joined(Duration::from_secs(30)).await.unwrap();
    gossip.watch().wait_for(|view| view.catalog().agents().count() >= count).await.unwrap();
}

#[tokio::test]
async fn an_agent_elsewhere_is_as_if_it_were_here() {
    let far = node("far", &[]).await;
    let near = node("near", far.gossip.local_addresses()).await;
    knows(&near.gossip, 2).await;
    for name in ["far", "near"] {
        let url = format!("{}/{name}", near.url);
        let (status, echoed) = curl(&url, call("echo", json!({"n": 1}))).await;
        assert_eq!((status, &echoed["result"]["structuredContent"]), (200, &json!({"n": 1})), "{echoed}");
        for mode in [ClientLifecycleMode::Initialize, modern()] {
            let (client, _) = client(&url, mode).await;
            let result = client.call_tool(CallToolRequestParams::new("day")).await.unwrap();
            assert_eq!(result.structured_content, Some(json!({"result": "Monday"})));
        }
    }
    let (client, mut heard) = client(&format!("{}/far/", near.url), ClientLifecycleMode::Initialize).await;
    client.call_tool(CallToolRequestParams::new("ask")).await.unwrap();
    far.running.agent.tools.send_replace(crate::mcp::tests::tools(&["echo"]));
    assert_eq!(heard.recv().await.unwrap(), "changed");
    assert_eq!(client.list_all_tools().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_goes_on_through_another_node_and_ends_with_its_replica() {
    let far = node("far", &[]).await;
    let near = node("near", far.gossip.local_addresses()).await;
    let third = node("third", far.gossip.local_addresses()).await;
    knows(&near.gossip, 3).await;
    knows(&third.gossip, 3).await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let http = reqwest::Client::new();
    let post = |node: &Node, session: Option<&str>, body: &serde_json::Value| {
        let request = http.post(format!("{}/far", node.url)).header("accept", "application/json, text/event-stream");
        let request = session.into_iter().fold(request, |request, session| request.header("mcp-session-id", session));
        request.json(body).send()
    };
    let opened = post(&near, None, &initialize).await.unwrap();
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(&near, Some(&session), &ready).await.unwrap().status(), 202);
    let elsewhere = post(&third, Some(&session), &call("day", json!({}))).await.unwrap();
    assert!(elsewhere.text().await.unwrap().contains("Monday"));
    far.gossip.leave().await.unwrap();
    near.gossip.watch().wait_for(|view| view.live().count() == 2).await.unwrap();
    assert_eq!(post(&near, Some(&session), &ready).await.unwrap().status(), 404);
    for task in far.serving {
        task.abort();
    }
}

#[tokio::test]
async fn an_agent_that_only_speaks_http_is_reached_at_its_url() {
    let elsewhere = serve(Surface::default()).await;
    let near = node("near", &[]).await;
    let endpoint = elsewhere.url.trim_end_matches("/mcp").to_owned();
    offer(&near.gossip, "foreign", BTreeMap::new(), vec![endpoint]).await;
    knows(&near.gossip, 2).await;
    let (client, _) = client(&format!("{}/foreign", near.url), ClientLifecycleMode::Initialize).await;
    let result = client.call_tool(CallToolRequestParams::new("day")).await.unwrap();
    assert_eq!(result.structured_content, Some(json!({"result": "Monday"})));
}

#[tokio::test]
async fn an_unknown_agent_is_answered_with_those_there_are() {
    let near = node("near", &[]).await;
    knows(&near.gossip, 1).await;
    let (status, answer) = curl(&format!("{}/neer", near.url), call("day", json!({}))).await;
    assert_eq!((status, &answer["agents"]), (404, &json!(["near"])), "{answer}");
}
