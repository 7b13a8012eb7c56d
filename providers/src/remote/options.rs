//! How a model shall answer, for genai: what is meant for all vendors is translated, the rest passes through.

use std::borrow::Cow;

use genai::chat::{
    CacheControl, ChatOptions, ChatResponseFormat, JsonSpec, ReasoningEffort, ServiceTier, ToolChoice, Verbosity,
};
use mesh::llm::wire::{ModelParams, Request};
use serde_json::{Map, Value, json};

use super::question::{self, Schema};
use crate::failure::Failure;
use crate::vendor::{ModelName, Vendor};

/// How many tokens an answer of Anthropic's may have when nobody says: the vendor wants to be told.
const ANTHROPIC_MAX_TOKENS: u32 = 8192;

/// The parameters of `request` for `name`.
pub(super) fn of(request: &Request, name: &ModelName) -> Result<ChatOptions, Failure> {
    let params = request.model_params.clone().unwrap_or_default();
    let mut rest = params.extra.clone();
    let mut options = ChatOptions::default().with_capture_usage(true).with_capture_tool_calls(true);
    // What genai cannot read may still be of use: see `answer::mended`.
    options.capture_raw_body = Some(!matches!(name.vendor, Vendor::Anthropic | Vendor::Gemini));
    options.stop_sequences = stops(params.stop.as_ref())?;
    let limit = rest.remove("max_completion_tokens").and_then(|value| value.as_u64()).or(params.max_tokens);
    options.max_tokens = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    if name.vendor == Vendor::Anthropic {
        options.max_tokens = options.max_tokens.or(Some(ANTHROPIC_MAX_TOKENS));
    }
    // Models that reason refuse them.
    if !refuses_sampling(name) {
        options.temperature = params.temperature;
        options.top_p = params.top_p;
    }
    options.seed = params.seed.and_then(|seed| u64::try_from(seed).ok());
    options.tool_choice = rest.remove("tool_choice").map(|choice| tool_choice(&choice)).transpose()?;
    options.cache_control = rest.remove("cache_control").map(|control| cache_control(&control)).transpose()?;
    options.prompt_cache_key = text(&mut rest, "prompt_cache_key")?;
    options.reasoning_effort = keyword::<ReasoningEffort>(&mut rest, "reasoning_effort")?;
    options.verbosity = keyword::<Verbosity>(&mut rest, "verbosity")?;
    options.service_tier = keyword::<ServiceTier>(&mut rest, "service_tier")?;
    let thinks = options.reasoning_effort.is_some() || rest.contains_key("thinking");
    options.capture_reasoning_content = Some(thinks);
    if question::schema(request, name.vendor, &name.model) == Schema::Enforced {
        options.response_format = Some(response_format(&params));
    }
    if let Some(Value::Object(body)) = rest.remove("extra_body") {
        rest.extend(body);
    }
    parallel(&params, request, name.vendor, &mut options, &mut rest);
    if name_for_genai(name) != name.model {
        rest.insert("model".into(), name.model.as_str().into());
    }
    if !rest.is_empty() {
        options.extra_body = Some(Value::Object(rest));
    }
    Ok(options)
}

/// The name of the model as genai is told it. It takes a last word such as `max` for an effort that is wished for, and the
/// rest for the name; with one more hyphen it does not, and what is sent names the model as it is called. Gemini's are
/// named by the address instead, and none of them ends so.
pub(super) fn name_for_genai(name: &ModelName) -> Cow<'_, str> {
    match ReasoningEffort::from_model_name(&name.model) {
        (Some(_), _) if name.vendor != Vendor::Gemini => format!("{}-", name.model).into(),
        _ => name.model.as_str().into(),
    }
}

fn response_format(params: &ModelParams) -> ChatResponseFormat {
    let schema = params.output_schema.clone().unwrap_or_default();
    let name: String = params.output_type_name.as_deref().unwrap_or("answer").chars().take(64).collect();
    // The grammar of OpenAI, which the others accept.
    let name = name.replace(|it: char| !it.is_ascii_alphanumeric() && it != '_' && it != '-', "_");
    ChatResponseFormat::JsonSpec(JsonSpec::new(name, Value::Object(schema)))
}

/// Whether several tools may be called at once is said in a way of its own by each vendor.
fn parallel(
    params: &ModelParams,
    request: &Request,
    vendor: Vendor,
    options: &mut ChatOptions,
    rest: &mut Map<String, Value>,
) {
    let (Some(parallel), Some(_)) = (params.parallel_tool_calls, request.tools.as_ref().filter(|it| !it.is_empty()))
    else {
        return;
    };
    match vendor {
        Vendor::OpenAi | Vendor::Vllm | Vendor::LiteLlm | Vendor::Compatible => {
            rest.insert("parallel_tool_calls".into(), parallel.into());
        }
        Vendor::Anthropic if !parallel => {
            let choice = match options.tool_choice.take() {
                Some(ToolChoice::None) => json!({ "type": "none" }),
                Some(ToolChoice::Required) => json!({ "type": "any", "disable_parallel_tool_use": true }),
                Some(ToolChoice::Tool { name }) => {
                    json!({ "type": "tool", "name": name, "disable_parallel_tool_use": true })
                }
                Some(ToolChoice::Auto) | None => json!({ "type": "auto", "disable_parallel_tool_use": true }),
            };
            rest.insert("tool_choice".into(), choice);
        }
        _ => {}
    }
}

