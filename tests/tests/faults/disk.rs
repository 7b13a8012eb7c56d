//! A home directory on a disk that is full.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mesh::args;
use mesh_node::runtime_file::running;
use mesh_tests::lab::{binaries, eventually};
use mesh_tests::room::Room;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{Scene, ended, victim};

/// What was detached in a home, and is nobody's child, ends with this.
struct Swept(PathBuf);

impl Drop for Swept {
    fn drop(&mut self) {
        for node in running(&self.0) {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(node.pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// What a seed writes down of agents.
struct History {
    client: reqwest::Client,
    url: String,
}

impl History {
    /// Registers an agent, which is taken in whatever becomes of its history.
    async fn register(&self, id: &str) {
        let agent = serde_json::json!({"agent_id": id, "name": id}).to_string();
        let answer = self.client.post(format!("{}/heartbeat", self.url)).body(agent).send().await.unwrap();
        assert!(answer.text().await.unwrap().contains("success"), "{id}");
        let beat = self.client.head(format!("{}/heartbeat/{id}", self.url)).send().await.unwrap();
        assert!(beat.status().is_success(), "{id}");
    }

    /// Whether it is written that the agent registered.
    async fn tells(&self, id: &str) -> Option<()> {
        let answer =
            self.client.get(format!("{}/events?agent_id={id}", self.url)).send().await.ok()?.text().await.ok()?;
        Some(()).filter(|()| answer.contains("register"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_home_stops_nobody_who_runs_and_is_named_to_newcomers() {
    let scene = Scene::new().await;
    let room = Room::with_disks();
    let _swept = Swept(room.outside(&scene.lab.home().join("small")));
    // The consumer has its home elsewhere, with the same key.
    let home = scene.lab.home().join("small");
    fs::create_dir(&home).unwrap();
    room.run("mount", &["-t", "tmpfs", "-o", "size=1m", "small", home.to_str().unwrap()]);
    let small = room.outside(&home);
    fs::create_dir(small.join("state")).unwrap();
    fs::copy(scene.lab.home().join("state/mesh.key"), small.join("state/mesh.key")).unwrap();
    let meshctl = |arguments: &[&str]| {
        let mut command = scene.lab.program("meshctl");
        command.env("MCP_MESH_HOME", &home).args(arguments);
        room.inside(&command).output().unwrap()
    };
    let program = victim();
    let victim = program.to_str().unwrap();
    let start = |name: &'static str| ["start", "-d", "--connect-only", "--name", name, victim];
    let started = meshctl(&start("first"));
    assert!(started.status.success(), "{started:?}");
    scene.until_offered_by(1).await;
    // A seed that has much to say, and whose log is there too.
    let mut seed = scene.lab.command("sh");
    seed.args(["-c", r#"exec "$0" seed --listen 127.0.0.1:0 2> "$MCP_MESH_HOME/seed.log""#]);
    seed.arg(binaries().join("meshctl")).env("MCP_MESH_HOME", &home).env("MCP_MESH_LOG_LEVEL", "debug");
    let mut seed = scene.lab.start(&mut room.inside(&seed));
    let serves = || async { running(&small).into_iter().find(|node| node.role == "seed")?.http_url };
    let seed_url = eventually("the seed serves", serves).await;

    // Its history is on the same disk.
    let history = History { client: reqwest::Client::new(), url: seed_url.clone() };
    history.register("before").await;
    eventually("the history is written", || history.tells("before")).await;

    // It fails when nothing more fits, which is what it is for.
    let _ = fs::write(small.join("ballast"), vec![0; 2 << 20]);
    let full = |name: &str| fs::write(small.join(name), [0; 8192]).unwrap_err();
    assert_eq!(full("more").kind(), std::io::ErrorKind::StorageFull);
    let log = scene.dep::<bool>("log");
    for line in 0..100 {
        assert!(log.call(args! { words: format!("{line}: {}", "words ".repeat(100)) }).await.unwrap());
    }
    for number in 0..50 {
        history.register(&format!("meanwhile-{number}")).await;
    }
    scene.keep_calling(Duration::from_secs(1)).await;
    for asks in [&["list"][..], &["status"], &["members"], &["call", "echo", r#"{"text":"hello"}"#], &["logs", "first"]]
    {
        let said = meshctl(asks);
        assert!(said.status.success() && !said.stdout.is_empty(), "{asks:?}: {said:?}");
    }
    let second = meshctl(&start("second"));
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && complaint.contains("No space left on device"), "{complaint}");

    let seen = meshctl(&["members", "--node", &seed_url]);
    assert!(seen.status.success() && seed.ended().is_none(), "{seen:?}");
    let newcomer = scene.lab.start(&mut room.inside(scene.command().env("MCP_MESH_HOME", &home)));
    let (status, said) = ended(newcomer, Signal::SIGCONT).await;
    assert!(!status.success() && said.contains("error: ") && said.contains("No space left on device"), "{said}");
    assert!(said.contains(home.to_str().unwrap()), "{said}");

    // Once there is room again everything goes on, what was lost is only what could not be written.
    fs::remove_file(small.join("ballast")).unwrap();
    log.call(args! { words: "the end of the log" }).await.unwrap();
    let written = || async {
        let log = fs::read_to_string(small.join("logs/first.log")).unwrap();
        Some(()).filter(|()| log.contains("the end of the log"))
    };
    eventually("the log goes on", written).await;
    let tries = std::cell::Cell::new(0);
    let goes_on = || async {
        let last = tries.replace(tries.get() + 1);
        history.register(&format!("after-{}", tries.get())).await;
        history.tells(&format!("after-{last}")).await
    };
    eventually("the history goes on", goes_on).await;
    history.tells("before").await.expect("what was written is still there");
    let _ = fs::write(small.join("ballast"), vec![0; 2 << 20]);
    full("more");
    let stopped = meshctl(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    scene.until_offered_by(0).await;
    let (status, said) = ended(seed, Signal::SIGTERM).await;
    assert!(status.success(), "{said}");
}
