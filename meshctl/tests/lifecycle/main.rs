//! Processes that meshctl starts and stops, as a user sees them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod stage;

use std::fs;
use std::time::{Duration, Instant};

use stage::{Stage, alive, eventually, source};

/// Says hello, and bye when it is told to go.
const POLITE: &str =
    "exec 2>/dev/null\ntrap 'echo bye; exit 0' TERM\necho \"hello $GREETING\"\nwhile :; do sleep 0.05; done";

/// Does not hear SIGTERM.
const DEAF: &str = "trap '' TERM\necho deaf\nwhile :; do sleep 0.05; done";

#[test]
fn a_detached_start_lets_go_of_all_streams_and_stop_returns_when_everything_is_gone() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    // Reading to the end of both pipes is what would hang.
    let said = stage.succeeds(&["start", "-d", &polite]);
    assert!(said.contains("Started 'polite' in detach"), "{said}");
    let (agent, seed) = (stage.pid("polite"), stage.pid("seed"));
    assert!(alive(agent) && alive(seed));
    let said = stage.succeeds(&["stop"]);
    assert!(!alive(agent) && !alive(seed), "{said}");
    assert!(said.find("polite").unwrap() < said.find("Seed stopped").unwrap(), "{said}");
    assert_eq!(stage.log("polite"), "hello \nbye\n");
    assert!(stage.succeeds(&["stop"]).contains("No agents running"));
}

