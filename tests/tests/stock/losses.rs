//! Stock agents and seeds that are lost.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mesh_tests::lab::{Lab, Process, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::scene::Scene;

/// How long a stock consumer may go on with a provider that was killed.
const REWIRED: Duration = Duration::from_secs(12);

/// How long an agent that was killed may be listed, though nobody calls it.
const UNLISTED: Duration = Duration::from_secs(25);

/// Another one that knows the date, and says who said it.
const SPARE: &str = "import mesh\nfrom fastmcp import FastMCP\napp = FastMCP('spare')\n\n@app.tool()\n\
    @mesh.tool(capability='date_service', tags=['system', 'time'])\nasync def get_date() -> str:\n    return 'a spare day'\n\n\
    @mesh.agent(name='spare', http_port=0)\nclass Spare:\n    pass\n";

/// Calls until a stock consumer's answer contains `wanted`, which may take so long.
async fn heard(scene: &Scene, wanted: &str, bound: Duration) {
    let took = scene.until_called(&["greet_with_date", r#"{"name":"Ada"}"#], wanted).await;
    assert!(took < bound, "{wanted:?} was heard after {took:?}, which is more than {bound:?}");
}

fn murder(scene: &Scene, name: &str) {
    kill(Pid::from_raw(i32::try_from(scene.pid(name)).unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_consumer_changes_over_when_its_provider_is_killed_and_back_when_that_is_at_another_port() {
    let scene = Scene::new();
    let (calendar, greeter) = (scene.agent("calendar"), scene.agent("greeter"));
    let spare = scene.write("spare.py", SPARE);
    let ours = scene.program("hello-world").get_program().to_str().unwrap().to_owned();
    scene.says(&["start", "-d", "--wait=60", &calendar, &greeter, &ours]);
    heard(&scene, "2026-11-21", Duration::from_secs(30)).await;
    scene.says(&["start", "-d", "--wait=60", &spare]);

    murder(&scene, "calendar");
    // An agent of ours is not told of it at all.
    let ours = scene.answer(&["greet", r#"{"name":"Ada"}"#]);
    assert_eq!(ours.as_deref(), Some("Hello, Ada! It is a spare day."));
    heard(&scene, "a spare day", REWIRED).await;
    let killed = Instant::now();
    let listed = || scene.says(&["list"]).lines().any(|line| line.starts_with("calendar-"));
    eventually("it is listed no more", || async { (!listed()).then_some(()) }).await;
    assert!(killed.elapsed() < UNLISTED);

    // Its pid file is in nobody's way; a free port is another one.
    scene.says(&["start", "-d", "--wait=60", &calendar]);
    murder(&scene, "spare");
    heard(&scene, "2026-11-21", REWIRED).await;
    scene.says(&["stop", "calendar"]);
    assert!(!listed(), "what was stopped has withdrawn itself");
    scene.says(&["stop"]);
}

/// Gives what comes in to the first of `targets` that takes it, as one name for several machines does.
fn balanced(targets: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Some(upstream) = targets.iter().find_map(|target| TcpStream::connect(target).ok()) else { continue };
            pipe(stream.try_clone().unwrap(), upstream.try_clone().unwrap());
            pipe(upstream, stream);
        }
    });
    address
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        // Either end may go away at any time.
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// A seed whose first contact is `other`; where its gossip is, and its registry.
async fn seed(lab: &Lab, other: Option<SocketAddr>) -> (Process, SocketAddr, SocketAddr) {
    let mut command = lab.program("meshctl");
    if let Some(other) = other {
        command.env("MESH_SEEDS", other.to_string());
    }
    let process = lab.start(command.args(["seed", "--listen", "127.0.0.1:0"]));
    let node = eventually("a seed", || async { lab.nodes().into_iter().next() }).await;
    let http = node.http_url.unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    (process, node.gossip, http)
}

#[tokio::test]
async fn two_seeds_behind_one_name_are_one_registry_and_one_of_them_is_enough() {
    let mut scene = Scene::new();
    let mut labs = [Lab::new(), Lab::new()];
    scene.set("MESH_KEY", mesh_tests::nodes::KEY_HEX);
    for lab in &mut labs {
        lab.set("MESH_KEY", mesh_tests::nodes::KEY_HEX);
        lab.set("DEFAULT_TIMEOUT_THRESHOLD", "10");
        lab.set("HEALTH_CHECK_INTERVAL", "1");
    }
    let (first, gossip, one) = seed(&labs[0], None).await;
    let (_second, _, two) = seed(&labs[1], Some(gossip)).await;
    let url = format!("http://{}", balanced(vec![one, two]));
    let (calendar, greeter) = (scene.agent("calendar"), scene.agent("greeter"));
    scene.says(&["start", "-d", "--wait=60", "--connect-only", "--registry-url", &url, &calendar, &greeter]);
    let (one, two) = (one.to_string(), two.to_string());
    for seed in [&one, &two] {
        scene.says(&["wait", "--node", seed, "date_service", "stock_greeting"]);
    }
    let greet = ["--node", &two, "greet_with_date", r#"{"name":"Ada"}"#];
    let is_bound = || async { scene.answer(&greet).filter(|text| text.contains("2026")) };
    eventually("the consumer is bound", is_bound).await;

    drop(first);
    let killed = Instant::now();
    let mut calls = 0;
    // Longer than the leases that the first seed held would last.
    while killed.elapsed() < Duration::from_secs(16) {
        let text = scene.answer(&greet);
        assert!(text.is_some_and(|text| text.contains("2026")), "call {calls}, {:?} later", killed.elapsed());
        calls += 1;
    }
    assert!(calls > 20, "{calls}");
    let agents = scene.says(&["list", "--node", &two, "--json"]);
    let agents: Value = serde_json::from_str(&agents).unwrap();
    let healthy = agents["agents"].as_array().unwrap().iter().filter(|agent| agent["runtime"] == "python");
    assert_eq!(healthy.count(), 2, "{agents}");
    scene.says(&["stop"]);
}
