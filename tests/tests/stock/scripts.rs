//! What scripts around the existing tools rely on.

use std::fs;
use std::process::Command;
use std::time::Instant;

use mesh_tests::lab::eventually;
use serde_json::{Value, json};

use crate::scene::Scene;

/// An agent whose health is what stands in the file beside it.
const PATIENT: &str = "import mesh, pathlib\nfrom fastmcp import FastMCP\napp = FastMCP('patient')\n\n\
    async def how_are_you():\n    said = pathlib.Path(__file__).with_name('health').read_text()\n    \
    if said == 'throw':\n        raise RuntimeError('no idea')\n    return said == 'well'\n\n\
    @app.tool()\n@mesh.tool(capability='word')\ndef word() -> str:\n    return 'here'\n\n\
    @mesh.agent(name='patient', http_port=0, health_check=how_are_you, health_check_ttl=1)\nclass Patient:\n    pass\n";

/// One that the registry refuses: it requires what it offers itself.
const REFUSED: &str = "import mesh\nfrom fastmcp import FastMCP\napp = FastMCP('circle')\n\n@app.tool()\n\
    @mesh.tool(capability='egg', dependencies=[{'capability': 'egg', 'required': True}])\n\
    async def egg(other: mesh.McpMeshTool = None) -> str:\n    return 'egg'\n\n\
    @mesh.agent(name='circle', http_port=0)\nclass Circle:\n    pass\n";

/// An agent of this name with one tool, which says `word`.
fn agent(name: &str, word: &str) -> String {
    format!(
        "import mesh\nfrom fastmcp import FastMCP\napp = FastMCP('x')\n\n@app.tool()\n@mesh.tool(capability='word')\n\
         def word() -> str:\n    return '{word}'\n\n@mesh.agent(name='{name}', http_port=0)\nclass A:\n    pass\n"
    )
}

/// What another program says on standard output.
fn said_by(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}

