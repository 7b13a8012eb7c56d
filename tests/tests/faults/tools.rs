//! Tools that do what no tool should, and callers that do what no caller should.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use futures::StreamExt;
use mesh::args;
use mesh_node::call::CallError;
use mesh_node::tool::FaultKind;
use serde_json::{Value, json};

use crate::scene::{Entry, Scene, fault, memory};

/// Far more than what may be under way to somebody who takes none.
const TOO_MUCH: u64 = 32 << 20;

/// The address of the one victim there is, as `127.0.0.1:port`.
async fn address(scene: &Scene, victim: &mesh_tests::lab::Process) -> String {
    let url = scene.file(victim).await.http_url.unwrap();
    url.strip_prefix("http://").unwrap().to_owned()
}

/// The text of a JSON-RPC request for a tool.
fn request(tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// Posts `body` as plain `curl` would.
async fn post(address: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let client = reqwest::Client::new();
    let request = client.post(format!("http://{address}/mcp")).header("content-type", "application/json");
    request.header("accept", "application/json, text/event-stream").body(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_panics_or_never_returns_costs_its_own_call_and_no_other() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let error = scene.dep::<String>("panic").call(()).await.unwrap_err();
    assert_eq!(fault(&error), Some(FaultKind::Panicked), "{error}");
    assert!(error.to_string().contains("the tool panicked: as asked"), "{error}");
    let answer: Value =
        post(&address(&scene, &victim).await, request("explode", &json!({}))).await.json().await.unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(victim.log().contains("a tool panicked"), "{}", victim.log());

    let hang = scene.dep::<String>("hang").timeout(Duration::from_millis(300));
    let error = hang.call(()).await.unwrap_err();
    let is_late = matches!(error.call_error(), Some(CallError::TimedOut { .. }));
    assert!(is_late || fault(&error) == Some(FaultKind::TimedOut), "{error}");
    let diary = scene.until_diary("the run ends with its deadline", |entry| entry.ended == 1).await;
    assert_eq!(diary.begun, 1, "it was not repeated");
    scene.keep_calling(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_in_the_middle_of_its_call_cancels_the_tool() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let hang = scene.dep::<String>("hang");
    let call = tokio::spawn(async move { hang.call(()).await });
    scene.until_diary("a member's call has begun", |entry| entry.begun == 1).await;
    call.abort();
    scene.until_diary("it is cancelled", |entry| entry.ended == 1).await;

    let address = address(&scene, &victim).await;
    let body = request("hang", &json!({}));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(head.as_bytes()).unwrap();
    scene.until_diary("a client's call has begun", |entry| entry.begun == 2).await;
    drop(client);
    scene.until_diary("it is cancelled", |entry| entry.ended == 2).await;

    // A whole process that goes takes its calls along: meshctl asks one node, which calls for it.
    let url = scene.file(&victim).await.http_url.unwrap();
    let mut meshctl = scene.lab.program("meshctl");
    let operator = scene.lab.start(meshctl.args(["call", "--node", &url, "hang", "{}"]));
    scene.until_diary("an operator's call has begun", |entry| entry.begun == 3).await;
    drop(operator);
    scene.until_diary("it is cancelled", |entry| entry.ended == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_reads_its_stream_halts_the_tool_and_holds_nobody_up() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let before = memory(&victim);
    let mut member = scene.dep::<String>("pour").stream(()).unwrap();
    assert!(member.next().await.unwrap().is_ok());

    let address = address(&scene, &victim).await;
    let body = request("pour", &json!({}));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(head.as_bytes()).unwrap();
    scene.until_diary("both have begun", |entry| entry.begun == 2).await;
    // They stand still when nothing has moved while other calls came and went.
    let mut before_calls = 0;
    let poured = loop {
        scene.keep_calling(Duration::from_millis(300)).await;
        let entry = scene.dep::<Entry>("diary").call(()).await.unwrap();
        assert!(entry.poured < TOO_MUCH, "{entry:?}");
        if entry.poured == before_calls {
            break entry.poured;
        }
        before_calls = entry.poured;
    };
    let grown = memory(&victim).saturating_sub(before);
    assert!(grown < 3 * TOO_MUCH, "{grown} bytes more for {poured} that were poured");
    drop((member, client));
    scene.until_diary("both have ended", |entry| entry.ended == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_do_not_match_the_schema_are_refused_with_what_is_wrong() {
    let scene = Scene::new().await;
    let [victim] = scene.victims().await;
    let address = address(&scene, &victim).await;
    for (arguments, wrong) in [
        (json!({"a": 1}), "argument `b` is missing"),
        (json!({"a": 1, "b": "two"}), "argument `b`: invalid type"),
        (json!({"a": 1, "b": -2}), "argument `b`: invalid value"),
        (json!({"a": 1, "b": 2, "c": 3}), "unknown argument `c`"),
    ] {
        let error = scene.dep::<u64>("sum").call(&arguments).await.unwrap_err();
        assert_eq!(fault(&error), Some(FaultKind::InvalidArguments), "{error}");
        assert!(error.to_string().contains(wrong), "{error}");
        let answer: Value = post(&address, request("add", &arguments)).await.json().await.unwrap();
        assert!(answer.to_string().contains(wrong), "{answer}");
        assert!(answer["result"]["isError"] == true || answer["error"].is_object(), "{answer}");
        let said = scene.lab.meshctl(&["call", "--fail", "add", &arguments.to_string()]);
        assert!(!said.status.success(), "{said:?}");
    }
    assert_eq!(scene.dep::<u64>("sum").call(args! { a: 1, b: 2 }).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_of_nesting_is_refused_and_harms_nobody() {
    let scene = Scene::new().await;
    let [mut victim] = scene.victims().await;
    let depth = 512 << 10;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(!scene.dep::<bool>("anything").call(args! { value: [1] }).await.unwrap());
    let deep = mesh_node::call::Request::new(
        mesh_node::call::Target::Agent("victim".into()),
        format!(r#"{{"value":{nested}}}"#),
    );
    let deep = mesh_node::call::Request { tool: Some("swallow".into()), ..deep };
    let error = scene.consumer.node().caller().call(deep).await.unwrap_err();
    assert!(error.to_string().contains("nested deeper"), "{error}");

    let address = address(&scene, &victim).await;
    let inside = request("swallow", &json!({"value": "@"})).replace("\"@\"", &nested);
    for body in [inside, nested.clone(), format!(r#"{{"jsonrpc":"2.0","id":1,"method":{nested}}}"#)] {
        let answer = post(&address, body).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        let refused = status.is_client_error() || text.contains("\"error\"") || text.contains("\"isError\":true");
        assert!(refused, "{status} {text}");
    }
    let path = scene.lab.home().join("deep.json");
    std::fs::write(&path, format!(r#"{{"value":{nested}}}"#)).unwrap();
    let said = scene.lab.meshctl(&["call", "--fail", "swallow", "--file", path.to_str().unwrap()]);
    assert!(said.status.code().is_some_and(|code| code != 0), "{said:?}");
    assert!(victim.ended().is_none(), "{}", victim.log());
    scene.keep_calling(Duration::from_millis(100)).await;
}
