//! Agents of ours that meshctl starts and stops.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::stage::{Stage, eventually};

/// A built program of this name.
fn program(stage: &Stage, name: &str) -> String {
    stage.program(name).get_program().to_str().unwrap().to_owned()
}

#[test]
fn what_was_waited_for_can_be_called_and_what_was_stopped_has_freed_its_ports() {
    let stage = Stage::new();
    let said = stage.succeed(&["start", "-d", "--wait", "--replicas", "2", &program(&stage, "hello-date")]);
    assert!(said.contains("Started 'hello-date' in detach") && said.contains("Started 'hello-date-2'"), "{said}");
    stage.succeed(&["call", "get_date", "--fail"]);
    let nodes = stage.nodes();
    assert_eq!(nodes.iter().map(|node| node.role.as_str()).filter(|role| *role == "agent").count(), 2);
    stage.succeed(&["stop"]);
    for node in nodes {
        let http: SocketAddr = node.http_url.unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        TcpListener::bind(http).unwrap();
        UdpSocket::bind(node.gossip).unwrap();
    }
    assert!(stage.nodes().is_empty());
}

#[test]
fn an_agent_starts_with_a_name_a_level_and_first_contacts_of_its_own() {
    let first = Stage::new();
    first.succeed(&["start", "--registry-only", "-d"]);
    let mut second = Stage::new();
    second.set("MESH_KEY", fs::read_to_string(first.home().join("state/mesh.key")).unwrap().trim());
    let seed = first.nodes().remove(0).gossip.to_string();
    let date = program(&second, "hello-date");
    let flags =
        ["start", "-d", "--wait", "--connect-only", "--seeds", &seed, "--agent-name", "calendar", "--debug", &date];
    second.succeed(&flags);
    assert!(second.nodes().iter().all(|node| node.role == "agent"), "whoever was told a seed starts none");
    first.succeed(&["wait", "date-service"]);
    assert!(first.succeed(&["list"]).contains("\ncalendar-"), "its id begins with the name that was given");
    eventually("it logs at the level that was given", || second.log("hello-date").contains("DEBUG"));
    second.succeed(&["stop"]);
}

#[test]
fn several_agents_are_named_by_what_they_run_and_a_process_answers_to_its_agent_too() {
    let stage = Stage::new();
    let (world, date) = (program(&stage, "hello-world"), program(&stage, "hello-date"));
    stage.succeed(&["start", "-d", "--wait", &world, &date]);
    assert!(stage.succeed(&["logs", "date-service", "-n", "1"]).lines().count() <= 1);
    assert!(stage.succeed(&["stop", "date-service"]).contains("Agent 'hello-date' stopped"));
    assert!(stage.succeed(&["stop", "hello-world"]).contains("Seed stopped"));
}

#[test]
fn a_tool_that_lacks_what_it_depends_on_is_shown_so_and_can_still_be_asked() {
    let stage = Stage::new();
    stage.succeed(&["start", "-d", "--wait", &program(&stage, "failover-boss")]);
    let call = ["call", "squares", r#"{"count": 3}"#];
    let said = stage.succeed(&call);
    assert!(said.contains(r#""isError": true"#) && said.contains("dependency_unavailable"), "{said}");
    assert!(stage.succeed(&["list", "--tools"]).contains("unavailable"));
    assert!(stage.succeed(&["status"]).contains("requires square, which nobody offers"));
    assert_eq!(stage.meshctl(&["wait", "squares", "--timeout", "0.2"]).status.code(), Some(1));
    stage.succeed(&["start", "-d", "--wait", &program(&stage, "failover-worker")]);
    stage.succeed(&["wait", "squares"]);
    // Whoever was asked may have heard of it before the tool's own agent has.
    let call = [&call[..], &["--fail"]].concat();
    eventually("it is served", || stage.meshctl(&call).status.success());
    stage.succeed(&["stop"]);
}

#[test]
fn a_seed_takes_all_the_open_files_that_it_may_have_and_says_when_those_are_few() {
    let stage = Stage::new();
    let start = |limits: &str| {
        let line = format!("{limits}; exec \"$0\" seed");
        let seed = stage.start(stage.command("sh").args(["-c", &line]).arg(program(&stage, "meshctl")));
        eventually("it runs", || seed.log().contains("seed is running"));
        let limits = fs::read_to_string(format!("/proc/{}/limits", seed.pid())).unwrap();
        let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let open: Vec<u64> = open.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (open, seed.log())
    };
    let (open, log) = start("ulimit -Sn 256; ulimit -Hn 5000");
    assert_eq!(open, [5000, 5000]);
    assert!(!log.contains("open files"), "{log}");
    let (open, log) = start("ulimit -Sn 256; ulimit -Hn 1000");
    assert_eq!(open, [1000, 1000]);
    assert!(log.contains("limit of open files") && log.contains("4096"), "{log}");
}
