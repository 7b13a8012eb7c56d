//! What consumers of models and providers say to each other: the wire of the existing system, so that its agents can use
//! our providers, and ours theirs.
//!
//! A provider of the capability `llm` is two tools: `<name>` takes one argument `request`, a [`Request`], and gives a
//! [`Reply`]. `<name>_stream` takes the same and gives texts, each the JSON of a [`Frame`]; it has the tag [`STREAM_TAG`],
//! by which consumers tell the two apart. What keeps a provider from answering is a [`Trouble`], the data of its fault.
//!
//! Where ours say more than the existing system knows (cache and cost in [`Usage`], usage and tool calls in the last
//! [`Frame`], [`Trouble`]), it is an optional field that others ignore. What others say beyond this is kept in `extra`.

mod frame;
mod message;
mod trouble;

use mesh_node::tool::JsonObject;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use frame::{End, Frame};
pub use message::{Called, Message, MessageContent, Part, Role, ToolCall};
pub use trouble::Trouble;

/// The tag of a provider's streaming tool. Who wants whole replies asks for providers without it.
pub const STREAM_TAG: &str = "ai.mcpmesh.stream";

/// What is added to a provider's name for its streaming tool.
pub const STREAM_SUFFIX: &str = "_stream";

/// The one argument of a provider's tools.
pub const REQUEST_ARGUMENT: &str = "request";

/// [`Reply::stop_reason`] of a loop that used up its iterations.
pub const MAX_ITERATIONS: &str = "max_iterations";

/// What a provider is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What was said so far, the system's instructions first.
    pub messages: Vec<Message>,
    /// What the model may call; none is `null`.
    #[serde(default)]
    pub tools: Option<Vec<ToolSpec>>,
    /// How it shall answer; nothing said is `null`.
    #[serde(default)]
    pub model_params: Option<ModelParams>,
    /// Not used by anybody.
    #[serde(default)]
    pub context: Option<Value>,
    /// A name for the request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Who asks.
    #[serde(default)]
    pub caller_agent: Option<String>,
}

/// A tool as a model is shown it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Always `function`.
    #[serde(rename = "type")]
    pub kind: FunctionKind,
    /// What it is.
    pub function: Function,
}

/// The only kind of tool that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionKind {
    /// A function.
    #[default]
    Function,
}

/// A function that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema of its arguments.
    #[serde(default)]
    pub parameters: JsonObject,
    /// Where the provider itself can call it: the base URL of its agent. Consumers of the existing system say it, and
    /// expect the provider to run the loop; ours run it themselves and do not.
    #[serde(rename = "_mesh_endpoint", default, skip_serializing_if = "Option::is_none")]
    pub mesh_endpoint: Option<String>,
}

/// How a model shall answer. What is `None` was not said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelParams {
    /// The most tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// How much chance there is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of likely tokens that are considered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// A text, or a list of texts, at which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Value>,
    /// Makes the same request give the same answer, where the vendor can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The JSON Schema of the answer; it is a text otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<JsonObject>,
    /// What the schema's type is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_type_name: Option<String>,
    /// `strict`, `hint` or `text`: how the schema is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_mode: Option<String>,
    /// Whether several tools may be called at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// How often a provider that runs the loop may ask its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Another model of the provider's vendor than the one that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What only some vendors know, passed through: `thinking`, `cache_control`, `top_k`, ….
    #[serde(flatten)]
    pub extra: JsonObject,
}

/// What a provider answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Always `assistant`.
    #[serde(default = "assistant")]
    pub role: Role,
    /// What the model said: text, or the JSON of a structured answer.
    #[serde(default, deserialize_with = "nullable")]
    pub content: String,
    /// What the model wants to be called before it goes on.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What it took.
    #[serde(rename = "_mesh_usage", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why it ended before it was done: [`MAX_ITERATIONS`], `length`, `refusal`, ….
    #[serde(rename = "_mesh_stop_reason", default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// What only this vendor says: signatures, thinking. It goes back to the same vendor and to nobody else.
    #[serde(flatten)]
    pub extra: JsonObject,
}

/// What an answer took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    #[serde(default, deserialize_with = "nullable")]
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    #[serde(default, deserialize_with = "nullable")]
    pub completion_tokens: u64,
    /// The model that answered, with its vendor: `anthropic/claude-sonnet-4-5`.
    #[serde(default, deserialize_with = "nullable")]
    pub model: String,
    /// Tokens of the request that the vendor had cached; they count as prompt tokens, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the request that the vendor has now cached; they count as prompt tokens, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// What it cost by the provider's price table, in US dollars; `None` when the table does not know the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

impl ToolSpec {
    /// A tool that whoever asks calls itself.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: JsonObject) -> Self {
        let function = Function { name: name.into(), description: description.into(), parameters, mesh_endpoint: None };
        Self { kind: FunctionKind::Function, function }
    }
}

impl ModelParams {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and what `base` says where they say nothing.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        let mut extra = base.extra.clone();
        extra.extend(self.extra);
        Self {
            max_tokens: self.max_tokens.or(base.max_tokens),
            temperature: self.temperature.or(base.temperature),
            top_p: self.top_p.or(base.top_p),
            stop: self.stop.or_else(|| base.stop.clone()),
            seed: self.seed.or(base.seed),
            output_schema: self.output_schema.or_else(|| base.output_schema.clone()),
            output_type_name: self.output_type_name.or_else(|| base.output_type_name.clone()),
            output_mode: self.output_mode.or_else(|| base.output_mode.clone()),
            parallel_tool_calls: self.parallel_tool_calls.or(base.parallel_tool_calls),
            max_iterations: self.max_iterations.or(base.max_iterations),
            model: self.model.or_else(|| base.model.clone()),
            extra,
        }
    }
}

impl Reply {
    /// An answer that is a text, or the JSON of one.
    pub fn text(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into(), ..Self::default() }
    }
}

impl Usage {
    /// Tokens of both directions.
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// The vendor of `model`: what stands before the `/`, else what such names mean.
///
/// ```
/// use mesh::llm::wire::vendor_of;
/// assert_eq!(vendor_of("anthropic/claude-sonnet-4-5"), Some("anthropic"));
/// assert_eq!(vendor_of("gpt-4o-mini"), Some("openai"));
/// assert_eq!(vendor_of("llama3"), None);
/// ```
pub fn vendor_of(model: &str) -> Option<&str> {
    if let Some((vendor, _)) = model.split_once('/') {
        return Some(vendor).filter(|vendor| !vendor.is_empty());
    }
    let begins = |words: &[&str]| words.iter().any(|word| model.starts_with(word));
    if begins(&["claude-"]) {
        Some("anthropic")
    } else if begins(&["gpt-", "chatgpt-", "o1", "o3", "o4"]) {
        Some("openai")
    } else if begins(&["gemini-"]) {
        Some("gemini")
    } else {
        None
    }
}

fn assistant() -> Role {
    Role::Assistant
}

/// What is `null` is nothing.
fn nullable<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
