//! OpenAI's chat completions and responses, and servers that speak the former:
//! <https://platform.openai.com/docs/api-reference/chat>, <https://platform.openai.com/docs/api-reference/responses>.

use super::server::{Server, events, whole};
use super::*;

pub(super) const WHOLE: &str = r#"{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion",
"created":1741570283,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":null,
"tool_calls":[{"id":"call_abc","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}},
{"id":"call_def","type":"function","function":{"name":"weather","arguments":"{\"city\":"}}],
"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"tool_calls"}],
"usage":{"prompt_tokens":82,"completion_tokens":17,"total_tokens":99,"prompt_tokens_details":{"cached_tokens":64,
"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default"}"#;

pub(super) const STREAM: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Ro"}}]},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"me\"}"}}]},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}

data: [DONE]

"#;

pub(super) const RESPONSE: &str = r#"{"id":"resp_67ccd2bed1ec8190b14f964abc054267","object":"response","created_at":1741476542,
"status":"completed","error":null,"incomplete_details":null,"model":"gpt-5-2025-08-07","output":[
{"type":"function_call","id":"fc_1","call_id":"call_1","name":"weather","arguments":"{\"city\":\"Rome\"}","status":"completed"},
{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi there","annotations":[]}]}],
"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":87,
"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}"#;

#[tokio::test]
async fn calls_come_back_also_those_whose_arguments_are_broken() {
    let server = Server::start(|| whole(WHOLE)).await;
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let said =
        json!({ "output_schema": schema, "output_type_name": "My Answer", "parallel_tool_calls": false, "seed": 7 });
    let reply = remote("openai/gpt-4o", &server, "v1").answer(&conversation(said)).await.unwrap();
    let arguments: Vec<&str> = reply.tool_calls.iter().map(|call| call.function.arguments.as_str()).collect();
    assert_eq!(arguments, [r#"{"city":"Rome"}"#, r#"{"city":"#]);
    let usage = reply.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.cache_read_tokens, usage.completion_tokens), (82, Some(64), 17));

    let seen = server.last();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!((&seen.body["seed"], &seen.body["parallel_tool_calls"]), (&json!(7), &json!(false)));
    let format = &seen.body["response_format"]["json_schema"];
    assert_eq!((&format["name"], &format["strict"]), (&json!("My_Answer"), &json!(true)));
    let roles: Vec<&Value> = seen.body["messages"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool"]);
}

#[tokio::test]
async fn pieces_of_words_and_arguments_are_put_together() {
    let server = Server::start(|| events(STREAM)).await;
    let (words, end) = streamed(remote("openai/gpt-4o", &server, "v1"), question()).await;
    let end = end.unwrap();
    assert_eq!((words.as_str(), end.stop_reason.as_deref()), ("Hello", Some("length")));
    assert_eq!(end.tool_calls[0].function.arguments, r#"{"city":"Rome"}"#);
    assert_eq!(end.usage.unwrap().completion_tokens, 3);
    assert_eq!(server.last().body["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn newer_models_are_asked_in_the_responses_api() {
    let server = Server::start(|| whole(RESPONSE)).await;
    let reply = remote("openai/gpt-5", &server, "v1").answer(&conversation(json!({}))).await.unwrap();
    assert_eq!((reply.content.as_str(), reply.tool_calls[0].id.as_str()), ("Hi there", "call_1"));
    assert_eq!(reply.usage.unwrap().prompt_tokens, 36);
    assert_eq!(server.last().path, "/v1/responses");
}

#[tokio::test]
async fn servers_in_ones_own_house_are_asked_for_chat_completions_whatever_the_model_is_called() {
    let server = Server::start(|| whole(WHOLE)).await;
    for name in ["ollama/llama3", "vllm/meta-llama/Llama-3.1-8B", "litellm/gpt-5", "compatible/x"] {
        remote(name, &server, "v1").answer(&question()).await.unwrap();
        let seen = server.last();
        let model = name.split_once('/').unwrap().1;
        assert_eq!((seen.path.as_str(), &seen.body["model"]), ("/v1/chat/completions", &json!(model)));
    }
}

#[tokio::test]
async fn another_model_of_the_same_vendor_may_be_asked_for() {
    let server = Server::start(|| whole(WHOLE)).await;
    let remote = remote("openai/gpt-4o", &server, "v1");
    let reply = remote.answer(&conversation(json!({ "model": "openai/gpt-4o-mini" }))).await.unwrap();
    assert_eq!(server.last().body["model"], "gpt-4o-mini");
    assert_eq!(reply.usage.unwrap().model, "openai/gpt-4o-mini");
    let refused = remote.answer(&conversation(json!({ "model": "claude-sonnet-4-5" }))).await.unwrap_err();
    assert!(matches!(&refused, Failure::Rejected { why, .. } if why.contains("Anthropic")), "{refused}");
}

#[tokio::test]
async fn a_model_is_asked_by_the_name_it_was_given_whatever_that_ends_in() {
    let server = Server::start(|| whole(WHOLE)).await;
    for (name, model) in [("vllm/qwen-max", "qwen-max"), ("openai/gpt-4o-high", "gpt-4o-high")] {
        remote(name, &server, "v1").answer(&question()).await.unwrap();
        let seen = server.last();
        assert_eq!((&seen.body["model"], seen.body.get("reasoning_effort")), (&json!(model), None));
    }
    let effort = json!({ "reasoning_effort": "low" });
    let request = Request { model_params: Some(serde_json::from_value(effort).unwrap()), ..question() };
    remote("vllm/qwen-max", &server, "v1").answer(&request).await.unwrap();
    let seen = server.last();
    assert_eq!((&seen.body["model"], &seen.body["reasoning_effort"]), (&json!("qwen-max"), &json!("low")));
}
