//! Keys, orders, settings, and servers and machines that join.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use mesh_tests::lab::{Lab, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test]
async fn the_keys_of_a_mesh_are_turned_while_it_runs() {
    let scene = Scene::new();
    let keys = || {
        let held = scene.json(&["key", "list", "--json"]);
        let held = held.as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap().to_owned());
        held.collect::<Vec<_>>()
    };
    let [old] = &keys()[..] else { panic!("one key") };
    assert!(scene.says(&["key", "list"]).contains("  seals"));
    let said = scene.says(&["key", "install"]);
    let new = keys().into_iter().find(|key| key != old).unwrap();
    assert!(said.contains(&format!("meshctl key use {new}")), "{said}");
    scene.says(&["key", "use", &new]);
    assert_eq!(keys(), [new.clone(), old.clone()]);
    scene.says(&["key", "remove", old]);
    assert_eq!(keys(), std::slice::from_ref(&new));
    // Every node holds it, not just the one that was asked.
    for node in scene.lab.nodes() {
        let url = node.http_url.unwrap();
        let held = || async {
            (scene.json(&["key", "list", "--json", "--node", &url])[0]["key"] == new.as_str()).then_some(())
        };
        eventually("the key is everywhere", held).await;
    }
    assert!(scene.says(&["call", "read_out"]).contains("read me"));
    assert!(scene.refuses(&["key", "remove", &new]).to_lowercase().contains("key"));
    scene.does_not_take(&["key", "use", "not-a-key"]);
    assert!(scene.refuses(&["key", "install", "--operator", "/nowhere"]).contains("only the operator"));
}

#[tokio::test]
async fn the_operator_has_the_mesh_forget_who_is_gone() {
    let scene = Scene::new();
    let agent = scene.node("date-service");
    let members = || scene.json(&["members", "--all", "--json"])["members"].as_array().unwrap().clone();
    let of_agent = |member: &Value| member["agents"].as_array().unwrap().contains(&json!(agent.agent_id));
    let member = members().into_iter().find(of_agent).unwrap()["id"].clone();
    // Whoever goes before the node that is asked has heard from it is not kept in mind: anybody could have invented it.
    let is_known = |it: &Value| it["id"] == member && it["rtt_ms"].is_number();
    eventually("it was heard from", || async { members().iter().any(is_known).then_some(()) }).await;
    kill(Pid::from_raw(i32::try_from(agent.pid).unwrap()), Signal::SIGKILL).unwrap();
    let state = || members().into_iter().find(|it| it["id"] == member).map(|it| it["state"].clone());
    eventually("it is seen to be gone", || async { (state()? == "dead").then_some(()) }).await;
    let listed = scene.says(&["list"]);
    assert!(listed.contains("3 agents (3 healthy) - 1 down hidden (use --all)"), "{listed}");
    assert!(scene.says(&["list", "--all"]).contains(&agent.agent_id));
    assert!(scene.refuses(&["force-leave", "nobody"]).contains("no member matches 'nobody'"));
    assert!(scene.says(&["force-leave", &agent.agent_id]).contains("The mesh forgets"));
    eventually("it is forgotten", || async { state().is_none_or(|state| state != "dead").then_some(()) }).await;
    let other = Lab::new();
    let refused = other.meshctl(&["force-leave", "x"]);
    assert!(crate::scene::complaint(&refused, 1).contains("only the operator of the mesh can do that"));
}

#[test]
fn the_next_node_is_asked_when_the_first_one_hangs_and_nobody_needs_the_seed() {
    let scene = Scene::new();
    let seed = Pid::from_raw(i32::try_from(scene.node("seed").pid).unwrap());
    kill(seed, Signal::SIGSTOP).unwrap();
    assert!(scene.says(&["list"]).contains("4 agents (4 healthy)"));
    kill(seed, Signal::SIGKILL).unwrap();
    assert!(scene.says(&["list"]).contains("4 agents (4 healthy)"));
    assert!(scene.says(&["call", "read_out", "--fail"]).contains("read me"));
}

