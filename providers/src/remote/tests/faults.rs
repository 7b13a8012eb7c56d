//! What vendors do when they do not answer: errors, half answers, nonsense, silence.

use axum::response::Response;

use super::server::{Server, dripping, error, events, stuck, whole};
use super::*;

const NAME: &str = "anthropic/claude-sonnet-4-5";

const BEGUN: &str = "event: message_start\n\
data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}\n\n\
event: content_block_start\n\
data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: content_block_delta\n\
data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n";

const ENDED: &str = "event: content_block_stop\n\
data: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
event: message_delta\n\
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n\
event: message_stop\n\
data: {\"type\":\"message_stop\"}\n\n";

/// What comes of a whole answer, and of a streamed one.
async fn both(name: &str, answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> [Failure; 2] {
    let server = Server::start(answer).await;
    let whole = remote(name, &server, "v1").answer(&question()).await.unwrap_err();
    let (words, end) = streamed(remote(name, &server, "v1"), question()).await;
    assert_eq!(words, "");
    [whole, end.unwrap_err()]
}

pub(super) fn said(kind: &str, message: &str) -> String {
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_1" }).to_string()
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let body = said("rate_limit_error", "This request would exceed your rate limit");
    for failure in both(NAME, move || error(429, &[("retry-after", "7")], &body)).await {
        let Failure::Busy { retry_after, why } = failure else { panic!("{failure:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        assert!(why.contains("429: This request would exceed"), "{why}");
    }
    let body = said("overloaded_error", "Overloaded");
    for failure in both(NAME, move || error(529, &[], &body)).await {
        assert!(matches!(failure, Failure::Busy { retry_after: None, .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_from_a_wrong_request_and_never_repeated() {
    let body = said("authentication_error", &format!("invalid x-api-key {KEY}"));
    for failure in both(NAME, move || error(401, &[], &body)).await {
        assert!(matches!(&failure, Failure::Unauthorized { why } if !why.contains(KEY)), "{failure:?}");
    }
    let body = said("invalid_request_error", "tools.0.input_schema: JSON schema is invalid");
    for failure in both(NAME, move || error(400, &[], &body)).await {
        let Failure::Rejected { status: Some(400), why } = &failure else { panic!("{failure:?}") };
        assert!(why.contains("JSON schema is invalid"), "{why}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_unavailable() {
    for answer in ["<html>gateway</html>", r#"{"type":"message","content":[{"type":"#, "{}", "[]", "null", "5"] {
        let server = Server::start(move || whole(answer)).await;
        let failure = remote(NAME, &server, "v1").answer(&question()).await.unwrap_err();
        assert!(matches!(failure, Failure::Unavailable { .. }), "{answer}: {failure:?}");
    }
    for failure in both("openai/gpt-4o", || error(502, &[], "<html>bad gateway</html>")).await {
        assert!(matches!(failure, Failure::Unavailable { status: Some(502), .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    for cut in [BEGUN.to_owned(), format!("{BEGUN}{}", &ENDED[..80]), format!("{BEGUN}event: ping\ndata: {{\"ty")] {
        let server = Server::start(move || events(&cut)).await;
        let (words, end) = streamed(remote(NAME, &server, "v1"), question()).await;
        assert_eq!(words, "Hello");
        assert!(matches!(end, Err(Failure::Unavailable { .. })), "{end:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_midst_of_an_answer_is_that_error() {
    let overloaded = format!("{BEGUN}event: error\ndata: {}\n\n", said("overloaded_error", "Overloaded"));
    let server = Server::start(move || events(&overloaded)).await;
    let (words, end) = streamed(remote(NAME, &server, "v1"), question()).await;
    assert_eq!(words, "Hello");
    assert!(matches!(end, Err(Failure::Busy { .. })), "{end:?}");

    let broken = format!("{BEGUN}event: content_block_delta\ndata: {{\"type\":\n\n{ENDED}");
    let server = Server::start(move || events(&broken)).await;
    let (_, end) = streamed(remote(NAME, &server, "v1"), question()).await;
    assert!(matches!(end, Err(Failure::Unavailable { .. })), "{end:?}");
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_and_a_silent_one_is_not() {
    let text = format!("{BEGUN}{ENDED}");
    let server = Server::start(move || dripping(&text, SILENCE / 20)).await;
    let (words, end) = streamed(remote(NAME, &server, "v1"), question()).await;
    assert_eq!((words.as_str(), end.unwrap().usage.unwrap().completion_tokens), ("Hello", 3));

    let server = Server::start(|| stuck(BEGUN)).await;
    let began = std::time::Instant::now();
    let (words, end) = streamed(remote(NAME, &server, "v1"), question()).await;
    assert_eq!(words, "Hello");
    assert!(matches!(end, Err(Failure::Unavailable { .. })), "{end:?}");
    assert!(began.elapsed() < SILENCE * 10);
    let failure = remote(NAME, &server, "v1").answer(&question()).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_unavailable() {
    let gone = Server::start(|| whole("{}")).await;
    let remote = remote(NAME, &gone, "v1");
    drop(gone);
    let failure = remote.answer(&question()).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable { status: None, .. }), "{failure:?}");
}

#[tokio::test]
async fn whether_the_key_is_right_is_learnt_from_the_list_of_models() {
    let list = r#"{"data":[{"type":"model","id":"claude-sonnet-4-5","display_name":"x","created_at":"x"}]}"#;
    let server = Server::start(move || whole(list)).await;
    assert_eq!(remote(NAME, &server, "v1").check().await, Ok(()));
    assert_eq!(
        (server.last().path.as_str(), &server.last().headers["x-api-key"]),
        ("/v1/models", &KEY.parse().unwrap())
    );
    let server = Server::start(|| error(401, &[], &said("authentication_error", "invalid x-api-key"))).await;
    assert!(matches!(remote(NAME, &server, "v1").check().await, Err(Failure::Unauthorized { .. })));
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_refused_before() {
    let server = Server::start(|| whole("{}")).await;
    let remote = remote("openai/gpt-4o", &server, "v1");
    let failure = remote.answer(&Request::default()).await.unwrap_err();
    assert!(matches!(failure, Failure::Rejected { status: None, .. }), "{failure:?}");
    let odd: Request = serde_json::from_value(json!({ "messages": [
        { "role": "user", "content": [{ "type": "hologram", "depth": 3 }] }] }))
    .unwrap();
    let failure = remote.answer(&odd).await.unwrap_err();
    assert!(failure.to_string().contains("hologram"), "{failure}");
}
