//! Google's Gemini: <https://ai.google.dev/api/generate-content>.

use super::server::{Server, events, whole};
use super::*;

const NAME: &str = "gemini/gemini-2.5-flash";

const WHOLE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Let me look."},
{"functionCall":{"name":"weather","args":{"city":"Rome"}},"thoughtSignature":"c2ln"}],"role":"model"},
"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":10,"totalTokenCount":55,
"thoughtsTokenCount":5,"cachedContentTokenCount":8},"modelVersion":"gemini-2.5-flash","responseId":"x"}"#;

const STREAM: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}],\"role\":\"model\"},\"index\":0}],\
\"usageMetadata\":{\"promptTokenCount\":4,\"totalTokenCount\":4},\"modelVersion\":\"gemini-2.5-flash\"}\r\n\r\n\
data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\
\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":2,\"totalTokenCount\":6}}\r\n\r\n";

#[tokio::test]
async fn calls_and_their_signatures_come_back_and_go_out_again() {
    let server = Server::start(|| whole(WHOLE)).await;
    let reply = remote(NAME, &server, "v1beta").answer(&conversation(json!({}))).await.unwrap();
    assert_eq!(reply.content, "Let me look.");
    let call = reply.tool_calls[0].clone();
    assert_eq!(call.extra["thought_signatures"], json!(["c2ln"]));
    let usage = reply.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens), (40, 15, Some(8)));
    let seen = server.last();
    assert_eq!(seen.path, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(seen.headers["x-goog-api-key"], KEY);
    assert_eq!(seen.body["systemInstruction"]["parts"][0]["text"], "You are R2D2.");

    let mut request = question();
    let message = Message { tool_calls: vec![call.clone()], ..Message::assistant("") };
    request.messages.extend([message, Message::tool(call.id, "sunny")]);
    remote(NAME, &server, "v1beta").answer(&request).await.unwrap();
    let contents = server.last().body["contents"].clone();
    assert_eq!(contents[1]["parts"][0]["thoughtSignature"], "c2ln");
    assert_eq!(contents[2]["parts"][0]["functionResponse"]["name"], "weather");
}

#[tokio::test]
async fn words_come_as_they_are_said() {
    let server = Server::start(|| events(STREAM)).await;
    let (words, end) = streamed(remote(NAME, &server, "v1beta"), question()).await;
    assert_eq!((words.as_str(), end.unwrap().usage.unwrap().completion_tokens), ("Hello", 2));
    assert_eq!(server.last().path, "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
}

#[tokio::test]
async fn older_models_with_tools_are_told_the_schema_newer_ones_are_held_to_it() {
    let server = Server::start(|| whole(WHOLE)).await;
    let said = || json!({ "output_schema": { "type": "object" } });
    remote(NAME, &server, "v1beta").answer(&conversation(said())).await.unwrap();
    assert_eq!(server.last().body["generationConfig"]["responseJsonSchema"], Value::Null);
    remote("gemini/gemini-3-pro", &server, "v1beta").answer(&conversation(said())).await.unwrap();
    assert_eq!(server.last().body["generationConfig"]["responseJsonSchema"]["type"], "object");
}
