//! The command line of the existing system asks a seed, and ours prints what scripts parse of it.

use std::process::Output;

use mesh_tests::lab::Lab;
use mesh_tests::others;
use serde_json::Value;

use crate::town::Town;

/// What is never the same in two answers; what ours says in other words, or knows more of.
const OTHER: [&str; 7] =
    ["timestamp", "updated_at", "last_heartbeat", "uptime", "start_time", "unavailable_reason", "processes"];

/// What the registry is told and nobody reads: where models are looked for is decided by the agent's own namespace.
const UNREAD: [&str; 1] = ["namespace"];

/// How many cells of a row are counted: what is last in a wide one is shortened there.
const COUNTED: usize = 9;

/// What the stock meshctl answers, pointed at the seed of `town`. None where it is not published for this machine.
fn theirs(town: &Town, arguments: &[&str]) -> Option<Output> {
    let program = others::stock_program("meshctl")?;
    let lab: &Lab = town;
    let mut command = lab.command(program);
    command.args(arguments).args(["--registry-url", &town.seed_url()]).env("HOME", town.path("their-home"));
    Some(command.output().unwrap())
}

/// The same, which has to succeed, as text without colours.
fn they_say(town: &Town, arguments: &[&str]) -> Option<String> {
    let output = theirs(town, arguments)?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let mut said = String::from_utf8(output.stdout).unwrap();
    for colour in ["\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[90m"] {
        said = said.replace(colour, "");
    }
    Some(said)
}

/// Where `ours` lacks something that `theirs` says, or says something else.
fn lacking(theirs: &Value, ours: &Value, path: &str, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Null, _) => {}
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                let at = format!("{path}.{name}");
                match ours.get(name) {
                    None if UNREAD.contains(&name.as_str()) => {}
                    None => found.push(format!("{at} is missing")),
                    Some(_) if OTHER.contains(&name.as_str()) => {}
                    // Tools have no number there; what agents of ours tell their models, the seed need not know.
                    Some(_) if name == "id" && *value == 0 => {}
                    Some(Value::Null) if name.starts_with("llm_") => {}
                    Some(Value::String(own)) if name == "created_at" => {
                        // Theirs are in seconds.
                        if value.as_str().map(|text| &text[..19]) != Some(&own[..19]) {
                            found.push(format!("{at}: {value} there, {own} here"));
                        }
                    }
                    Some(_) if *value == "" => {}
                    Some(own) => lacking(value, own, &at, found),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                lacking(theirs, ours, &format!("{path}[{at}]"), found);
            }
        }
        _ if theirs == ours => {}
        _ => found.push(format!("{path}: {theirs} there, {ours} here")),
    }
}

