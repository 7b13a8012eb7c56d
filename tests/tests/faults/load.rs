//! More than there is room for.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mesh::args;
use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::Event;
use mesh_node::call::{CallError, Request, Target};
use mesh_node::context::MAX_PAYLOAD_BYTES;
use mesh_node::tool::{FaultKind, Payload};
use serde_json::Value;

use crate::scene::{Scene, memory};

#[tokio::test(flavor = "multi_thread")]
async fn bulk_transfers_both_ways_make_nobody_suspect_anybody() {
    let scene = Scene::alone().await;
    let victims = scene.victims::<2>().await;
    let caller = scene.consumer.node().caller();
    let frame = r#"{"text":""}"#.len();
    let arguments = bytes::Bytes::from(format!(r#"{{"text":"{}"}}"#, "~".repeat(MAX_PAYLOAD_BYTES - frame)));
    let gossip = scene.consumer.node().gossip();
    let mut events = gossip.events();
    let begun = Instant::now();
    let transfers = async || {
        let mut bytes = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            let to = Target::Agent("victim".into());
            let call = Request { tool: Some("echo".into()), ..Request::new(to, arguments.clone()) };
            let Payload::Value(result) = caller.call(call).await.unwrap().payload else { panic!("a value") };
            assert_eq!(result.len(), MAX_PAYLOAD_BYTES - frame + 2);
            bytes += arguments.len() + result.len();
        }
        bytes
    };
    // Two at a time, so that much is under way both ways at once.
    let bytes = tokio::join!(transfers(), transfers());
    println!("{} MiB in {:?}", (bytes.0 + bytes.1) >> 20, begun.elapsed());
    let counts = gossip.metrics().await.unwrap().counts;
    assert_eq!((counts.suspicions, counts.deaths), (0, 0), "{counts:?}");
    while let Ok(Ok(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        let accused = matches!(event, Event::Member { standing, .. } if standing != Standing::Alive);
        assert!(!accused, "{event:?}");
    }
    for victim in &victims {
        let url = scene.file(victim).await.http_url.unwrap();
        let seen: Value =
            serde_json::from_str(&scene.lab.succeed(&["members", "--all", "--json", "--node", &url])).unwrap();
        assert!(seen["members"].as_array().unwrap().iter().all(|member| member["state"] == "alive"), "{seen}");
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        for counter in ["mesh_suspicions_total 0", "mesh_deaths_total 0"] {
            assert!(metrics.lines().any(|line| line == counter), "no {counter} in:\n{metrics}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_at_once_are_served_or_refused_clearly_and_leave_no_memory_behind() {
    const CALLS: usize = 10_000;
    let scene = Scene::alone().await;
    let victim = scene.lab.start(scene.command().env("MESH_MAX_RUNNING", "64"));
    scene.until_offered_by(1).await;
    let mut after_each = Vec::new();
    for round in 0..4 {
        let write = scene.dep::<String>("write");
        let calls: FuturesUnordered<_> = (0..CALLS).map(|_| write.call(args! { text: "hello" })).collect();
        let begun = Instant::now();
        let outcomes: Vec<_> = calls.collect().await;
        let served = outcomes.iter().flatten().filter(|result| *result == "hello").count();
        let mut refused = 0;
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            let is_clear = match error.call_error() {
                Some(CallError::Overloaded(_)) => true,
                Some(CallError::Fault { fault, .. }) => fault.kind == FaultKind::Overloaded,
                _ => false,
            };
            assert!(is_clear, "{error}");
            assert!(error.to_string().contains("overload") || error.to_string().contains("under way"), "{error}");
            refused += 1;
        }
        println!("round {round}: {served} served, {refused} refused in {:?}", begun.elapsed());
        assert!(served >= 64 && served + refused == CALLS, "{served} served, {refused} refused");
        scene.keep_calling(Duration::from_millis(50)).await;
        after_each.push((memory(&victim), served));
    }
    let grown = after_each[3].0.saturating_sub(after_each[1].0);
    assert!(grown < 8 << 20, "{grown} bytes more after two more rounds: {after_each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_mcp_clients_at_once_are_served_or_refused_clearly() {
    const CLIENTS: usize = 1_000;
    let scene = Scene::alone().await;
    let victim = scene.lab.start(scene.command().env("MESH_MAX_RUNNING", "16"));
    scene.until_offered_by(1).await;
    let url = format!("{}/mcp", scene.file(&victim).await.http_url.unwrap());
    let params = r#"{"name":"work","arguments":{"milliseconds":20}}"#;
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let client = reqwest::Client::new();
    let ask = async || {
        let request = client.post(&url).header("content-type", "application/json").body(call.clone());
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let answers: Vec<_> = (0..CLIENTS).map(|_| ask()).collect::<FuturesUnordered<_>>().collect().await;
    let is_served = |answer: &&Value| answer["result"]["structuredContent"]["result"] == 20;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(is_served);
    println!("{} served, {} refused", served.len(), refused.len());
    assert!(served.len() >= 16, "{} served", served.len());
    let is_clear = |answer: &&&Value| answer["result"]["isError"] == true && answer.to_string().contains("under way");
    assert_eq!(refused.iter().filter(is_clear).count(), refused.len(), "{:?}", refused.first());
    scene.keep_calling(Duration::from_millis(50)).await;
}
