//! Who must stay out.

use std::process::Output;
use std::time::Duration;

use mesh_tests::lab::{Lab, Process, eventually};
use mesh_tests::room::Room;
use serde_json::Value;

use crate::scene::{Scene, victim};

/// A call that succeeds for whoever is let in.
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2}}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_administration_answers_nobody_without_the_key_on_loopback_either() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let url = scene.file(&victim).await.http_url.unwrap();
    let client = reqwest::Client::new();
    for question in ["node", "members", "agents", "agent?name=victim", "tool?name=echo", "trace?id=1", "nonsense"] {
        let answer = client.get(format!("{url}/mesh/admin/v1/{question}")).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{question}");
        assert!(!answer.text().await.unwrap().contains("victim-"), "{question}");
    }
    let call = client.post(format!("{url}/mesh/admin/v1/call")).body(r#"{"tool":"hang"}"#).send().await.unwrap();
    assert_eq!(call.status(), 401);

    // Another home has another key. It is told what to do, and nothing else.
    let stranger = Lab::new();
    stranger.succeed(&["init"]);
    for asks in [&["members"][..], &["list"], &["call", "echo", r#"{"text":"?"}"#], &["force-leave", "victim"]] {
        let node = ["--node", url.as_str()];
        let refused = stranger.meshctl(&[asks, &node[..]].concat());
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && complaint.contains("key"), "{asks:?}: {refused:?}");
        assert!(!String::from_utf8_lossy(&refused.stdout).contains("victim-"), "{refused:?}");
    }
    assert!(scene.lab.succeed(&["members", "--node", &url]).contains("victim-"));
    scene.keep_calling(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_another_key_stays_out() {
    let scene = Scene::new().await;
    let stranger = Lab::new();
    let seed = scene.consumer.node().gossip().local_addresses()[0].to_string();
    let outsider = stranger.start(stranger.command(victim()).env("MESH_SEEDS", seed));
    let _victims = scene.victims::<1>().await;
    let refused = || async { Some(()).filter(|()| outsider.log().contains("still looking for the mesh")) };
    eventually("it is told that it does not belong", refused).await;
    assert!(outsider.log().contains("key"), "{}", outsider.log());
    assert_eq!(scene.consumer.node().gossip().view().live().count(), 2);
    scene.keep_calling(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_and_a_name_that_is_not_ours_are_refused() {
    let scene = Scene::new().await;
    let victim = scene.lab.start(scene.command().env("MESH_GATEWAY", "true"));
    scene.until_offered_by(1).await;
    let url = scene.file(&victim).await.http_url.unwrap();
    let client = reqwest::Client::new();
    for path in ["/mcp", "/mcp/", "/mesh/mcp", "/mesh/mcp/victim"] {
        let status = async |header: &str, value: &str| {
            let request = client.post(format!("{url}{path}")).header("content-type", "application/json");
            let request = request.header("accept", "application/json, text/event-stream").header(header, value);
            request.body(CALL).send().await.unwrap().status().as_u16()
        };
        assert_eq!(status("origin", "https://evil.example").await, 403, "{path}");
        assert_eq!(status("origin", "null").await, 403, "{path}");
        // A page whose name was made to mean this machine sends no foreign origin, but a foreign host.
        assert_eq!(status("host", "evil.example").await, 403, "{path}");
        let own = url.strip_prefix("http://").unwrap();
        assert_eq!(status("origin", &format!("http://{own}")).await, 200, "{path}");
        let asks = client.request(reqwest::Method::OPTIONS, format!("{url}{path}"));
        let asks = asks.header("origin", "https://evil.example").header("access-control-request-method", "POST");
        let answer = asks.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
    }
}

/// Two machines of one network: an agent on one of them, callers on both.
struct Machines {
    scene: Scene,
    here: Room,
    there: Room,
}

impl Machines {
    const HERE: &'static str = "10.77.0.1";

    async fn new() -> Self {
        let (scene, here) = (Scene::new().await, Room::with_network());
        let there = here.neighbour();
        here.connect(&there, Self::HERE, "10.77.0.2");
        Self { scene, here, there }
    }

    /// An agent that listens on all addresses.
    async fn agent(&self, access: Option<(&str, &str)>) -> (Process, u16) {
        let mut command = self.scene.command();
        command.env("MESH_HTTP_LISTEN", "0.0.0.0:0").env("MESH_SEEDS", "none").envs(access);
        let agent = self.scene.lab.start(&mut self.here.inside(&command));
        let url = self.scene.file(&agent).await.http_url.unwrap();
        (agent, url.rsplit_once(':').unwrap().1.parse().unwrap())
    }
}

/// What an HTTP client in `room` is answered: the status, and the body.
fn curl(room: &Room, url: &str, headers: &[&str]) -> (u16, String) {
    let mut curl = room.enter("curl");
    curl.args(["-s", "-m", "10", "-w", "\n%{http_code}", "-d", CALL, "-H", "content-type: application/json"]);
    curl.args(["-H", "accept: application/json, text/event-stream"]);
    for header in headers {
        curl.args(["-H", header]);
    }
    let Output { stdout, .. } = curl.arg(url).output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_beyond_this_machine_nobody_calls_without_the_token() {
    let machines = Machines::new().await;
    let three = |body: &str| serde_json::from_str::<Value>(body).unwrap()["result"]["structuredContent"]["result"] == 3;

    let (_closed, port) = machines.agent(None).await;
    let (status, body) = curl(&machines.here, &format!("http://127.0.0.1:{port}/mcp"), &[]);
    assert!(status == 200 && three(&body), "{status} {body}");
    let beyond = format!("http://{}:{port}/mcp", Machines::HERE);
    let (status, body) = curl(&machines.there, &beyond, &["authorization: Bearer guess"]);
    assert!(status == 403 && body.contains("MCP_MESH_AUTH_TOKEN"), "{status} {body}");

    let (_guarded, port) = machines.agent(Some(("MCP_MESH_AUTH_TOKEN", "sesame"))).await;
    let beyond = format!("http://{}:{port}/mcp", Machines::HERE);
    for headers in [&[][..], &["authorization: Bearer guess"], &["authorization: Basic sesame"]] {
        let (status, body) = curl(&machines.there, &beyond, headers);
        assert!(status == 401 && body.contains("Authorization: Bearer"), "{headers:?}: {status} {body}");
    }
    let (status, body) = curl(&machines.there, &beyond, &["authorization: Bearer sesame"]);
    assert!(status == 200 && three(&body), "{status} {body}");
    // A proxy on the agent's machine does not make everybody local.
    let near = format!("http://127.0.0.1:{port}/mcp");
    assert_eq!(curl(&machines.here, &near, &["x-forwarded-for: 203.0.113.9"]).0, 401);
    assert_eq!(curl(&machines.there, &beyond.replace("/mcp", "/livez"), &[]).0, 405, "probes are open, to be read");
}
