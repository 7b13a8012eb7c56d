//! `meshctl call`, and the trace it leaves.

use serde_json::{Value, json};

use crate::scene::{Scene, complaint};

#[test]
fn arguments_come_from_the_command_line_files_standard_input_and_single_words() {
    let scene = Scene::shared();
    let text = |arguments: &[&str]| scene.call(arguments)["text"].clone();
    assert_eq!(text(&["write_down", r#"{"text": "plain"}"#]), "plain");
    let file = scene.file("arguments.json", r#"{"text": "from a file", "count": 3}"#);
    let file = file.to_str().unwrap();
    assert_eq!(text(&["write_down", &format!("@{file}")]), "from a file");
    assert_eq!(text(&["write_down", "--file", file]), "from a file");
    let piped = scene.told(&["call", "write_down", "-"], r#"{"text": "piped"}"#);
    assert!(piped.stderr.is_empty() && String::from_utf8(piped.stdout).unwrap().contains("piped"));

    let words =
        ["write_down", "--arg", "text=7", "--arg", "count=7", "--arg", "urgent=true", "--arg", r#"names=["a"]"#];
    let note = scene.call(&words);
    assert_eq!([&note["text"], &note["count"], &note["urgent"]], [&json!("7"), &json!(7), &json!(true)]);
    assert_eq!(note["names"], json!(["a"]));
    // A single word beats what the file says of it, and nothing else.
    let note = scene.call(&["write_down", &format!("@{file}"), "--arg", "text=a=b"]);
    assert_eq!([&note["text"], &note["count"]], [&json!("a=b"), &json!(3)]);
}

#[test]
fn arguments_that_are_none_are_refused_before_anybody_is_asked() {
    let scene = Scene::shared();
    for wrong in ["", "[]", "{", "text=x"] {
        assert!(scene.refuses(&["call", "write_down", wrong]).contains("is no JSON object"), "{wrong}");
    }
    assert!(scene.refuses(&["call", "write_down", "@/nowhere"]).contains("/nowhere"));
    assert!(scene.refuses(&["call", "write_down", "--file", "/nowhere"]).contains("/nowhere"));
    assert!(scene.refuses(&["call", "write_down", "--arg", "text"]).contains("NAME=VALUE"));
    assert!(scene.refuses(&["call", "write_down", "--arg", "text=x", "--arg", "count=many"]).contains("integer"));
    assert!(scene.does_not_take(&["call", "write_down", "{}", "--file", "x"]).contains("--file"));
    assert!(scene.does_not_take(&["call", "write_down", "-H", "no colon"]).contains("Name: value"));
    scene.does_not_take(&["call"]);
}

#[test]
fn a_result_is_printed_as_the_server_wrote_it_in_two_layouts() {
    let scene = Scene::shared();
    let call = ["call", "write_down", r#"{"text": "x"}"#];
    let laid_out = scene.says(&call);
    assert!(laid_out.starts_with("{\n  \"content\": [\n    {\n"), "{laid_out}");
    for flag in ["--raw", "--pretty=false"] {
        let compact = scene.says(&[&call[..], &[flag]].concat());
        assert!(compact.starts_with(r#"{"content":[{"#) && compact.lines().count() == 1, "{compact}");
    }
}

#[test]
fn a_tool_that_fails_has_a_result_unless_failing_is_asked_for() {
    let scene = Scene::shared();
    let call = ["call", "refuse", r#"{"reason": "not on Sundays"}"#];
    let result = scene.json(&call);
    assert_eq!(result["isError"], true);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("not on Sundays"));
    for way in [&["--fail"][..], &["--fail", "--direct"]] {
        let failed = scene.lab.meshctl(&[&call[..], way].concat());
        assert_eq!(failed.status.code(), Some(3), "{way:?}");
        assert_eq!(serde_json::from_slice::<Value>(&failed.stdout).unwrap()["isError"], true);
        assert!(failed.stderr.is_empty());
    }
    scene.says(&["call", "write_down", r#"{"text": "x"}"#, "--fail"]);
    // What does not fit the schema is the tool's answer as well; that there is no such tool is none.
    assert_eq!(scene.json(&["call", "write_down", r#"{"txet": "x"}"#])["isError"], true);
    assert!(scene.refuses(&["call", "dance"]).contains("no agent found with tool 'dance'"));
    assert!(scene.refuses(&["call", "hello-world:nap"]).contains("tool 'nap' not found on agent 'hello-world'"));
}

#[test]
fn a_tool_of_several_agents_is_asked_about_and_capabilities_are_names_too() {
    let scene = Scene::shared();
    let complaint = scene.refuses(&["call", "nap", r#"{"milliseconds": 1}"#]);
    assert!(complaint.contains("say which, as agent:tool"), "{complaint}");
    assert!(complaint.contains(":nap (agent name: clerk)") && complaint.contains("clerk-junior)"), "{complaint}");
    assert!(scene.says(&["call", "clerk:nap", r#"{"milliseconds": 1}"#]).contains("rested"));
    assert!(scene.says(&["call", "clerk-jun:nap"]).contains("blinked"));
    assert!(scene.says(&["call", "short_naps"]).contains("blinked"));
    let id = scene.node("clerk").agent_id;
    assert!(scene.says(&["call", &format!("{id}:nap"), r#"{"milliseconds": 1}"#]).contains("rested"));
    assert!(scene.refuses(&["call", "cler:nap", "{}"]).contains("multiple agents match 'cler'"));
    assert!(scene.refuses(&["call", "nobody:nap", "{}"]).contains("no healthy agent found matching 'nobody'"));
}

#[test]
fn headers_and_sessions_and_deadlines_come_along() {
    let scene = Scene::shared();
    let text = r#"{"text": "x"}"#;
    let note = scene.call(&["write_down", text, "-H", "X-Tenant: blue", "--header", "x-other: y", "--session", "s-1"]);
    assert_eq!([&note["headers"]["x-tenant"], &note["session"]], [&json!("blue"), &json!("s-1")]);
    let left = scene.call(&["write_down", text, "--timeout", "7"])["left"].as_u64().unwrap();
    assert!((5_000..=7_000).contains(&left), "{left}");
    let note = scene.call(&["write_down", text, "--direct", "-H", "X-Tenant: green"]);
    assert_eq!(note["headers"]["x-tenant"], "green");
}

#[test]
fn a_call_that_takes_too_long_is_an_error_in_time() {
    let scene = Scene::shared();
    for way in [&[][..], &["--direct"]] {
        let begun = std::time::Instant::now();
        let call = ["call", "clerk:nap", r#"{"milliseconds": 60000}"#, "--timeout", "0.3"];
        let complaint = scene.refuses(&[&call[..], way].concat());
        assert!(complaint.contains("MCP call failed"), "{complaint}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{way:?}");
    }
}

#[test]
fn an_agent_can_be_called_with_nobody_in_between() {
    let scene = Scene::shared();
    let url = scene.node("clerk").http_url.unwrap();
    for way in [&["--direct"][..], &["--use-proxy=false"], &["--agent-url", &url]] {
        let call = ["call", "write_down", r#"{"text": "straight"}"#];
        let said = scene.json(&[&call[..], way].concat());
        assert_eq!(said["structuredContent"]["text"], "straight", "{way:?}");
    }
    assert!(scene.refuses(&["call", "count", r#"{"to": 1}"#, "--direct", "--stream"]).contains("--stream"));
    assert!(scene.refuses(&["call", "x", "--agent-url", "http://127.0.0.1:1"]).contains("127.0.0.1:1"));
    for flag in ["--ingress-domain", "--ingress-url"] {
        assert!(scene.refuses(&["call", "write_down", flag, "x"]).contains("any node reaches all agents"));
    }
}

#[test]
fn pieces_are_printed_as_they_come_and_only_when_asked_for() {
    let scene = Scene::shared();
    let said = scene.says(&["call", "count", r#"{"to": 3}"#, "--stream", "--raw"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], [r#""1;""#, r#""2;""#, r#""3;""#], "{said}");
    assert!(lines.len() == 4 && lines[3].contains("1;2;3;"), "{said}");
    assert!(scene.json(&["call", "count", r#"{"to": 3}"#]).to_string().contains("1;2;3;"));
}

#[test]
fn a_call_has_a_trace_that_all_of_the_mesh_is_asked_for() {
    let scene = Scene::shared();
    let called = scene.lab.meshctl(&["call", "read_out", "--trace"]);
    assert!(called.status.success() && String::from_utf8(called.stdout).unwrap().contains("read me"));
    let noted = String::from_utf8(called.stderr).unwrap();
    let id = noted.lines().find_map(|line| line.strip_prefix("Trace ID: ")).unwrap();
    assert_eq!(noted, format!("\nTrace ID: {id}\nView trace: meshctl trace {id}\n"));

    let tree = scene.says(&["trace", id]);
    assert!(tree.contains("└─ read_out (clerk-junior) [") && tree.contains("   └─ write_down (clerk) ["), "{tree}");
    // The node that was asked to call has a part in it.
    assert!(tree.contains("spans across 3 agents") && tree.contains("Agents: clerk, clerk-junior, seed"), "{tree}");
    assert!(scene.says(&["trace", id, "--show-internal"]).contains("(call)"));
    let whole = scene.json(&["trace", id, "--json"]);
    assert_eq!([&whole["TraceID"], &whole["Success"], &whole["AgentCount"]], [&json!(id), &json!(true), &json!(3)]);
    scene.says(&["trace", "--last"]);

    let failed = scene.lab.meshctl(&["call", "refuse", r#"{"reason": "no"}"#, "--trace"]);
    let noted = String::from_utf8(failed.stderr).unwrap();
    let id = noted.lines().find_map(|line| line.strip_prefix("Trace ID: ")).unwrap();
    assert!(scene.says(&["trace", id]).contains("✗"));
}

#[test]
fn a_trace_that_nobody_remembers_is_an_error() {
    let scene = Scene::shared();
    let unknown = "0123456789abcdef0123456789abcdef";
    let patience = ["--retries", "1", "--retry-delay", "0.01"];
    let output = scene.lab.meshctl(&[&["trace", unknown], &patience[..]].concat());
    assert!(complaint(&output, 1).contains(&format!("trace '{unknown}' not found")));
    scene.refuses(&["trace", "not-hex"]);
    scene.does_not_take(&["trace"]);
    scene.does_not_take(&["trace", unknown, "--last"]);
}
