//! What is listed, of whom, and as what.

use serde_json::{Value, json};

use crate::scene::Scene;

#[test]
fn what_is_asked_for_as_json_is_json_and_nothing_else() {
    let scene = Scene::shared();
    for command in [
        &["list"][..],
        &["list", "--all", "--wide", "--verbose"],
        &["list", "--tools"],
        &["list", "--tools=write_down"],
        &["list", "--services"],
        &["list", "--schemas"],
        &["list", "--filter", "nobody-is-called-so"],
        &["status"],
        &["status", "clerk"],
        &["members"],
        &["members", "--all"],
        &["audit", "clerk-junior"],
        &["audit", "clerk"],
        &["deps", "show", "clerk-junior"],
        &["deps", "show", "clerk"],
        &["tools", "resolve", "office.notes"],
        &["key", "list"],
    ] {
        scene.json(&[command, &["--json"]].concat());
    }
    scene.json(&["config", "show", "--format", "json"]);
    scene.json(&["call", "get_date"]);
    // Without a node as well, and with the same shape.
    let nobody = ["--node", "127.0.0.1:1", "--json"];
    let list = scene.json(&[&["list"], &nobody[..]].concat());
    assert_eq!([&list["registry"]["status"], &list["agents"]], [&json!("not running"), &Value::Null]);
    assert_eq!(scene.json(&[&["list", "--tools"], &nobody[..]].concat()), json!([]));
    let services = scene.json(&[&["list", "--services"], &nobody[..]].concat());
    assert_eq!(services, json!({"services": [], "ungrouped": []}));
    assert_eq!(scene.json(&[&["list", "--schemas"], &nobody[..]].concat())["count"], 0);
}

#[test]
fn the_list_has_the_columns_that_scripts_know() {
    let scene = Scene::shared();
    let head = |flags: &[&str]| {
        let said = scene.says(&[&["list"], flags].concat());
        let head = said.lines().find(|line| line.starts_with("NAME")).unwrap().replace("LAST SEEN", "LAST-SEEN");
        head.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(head(&[]), "NAME RUNTIME TYPE STATUS DEPS CAPS ENDPOINT AGE LAST-SEEN");
    assert_eq!(head(&["--no-deps"]), "NAME RUNTIME TYPE STATUS ENDPOINT AGE LAST-SEEN");
    assert_eq!(head(&["--wide"]), "NAME RUNTIME TYPE STATUS DEPS CAPS ENDPOINT TOOLS AGE LAST-SEEN CAPABILITIES");
    let said = scene.says(&["list"]);
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("Registry: running (http://127.0.0.1:") && first.contains("4 healthy"), "{said}");
    assert!(said.ends_with("4 agents (4 healthy)\n"), "{said}");
    let junior = said.lines().find(|line| line.starts_with("clerk-junior-")).unwrap();
    let cells: Vec<&str> = junior.split_whitespace().collect();
    assert_eq!(cells[1..6], ["Rust", "Agent", "healthy", "1/1", "2/2"], "{junior}");
    assert!(scene.says(&["list", "--verbose"]).contains("Dependencies (1):\n  - office.notes → clerk-"));
}

#[test]
fn the_list_is_narrowed_by_name_and_by_age() {
    let scene = Scene::shared();
    let ids = |flags: &[&str]| {
        let said = scene.json(&[&["list", "--json"], flags].concat());
        let agents = said["agents"].as_array().cloned().unwrap_or_default();
        agents.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), ["clerk", "clerk-junior", "date-service", "hello-world"]);
    assert_eq!(ids(&["--filter", "CLERK"]), ["clerk", "clerk-junior"]);
    assert_eq!(ids(&["--filter", "clerk", "--since", "1h"]), ["clerk", "clerk-junior"]);
    assert!(ids(&["--filter", "nobody"]).is_empty());
    assert!(scene.says(&["list", "--filter", "nobody"]).contains("No agents found"));
    scene.does_not_take(&["list", "--since", "yesterday"]);
    scene.does_not_take(&["list", "--tools", "--services"]);
}

