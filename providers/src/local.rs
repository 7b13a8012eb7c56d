//! The local demonstration model: rules instead of a network, the same answer to the same question, and it says so.
//!
//! It reads what it is shown as a model would: it calls every tool that the conversation is about once, several at a
//! time, with arguments made from what was said and the tools' schemas; then it puts their results into words, or into
//! the shape that is asked for. Demos and tests run on it, so that everything around a model is real.

mod conversation;
mod facts;
mod fill;
mod prose;
mod relevance;

use async_trait::async_trait;
use mesh::llm::wire::{Called, End, Reply, Request, Role, ToolCall, ToolSpec, Usage};
use serde_json::{Map, Value};

use self::conversation::Conversation;
use self::facts::Facts;
use crate::failure::Failure;
use crate::model::{LanguageModel, Words};
use crate::vendor::ModelName;

/// The local model.
#[derive(Debug)]
pub(crate) struct Local {
    name: String,
}

/// What it does next.
struct Turn {
    says: String,
    calls: Vec<ToolCall>,
    stop_reason: Option<String>,
}

impl Local {
    pub(crate) fn new(name: &ModelName) -> Self {
        Self { name: name.to_string() }
    }

    fn turn(request: &Request) -> Result<Turn, Failure> {
        if request.messages.is_empty() {
            return Err(Failure::rejected("a request without messages cannot be answered"));
        }
        let conversation = Conversation::of(request);
        let params = request.model_params.clone().unwrap_or_default();
        let tools = request.tools.as_deref().unwrap_or_default();
        let may_call = params.extra.get("tool_choice").and_then(Value::as_str) != Some("none");
        let mut due = if may_call { relevance::due(tools, &conversation) } else { Vec::new() };
        if params.parallel_tool_calls == Some(false) {
            due.truncate(1);
        }
        if !due.is_empty() {
            let (number, facts) = (conversation.called.len(), Facts::of(&conversation));
            let calls = due.into_iter().enumerate().map(|(at, tool)| call(tool, number + at + 1, &facts)).collect();
            return Ok(Turn { says: String::new(), calls, stop_reason: None });
        }
        let says = match &params.output_schema {
            Some(schema) => fill::answer(schema, &Facts::of(&conversation)).to_string(),
            None => prose::answer(&conversation),
        };
        let mut turn = Turn { says, calls: Vec::new(), stop_reason: None };
        turn.end_at(params.stop.as_ref(), params.max_tokens);
        Ok(turn)
    }

    fn usage(&self, request: &Request, turn: &Turn) -> Usage {
        let tools = serde_json::to_string(&request.tools).map_or(0, |text| text.len());
        let said: usize = request.messages.iter().map(|message| message.text().len()).sum();
        let calls: usize = turn.calls.iter().map(|call| call.function.name.len() + call.function.arguments.len()).sum();
        Usage {
            prompt_tokens: tokens(said + tools),
            completion_tokens: tokens(turn.says.len() + calls),
            model: self.name.clone(),
            ..Usage::default()
        }
    }
}

impl Turn {
    /// Stops where it was told to.
    fn end_at(&mut self, stop: Option<&Value>, max_tokens: Option<u64>) {
        let stops: Vec<&str> = match stop {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let found = stops.into_iter().filter(|stop| !stop.is_empty()).filter_map(|stop| self.says.find(stop)).min();
        self.says.truncate(found.unwrap_or(self.says.len()));
        let room = max_tokens.and_then(|most| usize::try_from(most.saturating_mul(BYTES_PER_TOKEN)).ok());
        if let Some(room) = room.filter(|room| *room < self.says.len()) {
            self.says.truncate(self.says.floor_char_boundary(room));
            self.stop_reason = Some("length".to_owned());
        }
    }
}

/// What tokens are taken to be.
const BYTES_PER_TOKEN: u64 = 4;

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN)
}

fn call(tool: &ToolSpec, number: usize, facts: &Facts) -> ToolCall {
    let arguments = fill::arguments(&tool.function.parameters, facts);
    let function = Called { name: tool.function.name.clone(), arguments: arguments.to_string() };
    ToolCall { id: format!("call_{number}"), kind: Default::default(), function, extra: Map::new() }
}

#[async_trait]
impl LanguageModel for Local {
    async fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        let turn = Self::turn(request)?;
        let usage = Some(self.usage(request, &turn));
        Ok(Reply {
            role: Role::Assistant,
            content: turn.says,
            tool_calls: turn.calls,
            usage,
            stop_reason: turn.stop_reason,
            ..Reply::default()
        })
    }

    async fn stream(&self, request: &Request, words: &Words) -> Result<End, Failure> {
        let turn = Self::turn(request)?;
        for word in turn.says.split_inclusive(' ') {
            words.say(word).await?;
        }
        let usage = Some(self.usage(request, &turn));
        Ok(End { stop_reason: turn.stop_reason, tool_calls: turn.calls, usage, extra: Map::new() })
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
