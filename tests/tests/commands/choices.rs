//! Which node is asked, with which key, and what is said when none answers.

use serde_json::Value;

use crate::scene::Scene;

#[test]
fn any_node_can_be_asked_and_gives_the_same_answer() {
    let scene = Scene::shared();
    for name in ["seed", "clerk", "hello-world"] {
        let url = scene.node(name).http_url.unwrap();
        let place = url.strip_prefix("http://").unwrap();
        let (host, port) = place.split_once(':').unwrap();
        let asked = |flags: &[&str], variables: &[(&str, &str)]| {
            let mut command = scene.command(&[&["list", "--json"], flags].concat());
            let output = command.envs(variables.iter().copied()).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{flags:?} {variables:?}");
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(said["registry"]["url"], url.as_str(), "{flags:?} {variables:?}");
            assert_eq!(said["agents"].as_array().unwrap().len(), 4);
        };
        asked(&["--node", place], &[]);
        asked(&["--node", &url], &[]);
        asked(&["--registry-url", &url], &[]);
        asked(&["--registry-host", host, "--registry-port", port], &[]);
        asked(&[], &[("MESH_NODE", place)]);
        asked(&[], &[("MCP_MESH_REGISTRY_HOST", host), ("MCP_MESH_REGISTRY_PORT", port)]);
        // What is typed beats the environment.
        asked(&["--node", place], &[("MESH_NODE", "127.0.0.1:1")]);
    }
    let own = scene.says(&[
        "call",
        "write_down",
        r#"{"text": "x"}"#,
        "--node",
        &scene.node("clerk-junior").http_url.unwrap(),
    ]);
    assert!(own.contains("\"x\""));
}

#[test]
fn nobody_there_is_an_error_that_says_what_to_do_and_for_a_list_an_answer() {
    let scene = Scene::shared();
    let nowhere = ["--node", "127.0.0.1:1"];
    for command in [
        &["status"][..],
        &["call", "nap"],
        &["members"],
        &["trace", "--last"],
        &["audit", "clerk"],
        &["deps", "show", "clerk"],
        &["tools", "resolve", "naps"],
        &["key", "list"],
        &["force-leave", "clerk"],
    ] {
        let complaint = scene.refuses(&[command, &nowhere[..]].concat());
        assert!(complaint.contains("check --node"), "{command:?}: {complaint}");
    }
    assert_eq!(scene.says(&[&["list"], &nowhere[..]].concat()), "Registry: not running\n");
    assert!(scene.refuses(&["status", "--node", "ftp://x"]).contains("names no node"));

    let empty = mesh_tests::lab::Lab::new();
    assert_eq!(empty.succeed(&["list"]), "Registry: not running\n");
    let output = empty.meshctl(&["status"]);
    let complaint = crate::scene::complaint(&output, 1);
    assert!(complaint.contains("start one with `meshctl start`"), "{complaint}");
    assert!(empty.succeed(&["stop"]).contains("No agents running"));
}

#[test]
fn without_the_key_of_the_mesh_nothing_is_told() {
    let scene = Scene::shared();
    let url = scene.node("clerk").http_url.unwrap();
    let stranger = mesh_tests::lab::Lab::new();
    let ask = |flags: &[&str]| stranger.meshctl(&[&["status", "--node", &url], flags].concat());
    assert!(crate::scene::complaint(&ask(&[]), 1).contains("there is no mesh key to ask it with"));
    let wrong = "00".repeat(32);
    assert!(crate::scene::complaint(&ask(&["--mesh-key", &wrong]), 1).contains("a mesh with another key"));
    let key = std::fs::read_to_string(scene.lab.home().join("state/mesh.key")).unwrap();
    assert!(ask(&["--mesh-key", key.trim()]).status.success());
}

#[test]
fn waiting_ends_when_all_can_be_called_or_names_what_is_missing() {
    let scene = Scene::shared();
    let id = scene.node("clerk").agent_id;
    assert_eq!(scene.says(&["wait", "clerk", &id, "naps"]), format!("clerk, {id}, naps can be called\n"));
    assert_eq!(scene.says(&["wait", "clerk", "--quiet"]), "");
    let complaint = scene.refuses(&["wait", "clerk", "nobody", "--timeout", "0.3"]);
    assert!(complaint.contains("not there after 0.3 s: nobody"), "{complaint}");
    // Not even a node is there yet.
    let early = mesh_tests::lab::Lab::new();
    let waiting =
        early.program("meshctl").args(["wait", "get_date", "date_service"]).arg("--timeout=1").output().unwrap();
    assert!(crate::scene::complaint(&waiting, 1).contains("no node runs on this machine"));
    scene.does_not_take(&["wait"]);
}
