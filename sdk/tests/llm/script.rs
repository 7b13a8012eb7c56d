//! Providers of a model that says what a test wrote down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use mesh::llm::wire::{Called, End, Frame, FunctionKind, Reply, Request, ToolCall, Trouble, Usage};
use mesh::prelude::*;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

/// What a provider does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// Answers.
    Says(Box<Reply>),
    /// Answers with these words.
    Streams(&'static [&'static str]),
    /// Says these words, and fails.
    Breaks(&'static [&'static str]),
    /// Fails.
    Fails(Trouble),
    /// Does nothing until it is told to go on with the next turn.
    Hangs,
}

/// What a provider does, turn by turn, and what it was asked.
#[derive(Debug)]
pub(crate) struct Script {
    turns: Mutex<VecDeque<Turn>>,
    seen: watch::Sender<Vec<Request>>,
    released: Notify,
}

impl Script {
    pub(crate) fn of(turns: impl IntoIterator<Item = Turn>) -> Arc<Self> {
        let turns = Mutex::new(turns.into_iter().collect());
        Arc::new(Self { turns, seen: watch::Sender::default(), released: Notify::new() })
    }

    pub(crate) fn add(&self, turns: impl IntoIterator<Item = Turn>) {
        self.turns.lock().unwrap().extend(turns);
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, count: usize) {
        self.seen.subscribe().wait_for(|seen| seen.len() >= count).await.unwrap();
    }

    pub(crate) fn go_on(&self) {
        self.released.notify_one();
    }

    async fn next(&self, request: Value) -> Result<Turn> {
        let request: Request = serde_json::from_value(request)?;
        self.seen.send_modify(|seen| seen.push(request));
        loop {
            let turn = self.turns.lock().unwrap().pop_front();
            match turn.ok_or_else(|| Error::new("the script is over"))? {
                Turn::Hangs => self.released.notified().await,
                turn => return Ok(turn),
            }
        }
    }

    async fn answer(&self, request: Value, vendor: &str) -> Result<Value> {
        let reply = match self.next(request).await? {
            Turn::Says(reply) => *reply,
            Turn::Streams(words) => Reply::text(words.concat()),
            Turn::Breaks(_) | Turn::Hangs => return Err(broken()),
            Turn::Fails(trouble) => return Err(trouble.error("the vendor says no")),
        };
        let mut extra = reply.extra.clone();
        extra.insert(format!("_{vendor}_signature"), json!("signed"));
        Ok(serde_json::to_value(Reply { usage: Some(usage(vendor)), extra, ..reply })?)
    }

    fn stream(self: Arc<Self>, request: Value, vendor: &'static str) -> Stream<String> {
        Stream::produce(move |frames| async move {
            let (words, breaks, end) = match self.next(request).await? {
                Turn::Says(reply) => {
                    let end = End { tool_calls: reply.tool_calls, ..End::default() };
                    (vec![reply.content], false, end)
                }
                Turn::Streams(words) => (words.iter().map(ToString::to_string).collect(), false, End::default()),
                Turn::Breaks(words) => (words.iter().map(ToString::to_string).collect(), true, End::default()),
                Turn::Fails(trouble) => return Err(trouble.error("the vendor says no")),
                Turn::Hangs => return Err(broken()),
            };
            for word in words {
                frames.send(Frame::chunk(word).to_text()).await?;
            }
            if breaks {
                return Err(broken());
            }
            frames.send(Frame::End(End { usage: Some(usage(vendor)), ..end }).to_text()).await?;
            Ok(())
        })
    }
}

fn broken() -> Error {
    Trouble::Unavailable { status: None }.error("the vendor broke off")
}

fn usage(vendor: &str) -> Usage {
    Usage {
        prompt_tokens: 10,
        completion_tokens: 5,
        model: format!("{vendor}/scripted"),
        cost_usd: Some(0.001),
        ..Usage::default()
    }
}

/// A reply that wants these tools.
pub(crate) fn wants(calls: &[(&str, &Value)]) -> Reply {
    let call = |(number, (tool, arguments)): (usize, &(&str, &Value))| {
        let function = Called { name: (*tool).to_owned(), arguments: arguments.to_string() };
        ToolCall { id: format!("call-{number}"), kind: FunctionKind::Function, function, extra: Default::default() }
    };
    Reply { tool_calls: calls.iter().enumerate().map(call).collect(), ..Reply::text("") }
}

#[mesh::tool(name = "claude", capability = "llm", tags = ["claude"], idempotent)]
async fn claude_whole(request: Value, script: State<Arc<Script>>) -> Result<Value> {
    script.answer(request, "anthropic").await
}

#[mesh::tool(name = "claude_stream", capability = "llm", tags = ["claude", "ai.mcpmesh.stream"], idempotent)]
async fn claude_pieces(request: Value, script: State<Arc<Script>>) -> Stream<String> {
    Arc::clone(&script).stream(request, "anthropic")
}

#[mesh::tool(name = "gpt", capability = "llm", tags = ["openai"], idempotent)]
async fn gpt_whole(request: Value, script: State<Arc<Script>>) -> Result<Value> {
    script.answer(request, "openai").await
}

#[mesh::tool(name = "gpt_stream", capability = "llm", tags = ["openai", "ai.mcpmesh.stream"], idempotent)]
async fn gpt_pieces(request: Value, script: State<Arc<Script>>) -> Stream<String> {
    Arc::clone(&script).stream(request, "openai")
}

/// Answers with `reply`.
pub(crate) fn says(reply: Reply) -> Turn {
    Turn::Says(Box::new(reply))
}

/// A provider with the tag `claude`.
pub(crate) fn claude(script: &Arc<Script>) -> Agent {
    Agent::new("claude-provider").state(Arc::clone(script)).tool::<claude_whole>().tool::<claude_pieces>()
}

/// A provider with the tag `openai`.
pub(crate) fn openai(script: &Arc<Script>) -> Agent {
    Agent::new("openai-provider").state(Arc::clone(script)).tool::<gpt_whole>().tool::<gpt_pieces>()
}
