//! The loop between a model and its tools, as a machine that does nothing itself: it says what is to be done next, and is
//! told what came of it. No clock, no network; whatever a model answers, it comes to an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::answer::Expected;
use super::error::Why;
use super::limits::{Limits, MAX_CALLS, MAX_REPAIRS, Spent};
use super::shown;
use super::transcript::{Asking, Transcript};
use super::wire::{MAX_ITERATIONS, Message, MessageContent, ModelParams, Reply, Role, ToolCall, ToolSpec};

/// How many names of tools a model is told that asked for one that there is not.
const NAMES: usize = 20;

/// The longest id of a call that every vendor takes.
const MAX_ID: usize = 40;

/// One loop.
pub(crate) struct Machine {
    limits: Limits,
    expected: Arc<Expected>,
    tools: Arc<[ToolSpec]>,
    params: Arc<ModelParams>,
    asker: Option<Arc<str>>,
    transcript: Transcript,
    spent: Spent,
    iterations: u32,
    repairs: u32,
    phase: Phase,
    ids: BTreeSet<String>,
}

/// What a loop begins with.
pub(crate) struct Beginning {
    pub(crate) limits: Limits,
    pub(crate) expected: Arc<Expected>,
    pub(crate) tools: Arc<[ToolSpec]>,
    pub(crate) params: Arc<ModelParams>,
    /// The name of the agent that asks.
    pub(crate) asker: Option<Arc<str>>,
    pub(crate) messages: Vec<Message>,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Ask a model, and tell [`Machine::replied`].
    Ask(Asking),
    /// Call these, all at once, and tell [`Machine::called`].
    Call(Vec<Wanted>),
    /// Nothing: here is the answer.
    Done(Value),
    /// Nothing: there is no answer.
    GiveUp(Why),
}

/// A call that a model wants: of a tool that there is, with arguments that are an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) id: String,
    pub(crate) tool: String,
    /// The text of a JSON object.
    pub(crate) arguments: String,
}

enum Phase {
    /// The model is to be asked.
    Ask(Turn),
    /// It has been asked.
    Asked,
    /// Tools are to be called.
    Call(Vec<Pending>),
    Over(Result<Value, Why>),
}

#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Iteration,
    Repair,
}

/// A call, and its result if it has one already.
struct Pending {
    id: String,
    call: Result<Wanted, String>,
}

