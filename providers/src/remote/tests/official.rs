//! The vendors' own clients at the very servers that our own is tried against: what these say is what vendors say.

use std::path::Path;
use std::process::Stdio;

use axum::response::Response;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::server::{Server, error, events, whole};
use super::{anthropic, faults, openai, *};

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the workspace is.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Sees to it that the clients are there, once for all tests of this process.
async fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = || async {
        let installed = Command::new(Path::new(ROOT).join(".ci/node-tools")).status().await;
        let is_there = installed.is_ok_and(|status| status.success());
        assert!(is_there, ".ci/node-tools failed: it says above what it could not install");
    };
    INSTALLED.get_or_init(install).await;
}

/// What the vendor's own client understands of `answer`.
async fn understood(vendor: &str, way: &str, answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Value {
    install().await;
    let server = Server::start(answer).await;
    let mut client = Command::new(Path::new(ROOT).join("target/tools/python/bin/python"));
    client.arg(Path::new(ROOT).join("tests/clients/vendors.py")).args([vendor, way, &server.url]);
    client.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, client.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap()
}

#[tokio::test]
async fn anthropics_client_reads_the_same_from_whole_answers_and_streams() {
    let said = understood("anthropic", "whole", || whole(anthropic::WHOLE)).await;
    let calls = json!([["weather", { "city": "Rome" }]]);
    assert_eq!((&said["text"], &said["calls"], &said["stop"]), (&json!("Let me look."), &calls, &json!("tool_use")));
    // It does not count what was cached as input; we do.
    assert_eq!((&said["input"], &said["cached"], &said["output"]), (&json!(100), &json!(30), &json!(65)));

    let said = understood("anthropic", "stream", || events(anthropic::STREAM)).await;
    assert_eq!((&said["text"], &said["calls"]), (&json!("Okay, grüß Gott"), &calls));
    assert_eq!((&said["input"], &said["output"]), (&json!(472), &json!(89)));

    let said = understood("anthropic", "whole", || whole(anthropic::THINKING)).await;
    assert_eq!(said["thoughts"], json!(["WaUjzkypQ2mUEVM36O2T"]));
}

#[tokio::test]
async fn openais_client_reads_the_same_from_whole_answers_streams_and_responses() {
    let said = understood("openai", "whole", || whole(openai::WHOLE)).await;
    let calls = json!([["weather", r#"{"city":"Rome"}"#], ["weather", r#"{"city":"#]]);
    assert_eq!((&said["text"], &said["calls"], &said["stop"]), (&Value::Null, &calls, &json!("tool_calls")));
    assert_eq!((&said["input"], &said["cached"], &said["output"]), (&json!(82), &json!(64), &json!(17)));

    let said = understood("openai", "stream", || events(openai::STREAM)).await;
    assert_eq!((&said["text"], &said["calls"][0][1]), (&json!("Hello"), &json!(r#"{"city":"Rome"}"#)));
    assert_eq!((&said["stop"], &said["output"]), (&json!("length"), &json!(3)));

    let said = understood("openai", "responses", || whole(openai::RESPONSE)).await;
    assert_eq!((&said["text"], &said["calls"][0][0]), (&json!("Hi there"), &json!("weather")));
    assert_eq!((&said["input"], &said["cached"], &said["output"]), (&json!(36), &json!(4), &json!(87)));
}

#[tokio::test]
async fn errors_are_what_the_vendors_clients_take_them_for() {
    let cases = [
        (400, "invalid_request_error", "BadRequestError"),
        (401, "authentication_error", "AuthenticationError"),
        (429, "rate_limit_error", "RateLimitError"),
    ];
    for (status, kind, name) in cases {
        let body = faults::said(kind, "no");
        let said = understood("anthropic", "whole", move || error(status, &[("retry-after", "7")], &body)).await;
        assert_eq!((&said["status"], &said["retry_after"]), (&json!(status), &json!("7")), "{said}");
        assert_eq!(said["error"], name, "{said}");
    }
}
