//! Vendors' wires against servers that speak the vendors' published formats.
#![expect(clippy::unwrap_used, reason = "tests")]

mod anthropic;
mod faults;
mod gemini;
mod official;
mod openai;
pub(crate) mod server;

use std::time::Duration;

use futures::StreamExt;
use mesh::Stream;
use mesh::llm::wire::{End, Frame, Message, Request};
use serde_json::{Value, json};

use self::server::Server;
use super::Remote;
use crate::failure::Failure;
use crate::model::{LanguageModel, Words};
use crate::secret::Secret;
use crate::vendor::Access;

pub(crate) const KEY: &str = "sk-secret-of-the-test";

/// How long a server of these tests may be silent.
const SILENCE: Duration = Duration::from_millis(400);

/// The model `name`, whose vendor is `server`.
fn remote(name: &str, server: &Server, version: &str) -> Remote {
    let url = format!("{}/{version}/", server.url);
    let access = Access { url, key: Secret::new(KEY), key_variable: "KEY".into() };
    Remote::new(name.parse().unwrap(), access, SILENCE).unwrap()
}

/// A conversation in which a tool was called, and how to go on.
fn conversation(params: Value) -> Request {
    serde_json::from_value(json!({
        "messages": [
            { "role": "system", "content": "You are R2D2." },
            { "role": "user", "content": "Weather in Rome and Oslo?" },
            { "role": "assistant", "content": "", "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Rome\"}" } },
                { "id": "c2", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":" } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "sunny" },
            { "role": "tool", "tool_call_id": "c2", "content": "{\"error\":\"no such city\"}" },
        ],
        "tools": [{ "type": "function", "function": {
            "name": "weather", "description": "Weather lookup",
            "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
        } }],
        "model_params": params,
    }))
    .unwrap()
}

fn question() -> Request {
    Request { messages: vec![Message::user("Hello?")], ..Request::default() }
}

/// All the words of a streamed answer, and how it ended.
async fn streamed(remote: Remote, request: Request) -> (String, Result<End, Failure>) {
    let (told, ended) = tokio::sync::oneshot::channel();
    let frames = Stream::<String>::produce(move |frames| async move {
        let _ = told.send(remote.stream(&request, &Words::to(frames)).await);
        Ok(())
    });
    let frames: Vec<_> = frames.map(|frame| Frame::read(&frame.unwrap()).unwrap()).collect().await;
    let words = frames.into_iter().map(|frame| match frame {
        Frame::Chunk { content } => content,
        Frame::End(_) => panic!("the end is said by the service"),
    });
    (words.collect(), ended.await.unwrap())
}