#[test]
fn one_that_ignores_sigterm_is_killed_with_its_children() {
    let stage = Stage::new();
    let deaf = stage.script("deaf", &format!("sleep 1000 &\n{DEAF}"));
    stage.succeeds(&["start", "-d", &deaf]);
    eventually("it listens", || stage.log("deaf").contains("deaf"));
    let group = stage.group("deaf");
    assert!(group.len() >= 2, "{group:?}");
    let begun = Instant::now();
    stage.succeeds(&["stop", "deaf", "--timeout", "0.3"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(group.iter().all(|pid| !alive(*pid)), "{group:?}");
}

#[test]
fn one_that_was_stopped_by_a_signal_is_ended_too() {
    let stage = Stage::new();
    stage.succeeds(&["start", "-d", &stage.script("polite", POLITE)]);
    let pid = stage.pid("polite");
    stage.signal(pid, "STOP");
    stage.succeeds(&["stop", "polite"]);
    assert!(!alive(pid));
    assert!(stage.log("polite").ends_with("bye\n"));
}

#[test]
fn what_dies_at_once_is_an_error_with_its_last_words() {
    let stage = Stage::new();
    let output = stage.meshctl(&["start", "-d", &stage.script("dies", "echo 'no hat'; exit 3")]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("Error: ") && complaint.contains("no hat"), "{complaint}");
    assert!(!stage.home().join("pids/dies.pid").exists());
}

#[test]
fn a_dead_process_and_a_recycled_pid_block_nothing_and_strangers_are_left_alone() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    stage.succeeds(&["start", "-d", &polite]);
    stage.signal(stage.pid("polite"), "KILL");
    stage.succeeds(&["start", "-d", &polite]);
    stage.succeeds(&["stop", "--keep-seed"]);
    // The same pid, and a process that began at another time: it is somebody else by now.
    let mut stranger = stage.program("sleep").arg("1000").spawn().unwrap();
    let record = format!(
        r#"{{"name":"polite","kind":"agent","pid":{},"pid_started":1,"mark":"m","command":[],"started":1}}"#,
        stranger.id()
    );
    fs::write(stage.home().join("pids/polite.json"), record).unwrap();
    fs::write(stage.home().join("pids/polite.pid"), stranger.id().to_string()).unwrap();
    let unknown = stage.meshctl(&["stop", "polite"]);
    assert_eq!(unknown.status.code(), Some(1));
    stage.succeeds(&["start", "-d", &polite]);
    stage.succeeds(&["stop"]);
    assert!(alive(stranger.id()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn two_starts_at_once_share_one_seed_and_a_name_runs_once() {
    let stage = Stage::new();
    let (a, b) = (stage.script("a", POLITE), stage.script("b", POLITE));
    let starts: Vec<_> =
        [&a, &b, &a].iter().map(|script| stage.command(&["start", "-d", script]).spawn().unwrap()).collect();
    let ended: Vec<_> = starts.into_iter().map(|start| start.wait_with_output().unwrap()).collect();
    let failed: Vec<_> = ended.iter().filter(|output| !output.status.success()).collect();
    assert_eq!(failed.len(), 1);
    assert!(String::from_utf8_lossy(&failed[0].stderr).contains("already running"));
    assert!(failed[0].stdout.is_empty());
    assert_eq!(stage.nodes().len(), 1);
    let said = stage.succeeds(&["stop", "a"]);
    assert!(said.contains("Keeping the seed for b"), "{said}");
    assert!(stage.succeeds(&["stop", "b"]).contains("Seed stopped"));
}

#[test]
fn names_are_exact_and_a_typo_is_answered() {
    let stage = Stage::new();
    stage.succeeds(&["start", "-d", &stage.script("x", POLITE), &stage.script("x-alt", POLITE)]);
    let output = stage.meshctl(&["stop", "x-al"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Error: agent 'x-al' is not running. Did you mean: x-alt?\n");
    stage.succeeds(&["stop", "x"]);
    assert!(alive(stage.pid("x-alt")));
    stage.succeeds(&["stop"]);
}

#[test]
fn replicas_are_numbered_and_env_beats_everything_and_is_never_split() {
    let stage = Stage::new();
    let says =
        stage.script("says", "echo \"$GREETING $MCP_MESH_LOG_LEVEL $MCP_MESH_DEBUG $MCP_MESH_AGENT_NAME\"; sleep 1000");
    let file = stage.home().join("variables");
    fs::write(&file, "GREETING=file\nMCP_MESH_LOG_LEVEL=trace\n").unwrap();
    let start = ["start", "-d", "--replicas", "2", &says, "--debug", "--agent-name", "joe", "--env-file"];
    let rest = [file.to_str().unwrap(), "--env", "GREETING=a,b=c", "--env", "MCP_MESH_LOG_LEVEL=error"];
    stage.succeeds(&[&start[..], &rest[..]].concat());
    for name in ["says", "says-2"] {
        eventually("it has said it", || stage.log(name) == "a,b=c error true joe\n");
    }
    stage.succeeds(&["stop", "--quiet"]);
}

#[test]
fn logs_are_rotated_and_found_by_age() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    for round in 0..7 {
        stage.succeeds(&["start", "-d", "--env", &format!("GREETING={round}"), &polite]);
        eventually("it has said hello", || stage.log("polite").contains("hello"));
        stage.succeeds(&["stop", "polite", "--keep-registry"]);
    }
    stage.succeeds(&["stop"]);
    assert_eq!(stage.succeeds(&["logs", "polite"]), "hello 6\nbye\n");
    assert_eq!(stage.succeeds(&["logs", "polite", "-n", "1"]), "bye\n");
    assert_eq!(stage.succeeds(&["logs", "polite", "--since", "1h"]), "hello 6\nbye\n");
    assert_eq!(stage.succeeds(&["logs", "polite", "--until", "1h"]), "");
    assert_eq!(stage.succeeds(&["logs", "polite", "-p", "4"]), "hello 2\nbye\n");
    assert!(!stage.home().join("logs/polite.5.log").exists());
    assert!(stage.succeeds(&["logs", "--list"]).contains("polite (current: 12 B), 4 previous"));
    assert_eq!(stage.meshctl(&["logs", "polit"]).status.code(), Some(1));
    assert!(stage.succeeds(&["stop", "--clean"]).contains("Cleanup complete"));
    assert!(stage.succeeds(&["stop", "--clean"]).contains("Nothing to clean"));
    assert!(stage.home().join("state/mesh.key").exists());
}

#[test]
fn logs_go_on_across_a_restart() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    stage.succeeds(&["start", "-d", "--env", "GREETING=one", &polite]);
    eventually("it has said hello", || stage.log("polite").contains("hello"));
    let mut follow = stage.follow(&["logs", "-f", "polite"]);
    follow.shows("hello one");
    stage.succeeds(&["stop", "polite", "--keep-registry"]);
    stage.succeeds(&["start", "-d", "--env", "GREETING=two", &polite]);
    follow.shows("bye");
    follow.shows("hello two");
    stage.succeeds(&["stop"]);
}

#[test]
fn in_the_foreground_an_interrupt_stops_what_was_started_and_nothing_else() {
    let stage = Stage::new();
    let (a, b) = (stage.script("a", POLITE), stage.script("b", POLITE));
    stage.succeeds(&["start", "-d", &b]);
    let mut start = stage.follow(&["start", &a]);
    start.shows("[a] hello");
    start.shows("Press Ctrl+C");
    let pid = stage.pid("a");
    stage.signal(start.pid(), "INT");
    start.shows("[a] bye");
    assert!(start.ends().success());
    assert!(!alive(pid) && alive(stage.pid("b")) && alive(stage.pid("seed")));
    stage.succeeds(&["stop"]);
}

#[test]
fn a_program_that_is_replaced_on_disk_is_replaced_in_the_mesh() {
    let mut stage = Stage::new();
    stage.set("MCP_MESH_RELOAD_DEBOUNCE", "0.05");
    let script = stage.script("agent", &POLITE.replace("hello", "old"));
    stage.succeeds(&["start", "-d", "-w", &script]);
    let (old, watcher) = (stage.pid("agent"), stage.pid("agent.watcher"));
    eventually("the old one runs", || stage.log("agent").contains("old"));
    eventually("the files are watched", || stage.log("agent.watcher").contains("watching"));
    // As editors save: a new file takes the old one's name.
    let draft = stage.script("draft", &POLITE.replace("hello", "new"));
    fs::rename(draft, &script).unwrap();
    eventually("the new one runs", || stage.log("agent").contains("new"));
    assert!(!alive(old) && stage.older_log("agent", 1).ends_with("bye\n"));
    let new = stage.pid("agent");
    stage.succeeds(&["stop"]);
    assert!(!alive(watcher) && !alive(new));
}

#[test]
fn a_crate_is_built_and_one_with_several_programs_asks_which() {
    let stage = Stage::new();
    let folder = stage.package("twins", &[("castor", "I am Castor"), ("pollux", "I am Pollux")]);
    let folder = folder.to_str().unwrap();
    let output = stage.meshctl(&["start", "-d", folder]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains(&format!("{folder}:castor, {folder}:pollux")), "{complaint}");
    stage.succeeds(&["start", "-d", "--no-wait", &format!("{folder}:pollux")]);
    eventually("it has been built and run", || stage.log("pollux") == "I am Pollux\n");
    let output = stage.meshctl(&["start", "-d", &format!("{folder}:leda")]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("has no program \"leda\"; it has castor, pollux"));
    stage.succeeds(&["stop"]);
}

#[test]
fn what_does_not_build_never_replaces_what_runs() {
    let mut stage = Stage::new();
    stage.set("MCP_MESH_RELOAD_DEBOUNCE", "0.05");
    let folder = stage.package("phoenix", &[("phoenix", "one")]);
    let main = folder.join("src/bin/phoenix.rs");
    let mut start = stage.follow(&["start", "-w", "--no-wait", folder.to_str().unwrap()]);
    start.shows("watching its sources");
    eventually("it runs", || stage.log("phoenix") == "one\n");
    let first = stage.pid("phoenix");
    fs::write(&main, "fn main() {").unwrap();
    start.shows("phoenix: the running one stays: phoenix does not build");
    assert!(alive(first));
    fs::write(&main, source("two")).unwrap();
    start.shows("[phoenix] two");
    assert!(!alive(first));
    let second = stage.pid("phoenix");
    stage.signal(start.pid(), "INT");
    assert!(start.ends().success());
    assert!(!alive(second));
}

#[test]
fn a_second_home_joins_by_the_line_that_the_first_one_prints() {
    let first = Stage::new();
    first.succeeds(&["init"]);
    first.succeeds(&["start", "--registry-only", "-d"]);
    let line = String::from_utf8(first.meshctl(&["invite"]).stdout).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..3], ["meshctl", "init", "--join"]);
    let second = Stage::new();
    second.succeeds(&words[1..]);
    // A seed is a node that needs nothing else: here it plays the agent.
    let node = env!("CARGO_BIN_EXE_meshctl");
    second.succeeds(&["start", "-d", "--wait", "--name", "other", "--", node, "seed", "--listen", "127.0.0.1:0"]);
    eventually("they have met", || second.log("other").contains("joined the mesh members=2"));
    assert!(!second.home().join("pids/seed.pid").exists(), "whoever was told a seed starts none");
    assert_eq!(
        fs::read(first.home().join("state/operator.pub")).unwrap(),
        fs::read(second.home().join("state/operator.pub")).unwrap()
    );
    let other = Stage::new();
    other.succeeds(&["init"]);
    let refused = other.meshctl(&words[1..]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    second.succeeds(&["stop"]);
    first.succeeds(&["stop"]);
}

#[test]
fn a_taken_port_is_an_error_where_it_was_asked_for_and_avoided_where_it_was_not() {
    let stage = Stage::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = stage.meshctl(&["start", "--registry-only", "-d", "--registry-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("cannot listen") && complaint.contains(&port), "{complaint}");
    stage.succeeds(&["start", "--registry-only", "-d"]);
    stage.succeeds(&["stop"]);
}

#[test]
fn flags_that_mean_nothing_here_say_so_and_unknown_ones_are_usage_errors() {
    let stage = Stage::new();
    for flags in [&["start", "--db-path", "x"][..], &["start", "--tls-auto"], &["start", "--ui"], &["stop", "--ui"]] {
        let output = stage.meshctl(flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("has no meaning here") && complaint.contains(flags[1]), "{complaint}");
    }
    assert_eq!(stage.meshctl(&["start", "--bogus"]).status.code(), Some(2));
    assert!(stage.succeeds(&["--version"]).contains("meshctl"));
    let output = stage.meshctl(&["start", "-d", "nowhere"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Error: path does not exist: nowhere\n");
    let output = stage.meshctl(&["start", "-d", stage.home().to_str().unwrap()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no entry point found"));
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing_running() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    // A file system of the test's own with one page in it: enough for folders, not for what is written.
    let commands = format!(
        "mount -t tmpfs -o size=4k,nr_inodes=64 none \"$MCP_MESH_HOME\" && head -c 4096 /dev/zero > \"$MCP_MESH_HOME\"/filler; \
         exec '{}' start -d --connect-only --seeds 192.0.2.1 '{polite}'",
        env!("CARGO_BIN_EXE_meshctl")
    );
    let full = stage.home().join("full");
    fs::create_dir(&full).unwrap();
    let output =
        stage.program("unshare").args(["-Urm", "sh", "-c", &commands]).env("MCP_MESH_HOME", &full).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    if complaint.contains("unshare") {
        // The kernel gives this user no namespaces; the lab's tests of whole meshes run where it does.
        return;
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("No space left on device") && complaint.contains(full.to_str().unwrap()), "{complaint}");
    assert!(stage.log("polite").is_empty());
}
