//! Anthropic's messages: <https://docs.claude.com/en/api/messages>, <https://docs.claude.com/en/docs/build-with-claude/streaming>.

use super::server::{Server, events, whole};
use super::*;

const NAME: &str = "anthropic/claude-sonnet-4-5";

pub(super) const WHOLE: &str = r#"{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant",
"model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"Let me look."},
{"type":"tool_use","id":"toolu_01D7FLrfh4GYq7yT1ULFeyMV","name":"weather","input":{"city":"Rome"}}],
"stop_reason":"tool_use","stop_sequence":null,
"usage":{"input_tokens":100,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":65}}"#;

pub(super) const STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay, grüß"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" Gott"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"Rome\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;

pub(super) const THINKING: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[
{"type":"thinking","thinking":"Hm.","signature":"WaUjzkypQ2mUEVM36O2T"},{"type":"redacted_thinking","data":"EmwKAhgBEgy"},
{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Rome"}}],
"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;

#[tokio::test]
async fn a_conversation_with_tools_goes_out_and_calls_come_back() {
    let server = Server::start(|| whole(WHOLE)).await;
    let said = json!({ "cache_control": "1h", "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let reply = remote(NAME, &server, "v1").answer(&conversation(said)).await.unwrap();
    assert_eq!(reply.content, "Let me look.");
    assert_eq!(reply.tool_calls[0].function.arguments, r#"{"city":"Rome"}"#);
    let usage = reply.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.model.as_str()), (150, 65, NAME));
    assert_eq!((usage.cache_read_tokens, usage.cache_write_tokens), (Some(30), Some(20)));

    let seen = server.last();
    assert_eq!((seen.path.as_str(), &seen.headers["x-api-key"]), ("/v1/messages", &KEY.parse().unwrap()));
    assert_eq!(seen.body["max_tokens"], 8192);
    assert_eq!(seen.body["system"][0]["cache_control"], json!({ "type": "ephemeral", "ttl": "1h" }));
    assert_eq!(seen.body["thinking"]["budget_tokens"], 1024);
    assert_eq!(seen.body["tools"][0]["input_schema"]["required"], json!(["city"]));
    let messages = seen.body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3, "the results of one turn are one message: {messages:?}");
    assert_eq!(messages[1]["content"][1]["input"], json!({ "not_an_object": "{\"city\":" }));
    assert_eq!(messages[2]["content"][0], json!({ "type": "tool_result", "tool_use_id": "c1", "content": "sunny" }));
}

#[tokio::test]
async fn words_come_as_they_are_said_and_calls_at_the_end() {
    let server = Server::start(|| events(STREAM)).await;
    let (words, end) = streamed(remote(NAME, &server, "v1"), question()).await;
    let end = end.unwrap();
    assert_eq!(words, "Okay, grüß Gott");
    assert_eq!(end.tool_calls[0].function.arguments, r#"{"city":"Rome"}"#);
    let usage = end.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, end.stop_reason), (472, 89, None));
    assert_eq!(server.last().body["stream"], true);
}

#[tokio::test]
async fn thoughts_go_back_to_the_vendor_that_signed_them_and_to_nobody_else() {
    let server = Server::start(|| whole(THINKING)).await;
    let said = json!({ "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let mut request = Request { model_params: serde_json::from_value(said).unwrap(), ..question() };
    let reply = remote(NAME, &server, "v1").answer(&request).await.unwrap();
    let call = reply.tool_calls[0].clone();
    let message = Message { tool_calls: vec![call.clone()], extra: reply.extra, ..Message::assistant("") };
    request.messages.extend([message, Message::tool(call.id, "sunny")]);
    remote(NAME, &server, "v1").answer(&request).await.unwrap();
    let blocks = server.last().body["messages"][1]["content"].clone();
    assert_eq!(blocks[0], json!({ "type": "thinking", "thinking": "Hm.", "signature": "WaUjzkypQ2mUEVM36O2T" }));
    assert_eq!(blocks[1], json!({ "type": "redacted_thinking", "data": "EmwKAhgBEgy" }));
    assert_eq!(blocks[2]["type"], "tool_use");

    let other = Server::start(|| whole(super::openai::WHOLE)).await;
    remote("openai/gpt-4o", &other, "v1").answer(&request).await.unwrap();
    assert!(!other.last().body.to_string().contains("WaUj"));
}

#[tokio::test]
async fn a_schema_is_enforced_where_the_model_can_and_told_where_it_cannot() {
    let server = Server::start(|| whole(WHOLE)).await;
    let schema = json!({ "type": "object", "properties": { "answer": { "type": "string" } }, "required": ["answer"] });
    let said = || json!({ "output_schema": schema, "output_type_name": "Ans" });
    remote(NAME, &server, "v1").answer(&conversation(said())).await.unwrap();
    let format = &server.last().body["output_config"]["format"];
    assert_eq!((&format["type"], &format["schema"]["required"]), (&json!("json_schema"), &json!(["answer"])));

    remote("anthropic/claude-3-5-haiku-latest", &server, "v1").answer(&conversation(said())).await.unwrap();
    let body = server.last().body;
    assert_eq!(body["output_config"], Value::Null);
    assert!(body["system"].as_str().unwrap().contains("JSON Schema"), "{}", body["system"]);
}

#[tokio::test]
async fn what_a_part_says_about_caching_is_passed_on() {
    let server = Server::start(|| whole(WHOLE)).await;
    let kept = json!({ "type": "ephemeral" });
    let request: Request = serde_json::from_value(json!({ "messages": [
        { "role": "system", "content": [{ "type": "text", "text": "Rules.", "cache_control": kept }] },
        { "role": "user", "content": [
            { "type": "text", "text": "A long book.", "cache_control": kept }, { "type": "text", "text": "Who did it?" }] },
    ] }))
    .unwrap();
    remote(NAME, &server, "v1").answer(&request).await.unwrap();
    let body = server.last().body;
    assert_eq!(body["system"], json!([{ "type": "text", "text": "Rules.", "cache_control": kept }]));
    let parts = &body["messages"][0]["content"];
    assert_eq!(parts[0], json!({ "type": "text", "text": "A long book.", "cache_control": kept }));
    assert_eq!(parts[1], json!({ "type": "text", "text": "Who did it?" }));

    let openai = Server::start(|| whole(super::openai::WHOLE)).await;
    remote("openai/gpt-4o", &openai, "v1").answer(&request).await.unwrap();
    let said = openai.last().body["messages"].to_string();
    assert!(said.contains("A long book.") && !said.contains("cache_control"), "{said}");
}

#[tokio::test]
async fn pictures_are_shown_also_those_that_tools_give() {
    let server = Server::start(|| whole(WHOLE)).await;
    let request: Request = serde_json::from_value(json!({ "messages": [
        { "role": "user", "content": [
            { "type": "text", "text": "Look" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
            { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } },
            { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB" } },
        ] },
        { "role": "assistant", "content": null, "tool_calls": [
            { "id": "c1", "type": "function", "function": { "name": "draw", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c1", "content": [
            { "type": "text", "text": "done" }, { "type": "image_url", "image_url": { "url": "data:image/png;base64,CCCC" } }] },
    ] }))
    .unwrap();
    remote(NAME, &server, "v1").answer(&request).await.unwrap();
    let messages = server.last().body["messages"].clone();
    let parts = &messages[0]["content"];
    assert_eq!(parts[1]["source"], json!({ "type": "base64", "media_type": "image/png", "data": "AAAA" }));
    assert_eq!(parts[2]["source"], json!({ "type": "url", "url": "https://example.org/a.png" }));
    assert_eq!((&parts[3]["type"], &parts[3]["source"]["data"]), (&json!("document"), &json!("BBBB")));
    assert_eq!(messages[2]["content"][0]["content"][1]["source"]["data"], "CCCC");

    let openai = Server::start(|| whole(super::openai::WHOLE)).await;
    remote("openai/gpt-4o", &openai, "v1").answer(&request).await.unwrap();
    let messages = openai.last().body["messages"].clone();
    assert_eq!(messages[2]["content"], "done");
    assert_eq!(messages[3]["content"][1]["image_url"]["url"], "data:image/png;base64,CCCC");
}