#[tokio::test]
async fn a_server_behind_an_url_joins_and_is_called_as_an_agent() {
    let scene = Scene::new();
    let url = format!("{}/mcp", scene.node("clerk").http_url.unwrap());
    let said = scene.says(&["join", "-d", "--url", &url, "--name", "borrowed", "--tags", "lent"]);
    assert!(said.contains("Started 'borrowed' in detach"), "{said}");
    scene.says(&["wait", "borrowed"]);
    let call = ["call", "borrowed:write_down", r#"{"text": "from afar"}"#];
    eventually("its tools are offered", || async { scene.lab.meshctl(&call).status.success().then_some(()) }).await;
    assert_eq!(scene.json(&call)["structuredContent"]["text"], "from afar");
    assert!(scene.says(&["tools", "resolve", "write_down lent"]).contains("borrowed-"));
    scene.says(&["stop", "borrowed"]);
    assert!(scene.refuses(&["join", "--url", &url, "--name", "x", "program"]).contains("meshctl start"));
    scene.does_not_take(&["join", "--name", "x"]);
}

#[tokio::test]
async fn the_mesh_is_one_mcp_server_over_standard_streams() {
    let scene = Scene::new();
    for (flags, tool) in [(&["mcp"][..], "clerk.write_down"), (&["mcp", "--agent", "clerk"], "write_down")] {
        let mut child =
            scene.command(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut ask = |id: u32, method: &str, params: Value| {
            writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
            // Everything on standard output is MCP.
            let mut messages = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line).unwrap());
            messages.find(|message| message["id"] == id).unwrap()["result"].clone()
        };
        let client = json!({"name": "test", "version": "1"});
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        assert!(ask(1, "initialize", hello)["capabilities"]["tools"].is_object());
        eventually("the tool is listed", || {
            let listed = ask(2, "tools/list", json!({}));
            let found = listed["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "write_down");
            std::future::ready(found.then_some(()))
        })
        .await;
        let said = ask(3, "tools/call", json!({"name": tool, "arguments": {"text": "by MCP"}}));
        assert_eq!(said["structuredContent"]["text"], "by MCP");
        // meshctl is a member meanwhile, and no agent.
        assert!(scene.json(&["members", "--json"]).to_string().contains("\"meshctl-mcp-"));
        assert!(!scene.says(&["list", "--all"]).contains("meshctl"));
        drop(input);
        assert!(child.wait().unwrap().success(), "it ends with its input");
    }
}

#[test]
fn settings_are_set_shown_and_taken_back() {
    let lab = Lab::new();
    let shown = || serde_json::from_str::<Value>(&lab.succeed(&["config", "show", "--format", "json"])).unwrap();
    assert_eq!(shown()["log_level"], "info");
    lab.succeed(&["config", "set", "log_level", "debug"]);
    assert_eq!(shown()["log_level"].as_str().unwrap().to_lowercase(), "debug");
    assert!(lab.succeed(&["config", "show"]).to_lowercase().contains(r#"log_level: "debug""#));
    lab.succeed(&["config", "set", "log_level"]);
    assert_eq!(shown()["log_level"], "info");
    let path = lab.succeed(&["config", "path"]);
    assert_eq!(path.trim(), lab.home().join("config.toml").to_str().unwrap());
    let mut unasked = lab.program("meshctl");
    unasked.args(["config", "path"]).env_remove("MCP_MESH_HOME").env("HOME", "/somewhere");
    assert_eq!(unasked.output().unwrap().stdout, b"/somewhere/.mcp-mesh/config.toml\n");
    assert!(lab.succeed(&["config", "keys"]).contains("log_level: "));
    for wrong in [&["config", "set", "colour", "red"][..], &["config", "set", "log_level", "loud"]] {
        crate::scene::complaint(&lab.meshctl(wrong), 1);
    }
}

#[test]
fn invitations_and_keys_are_made_once_and_never_overwritten_by_accident() {
    let lab = Lab::new();
    lab.succeed(&["init"]);
    let key = std::fs::read(lab.home().join("state/mesh.key")).unwrap();
    let line = lab.succeed(&["invite", "--host", "192.0.2.7"]);
    assert!(line.starts_with("meshctl init --join mesh1.") && line.lines().count() == 1, "{line}");
    // Nobody else's machine can reach loopback; that is for people, and no error.
    lab.succeed(&["invite"]);
    let other = Lab::new();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    other.succeed(&words);
    assert_eq!(std::fs::read(other.home().join("state/mesh.key")).unwrap(), key);
    assert!(other.succeed(&["config", "show"]).contains("192.0.2.7:7745"));
    let mut wrong = words.clone();
    wrong[2] = "mesh1.bm9uZQ";
    crate::scene::complaint(&Lab::new().meshctl(&wrong), 2);
}

#[test]
fn shells_complete_and_pages_are_read_offline() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(lab.succeed(&["completion", shell]).contains("force-leave"), "{shell}");
    }
    lab.meshctl(&["completion", "csh"]).status.code().filter(|code| *code == 2).unwrap();
    let topics = lab.succeed(&["man", "--list"]);
    for topic in topics.lines().map(|line| line.split_whitespace().next().unwrap()) {
        assert!(lab.succeed(&["man", topic, "--raw"]).starts_with("# "), "{topic}");
    }
    assert_eq!(lab.succeed(&["man"]), lab.succeed(&["man", "overview"]));
    assert!(lab.succeed(&["man", "--search", "SWIM"]).contains("gossip: "));
    assert!(lab.succeed(&["man", "resolutoin"]).contains("Did you mean: resolution"));
    assert!(lab.succeed(&["man", "--roff", "call"]).contains(".TH meshctl-call 1"));
    for flag in ["--typescript", "--java", "--day=1"] {
        assert!(crate::scene::complaint(&lab.meshctl(&["man", flag]), 1).contains("no meaning here"));
    }
    for help in [&["--help"][..], &["help"], &["call", "--help"], &["--version"]] {
        assert!(lab.succeed(help).contains("meshctl"), "{help:?}");
    }
}

#[test]
fn colour_and_remarks_are_for_terminals() {
    let scene = Scene::shared();
    let seen = |words: &str, no_colour: &str| {
        let meshctl = scene.lab.program("meshctl");
        let line = format!("stty cols 200; '{}' {words}", meshctl.get_program().to_str().unwrap());
        let mut terminal = scene.lab.command("script");
        terminal.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", no_colour).env("TERM", "xterm");
        String::from_utf8(terminal.output().unwrap().stdout).unwrap()
    };
    assert!(seen("list", "").contains("\u{1b}[32mhealthy"));
    let plain = seen("list", "1");
    assert!(plain.contains("healthy") && !plain.contains('\u{1b}'), "{plain:?}");
    assert!(seen("invite", "").contains("note: the seed listens on loopback"));
}
