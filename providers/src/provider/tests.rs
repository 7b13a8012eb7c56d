//! Providers in a mesh.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use mesh::args;
use mesh::llm::wire::{Frame, Message, Trouble};
use mesh::testing::{Mesh, RunningMesh};
use serde_json::json;

use super::*;
use crate::remote::tests::KEY;
use crate::remote::tests::server::{Server, error, whole};

const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",
"content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100}}"#;

/// A mesh in which `provider` runs, and a folder for its figures.
async fn mesh(provider: Provider) -> (RunningMesh, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let agent = provider.home(home.path()).agent().unwrap();
    (Mesh::new().with(agent).start().await.unwrap(), home)
}

fn asked(said: &str) -> Value {
    let request =
        Request { messages: vec![Message::user(said)], caller_agent: Some("planner".to_owned()), ..Request::default() };
    args! { request }
}

fn anthropic(server: &Server) -> Provider {
    Provider::new("anthropic/claude-sonnet-4-5").key(KEY).base_url(format!("{}/v1", server.url)).tags(["claude"])
}

/// What a call that fails is told to do.
async fn trouble(mesh: &RunningMesh) -> (String, Option<Trouble>) {
    let failed = mesh.call::<Reply>("llm +claude -ai.mcpmesh.stream", asked("Hello?")).await.unwrap_err();
    let Some(mesh::CallError::Fault { fault, .. }) = failed.call_error() else { panic!("{failed}") };
    (failed.to_string(), Trouble::of(fault))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_found_asked_streamed_and_accounted_for_over_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let provider = || Provider::new("local").name("claude").tags(["claude"]).home(home.path()).agent().unwrap();
    let mut mesh = Mesh::new().with(provider()).start().await.unwrap();
    let reply: Reply = mesh.call("llm +claude -ai.mcpmesh.stream", asked("Hello?")).await.unwrap();
    assert_eq!(reply.role, mesh::llm::wire::Role::Assistant);
    assert!(reply.content.starts_with("[local demonstration model]"), "{}", reply.content);
    assert_eq!(reply.usage.unwrap().cost_usd, Some(0.0));

    let streaming = mesh.dep::<String>("llm ai.mcpmesh.stream").unwrap();
    let frames: Vec<_> = streaming.stream(asked("Hello?")).unwrap().collect().await;
    let frames: Vec<Frame> = frames.into_iter().map(|frame| Frame::read(&frame.unwrap()).unwrap()).collect();
    let (Frame::End(end), words) = frames.split_last().unwrap() else { panic!("{frames:?}") };
    assert!(words.len() > 3 && end.usage.is_some(), "{frames:?}");

    let costs = |mesh: &RunningMesh| mesh.dep::<Costs>(COSTS_CAPABILITY).unwrap();
    let before = costs(&mesh).call(args! { last_seconds: 3600 }).await.unwrap();
    assert_eq!((before.lines.len(), before.lines[0].sum.calls), (1, 2));
    assert_eq!((before.lines[0].agent.as_str(), before.lines[0].model.as_str()), ("planner", "local/demonstration"));
    mesh.stop("claude").await.unwrap();
    // In one process the tasks of a node that has stopped may end a moment later; between processes there is no such moment.
    let lock = std::fs::File::open(home.path().join("providers/claude/usage-1.lock")).unwrap();
    let gone = async {
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    drop(lock);
    mesh.join(provider()).await.unwrap();
    mesh.wait_for(COSTS_CAPABILITY).await.unwrap();
    assert_eq!(costs(&mesh).call(()).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_plain_mcp_hears_the_words_as_progress() {
    let (mesh, _home) = mesh(Provider::new("local").name("claude").tags(["claude"])).await;
    let url = format!("{}/mcp", mesh.agent("claude").unwrap().url().unwrap());
    let params =
        json!({ "name": "claude_stream", "arguments": asked("Hello?"), "_meta": { "progressToken": "words" } });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    let asked = reqwest::Client::new().post(url).header("accept", "application/json, text/event-stream");
    let answer = asked.header("mcp-protocol-version", "2025-11-25").json(&call).send().await.unwrap();
    let events = answer.text().await.unwrap();
    let said = events.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let said: Vec<Value> = said.collect();
    let (result, progress) = said.split_last().unwrap();
    assert!(result["id"] == 7 && result["result"]["isError"] != true, "{events}");
    let frame = |message: &Value| {
        assert_eq!(message["params"]["progressToken"], "words");
        Frame::read(message["params"]["message"].as_str().unwrap()).unwrap()
    };
    let frames: Vec<Frame> = progress.iter().map(frame).collect();
    let (Frame::End(end), words) = frames.split_last().unwrap() else { panic!("{frames:?}") };
    assert!(words.len() > 3 && end.usage.is_some(), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_answer_has_its_price() {
    let server = Server::start(|| whole(ANSWER)).await;
    let (mesh, _home) = mesh(anthropic(&server).param("max_tokens", 77)).await;
    let reply: Reply = mesh.call("llm +claude -ai.mcpmesh.stream", asked("Hello?")).await.unwrap();
    let cost = reply.usage.unwrap().cost_usd.unwrap();
    assert!((cost - 0.0045).abs() < 1e-9, "{cost}");
    assert_eq!(server.last().body["max_tokens"], 77);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_vendor_is_not_asked_again_before_its_time() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = Server::start(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        error(429, &[("retry-after", "30")], r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#)
    })
    .await;
    let (mesh, _home) = mesh(anthropic(&server)).await;
    let before = count.load(Ordering::SeqCst);
    let (said, told) = trouble(&mesh).await;
    assert!(said.contains("slow down"), "{said}");
    assert_eq!(told, Some(Trouble::busy(Duration::from_secs(30))));
    let (said, told) = trouble(&mesh).await;
    assert!(said.contains("left alone"), "{said}");
    assert!(told.unwrap().retry_after().unwrap() > Duration::from_secs(20));
    assert_eq!(count.load(Ordering::SeqCst), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_key_is_refused_is_out_of_resolution_and_names_the_variable() {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let refused = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    let server = Server::start(move || match now.load(Ordering::SeqCst) {
        200 => whole(ANSWER),
        status => error(status, &[], refused),
    })
    .await;
    let (mesh, _home) = mesh(anthropic(&server)).await;
    mesh.call::<Reply>("llm +claude -ai.mcpmesh.stream", asked("Hello?")).await.unwrap();
    status.store(401, Ordering::SeqCst);
    let (said, told) = trouble(&mesh).await;
    assert!(!said.contains(KEY), "{said}");
    assert_eq!(told, Some(Trouble::Unauthorized { variable: Some("ANTHROPIC_API_KEY".into()) }));
    mesh.wait_until_gone("llm").await.unwrap();
    let failed = mesh.call::<Reply>("llm", asked("Hello?")).await.unwrap_err().to_string();
    assert!(failed.contains("dependency_unavailable"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_wrong_from_the_start_is_never_offered() {
    let server = Server::start(|| error(401, &[], r#"{"error":{"message":"invalid x-api-key"}}"#)).await;
    let (mesh, _home) = mesh(anthropic(&server)).await;
    let failed = mesh.call::<Reply>("llm", asked("Hello?")).await.unwrap_err().to_string();
    assert!(failed.contains("dependency_unavailable"), "{failed}");
}

#[test]
fn what_is_missing_is_said_before_anything_runs() {
    let why = |provider: Provider| provider.agent().unwrap_err().to_string();
    assert!(why(Provider::new("llama3")).contains("ollama/"));
    let variable = "A_KEY_THAT_NOBODY_SET";
    assert!(why(Provider::new("anthropic/claude-x").key_variable(variable)).contains(variable));
    assert!(why(Provider::new("openai/gpt-4o").key(KEY).base_url("nowhere")).contains("nowhere"));
    let home = tempfile::tempdir().unwrap();
    let odd = Provider::new("local").home(home.path()).param("max_tokens", "many");
    assert!(why(odd).contains("parameters"));
    assert!(!format!("{:?}", Provider::new("local").key(KEY)).contains(KEY));
}

/// The weather of a city.
#[mesh::tool(capability = "weather", read_only)]
async fn get_weather(city: String) -> mesh::Result<String> {
    match city.as_str() {
        "Atlantis" => Err(Error::new("it is under water")),
        city => Ok(format!("sunny in {city}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_expects_the_provider_to_run_the_loop_gets_the_answer_that_comes_of_it() {
    let home = tempfile::tempdir().unwrap();
    let provider = Provider::new("local").name("claude").home(home.path()).agent().unwrap();
    let weather = Agent::new("weather").tool::<get_weather>();
    let mesh = Mesh::new().with(provider).with(weather).start().await.unwrap();
    let asked = |city: &str, endpoint: &str, iterations: u32| {
        args! { request: json!({
            "messages": [{ "role": "user", "content": format!("What is the weather in {city}?") }],
            "tools": [{ "type": "function", "function": {
                "name": "get_weather", "description": "The weather of a city.",
                "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
                "_mesh_endpoint": endpoint,
            } }],
            "model_params": { "max_iterations": iterations },
        }) }
    };
    let url = mesh.agent("weather").unwrap().url().unwrap().to_owned();
    let whole = mesh.dep::<Reply>("llm -ai.mcpmesh.stream").unwrap();
    let reply = whole.call(asked("Rome", &url, 4)).await.unwrap();
    assert!(reply.content.contains("sunny in Rome") && reply.tool_calls.is_empty(), "{reply:?}");
    let one_round = whole.call(asked("Rome", &url, 1)).await.unwrap();
    assert_eq!(one_round.stop_reason.as_deref(), Some(mesh::llm::wire::MAX_ITERATIONS));
    assert!(reply.usage.unwrap().prompt_tokens > one_round.usage.unwrap().prompt_tokens, "of all rounds");
    let failed = whole.call(asked("Atlantis", &url, 4)).await.unwrap();
    assert!(failed.content.contains("under water"), "{failed:?}");
    let nowhere = whole.call(asked("Rome", "http://127.0.0.1:1", 4)).await.unwrap();
    assert!(nowhere.content.contains("no agent of this mesh"), "{nowhere:?}");

    let streaming = mesh.dep::<String>("llm ai.mcpmesh.stream").unwrap();
    let frames: Vec<_> = streaming.stream(asked("Rome", &url, 4)).unwrap().collect().await;
    let frames: Vec<Frame> = frames.into_iter().map(|frame| Frame::read(&frame.unwrap()).unwrap()).collect();
    let (Frame::End(end), words) = frames.split_last().unwrap() else { panic!("{frames:?}") };
    assert!(words.len() > 3 && end.tool_calls.is_empty() && end.stop_reason.is_none(), "{frames:?}");
}