/// The registry's own word on an agent: its line, and its status.
fn told_of(scene: &Scene, name: &str) -> Option<Value> {
    let listed = said_by("curl", &["-s", &format!("{}/agents", scene.seed_url())]);
    assert!(!listed.trim_end().contains('\n'), "it is one line: {listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed["agents"].as_array()?.iter().find(|agent| agent["name"] == name).cloned()
}

fn post(scene: &Scene, registration: &Value) -> Value {
    let (url, body) = (format!("{}/heartbeat", scene.seed_url()), registration.to_string());
    serde_json::from_str(&said_by("curl", &["-s", &url, "-d", &body])).unwrap()
}

fn head(scene: &Scene, id: &str) -> String {
    let url = format!("{}/heartbeat/{id}", scene.seed_url());
    said_by("curl", &["-s", "-I", "-o", "/dev/null", "-w", "%{http_code}", &url])
}

/// Waits until the registry says that an agent has this status.
async fn until(scene: &Scene, name: &str, status: &str) {
    let is_so = || async { told_of(scene, name).filter(|agent| agent["status"] == status) };
    eventually(&format!("{name} to be {status}"), is_so).await;
}

#[tokio::test]
async fn the_environment_of_a_start_reaches_the_registry_which_says_what_it_was_told() {
    let mut scene = Scene::bare();
    for (name, value) in [
        ("DEFAULT_TIMEOUT_THRESHOLD", "2"),
        ("MCP_MESH_HEALTH_CHECK_INTERVAL", "1"),
        ("MCP_MESH_SWEEP_INTERVAL", "90s"),
        ("MCP_MESH_PUBLIC_URL_PREFIX", "https://mesh.example/"),
    ] {
        scene.set(name, value);
    }
    scene.says(&["start", "--registry-only", "-d"]);
    let log = scene.says(&["logs", "registry"]);
    assert!(log.contains("health monitor (timeout: 2s, interval: 1s)"), "{log}");
    assert!(log.contains("[sweep] using MCP_MESH_SWEEP_INTERVAL=1m30s"), "{log}");

    let surfaces = json!([{"path": "agents/clock", "skill_id": "now"}]);
    let mut clock = json!({"agent_id": "clock-1a2b3c4d", "name": "clock", "agent_type": "a2a", "http_host": "127.0.0.1",
        "http_port": 1, "surfaces": surfaces, "tools": [{"function_name": "now", "capability": "time"}]});
    let answer = post(&scene, &clock);
    assert_eq!(answer["surfaces"][0]["public_url"], "https://mesh.example/agents/clock");
    let line = said_by("curl", &["-s", &format!("{}/agents", scene.seed_url())]);
    let places = [r#""name":"clock""#, r#""status":"healthy""#].map(|part| line.find(part).unwrap());
    assert!(places[0] < places[1], "{line}");
    assert_eq!(head(&scene, "clock-1a2b3c4d"), "200");

    // Silence ends it; it stays where it can be looked up, and comes back by registering, also at another port.
    until(&scene, "clock", "unhealthy").await;
    assert_eq!(head(&scene, "clock-1a2b3c4d"), "410");
    assert!(!scene.says(&["list"]).contains("clock"));
    assert!(scene.says(&["list", "--all"]).lines().any(|line| line.starts_with("clock-1a2b3c4d")));
    clock["http_port"] = 2.into();
    assert_eq!(post(&scene, &clock)["status"], "success");
    assert_eq!(told_of(&scene, "clock").unwrap()["endpoint"], "http://127.0.0.1:2");
    said_by("curl", &["-s", "-X", "DELETE", &format!("{}/agents/clock-1a2b3c4d", scene.seed_url())]);
    assert_eq!(told_of(&scene, "clock").unwrap()["status"], "unhealthy");
    assert_eq!(head(&scene, "clock-1a2b3c4d"), "410");

    let refused = post(&scene, &json!({"agent_id": "Not_Good", "name": "not-good"}));
    assert_eq!((&refused["status"], told_of(&scene, "not-good")), (&json!("error"), None));
    scene.says(&["stop"]);
    assert_eq!(scene.says(&["list"]), "Registry: not running\n");
    assert_eq!(serde_json::from_str::<Value>(&scene.says(&["list", "--json"])).unwrap()["agents"], Value::Null);
    scene.says(&["stop"]);
}

#[tokio::test]
async fn who_requires_what_is_gone_is_told_at_the_next_heartbeat_and_so_are_those_behind_it() {
    let scene = Scene::bare();
    scene.says(&["start", "--registry-only", "-d"]);
    let agent = |name: &str, offers: &str, needs: Option<&str>| {
        let needs: Vec<Value> =
            needs.iter().map(|capability| json!({"capability": capability, "required": true})).collect();
        let tool = json!({"function_name": "run", "capability": offers, "dependencies": needs});
        json!({"agent_id": format!("{name}-00000001"), "name": name, "agent_type": "api", "http_host": "127.0.0.1",
            "http_port": 1, "tools": [tool]})
    };
    let chain =
        [agent("base", "ground", None), agent("middle", "floor", Some("ground")), agent("top", "roof", Some("floor"))];
    for _ in 0..2 {
        chain.iter().for_each(|agent| assert_eq!(post(&scene, agent)["status"], "success"));
    }
    // The view follows the answer by a moment.
    for id in ["middle-00000001", "top-00000001"] {
        eventually(id, || async { (head(&scene, id) == "200").then_some(()) }).await;
    }
    said_by("curl", &["-s", "-X", "DELETE", &format!("{}/agents/base-00000001", scene.seed_url())]);
    for id in ["middle-00000001", "top-00000001"] {
        eventually(id, || async { (head(&scene, id) == "202").then_some(()) }).await;
    }
    let top = told_of(&scene, "top").unwrap();
    assert_eq!(top["capabilities"][0]["available"], false);
    assert!(top["capabilities"][0]["unavailable_reason"].as_str().unwrap().contains("floor"), "{top}");
    let answer = post(&scene, &chain[2]);
    assert_eq!(answer["dependencies_resolved"]["run"][0]["status"], "unresolved");
}

#[tokio::test]
async fn a_check_that_throws_degrades_and_one_that_fails_withdraws_by_silence() {
    let mut scene = Scene::new();
    scene.set("DEFAULT_TIMEOUT_THRESHOLD", "4");
    scene.set("MCP_MESH_HEALTH_INTERVAL", "1");
    let (patient, health) = (scene.write("patient/main.py", PATIENT), scene.path("patient/health"));
    fs::write(&health, "throw").unwrap();
    scene.says(&["start", "-d", &patient]);
    until(&scene, "patient", "healthy").await;
    let endpoint = told_of(&scene, "patient").unwrap()["endpoint"].as_str().unwrap().to_owned();
    let code =
        |path: &str| said_by("curl", &["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("{endpoint}{path}")]);
    eventually("503 of a check that throws", || async { (code("/health") == "503").then_some(()) }).await;
    assert_eq!(scene.answer(&["word"]).as_deref(), Some("here"), "it stays bound");

    fs::write(&health, "ill").unwrap();
    until(&scene, "patient", "unhealthy").await;
    assert_eq!(code("/livez"), "200");
    assert!(scene.refuses(&["call", "word"]).contains("word"));

    fs::write(&health, "well").unwrap();
    until(&scene, "patient", "healthy").await;
    eventually("it is called again", || async { scene.answer(&["word"]) }).await;
    // One that is ill from the beginning is started all the same.
    scene.says(&["stop", "patient"]);
    fs::write(&health, "ill").unwrap();
    assert!(scene.says(&["start", "-d", &patient]).contains("patient"));
    scene.says(&["stop"]);
}

#[test]
fn an_agent_that_is_refused_is_started_and_replicas_may_share_a_name_of_their_own() {
    let scene = Scene::new();
    let refused = scene.write("circle/main.py", REFUSED);
    assert!(scene.says(&["start", "-d", &refused]).contains("Started 'circle' in detach"));
    assert!(told_of(&scene, "circle").is_none(), "a refused registration never appears");
    assert!(scene.says(&["stop", "circle"]).contains("Agent 'circle' stopped"));

    for name in ["one", "one-more"] {
        let script = scene.write(&format!("{name}/main.py"), &agent(name, "a word"));
        let said = scene.says(&["start", "-d", "--wait=60", "--env", "MCP_MESH_AGENT_NAME=shared", &script]);
        assert!(said.contains(&format!("Started '{name}' in detach")), "{said}");
        let agent = told_of(&scene, name).unwrap();
        assert!(agent["id"].as_str().unwrap().starts_with("shared-"), "{agent}");
    }
    let begun = Instant::now();
    // Names are exact.
    scene.says(&["stop", "one"]);
    assert!(told_of(&scene, "one-more").is_some_and(|agent| agent["status"] == "healthy"));
    assert!(scene.refuses(&["stop", "one"]).contains("agent 'one' is not running"));
    let said = scene.says(&["stop"]);
    assert!(!said.contains("failed") && begun.elapsed().as_secs() < 15, "{said}");
}

#[tokio::test]
async fn an_agent_that_is_watched_says_goodbye_before_its_new_code_answers() {
    let scene = Scene::new();
    let script = scene.write("speaker.py", &agent("speaker", "one"));
    scene.says(&["start", "-d", "-w", "--wait=60", &script]);
    scene.until_called(&["word"], "one").await;
    let old = told_of(&scene, "speaker").unwrap()["id"].clone();
    scene.write("speaker.py", &agent("speaker", "two"));
    scene.until_called(&["word"], "two").await;
    let listed = said_by("curl", &["-s", &format!("{}/agents", scene.seed_url())]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let gone = listed["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == old).unwrap();
    assert_eq!(gone["status"], "unhealthy", "it was withdrawn, and not left to be missed: {gone}");
    scene.says(&["stop"]);
}