#[test]
fn a_list_that_is_watched_is_shown_until_it_is_interrupted() {
    use std::io::{BufRead, BufReader};
    let scene = Scene::shared();
    let mut child = scene.command(&["list", "--watch"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        assert!(lines.any(|line| line.starts_with("Registry: running")));
    }
    let pid = i32::try_from(child.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT).unwrap();
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn tools_are_listed_with_their_capabilities_and_one_with_its_schema() {
    let scene = Scene::shared();
    let said = scene.says(&["list", "--tools"]);
    assert!(said.starts_with("TOOL ") && said.ends_with("8 tool(s) found\n"), "{said}");
    let rows = scene.json(&["list", "--tools", "--json"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["tool_name"] == "write_down").unwrap();
    let told = [&row["capability"], &row["version"], &row["tags"], &row["agent_name"], &row["available"]];
    assert_eq!(told, [&json!("office.notes"), &json!("1.2.0"), &json!("paper"), &json!("clerk"), &json!(true)]);
    assert!(row.get("input_schema").is_none());

    let detail = scene.says(&["list", "--tools=write_down"]);
    for line in
        ["Capability: office.notes", "Availability: available", "Input Schema:", "Who to greet", "  meshctl call"]
    {
        assert_eq!(detail.contains(line), line != "Who to greet", "{line}\n{detail}");
    }
    let detail = scene.json(&["list", "--tools=clerk:nap", "--json"]);
    assert_eq!(detail["input_schema"]["required"], json!(["milliseconds"]));
    assert!(scene.refuses(&["list", "--tools=nap"]).contains("(agent name: clerk-junior)"));
    assert!(scene.refuses(&["list", "--tools=dance"]).contains("no agent found with tool 'dance'"));
}

#[test]
fn services_are_capabilities_with_a_dot() {
    let scene = Scene::shared();
    let said = scene.says(&["list", "--services"]);
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["SERVICE", "METHOD", "AGENT", "STATUS"]);
    assert!(rows.iter().any(|row| row.starts_with(&["office", "notes"]) && row.ends_with(&["available"])), "{said}");
    assert!(said.contains("ungrouped capabilities not shown"), "{said}");
    let services = scene.json(&["list", "--services", "--json"]);
    assert_eq!(services["services"][0]["methods"][1]["method"], "refusals");
    let ungrouped = services["ungrouped"].as_array().unwrap();
    assert!(
        ungrouped
            .iter()
            .any(|method| method["capability"] == "greeting" && method["providers"][0]["available"] == true)
    );
}

#[test]
fn schemas_are_listed_by_their_hash() {
    let scene = Scene::shared();
    let said = scene.says(&["list", "--schemas", "--limit", "1"]);
    assert!(said.starts_with("Canonical schema entries (1 shown)") && said.contains("sha256:"), "{said}");
}

#[test]
fn a_status_tells_all_there_is_of_one_agent() {
    let scene = Scene::shared();
    let said = scene.says(&["status", "clerk-junior"]);
    for line in ["Agent Details: clerk-junior-", "Runtime             : Rust", "Capabilities (2):", "Dependencies (1):"]
    {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let told = scene.json(&["status", "clerk-junior", "--json"]);
    assert_eq!(told["pid"], scene.node("clerk-junior").pid);
    assert_eq!([&told["dependencies_resolved"], &told["dependencies_total"]], [&json!(1), &json!(1)]);
    assert_eq!(scene.json(&["status", "--json"]).as_array().unwrap().len(), 4);
    assert!(scene.says(&["status"]).starts_with("Found 4 healthy agent(s):"));
    scene.says(&["status", "clerk", "--verbose"]);
}

#[test]
fn a_name_may_be_the_beginning_of_one_and_exact_ones_come_first() {
    let scene = Scene::shared();
    let id = scene.node("clerk").agent_id;
    assert_eq!(scene.json(&["status", "clerk", "--json"])["id"], id.as_str());
    assert_eq!(scene.json(&["status", &id, "--json"])["id"], id.as_str());
    assert_eq!(scene.json(&["status", "CLERK-J", "--json"])["name"], "clerk-junior");
    for command in [&["status"][..], &["audit"], &["deps", "show"]] {
        let complaint = scene.refuses(&[command, &["cl"]].concat());
        assert!(complaint.starts_with("Error: multiple agents match 'cl'"), "{complaint}");
        assert!(
            complaint.contains(&format!("\n  - {id}\n")) && complaint.contains("\n  - clerk-junior-"),
            "{complaint}"
        );
        assert!(scene.refuses(&[command, &["nobody"]].concat()).contains("agent found matching 'nobody'"));
        scene.says(&[command, &["clerk-j"]].concat());
    }
}

#[test]
fn why_a_provider_was_chosen_can_be_asked() {
    let scene = Scene::shared();
    let id = scene.node("clerk").agent_id;
    let said = scene.says(&["deps", "show", "clerk-junior"]);
    assert!(
        said.starts_with("read_out[0]  office.notes +paper in=default  (required)") && said.contains(&id),
        "{said}"
    );
    assert!(scene.says(&["deps", "show", "clerk"]).contains("depends on nothing"));

    let said = scene.says(&["audit", "clerk-junior"]);
    assert!(said.starts_with("Audit events for clerk-junior-") && said.contains(&id), "{said}");
    let said = scene.says(&["audit", "clerk-junior", "--explain", "--function", "read_out", "--dep", "0"]);
    assert!(said.contains("capability=office.notes") && said.contains("✓ chosen: "), "{said}");
    let count = |flags: &[&str]| scene.json(&[&["audit", "clerk-junior", "--json"], flags].concat())["count"].clone();
    assert_eq!(count(&["--limit", "1"]), 1);
    assert_eq!(count(&["--dep", "1"]), 0);
    assert_eq!(count(&["--function", "nap"]), 0);
    let resolved = count(&["--include-unresolved=false"]).as_u64().unwrap();
    assert!((1..=count(&[]).as_u64().unwrap()).contains(&resolved));
    assert!(scene.says(&["audit", "clerk"]).contains("No dependency-resolution audit events for clerk-"));
    scene.does_not_take(&["audit", "clerk", "--limit", "501"]);

    let said = scene.says(&["tools", "resolve", "office.notes +paper @\">=1\"", "--explain"]);
    assert!(said.contains("✓ ") && said.contains("├─ ") && said.contains(&id), "{said}");
    let nobody = scene.lab.meshctl(&["tools", "resolve", "office.notes @\">=2\""]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8(nobody.stdout).unwrap().contains("nobody provides it"));
    scene.refuses(&["tools", "resolve", "not a selector @@"]);
}

#[test]
fn members_are_listed_as_gossip_sees_them() {
    let scene = Scene::shared();
    let said = scene.says(&["members"]);
    let head: Vec<&str> = said.lines().find(|line| line.starts_with("MEMBER")).unwrap().split_whitespace().collect();
    assert_eq!(head, ["MEMBER", "AGENTS", "STATE", "INCARNATION", "GENERATION", "AGE", "RTT", "ZONE", "ADDRESS"]);
    assert!(said.contains("\n5 live") && !said.contains("Not part of the mesh"), "{said}");
    let members = scene.json(&["members", "--json"]);
    let members = members["members"].as_array().unwrap();
    assert_eq!(members.len(), 5);
    assert!(members.iter().all(|member| member["state"] == "alive"));
}
