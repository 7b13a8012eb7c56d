//! Processes that meshctl starts and stops, as a user sees them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod agents;
mod providers;
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
    let said = stage.succeed(&["start", "-d", &polite]);
    assert!(said.contains("Started 'polite' in detach"), "{said}");
    let (agent, seed) = (stage.pid("polite"), stage.pid("seed"));
    assert!(alive(agent) && alive(seed));
    let said = stage.succeed(&["stop"]);
    assert!(!alive(agent) && !alive(seed), "{said}");
    assert!(said.find("polite").unwrap() < said.find("Seed stopped").unwrap(), "{said}");
    assert_eq!(stage.log("polite"), "hello \nbye\n");
    assert!(stage.succeed(&["stop"]).contains("No agents running"));
}

#[test]
fn one_that_ignores_sigterm_is_killed_with_its_children() {
    let stage = Stage::new();
    let deaf = stage.script("deaf", &format!("sleep 1000 &\n{DEAF}"));
    stage.succeed(&["start", "-d", &deaf]);
    eventually("it listens", || stage.log("deaf").contains("deaf"));
    let group = stage.group("deaf");
    assert!(group.len() >= 2, "{group:?}");
    let begun = Instant::now();
    stage.succeed(&["stop", "deaf", "--timeout", "0.3"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(group.iter().all(|pid| !alive(*pid)), "{group:?}");
}

#[test]
fn one_that_hangs_is_gone_within_fifteen_seconds_when_nothing_else_is_said() {
    let stage = Stage::new();
    stage.succeed(&["start", "-d", &stage.script("deaf", DEAF)]);
    eventually("it listens", || stage.log("deaf").contains("deaf"));
    let pid = stage.pid("deaf");
    let begun = Instant::now();
    stage.succeed(&["stop"]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(!alive(pid));
}

#[test]
fn one_that_was_stopped_by_a_signal_is_ended_too() {
    let stage = Stage::new();
    stage.succeed(&["start", "-d", &stage.script("polite", POLITE)]);
    let pid = stage.pid("polite");
    stage.signal(pid, "STOP");
    stage.succeed(&["stop", "polite"]);
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
fn a_terminal_shows_how_far_a_start_is() {
    let stage = Stage::new();
    let line = format!("stty cols 120; '{}' start -d '{}'", stage::meshctl(), stage.script("polite", POLITE));
    let output = stage.command("script").args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").output().unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && seen.contains("waiting until all can be called"), "{seen:?}");
    stage.succeed(&["stop"]);
}

#[test]
fn what_dies_at_once_in_the_foreground_takes_the_seed_along() {
    let stage = Stage::new();
    let output = stage.meshctl(&["start", &stage.script("dies", "echo 'no hat'; exit 3")]);
    assert_eq!(output.status.code(), Some(1));
    let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("[dies] no hat\n") && said.contains("'dies' has ended: exit status: 3"), "{said}");
    assert!(complaint.starts_with("Error: agent 'dies' ended at once") && complaint.contains("no hat"), "{complaint}");
    assert!(stage.nodes().is_empty());
}

#[test]
fn what_shall_be_waited_for_and_cannot_be_called_is_an_error_and_runs_on() {
    let stage = Stage::new();
    let output = stage.meshctl(&["start", "-d", "--wait=0.3", &stage.script("polite", POLITE)]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("agent 'polite' runs, but could not be called in time"), "{complaint}");
    assert!(alive(stage.pid("polite")));
    stage.succeed(&["stop"]);
}

#[test]
fn starts_and_stops_at_once_leave_the_book_in_order() {
    let stage = Stage::new();
    let scripts = ["a", "b", "c"].map(|name| stage.script(name, POLITE));
    let start = |place: usize| stage.piped(&["start", "-d", &scripts[place]]).spawn().unwrap();
    for _ in 0..3 {
        let all = [start(0), stage.piped(&["stop"]).spawn().unwrap(), start(1), start(2)];
        for one in all {
            // A stop may end what a start of the same moment waits for, which is then told; nothing hangs.
            one.wait_with_output().unwrap();
        }
        for entry in fs::read_dir(stage.home().join("pids")).unwrap().map(|entry| entry.unwrap().path()) {
            let text = fs::read_to_string(&entry).unwrap();
            if entry.extension().is_some_and(|kind| kind == "json") {
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
    }
    stage.succeed(&["stop"]);
    assert_eq!(stage.running(), Vec::<String>::new());
    assert!(stage.nodes().is_empty());
    assert_eq!(fs::read_dir(stage.home().join("pids")).unwrap().count(), 0);
}

#[test]
fn a_dead_process_and_a_recycled_pid_block_nothing_and_strangers_are_left_alone() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    stage.succeed(&["start", "-d", &polite]);
    stage.signal(stage.pid("polite"), "KILL");
    stage.succeed(&["start", "-d", &polite]);
    stage.succeed(&["stop", "--keep-seed"]);
    // The same pid, and a process that began at another time: it is somebody else by now.
    let mut stranger = stage.command("sleep").arg("1000").spawn().unwrap();
    let record = format!(
        r#"{{"name":"polite","kind":"agent","pid":{},"pid_started":1,"mark":"m","command":[],"started":1}}"#,
        stranger.id()
    );
    fs::write(stage.home().join("pids/polite.json"), record).unwrap();
    fs::write(stage.home().join("pids/polite.pid"), stranger.id().to_string()).unwrap();
    let unknown = stage.meshctl(&["stop", "polite"]);
    assert_eq!(unknown.status.code(), Some(1));
    stage.succeed(&["start", "-d", &polite]);
    stage.succeed(&["stop"]);
    assert!(alive(stranger.id()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn two_starts_at_once_share_one_seed_and_a_name_runs_once() {
    let stage = Stage::new();
    let (a, b) = (stage.script("a", POLITE), stage.script("b", POLITE));
    let starts: Vec<_> =
        [&a, &b, &a].iter().map(|script| stage.piped(&["start", "-d", script]).spawn().unwrap()).collect();
    let ended: Vec<_> = starts.into_iter().map(|start| start.wait_with_output().unwrap()).collect();
    let failed: Vec<_> = ended.iter().filter(|output| !output.status.success()).collect();
    assert_eq!(failed.len(), 1);
    assert!(String::from_utf8_lossy(&failed[0].stderr).contains("already running"));
    assert!(failed[0].stdout.is_empty());
    assert_eq!(stage.nodes().len(), 1);
    let said = stage.succeed(&["stop", "a"]);
    assert!(said.contains("Keeping the seed for b"), "{said}");
    assert!(stage.succeed(&["stop", "b"]).contains("Seed stopped"));
}

#[test]
fn names_are_exact_and_a_typo_is_answered() {
    let stage = Stage::new();
    stage.succeed(&["start", "-d", &stage.script("x", POLITE), &stage.script("x-alt", POLITE)]);
    // Where nothing is ended a beginning will do.
    eventually("it says hello", || stage.log("x-alt") == "hello \n" && stage.log("x") == "hello \n");
    assert_eq!(stage.succeed(&["logs", "X-"]), "hello \n");
    assert_eq!(stage.succeed(&["logs", "x"]), "hello \n");
    let output = stage.meshctl(&["logs", "X"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Error: multiple logs match 'X':\n  - x\n  - x-alt\n");
    let output = stage.meshctl(&["stop", "x-al"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "Error: agent 'x-al' is not running. Did you mean: x-alt?\n");
    stage.succeed(&["stop", "x"]);
    assert!(alive(stage.pid("x-alt")));
    stage.succeed(&["stop"]);
}

#[test]
fn replicas_are_numbered_and_env_beats_everything_and_is_never_split() {
    let stage = Stage::new();
    let says =
        stage.script("says", "echo \"$GREETING $MCP_MESH_LOG_LEVEL $MCP_MESH_DEBUG $MCP_MESH_AGENT_NAME\"; \
            echo \"$MCP_MESH_AGENT_VERSION $MCP_MESH_CAPABILITIES $MCP_MESH_DISTRIBUTED_TRACING_ENABLED\"; pwd; sleep 1000");
    let file = stage.home().join("variables");
    fs::write(&file, "GREETING=file\nMCP_MESH_LOG_LEVEL=trace\n").unwrap();
    let start = ["start", "-d", "--replicas", "2", &says, "--debug", "--agent-name", "joe", "--env-file"];
    let rest = [file.to_str().unwrap(), "--env", "GREETING=a,b=c", "--env", "MCP_MESH_LOG_LEVEL=error"];
    let more =
        ["--agent-version", "7.1.0", "--capabilities", "a", "--capabilities", "b", "--dte", "--working-dir", "/"];
    stage.succeed(&[&start[..], &rest[..], &more[..]].concat());
    for name in ["says", "says-2"] {
        eventually("it has said it", || stage.log(name) == "a,b=c error true joe\n7.1.0 a,b true\n/\n");
    }
    stage.succeed(&["stop", "--quiet"]);
}

#[test]
fn logs_are_rotated_and_found_by_age() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    for round in 0..7 {
        stage.succeed(&["start", "-d", "--env", &format!("GREETING={round}"), &polite]);
        eventually("it has said hello", || stage.log("polite").contains("hello"));
        stage.succeed(&["stop", "polite", "--keep-registry"]);
    }
    stage.succeed(&["stop"]);
    assert_eq!(stage.succeed(&["logs", "polite"]), "hello 6\nbye\n");
    assert_eq!(stage.succeed(&["logs", "polite", "-n", "1"]), "bye\n");
    assert_eq!(stage.succeed(&["logs", "polite", "--since", "1h"]), "hello 6\nbye\n");
    assert_eq!(stage.succeed(&["logs", "polite", "--until", "1h"]), "");
    assert_eq!(stage.succeed(&["logs", "polite", "-p", "4"]), "hello 2\nbye\n");
    assert!(!stage.home().join("logs/polite.5.log").exists());
    assert!(stage.succeed(&["logs", "--list"]).contains("polite (current: 12 B), 4 previous"));
    assert_eq!(stage.succeed(&["logs", "POLI", "-n", "1"]), "bye\n");
    assert_eq!(stage.meshctl(&["logs", "impolite"]).status.code(), Some(1));
    assert!(stage.succeed(&["stop", "--clean"]).contains("Cleanup complete"));
    assert!(stage.succeed(&["stop", "--clean"]).contains("Nothing to clean"));
    assert!(stage.home().join("state/mesh.key").exists());
}

#[test]
fn logs_go_on_across_a_restart() {
    let stage = Stage::new();
    let polite = stage.script("polite", POLITE);
    stage.succeed(&["start", "-d", "--env", "GREETING=one", &polite]);
    eventually("it has said hello", || stage.log("polite").contains("hello"));
    let mut follow = stage.follow(&["logs", "-f", "polite"]);
    follow.shows("hello one");
    stage.succeed(&["stop", "polite", "--keep-registry"]);
    stage.succeed(&["start", "-d", "--env", "GREETING=two", &polite]);
    follow.shows("bye");
    follow.shows("hello two");
    stage.succeed(&["stop"]);
}

#[test]
fn in_the_foreground_an_interrupt_stops_what_was_started_and_nothing_else() {
    let stage = Stage::new();
    let (a, b) = (stage.script("a", POLITE), stage.script("b", POLITE));
    stage.succeed(&["start", "-d", &b]);
    let mut start = stage.follow(&["start", &a]);
    start.shows("[a] hello");
    start.shows("Press Ctrl+C");
    let pid = stage.pid("a");
    stage.signal(start.pid(), "INT");
    start.shows("[a] bye");
    assert!(start.ends().success());
    assert!(!alive(pid) && alive(stage.pid("b")) && alive(stage.pid("seed")));
    stage.succeed(&["stop"]);
}

#[test]
fn a_program_that_is_replaced_on_disk_is_replaced_in_the_mesh() {
    let mut stage = Stage::new();
    stage.set("MCP_MESH_RELOAD_DEBOUNCE", "0.05");
    let script = stage.script("agent", &POLITE.replace("hello", "old"));
    stage.succeed(&["start", "-d", "-w", &script]);
    let (old, watcher) = (stage.pid("agent"), stage.pid("agent.watcher"));
    eventually("the old one runs", || stage.log("agent").contains("old"));
    eventually("the files are watched", || stage.log("agent.watcher").contains("watching"));
    // As editors save: a new file takes the old one's name.
    let draft = stage.script("draft", &POLITE.replace("hello", "new"));
    fs::rename(draft, &script).unwrap();
    eventually("the new one runs", || stage.log("agent").contains("new"));
    assert!(!alive(old) && stage.older_log("agent", 1).ends_with("bye\n"));
    let new = stage.pid("agent");
    stage.succeed(&["stop"]);
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
    stage.succeed(&["start", "-d", "--no-wait", &format!("{folder}:pollux")]);
    eventually("it has been built and run", || stage.log("pollux") == "I am Pollux\n");
    let output = stage.meshctl(&["start", "-d", &format!("{folder}:leda")]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("has no program \"leda\"; it has castor, pollux"));
    stage.succeed(&["stop"]);
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
    first.succeed(&["init"]);
    first.succeed(&["start", "--registry-only", "-d"]);
    let line = first.succeed(&["invite"]);
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..3], ["meshctl", "init", "--join"]);
    let second = Stage::new();
    second.succeed(&words[1..]);
    // A seed is a node that needs nothing else: here it plays the agent.
    let node = stage::meshctl();
    second.succeed(&["start", "-d", "--wait", "--name", "other", "--", &node, "seed", "--listen", "127.0.0.1:0"]);
    eventually("they have met", || second.log("other").contains("joined the mesh members=2"));
    assert!(!second.home().join("pids/seed.pid").exists(), "whoever was told a seed starts none");
    assert_eq!(
        fs::read(first.home().join("state/operator.pub")).unwrap(),
        fs::read(second.home().join("state/operator.pub")).unwrap()
    );
    let other = Stage::new();
    other.succeed(&["init"]);
    let refused = other.meshctl(&words[1..]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    second.succeed(&["stop"]);
    first.succeed(&["stop"]);
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
    stage.succeed(&["start", "--registry-only", "-d"]);
    stage.succeed(&["stop"]);
}

#[test]
fn flags_that_mean_nothing_here_say_so_and_unknown_ones_are_usage_errors() {
    let stage = Stage::new();
    for flags in [&["start", "--pid-file", "x"][..], &["start", "--ui"], &["stop", "--ui"]] {
        let output = stage.meshctl(flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("has no meaning here") && complaint.contains(flags[1]), "{complaint}");
    }
    assert_eq!(stage.meshctl(&["start", "--bogus"]).status.code(), Some(2));
    assert!(stage.succeed(&["--version"]).contains("meshctl"));
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
        stage::meshctl()
    );
    let full = stage.home().join("full");
    fs::create_dir(&full).unwrap();
    let output =
        stage.command("unshare").args(["-Urm", "sh", "-c", &commands]).env("MCP_MESH_HOME", &full).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    if complaint.contains("unshare") {
        // The kernel gives this user no namespaces; the lab's tests of whole meshes run where it does.
        return;
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("No space left on device") && complaint.contains(full.to_str().unwrap()), "{complaint}");
    assert!(stage.log("polite").is_empty());
}
