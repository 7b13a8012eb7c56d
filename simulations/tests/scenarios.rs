//! The command line, the library, and that one seed is one history.

use std::process::{Command, Output};

use mesh_simulations::execute::{Subject, execute, side_by_side};
use mesh_simulations::run::Silent;
use mesh_simulations::scenario::{LIBRARY, Scenario};

fn simulations(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulations")).args(arguments).output().expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

const SMALL: &str = r#"
name = "small"
about = "A cut, a crash, a change and a stall among few."
members = 20
runs_for = "40s"

[network]
loss = 0.05
duplicate = 0.01
straggle = 0.01

[[fault]]
at = "5s"
partition = "half"

[[fault]]
at = "12s"
heal = "all"

[[fault]]
at = "20s"
crash = "7"

[[fault]]
at = "25s"
set_records = { who = "30%" }

[[fault]]
at = "28s"
restart = { who = "crashed" }

[[fault]]
at = "30s"
stall = { who = "9", time = "2s" }

[[expect]]
agreed_at = "40s"

[[expect]]
crash_known_within = "4s"
"#;

#[test]
fn one_seed_is_one_history_alone_or_beside_others() {
    let scenario = Scenario::parse("small.toml", SMALL).expect("in order");
    let history = |seed| {
        let outcome = execute(&scenario, seed, Subject::Mesh, &mut Silent).expect("a runtime");
        serde_json::to_string(&outcome).expect("plain data")
    };
    let alone = history(3);
    let beside = side_by_side(4, 4, |job| history([3, 4, 3, 5][job]));
    assert_eq!(alone, beside[0]);
    assert_eq!(alone, beside[2]);
    assert_ne!(alone, beside[1]);
}

#[test]
fn a_partition_heals_and_a_crash_is_known() {
    let scenario = Scenario::parse("small.toml", SMALL).expect("in order");
    for seed in 1..=3 {
        let outcome = execute(&scenario, seed, Subject::Mesh, &mut Silent).expect("a runtime");
        assert!(outcome.holds(), "seed {seed}: {:?}", outcome.verdicts);
    }
}

const CROWD: &str = r#"
name = "crowd"
about = "Two hundred start within five seconds and know nothing but three seeds."
members = 200
runs_for = "12s"
start = { joining_over = "5s" }

[[expect]]
agreed_at = "8s"

[[expect]]
false_deaths_at_most = 0
"#;

#[test]
fn a_crowd_that_joins_at_once_finds_each_other_without_everybody_connecting_to_everybody() {
    let scenario = Scenario::parse("crowd.toml", CROWD).expect("in order");
    let outcome = execute(&scenario, 1, Subject::Mesh, &mut Silent).expect("a runtime");
    assert!(outcome.holds(), "{:?}", outcome.verdicts);
    let each = outcome.handshakes / u64::from(scenario.members);
    println!("{each} connections for each member");
    assert!(each < 20, "{each} connections for each member");
}

#[test]
fn every_shipped_scenario_is_in_order_and_named_like_its_file() {
    for shipped in LIBRARY {
        let scenario = Scenario::parse(shipped.name, shipped.toml).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(scenario.name, shipped.name);
        assert!(!scenario.expectations.is_empty() || scenario.compare.is_some(), "{} expects nothing", shipped.name);
    }
}

#[test]
fn a_typo_is_refused_with_its_line_and_the_names_there_are() {
    let wrong = SMALL.replace("crash = \"7\"", "crush = \"7\"");
    let refused = Scenario::parse("small.toml", &wrong).expect_err("a typo");
    let line = wrong.lines().position(|line| line.starts_with("crush")).expect("it is there") + 1;
    assert_eq!(refused.line, line);
    let message = refused.to_string();
    assert!(message.starts_with(&format!("small.toml:{line}: ")), "{message}");
    for name in ["crush", "crash", "partition", "heal"] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_their_line() {
    for (right, wrong, word) in [
        ("at = \"5s\"", "at = \"5 sec\"", "no time"),
        ("loss = 0.05", "loss = 5", "no share"),
        ("partition = \"half\"", "partition = \"some\"", "no group"),
        ("members = 20", "members = 1", "members"),
        ("at = \"30s\"", "at = \"41s\"", "after the end"),
        ("agreed_at = \"40s\"", "", "expects nothing"),
        ("crash = \"7\"", "", "says nothing"),
    ] {
        let text = SMALL.replace(right, wrong);
        let refused = Scenario::parse("small.toml", &text).expect_err(wrong);
        assert!(refused.message.contains(word), "{wrong}: {refused}");
        assert!(refused.line > 1, "{wrong}: {refused}");
    }
}

#[test]
fn the_exit_code_tells_what_held_what_failed_and_what_was_wrong() {
    let folder = std::env::temp_dir().join(format!("simulations-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("small.toml");
    let path = file.to_str().expect("a plain path");

    std::fs::write(&file, SMALL).expect("written");
    let held = simulations(&["run", path, "--json", "--out", folder.to_str().expect("a plain path")]);
    assert_eq!(held.status.code(), Some(0), "{}", text(&held.stderr));
    let outcomes: serde_json::Value = serde_json::from_slice(&held.stdout).expect("JSON and nothing else");
    assert_eq!(outcomes[0]["scenario"], "small");
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("https://"));

    std::fs::write(&file, SMALL.replace("within = \"4s\"", "within = \"4ms\"")).expect("written");
    let failed = simulations(&["run", path, "--seed", "2"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains(&format!("simulations run {path} --seed 2")), "{}", text(&failed.stderr));

    std::fs::write(&file, SMALL.replace("members", "memebrs")).expect("written");
    for arguments in [&["check", path][..], &["run", path], &["run", "no-such-scenario"], &["walk"], &["run"]] {
        assert_eq!(simulations(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(text(&simulations(&["check", path]).stderr).contains("small.toml:4: "));
    assert_eq!(simulations(&["list"]).status.code(), Some(0));
    std::fs::remove_dir_all(&folder).expect("removed");
}
