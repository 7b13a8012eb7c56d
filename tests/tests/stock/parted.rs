//! A stock agent on another machine, and the cable between it and the seed.

use std::process::Output;
use std::time::Duration;

use mesh_tests::lab::eventually;
use mesh_tests::room::Room;
use serde_json::Value;

use crate::scene::Scene;

const SEED: &str = "10.79.0.1";
const AGENT: &str = "10.79.0.2";

/// A scene in a room of its own.
struct Machine {
    scene: Scene,
    room: Room,
}

impl Machine {
    fn new(room: Room, address: &str) -> Self {
        let mut scene = Scene::new();
        scene.set("MESH_LISTEN", &format!("{address}:0"));
        scene.set("MESH_HTTP_LISTEN", &format!("{address}:0"));
        scene.set("HOST", address);
        scene.set("MCP_MESH_HTTP_HOST", address);
        scene.set("MESH_HTTP_ACCESS", "open");
        scene.set("MCP_MESH_HEALTH_INTERVAL", "1");
        scene.set("DEFAULT_TIMEOUT_THRESHOLD", "5");
        scene.set("HEALTH_CHECK_INTERVAL", "1");
        Self { scene, room }
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.room.inside(&self.scene.command(arguments)).current_dir(self.scene.path("")).output().unwrap()
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The text that `tool` gives back, once it contains `wanted`.
    async fn hears(&self, tool: &str, wanted: &str) {
        let said = || async {
            let output = self.output(&["call", tool, r#"{"name":"Ada"}"#]);
            let result: Value = serde_json::from_slice(&output.stdout).ok()?;
            result["content"][0]["text"].as_str()?.contains(wanted).then_some(())
        };
        eventually(&format!("{wanted:?} of {tool}"), said).await;
    }

    /// Waits until the agent on the other machine has this status.
    async fn until_calendar_is(&self, status: &str) {
        let listed = || async {
            let listed: Value = serde_json::from_str(&self.says(&["list", "--all", "--json"])).unwrap();
            let agents = listed["agents"].as_array()?.clone();
            agents.iter().any(|agent| agent["name"] == "calendar" && agent["status"] == status).then_some(())
        };
        eventually(&format!("calendar to be {status}"), listed).await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.room.inside(&self.scene.command(&["stop", "--force"])).output();
    }
}

#[tokio::test]
async fn an_agent_that_is_cut_off_is_offered_no_more_and_again_when_it_is_back() {
    let here = Room::with_network();
    let there = here.neighbour();
    here.connect(&there, SEED, AGENT);
    let (here, there) = (Machine::new(here, SEED), Machine::new(there, AGENT));
    let greeter = here.scene.agent("greeter");
    let ours = here.scene.program("hello-world");
    here.says(&["start", "-d", "--wait=60", &greeter, ours.get_program().to_str().unwrap()]);
    let seed = here.scene.seed_url();
    let calendar = there.scene.agent("calendar");
    there.says(&["start", "-d", "--wait=60", "--connect-only", "--registry-url", &seed, &calendar]);
    for consumer in ["greet", "greet_with_date"] {
        here.hears(consumer, "2026-11-21").await;
    }

    here.room.run("ip", &["link", "set", "cable", "down"]);
    let cut = std::time::Instant::now();
    here.until_calendar_is("unhealthy").await;
    let took = cut.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(15), "{took:?}");
    for consumer in ["greet", "greet_with_date"] {
        here.hears(consumer, "some day").await;
    }

    here.room.run("ip", &["link", "set", "cable", "up"]);
    here.until_calendar_is("healthy").await;
    for consumer in ["greet", "greet_with_date"] {
        here.hears(consumer, "2026-11-21").await;
    }
}
