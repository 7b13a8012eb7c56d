//! Models as agents, and what their answers took.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stage::{Stage, eventually};

const QUESTION: &str =
    r#"{"request": {"messages": [{"role": "user", "content": "Hello!"}], "caller_agent": "planner"}}"#;

fn costs(stage: &Stage, arguments: &[&str]) -> Value {
    let said = stage.succeed(&[&["costs", "--json"], arguments].concat());
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_model_is_started_asked_and_paid_for_and_its_figures_outlive_it() {
    let stage = Stage::new();
    let start = || stage.succeed(&["start", "-d", "provider", "--model", "local", "--tags", "claude,fast"]);
    start();
    let said = stage.succeed(&["call", "local_provider", QUESTION]);
    assert!(said.contains("[local demonstration model] You said: Hello!"), "{said}");
    let streamed = stage.succeed(&["call", "--stream", "local_provider_stream", QUESTION]);
    assert!(streamed.contains("_mesh_frame"), "{streamed}");
    let listed = stage.succeed(&["list", "--tools"]);
    assert!(listed.contains("claude,fast") && listed.contains("ai.mcpmesh.stream"), "{listed}");

    let before = costs(&stage, &["--last", "24h", "--agent", "planner"]);
    assert_eq!((&before["total"]["calls"], &before["lines"][0]["model"]), (&2.into(), &"local/demonstration".into()));
    assert_eq!(costs(&stage, &["--agent", "nobody"])["lines"], Value::Array(Vec::new()));
    stage.succeed(&["stop", "local-provider"]);
    start();
    assert_eq!(costs(&stage, &[])["total"], before["total"]);
    assert!(stage.succeed(&["costs"]).contains("planner"));
}

#[test]
fn what_a_provider_used_that_was_killed_is_told_to_the_last_call_by_another_one() {
    let stage = Stage::new();
    stage.succeed(&["start", "-d", "--wait", "provider", "--model", "local", "--name", "left"]);
    stage.succeed(&["start", "-d", "--wait", "provider", "--model", "local"]);
    // Whoever is asked may not have heard of it yet.
    let call = ["call", "--fail", "local_provider", QUESTION];
    eventually("it answers", || stage.meshctl(&call).status.success());
    for _ in 0..2 {
        stage.succeed(&call);
    }
    let killed = stage.nodes().into_iter().find(|node| node.name == "local-provider").unwrap();
    kill(Pid::from_raw(i32::try_from(killed.pid).unwrap()), Signal::SIGKILL).unwrap();
    eventually("the other one tells of it", || costs(&stage, &[])["total"]["calls"] == 3);
}

#[test]
fn what_is_missing_for_a_model_is_said_at_once() {
    let mut stage = Stage::new();
    stage.set("ANTHROPIC_API_KEY", "");
    let complains = |arguments: &[&str]| {
        let output = stage.meshctl(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complains(&["start", "-d", "provider"]).contains("--model"));
    assert!(complains(&["start", "-d", "provider", "--model", "llama3"]).contains("ollama/"));
    assert!(complains(&["start", "-d", "--model", "local", "./elsewhere"]).contains("start provider"));
    let said = complains(&["start", "-d", "--wait", "provider", "--model", "anthropic/claude-sonnet-4-5"]);
    assert!(said.contains("ANTHROPIC_API_KEY"), "{said}");
}