#[test]
fn their_command_line_lists_calls_and_traces_what_a_seed_knows() {
    let town = Town::shared();
    let Some(listed) = they_say(&town, &["list"]) else {
        return println!("the stock command line is not published for this machine");
    };
    for (name, kind) in [("calendar-", "Agent"), ("hello-world-", "Agent"), ("api-", "API")] {
        let line = listed.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {listed}"));
        assert!(line.contains(kind) && line.contains("healthy"), "{line}");
    }
    let say = |arguments: &[&str]| they_say(&town, arguments).unwrap();
    assert!(say(&["status", "greeter"]).contains("Dependencies        : 12/16"));
    assert!(say(&["list", "--tools=calendar:add"]).contains("\"additionalProperties\": false"));
    for call in [["call", "greet", r#"{"name":"Ada"}"#], ["call", "greet_with_date", r#"{"name":"Ada"}"#]] {
        assert!(say(&call).contains("Hello, Ada! It is 2026-11-21."), "{call:?}");
    }
    assert!(say(&["audit", "greeter", "--explain"]).contains("✓ chosen: calendar-"));
    assert!(say(&["registry", "drain"]).contains("draining"));
    assert!(say(&["registry", "resume"]).contains("active"));
    assert!(say(&["entity", "rotate"]).contains("5 agent(s) will re-register"));

    let traced = theirs(&town, &["call", "--trace", "greet", r#"{"name":"Ada"}"#]).unwrap();
    let complaint = String::from_utf8(traced.stderr).unwrap();
    let id = complaint.lines().find_map(|line| line.strip_prefix("Trace ID: ")).unwrap();
    let tree = say(&["trace", id]);
    assert!(tree.contains("greet (hello-world)") && tree.contains("Summary: "), "{tree}");

    let refused = theirs(&town, &["job", "status", "12"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("jobs are not kept by this seed"));
}

#[test]
fn what_is_json_there_is_the_same_json_here() {
    let town = Town::shared();
    let mut wrong = Vec::new();
    let schemas = town.get("/schemas")["schemas"].clone();
    let hash = |at: usize| schemas[at]["hash"].as_str().unwrap().to_owned();
    let (one, other) = (hash(0), hash(1));
    for arguments in [
        &["list", "--json"][..],
        &["list", "--all", "--json"],
        &["list", "--tools", "--json"],
        &["list", "--tools=calendar:add", "--json"],
        &["list", "--services", "--json"],
        &["status", "greeter", "--json"],
        &["audit", "greeter", "--json", "--limit", "1"],
        &["schema", "diff", &one, &other, "--json"],
        &["registry", "status", "--json"],
        &["call", "add", r#"{"a":40}"#],
        &["call", "fail"],
    ] {
        let Some(there) = they_say(&town, arguments) else {
            return println!("the stock command line is not published for this machine");
        };
        let (there, here) = (serde_json::from_str(&there).unwrap(), town.json(arguments));
        let mut found = Vec::new();
        lacking(&there, &here, "", &mut found);
        wrong.extend(found.into_iter().map(|lack| format!("{arguments:?}: {lack}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_a_table_there_has_the_same_columns_here() {
    let town = Town::shared();
    for (arguments, head) in [
        (&["list"][..], "NAME "),
        (&["list", "--wide"], "NAME "),
        (&["list", "--no-deps", "--all"], "NAME "),
        (&["list", "--tools"], "TOOL "),
        (&["list", "--services"], "SERVICE "),
        (&["list", "--schemas"], "HASH "),
        (&["audit", "greeter"], "TIMESTAMP "),
    ] {
        let Some(there) = they_say(&town, arguments) else {
            return println!("the stock command line is not published for this machine");
        };
        let here = town.says(arguments);
        let table = |said: &str| -> Vec<Vec<String>> {
            let table = said.lines().skip_while(|line| !line.starts_with(head)).take_while(|line| !line.is_empty());
            let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            table.filter(|line| !line.starts_with('-')).map(cells).collect()
        };
        let (there, here) = (table(&there), table(&here));
        assert!(there.len() > 2, "{arguments:?}: {there:?}");
        assert_eq!(there[0], here[0], "{arguments:?}");
        let names = |table: &[Vec<String>]| -> Vec<String> { table.iter().map(|row| row[0].clone()).collect() };
        // Schemas that came at the same moment have no order.
        if arguments[0] == "list" {
            assert_eq!(there.len(), here.len(), "{arguments:?}");
        }
        if arguments[0] == "list" && head != "HASH " {
            assert_eq!(names(&there), names(&here), "{arguments:?}");
            for (there, here) in there.iter().zip(&here) {
                let [there, here] = [there, here].map(|row| row.len().min(COUNTED));
                assert_eq!(there, here, "{arguments:?}");
            }
        }
    }
}

#[test]
fn what_fails_there_fails_here_with_the_same_words() {
    let town = Town::shared();
    for arguments in [
        &["call", "nothing"][..],
        &["call", "nobody:add"],
        &["status", "nobody"],
        &["audit", "nobody"],
        &["schema", "diff", "sha256:00", "sha256:01"],
    ] {
        let Some(there) = theirs(&town, arguments) else {
            return println!("the stock command line is not published for this machine");
        };
        assert_eq!(there.status.code(), Some(1), "{arguments:?}");
        let there = String::from_utf8(there.stderr).unwrap();
        assert_eq!(town.refuses(arguments), there, "{arguments:?}");
    }
}