impl Machine {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let Beginning { limits, expected, tools, params, asker, messages } = beginning;
        let mut transcript = Transcript::default();
        let mut ids = BTreeSet::new();
        for message in messages {
            ids.extend(message.tool_calls.iter().map(|call| call.id.clone()));
            transcript.push(message);
        }
        let phase = Phase::Ask(Turn::Iteration);
        let (spent, iterations, repairs) = (Spent::default(), 0, 0);
        Self { limits, expected, tools, params, asker, transcript, spent, iterations, repairs, phase, ids }
    }

    /// What is to be done next. Asked again before it was told what came of it, it says the same again.
    pub(crate) fn step(&mut self) -> Step {
        if let Phase::Ask(turn) = self.phase {
            match self.may_ask(turn) {
                Ok(()) => self.phase = Phase::Asked,
                Err(why) => self.phase = Phase::Over(Err(why)),
            }
        }
        match &self.phase {
            Phase::Ask(_) | Phase::Asked => Step::Ask(Asking {
                transcript: self.transcript.clone(),
                tools: Arc::clone(&self.tools),
                params: Arc::clone(&self.params),
                asker: self.asker.clone(),
            }),
            Phase::Call(pending) => Step::Call(pending.iter().filter_map(|it| it.call.clone().ok()).collect()),
            Phase::Over(Ok(answer)) => Step::Done(answer.clone()),
            Phase::Over(Err(why)) => Step::GiveUp(why.clone()),
        }
    }

    /// A model of `vendor` answered.
    pub(crate) fn replied(&mut self, reply: Reply, vendor: Option<&str>) {
        if !matches!(self.phase, Phase::Asked) {
            return;
        }
        self.spent.add(reply.usage.as_ref());
        self.phase = if reply.tool_calls.is_empty() { self.answered(reply, vendor) } else { self.wants(reply, vendor) };
    }

    /// Tools gave these results, by the ids of their calls.
    pub(crate) fn called(&mut self, results: Vec<(String, MessageContent)>) {
        let Phase::Call(pending) = &mut self.phase else { return };
        let mut results = results;
        for Pending { id, call } in std::mem::take(pending) {
            let content = match call {
                Err(mistake) => shown::error(&mistake),
                Ok(_) => match results.iter().position(|(of, _)| *of == id) {
                    Some(at) => shown::bounded(results.swap_remove(at).1, self.limits.result_bytes),
                    None => shown::error("the call had no result"),
                },
            };
            self.transcript.push(Message::tool(id, content));
        }
        self.phase = Phase::Ask(Turn::Iteration);
    }

    /// What it took so far.
    pub(crate) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// Everything that was said, for whichever vendor.
    pub(crate) fn transcript(&self) -> Vec<Message> {
        self.transcript.messages()
    }

    /// Whether the model may be asked once more, which is counted.
    fn may_ask(&mut self, turn: Turn) -> Result<(), Why> {
        let Limits { iterations, tokens, cost_usd, .. } = self.limits;
        if let Some(limit) = tokens.filter(|limit| self.spent.total_tokens() >= *limit) {
            return Err(Why::Tokens { spent: self.spent.total_tokens(), limit });
        }
        if let Some(limit) = cost_usd {
            // What has no price cannot be held within a budget.
            if self.spent.unpriced > 0 {
                return Err(Why::Unpriced { model: self.spent.model.clone(), limit });
            }
            if self.spent.cost_usd >= limit {
                return Err(Why::Cost { spent: self.spent.cost_usd, limit });
            }
        }
        match turn {
            Turn::Repair => self.repairs += 1,
            Turn::Iteration if self.iterations >= iterations => return Err(Why::Iterations { limit: iterations }),
            Turn::Iteration => self.iterations += 1,
        }
        Ok(())
    }

    /// The model wants tools.
    fn wants(&mut self, mut reply: Reply, vendor: Option<&str>) -> Phase {
        let mut pending = Vec::with_capacity(reply.tool_calls.len());
        for (place, call) in reply.tool_calls.iter_mut().enumerate() {
            call.id = self.own_id(std::mem::take(&mut call.id));
            let wanted = if place < MAX_CALLS {
                self.wanted(call)
            } else {
                Err(format!("at most {MAX_CALLS} tools are called at once; ask again for this one"))
            };
            pending.push(Pending { id: call.id.clone(), call: wanted });
        }
        let calls = pending.iter().filter(|it| it.call.is_ok()).count();
        self.spent.tool_calls = self.spent.tool_calls.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
        self.say(reply, vendor);
        if calls > 0 {
            return Phase::Call(pending);
        }
        for Pending { id, call } in pending {
            self.transcript.push(Message::tool(id, shown::error(&call.err().unwrap_or_default())));
        }
        Phase::Ask(Turn::Iteration)
    }

    /// The call, if it can be made.
    fn wanted(&self, call: &ToolCall) -> Result<Wanted, String> {
        let name = &call.function.name;
        if !self.tools.iter().any(|tool| tool.function.name == *name) {
            let names: Vec<&str> = self.tools.iter().take(NAMES).map(|tool| tool.function.name.as_str()).collect();
            let there =
                if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
            return Err(format!("there is no tool `{name}`; {there}"));
        }
        let text = call.function.arguments.trim();
        let text = if text.is_empty() { "{}" } else { text };
        match serde_json::from_str::<&serde_json::value::RawValue>(text) {
            Ok(_) if text.starts_with('{') => {}
            Ok(_) => return Err(format!("the arguments of `{name}` are no JSON object")),
            Err(why) => return Err(format!("the arguments of `{name}` are no JSON: {why}")),
        }
        Ok(Wanted { id: call.id.clone(), tool: name.clone(), arguments: text.to_owned() })
    }

    /// The id of a call, or another one where it was used already or not every vendor would take it.
    fn own_id(&mut self, id: String) -> String {
        let fits = (1..=MAX_ID).contains(&id.len())
            && id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
        let mut number = self.ids.len() + 1;
        let mut id = if fits { id } else { format!("call_{number}") };
        while !self.ids.insert(id.clone()) {
            number += 1;
            id = format!("call_{number}");
        }
        id
    }

    /// The model has no more wishes.
    fn answered(&mut self, reply: Reply, vendor: Option<&str>) -> Phase {
        match reply.stop_reason.as_deref() {
            Some(MAX_ITERATIONS) => {
                self.say(reply, vendor);
                return Phase::Over(Err(Why::Iterations { limit: self.limits.iterations }));
            }
            Some("refusal" | "content_filter" | "safety") => {
                let said = reply.content.clone();
                self.say(reply, vendor);
                return Phase::Over(Err(Why::Refused { said }));
            }
            _ => {}
        }
        if reply.content.trim().is_empty() {
            return self.repair("Your answer was empty. Answer the question.", Why::Silent);
        }
        let was_cut = matches!(reply.stop_reason.as_deref(), Some("length" | "max_tokens"));
        let (read, text) = (self.expected.read(&reply.content), reply.content.clone());
        self.say(reply, vendor);
        match read {
            Ok(answer) => Phase::Over(Ok(answer)),
            Err(why) => {
                let why = if was_cut { format!("it was cut off at the limit of tokens; {why}") } else { why };
                let shape = self.expected.shape().map(|shape| Value::Object(shape.schema.clone()).to_string());
                let wish = format!(
                    "Your answer does not fit: {why}. Answer again, with nothing but JSON that fits this schema: {}",
                    shape.unwrap_or_default()
                );
                self.repair(&wish, Why::Unfit { why, said: text })
            }
        }
    }

    /// Asks again with `wish`, unless that was tried often enough.
    fn repair(&mut self, wish: &str, why: Why) -> Phase {
        if self.repairs >= MAX_REPAIRS {
            return Phase::Over(Err(why));
        }
        self.transcript.push(Message::user(wish));
        Phase::Ask(Turn::Repair)
    }

    fn say(&mut self, reply: Reply, vendor: Option<&str>) {
        let Reply { content, tool_calls, extra, .. } = reply;
        let message = Message { role: Role::Assistant, content: content.into(), tool_calls, tool_call_id: None, extra };
        self.transcript.push_from(vendor, message);
    }
}

#[cfg(test)]
mod tests;
