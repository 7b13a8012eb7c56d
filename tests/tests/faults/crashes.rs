//! Processes that go without a word, stand still, or find that somebody else has what they want.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use mesh::args;
use mesh_node::runtime_file::running;
use mesh_tests::lab::{Lab, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::scene::{Scene, victim};

/// How long a call may take while one of two replicas is lost.
const NOTICED: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_costs_no_call_and_comes_back_as_itself() {
    let scene = Scene::new().await;
    let [first, _second] = scene.victims().await;
    let both = scene.until_offered_by(2).await;
    scene.keep_calling(Duration::from_millis(200)).await;
    drop(first);
    let slowest = scene.keep_calling(Duration::from_secs(1)).await;
    assert!(slowest < NOTICED, "{slowest:?}");
    scene.until_offered_by(1).await;
    // The slot of the living one is taken, that of the killed one is free.
    let _third = scene.victim();
    assert_eq!(scene.until_offered_by(2).await, both);
    scene.keep_calling(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stands_still_for_ten_seconds_costs_no_call_and_comes_back() {
    let scene = Scene::new().await;
    let [first, _second] = scene.victims().await;
    let both = scene.until_offered_by(2).await;
    scene.keep_calling(Duration::from_millis(200)).await;
    first.signal(Signal::SIGSTOP);
    let slowest = scene.keep_calling(Duration::from_secs(10)).await;
    assert!(slowest < NOTICED, "{slowest:?}");
    assert_eq!(scene.offering().len(), 1, "it was found out");
    first.signal(Signal::SIGCONT);
    assert_eq!(scene.until_offered_by(2).await, both, "it is the same one");
    scene.keep_calling(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_key_was_copied_goes_on_under_another_one() {
    let scene = Scene::new().await;
    let [first] = scene.victims().await;
    let one = scene.until_offered_by(1).await;
    let copy = scene.lab.home().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let copied = Command::new("cp").arg("-r").arg(scene.lab.home().join("state")).arg(&copy).status().unwrap();
    assert!(copied.success());
    let _second = scene.lab.start(scene.command().env("MCP_MESH_HOME", &copy));
    let both = scene.until_offered_by(2).await;
    assert!(both.is_superset(&one), "{both:?}");
    let said = || async { Some(()).filter(|()| first.log().contains("another process has a copy")) };
    eventually("the elder says why it moves", said).await;
    scene.keep_calling(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_port_is_taken_takes_another_and_says_so_to_the_mesh() {
    let scene = Scene::new().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let victim = scene.lab.start(scene.command().env("MESH_HTTP_LISTEN", format!("127.0.0.1:{port}")));
    scene.until_offered_by(1).await;
    let view = scene.consumer.node().gossip().view();
    let offers = view.catalog().agents().filter_map(|agent| agent.offers).find(|offers| !offers.tools.is_empty());
    let urls = &offers.unwrap().endpoints;
    assert!(!urls.is_empty() && urls.iter().all(|url| !url.ends_with(&format!(":{port}"))), "{urls:?}");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let request = reqwest::Client::new().post(format!("{}/mcp", urls[0])).body(list);
    let answer: Value = request.header("content-type", "application/json").send().await.unwrap().json().await.unwrap();
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    assert!(victim.log().contains("the HTTP port is taken"), "{}", victim.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_in_one_instant_without_a_seed_find_each_other() {
    let lab = Lab::new();
    let all: [_; 3] = std::array::from_fn(|_| lab.start(&mut lab.command(victim())));
    let ready = |wanted: &'static str| {
        let logs: Vec<String> = all.iter().map(mesh_tests::lab::Process::log).collect();
        async move { Some(()).filter(|()| logs.iter().all(|log| log.contains(wanted))) }
    };
    eventually("all are ready", || ready("ready agent=")).await;
    let nodes = running(lab.home());
    assert_eq!(nodes.len(), all.len());
    for node in nodes {
        let url = node.http_url.unwrap();
        let all_live = || {
            let members = lab.meshctl(&["members", "--json", "--node", &url]);
            let members: Value = serde_json::from_slice(&members.stdout).unwrap_or_default();
            async move { members["node"]["live"].as_u64().filter(|live| *live == 3) }
        };
        eventually("three members see each other", all_live).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_must_not_run_twice_fails_clearly_when_its_callee_is_killed() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let work = scene.dep::<u64>("work");
    let call = tokio::spawn(async move { work.call(args! { milliseconds: 60_000 }).await });
    scene.until_diary("it works", |entry| entry.begun == 1).await;
    drop(victim);
    let error = tokio::time::timeout(NOTICED * 5, call).await.expect("it is noticed").unwrap().unwrap_err();
    assert!(error.call_error().unwrap().may_have_run(), "{error}");
    assert!(error.to_string().contains("was lost and may have run the call"), "{error}");
}