/// Whether the model accepts no temperature: those of OpenAI that reason.
fn refuses_sampling(name: &ModelName) -> bool {
    let reasoning = ["o1", "o3", "o4", "gpt-5"];
    name.vendor == Vendor::OpenAi && reasoning.iter().any(|start| name.model.starts_with(start))
}

fn stops(stop: Option<&Value>) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::rejected("`stop` is a text or a list of texts");
    match stop {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(texts)) => {
            texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// As OpenAI, Anthropic and their followers write it.
fn tool_choice(choice: &Value) -> Result<ToolChoice, Failure> {
    let kind = choice.as_str().or_else(|| choice.get("type")?.as_str());
    let named = || choice.pointer("/function/name").or_else(|| choice.get("name")).and_then(Value::as_str);
    match (kind, named()) {
        (Some("auto"), _) => Ok(ToolChoice::Auto),
        (Some("none"), _) => Ok(ToolChoice::None),
        (Some("required" | "any"), _) => Ok(ToolChoice::Required),
        (Some("function" | "tool"), Some(name)) => Ok(ToolChoice::tool(name)),
        _ => {
            Err(Failure::rejected(format!("`tool_choice` is auto, none, required, or names a function; not {choice}")))
        }
    }
}

/// `"ephemeral"`, `"5m"`, `"1h"`, `"24h"`, or Anthropic's `{"type":"ephemeral","ttl":"1h"}`.
pub(super) fn cache_control(control: &Value) -> Result<CacheControl, Failure> {
    let word = control.as_str().or_else(|| control.get("ttl")?.as_str()).or_else(|| control.get("type")?.as_str());
    match word {
        Some("ephemeral") => Ok(CacheControl::Ephemeral),
        Some("memory" | "in_memory") => Ok(CacheControl::Memory),
        Some("5m") => Ok(CacheControl::Ephemeral5m),
        Some("1h") => Ok(CacheControl::Ephemeral1h),
        Some("24h") => Ok(CacheControl::Ephemeral24h),
        _ => Err(Failure::rejected(format!("`cache_control` is ephemeral, 5m, 1h or 24h; not {control}"))),
    }
}

fn text(rest: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match rest.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Failure::rejected(format!("`{name}` is a text, not {other}"))),
    }
}

fn keyword<T: std::str::FromStr>(rest: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Failure> {
    let word = match rest.remove(name) {
        // So many tokens.
        Some(Value::Number(number)) => Some(number.to_string()),
        other => {
            rest.extend(other.map(|other| (name.to_owned(), other)));
            text(rest, name)?
        }
    };
    let wrong = |word: &str| Failure::rejected(format!("`{name}` cannot be {word:?}"));
    word.map(|word| word.parse().map_err(|_| wrong(&word))).transpose()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn options(model: &str, params: Value) -> Result<ChatOptions, Failure> {
        let request: Request = serde_json::from_value(json!({
            "messages": [{ "role": "user", "content": "hi" }],
            "tools": [{ "type": "function", "function": { "name": "f", "parameters": {} } }],
            "model_params": params,
        }))
        .unwrap();
        of(&request, &model.parse().unwrap())
    }

    #[test]
    fn what_all_vendors_know_is_translated_and_the_rest_passes_through() {
        let said = json!({
            "max_tokens": 5, "stop": "END", "cache_control": { "type": "ephemeral", "ttl": "1h" }, "top_k": 3,
            "thinking": { "type": "enabled", "budget_tokens": 1024 }, "extra_body": { "metadata": { "user_id": "u" } },
        });
        let options = options("anthropic/claude-sonnet-4-5", said).unwrap();
        assert_eq!((options.max_tokens, options.stop_sequences.len()), (Some(5), 1));
        assert_eq!(options.cache_control, Some(CacheControl::Ephemeral1h));
        assert_eq!(options.capture_reasoning_content, Some(true));
        let rest = options.extra_body.unwrap();
        assert_eq!((&rest["top_k"], &rest["metadata"]["user_id"]), (&json!(3), &json!("u")));
        assert_eq!(rest["thinking"]["budget_tokens"], 1024);
    }

    #[test]
    fn models_that_reason_are_not_told_a_temperature() {
        let said = json!({ "temperature": 0.1 });
        assert_eq!(options("openai/o3-mini", said.clone()).unwrap().temperature, None);
        assert_eq!(options("openai/gpt-4o", said).unwrap().temperature, Some(0.1));
    }

    #[test]
    fn one_tool_at_a_time_is_said_as_each_vendor_wants_it() {
        let said = json!({ "parallel_tool_calls": false, "tool_choice": "required" });
        let anthropic = options("anthropic/claude-x", said.clone()).unwrap();
        let choice = json!({ "type": "any", "disable_parallel_tool_use": true });
        assert_eq!(anthropic.extra_body.unwrap()["tool_choice"], choice);
        let openai = options("openai/gpt-4o", said).unwrap();
        assert_eq!(openai.extra_body.unwrap()["parallel_tool_calls"], false);
        assert_eq!(openai.tool_choice, Some(ToolChoice::Required));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (said, name) in [
            (json!({ "stop": 7 }), "stop"),
            (json!({ "tool_choice": "maybe" }), "tool_choice"),
            (json!({ "cache_control": "forever" }), "cache_control"),
            (json!({ "reasoning_effort": "heroic" }), "reasoning_effort"),
            (json!({ "prompt_cache_key": 5 }), "prompt_cache_key"),
        ] {
            let why = options("openai/gpt-4o", said).unwrap_err().to_string();
            assert!(why.contains(name), "{why}");
        }
    }
}
