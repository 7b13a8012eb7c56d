//! The loop that consumers of the existing system expect their provider to run: they say where each tool is
//! (`_mesh_endpoint`), and want the answer that comes of all of them. Ours run it themselves.

use futures::future::join_all;
use mesh::llm::wire::{Function, MAX_ITERATIONS, Message, Reply, Request, ToolCall, Usage};
use mesh::{Context, Error};
use serde_json::{Map, Value, json};

/// How often the model is asked when the request does not say it, and at most.
const USUAL: u32 = 10;
const MOST: u32 = 100;

/// How much of a tool's result the model is shown, in bytes.
const MAX_RESULT: usize = 64 << 10;

/// A loop under way.
pub(crate) struct Rounds {
    context: Context,
    tools: Vec<Function>,
    left: u32,
    at_once: bool,
    used: Usage,
}

/// What the model said in one round.
pub(crate) struct Said {
    pub(crate) content: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) usage: Option<Usage>,
    pub(crate) extra: Map<String, Value>,
}

impl Rounds {
    /// The loop that `request` expects, if it expects one.
    pub(crate) fn of(request: &Request, context: &Context) -> Option<Self> {
        let tools: Vec<Function> = request.tools.iter().flatten().map(|tool| tool.function.clone()).collect();
        tools.iter().any(|tool| tool.mesh_endpoint.is_some()).then(|| {
            let params = request.model_params.as_ref();
            Self {
                context: context.clone(),
                tools,
                left: params.and_then(|params| params.max_iterations).unwrap_or(USUAL).clamp(1, MOST),
                at_once: params.and_then(|params| params.parallel_tool_calls).unwrap_or(false),
                used: Usage::default(),
            }
        })
    }

    /// Does what the model wants, and has `request` go on with it. `None` when the loop is over: nothing is wanted, or it
    /// went on for too long, which the reason says.
    pub(crate) async fn next(&mut self, request: &mut Request, said: Said) -> Option<()> {
        self.count(said.usage.as_ref());
        self.left -= 1;
        if said.tool_calls.is_empty() || self.left == 0 {
            return None;
        }
        let results = if self.at_once {
            join_all(said.tool_calls.iter().map(|call| self.result(call))).await
        } else {
            let mut results = Vec::new();
            for call in &said.tool_calls {
                results.push(self.result(call).await);
            }
            results
        };
        let ids: Vec<String> = said.tool_calls.iter().map(|call| call.id.clone()).collect();
        let message =
            Message { tool_calls: said.tool_calls, extra: said.extra, ..Message::assistant(said.content.as_str()) };
        request.messages.push(message);
        request.messages.extend(ids.into_iter().zip(results).map(|(id, result)| Message::tool(id, result)));
        Some(())
    }

    /// What all rounds took.
    pub(crate) fn used(&self) -> Usage {
        self.used.clone()
    }

    /// Why the loop ended, if not because all was said.
    pub(crate) fn reason(&self, still_wants: bool) -> Option<String> {
        still_wants.then(|| MAX_ITERATIONS.to_owned())
    }

    /// What `call` gives, as the model is shown it; an error is a result, too.
    async fn result(&self, call: &ToolCall) -> String {
        let text = match self.called(call).await {
            Ok(Value::String(text)) => text,
            Ok(value) => value.to_string(),
            Err(why) => json!({ "error": why.to_string() }).to_string(),
        };
        match text.len() {
            0..=MAX_RESULT => text,
            all => {
                let shown = &text[..text.floor_char_boundary(MAX_RESULT)];
                format!("{shown}\n(cut: these are the first {} of {all} bytes)", shown.len())
            }
        }
    }

    async fn called(&self, call: &ToolCall) -> Result<Value, Error> {
        let name = &call.function.name;
        let tool = self.tools.iter().find(|tool| tool.name == *name);
        let tool = tool.ok_or_else(|| Error::new(format!("there is no tool {name:?}")))?;
        let arguments: Value = match call.function.arguments.trim() {
            "" => json!({}),
            text => serde_json::from_str(text)
                .map_err(|why| Error::new(format!("the arguments of {name} are no JSON object: {why}")))?,
        };
        let url = tool.mesh_endpoint.as_deref().unwrap_or_default();
        let agent = self.context.agent_at(url);
        let agent = agent.ok_or_else(|| Error::new(format!("no agent of this mesh is at {url:?}, where {name} is")))?;
        Ok(self.context.call_agent(&agent, name, arguments).await?)
    }

    fn count(&mut self, usage: Option<&Usage>) {
        let Some(usage) = usage else { return };
        let sum = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a.saturating_add(b.unwrap_or_default())));
        let used = &mut self.used;
        used.prompt_tokens = used.prompt_tokens.saturating_add(usage.prompt_tokens);
        used.completion_tokens = used.completion_tokens.saturating_add(usage.completion_tokens);
        used.cache_read_tokens = sum(used.cache_read_tokens, usage.cache_read_tokens);
        used.cache_write_tokens = sum(used.cache_write_tokens, usage.cache_write_tokens);
        used.cost_usd = match (used.cost_usd, usage.cost_usd) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        used.model.clone_from(&usage.model);
    }
}

impl Said {
    /// What a whole reply says.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self {
            content: reply.content.clone(),
            tool_calls: reply.tool_calls.clone(),
            usage: reply.usage.clone(),
            extra: reply.extra.clone(),
        }
    }
}
