//! A server on this machine that speaks a vendor's format: OpenAI's chat completions.

use std::net::TcpListener;
use std::sync::OnceLock;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Its base address. It runs until the process ends.
pub(crate) fn url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().route("/v1/chat/completions", post(complete))).await.unwrap();
            });
        });
        url
    })
}

/// Calls the first tool it is given, once; then says what came of it.
async fn complete(Json(request): Json<Value>) -> Json<Value> {
    let messages = request["messages"].as_array().unwrap();
    let result = messages.iter().rev().find(|message| message["role"] == "tool").map(|message| &message["content"]);
    let tool = request["tools"].as_array().and_then(|tools| tools.first()).map(|tool| &tool["function"]["name"]);
    let (finish, message) = match (result, tool) {
        (None, Some(name)) => {
            let call = json!({"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}});
            ("tool_calls", json!({"role": "assistant", "content": null, "tool_calls": [call]}))
        }
        (result, _) => {
            let heard = result.map_or_else(
                || "nothing".to_owned(),
                |result| result.as_str().map_or_else(|| result.to_string(), str::to_owned),
            );
            ("stop", json!({"role": "assistant", "content": format!("The vendor heard {heard}")}))
        }
    };
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": request["model"],
        "choices": [{"index": 0, "finish_reason": finish, "message": message, "logprobs": null}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    }))
}
