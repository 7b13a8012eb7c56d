//! Calls through the administration, and their traces.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use mesh_gossip::catalog::{Offers, Tool};

use super::bench::{Asker, LONG, Served, refused};
use crate::admin::frames::FrameReader;
use crate::admin::signing::ANSWER_HEADER;
use crate::admin::wire::{CallFailed, CallQuery, CallUpdate, FrameKind, PREFIX, Served as ServedBy, TraceAnswer};
use crate::trace::SpanKind;

type Frames = Vec<(FrameKind, Bytes)>;

fn greeting(offers: &mut Offers) {
    offers.tools = vec![Tool::new("greet", "greeting")];
}

/// One that asks, and one that serves.
async fn pair() -> (Served, Served) {
    let one = Served::new("hello", Vec::new()).await;
    let two = Served::new("system", vec![one.seed()]).await;
    two.offer(greeting).await;
    one.sees(|view| view.catalog().capabilities().count() == 1).await;
    (one, two)
}

fn query(tool: &str) -> CallQuery {
    CallQuery { tool: tool.into(), timeout_ms: Some(10_000), ..CallQuery::default() }
}

async fn send(asker: &Asker, query: &CallQuery, arguments: &str) -> (crate::admin::signing::Signer, reqwest::Response) {
    let signer = asker.signer().await;
    let body = [&serde_json::to_vec(query).unwrap()[..], b"\n", arguments.as_bytes()].concat();
    let response = asker.send(&signer, "POST", &format!("{PREFIX}/call"), body).await;
    (signer, response)
}

async fn call(asker: &Asker, query: &CallQuery, arguments: &str) -> Frames {
    let (signer, response) = send(asker, query, arguments).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[ANSWER_HEADER], signer.answer(200, b"").to_hex().as_str());
    let mut reader = FrameReader::new(signer);
    reader.feed(&response.bytes().await.unwrap());
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        frames.push(frame);
    }
    frames
}

fn text(frame: &(FrameKind, Bytes)) -> &str {
    std::str::from_utf8(&frame.1).unwrap()
}

#[tokio::test]
async fn any_node_calls_for_whoever_asks_and_the_result_stays_as_it_was_written() {
    let (one, two) = pair().await;
    for tool in ["greet", "greeting"] {
        let frames = call(&one.asker(), &query(tool), r#"{"b":1.0,"a":"\u00e9"}"#).await;
        let [served, result] = &frames[..] else { panic!("{frames:?}") };
        let served: ServedBy = serde_json::from_slice(&served.1).unwrap();
        assert_eq!((served.agent_id, served.attempts), (two.agent.to_string(), 1));
        assert_eq!(result.0, FrameKind::Result);
        assert!(text(result).contains(r#""structuredContent":{"b":1.0,"a":"\u00e9"}"#), "{}", text(result));
    }
    let of = |agent: &str| CallQuery { agent: Some(agent.into()), ..query("greet") };
    for agent in ["sys", two.agent.as_str()] {
        assert_eq!(call(&one.asker(), &of(agent), "{}").await.len(), 2);
    }
    let (_, response) = send(&one.asker(), &of("nobody"), "{}").await;
    assert_eq!(refused(response).await.1.message, "no healthy agent found matching 'nobody'");
    for wrong in ["[]", "", "{"] {
        let (_, response) = send(&one.asker(), &query("greet"), wrong).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn what_a_tool_says_comes_first_and_its_error_is_a_result() {
    let (one, _two) = pair().await;
    let updates = CallQuery { updates: true, ..query("greet") };
    let frames = call(&one.asker(), &updates, r#"{"do":"stream"}"#).await;
    let said: Vec<CallUpdate> = frames[..2].iter().map(|frame| serde_json::from_slice(&frame.1).unwrap()).collect();
    let progress = CallUpdate::Progress { progress: 1.0, total: Some(2.0), message: None };
    assert_eq!(said, [CallUpdate::Chunk { text: "1".into() }, progress]);
    assert!(text(&frames[3]).contains(r#"{"result":2}"#));

    let frames = call(&one.asker(), &query("greet"), r#"{"do":"fail"}"#).await;
    assert_eq!(frames[1].0, FrameKind::Result);
    assert!(text(&frames[1]).contains(r#""isError":true"#) && text(&frames[1]).contains("it did not work"));

    let soon = CallQuery { timeout_ms: Some(100), ..query("greet") };
    let frames = call(&one.asker(), &soon, r#"{"do":"hang"}"#).await;
    match frames.last().unwrap() {
        (FrameKind::Failed, body) => {
            assert_eq!(serde_json::from_slice::<CallFailed>(body).unwrap().error, "timed_out");
        }
        (_, body) => assert!(String::from_utf8_lossy(body).contains("timed_out")),
    }
}

#[tokio::test]
async fn a_trace_is_gathered_from_all_members() {
    let (one, two) = pair().await;
    let frames = call(&one.asker(), &query("greet"), "{}").await;
    let served: ServedBy = serde_json::from_slice(&frames[0].1).unwrap();
    let asker = Arc::new(two.asker());
    let gathered = tokio::time::timeout(LONG, async {
        loop {
            let trace: TraceAnswer = asker.get(&format!("trace?id={}", served.trace_id)).await;
            if trace.spans.len() == 3 {
                return trace;
            }
            tokio::task::yield_now().await;
        }
    });
    let trace = gathered.await.unwrap();
    let tool = trace.spans.iter().find(|span| span.kind == SpanKind::Tool).unwrap();
    assert_eq!((&*tool.name, &*tool.agent), ("greet", two.agent.as_str()));
    assert!(trace.spans.iter().any(|span| span.kind == SpanKind::Call && *span.agent == *one.agent.as_str()));
    assert!(trace.silent.is_empty());
    let last: TraceAnswer = asker.get("trace").await;
    assert_eq!(last.trace_id, served.trace_id);
    assert_eq!(asker.refusal("trace?id=xyz").await.0, StatusCode::BAD_REQUEST);
}
