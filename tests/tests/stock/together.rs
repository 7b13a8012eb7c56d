//! Stock agents and ours in one mesh, calling each other.

use serde_json::{Value, json};

use crate::town::Town;

#[test]
fn stock_agents_call_each_other_and_themselves() {
    let town = Town::shared();
    assert_eq!(town.call(&["greet_with_date", r#"{"name":"Ada"}"#]), "Hello, Ada! It is 2026-11-21.");
    assert_eq!(town.call(&["add", r#"{"a":40}"#]), 42);
    assert_eq!(
        town.call(&["spell", "--arg", "first_letter=a", "--arg", "how_often=3"]),
        "aaa",
        "names are those of its author"
    );
    assert_eq!(town.call(&["calendar:multiply", r#"{"a":6,"b":7}"#])["product"], 42);
    let oneself = town.call(&["greet_oneself"]);
    assert_eq!(oneself["said"], "Hello, me! It is 2026-11-21.");
    assert!(oneself["proxy"].as_str().unwrap().contains("Self"), "{oneself}");
}

#[test]
fn providers_are_chosen_by_tags_and_versions() {
    assert_eq!(Town::shared().call(&["choose"]), json!(["old", "new", "old", null, "old"]));
}

#[test]
fn providers_are_chosen_by_schema_in_both_modes() {
    assert_eq!(Town::shared().call(&["match"]), json!(["tests", null, "tests", null]));
}

#[test]
fn a_tool_without_what_it_requires_is_unavailable_and_says_so() {
    let town = Town::shared();
    let result = town.json(&["call", "pay"]);
    assert_eq!(result["isError"], true);
    assert!(result.to_string().contains("dependency_unavailable"), "{result}");
    assert!(
        town.says(&["list", "--tools"]).lines().any(|line| line.starts_with("pay ") && line.contains("unavailable"))
    );
    let agents = town.get("/agents");
    let greeter = agents["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == "greeter").unwrap();
    let tools = greeter["capabilities"].as_array().unwrap();
    let pay = tools.iter().find(|tool| tool["name"] == "payday").unwrap();
    assert_eq!(pay["available"], false);
    assert!(pay["unavailable_reason"].as_str().unwrap().contains("payroll"), "{pay}");
}

#[test]
fn ours_call_theirs_and_theirs_call_ours() {
    let town = Town::shared();
    let said = town.call(&["ask_around"]);
    assert!(said.as_str().unwrap().starts_with("2026-11-21 42 ") && said.to_string().contains("out of days"), "{said}");
    assert_eq!(town.call(&["greet", r#"{"name":"Ada"}"#]), "Hello, Ada! It is 2026-11-21.");
    let forwarded = town.call(&["-H", "X-Tenant: acme", "-H", "X-Other: no", "forward", r#"{"text":"hi"}"#]);
    assert_eq!([&forwarded["ours"]["text"], &forwarded["ours"]["count"]], [&json!("hi"), &json!(3)]);
    assert_eq!([&forwarded["stock"]["x-tenant"], &forwarded["ours"]["headers"]["x-tenant"]], ["acme", "acme"]);
    assert_eq!(forwarded["stock"]["x-other"], Value::Null);
}

#[test]
fn chunks_arrive_one_by_one_whoever_streams() {
    let town = Town::shared();
    let heard = town.call(&["listen", r#"{"to":3}"#]);
    let chunks = json!(["1;", "2;", "3;"]);
    assert_eq!([&heard["stock"], &heard["ours"]], [&chunks, &chunks]);
    assert_eq!(heard["whole"], "1;2;3;");
    let said = town.says(&["call", "--stream", "count_aloud", r#"{"to":3}"#]);
    assert!(said.starts_with("\"1;\"\n\"2;\"\n\"3;\"\n"), "{said}");
}

#[test]
fn a_web_application_is_given_what_its_routes_depend_on() {
    let town = Town::shared();
    let log = town.says(&["logs", "door", "-n", "0"]);
    let (_, rest) = log.split_once("Uvicorn running on ").unwrap();
    let url = rest.split_whitespace().next().unwrap();
    let said = town.command_of("curl", &["-s", "-X", "POST", &format!("{url}/greet")]);
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
    let greeting = "Hello, Web! It is 2026-11-21.";
    assert_eq!([&said["stock"], &said["ours"]], [greeting, greeting]);
    let refused = town.command_of("curl", &["-s", "-w", "%{http_code}", "-X", "POST", &format!("{url}/pay")]);
    assert!(refused.ends_with("503") && refused.contains("dependency_unavailable"), "{refused}");
    let agents = town.json(&["list", "--json"])["agents"].clone();
    let door = agents.as_array().unwrap().iter().find(|agent| agent["agent_type"] == "api").unwrap();
    assert_eq!(door["dependencies_total"], 3);
}

#[test]
fn a_stock_consumer_is_answered_by_a_model_of_ours_which_calls_stock_tools() {
    let town = Town::shared();
    let said = town.call(&["think_with_ours", r#"{"question":"What is the date?"}"#, "--timeout", "60"]);
    assert!(said.as_str().unwrap().contains("2026-11-21"), "{said}");
    let said = town.call(&["answer_with_ours", r#"{"question":"What is the answer?"}"#, "--timeout", "60"]);
    assert!(said["answer"].is_string(), "{said}");
}

#[test]
fn stock_models_answer_stock_consumers_and_ours() {
    let town = Town::shared();
    for tool in ["think_with_stock", "muse"] {
        let said = town.call(&[tool, r#"{"question":"What is the date?"}"#, "--timeout", "60"]);
        let said = said.as_str().unwrap();
        assert!(said.starts_with("The vendor heard") && said.contains("2026-11-21"), "{tool}: {said}");
    }
}

#[test]
fn stock_agents_are_listed_as_scripts_know_it() {
    let town = Town::shared();
    let said = town.says(&["list"]);
    for (name, runtime, kind) in
        [("calendar-", "Python", "Agent"), ("door-", "Python", "API"), ("clerk-", "Rust", "Agent")]
    {
        let is_it = |line: &&str| line.starts_with(name) || kind == "API" && line.contains(" API ");
        let lines: Vec<&str> = said.lines().filter(is_it).filter(|line| !line.starts_with("clerk-junior")).collect();
        assert_eq!(lines.len(), 1, "{name}\n{said}");
        let cells: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(cells[1..4], [runtime, kind, "healthy"], "{said}");
    }
    assert!(!said.contains("seed-"), "the registry is not among the agents:\n{said}");

    let agents = town.json(&["list", "--json"])["agents"].clone();
    let calendar = agents.as_array().unwrap().iter().find(|agent| agent["name"] == "calendar").unwrap();
    assert_eq!(
        [&calendar["runtime"], &calendar["agent_type"], &calendar["status"]],
        ["python", "mcp_agent", "healthy"]
    );
    assert!(calendar["endpoint"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{calendar}");
    assert_eq!(calendar["pid"], town.pid("calendar"));
    assert!(calendar["file_path"].as_str().unwrap().ends_with("calendar/main.py"), "{calendar}");
    let status = town.says(&["status", "calendar"]);
    for line in ["Runtime             : Python", "Status              : healthy", "Version             : 1.0.0"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    let tools = town.says(&["list", "--tools"]);
    assert!(tools.lines().any(|line| line.starts_with("get_date ") && line.contains("system,time")), "{tools}");
    assert!(!tools.contains("__mesh_job_status"), "{tools}");
    let detail = town.json(&["list", "--tools=calendar:add", "--json"]);
    assert_eq!(detail["input_schema"]["required"], json!(["a"]));
}

#[test]
fn what_registered_is_found_at_the_registry_itself() {
    let town = Town::shared();
    assert_eq!(town.get("/health")["status"], "healthy");
    let agents = town.get("/agents");
    let agents = agents["agents"].as_array().unwrap();
    let greeter = agents.iter().find(|agent| agent["name"] == "greeter").unwrap();
    assert_eq!([&greeter["total_dependencies"], &greeter["dependencies_resolved"]], [16, 12]);
    let ours = agents.iter().find(|agent| agent["name"] == "hello-world").unwrap();
    assert_eq!(ours["status"], "healthy");
    let rows = greeter["dependency_resolutions"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["status"] == "available").count(), 12);
}
