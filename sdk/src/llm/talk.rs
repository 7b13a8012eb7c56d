//! One loop, performed: what the machine says is done in the mesh.

use std::sync::Arc;

use futures::future::join_all;
use mesh_node::call::Caller;
use mesh_node::context::Scope;
use mesh_node::trace::{Outcome, Running, SpanKind, TraceContext, Usage};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::error::{LlmError, Why};
use super::limits::Spent;
use super::machine::{Machine, Step, Wanted};
use super::meters;
use super::models::Models;
use super::tools::Toolbox;
use super::wire::{Message, MessageContent};
use super::words::Words;

/// Everything that one loop needs.
pub(crate) struct Talk {
    pub(crate) machine: Machine,
    pub(crate) models: Models,
    pub(crate) hands: Option<Hands>,
    pub(crate) begun: Instant,
    pub(crate) deadline: Instant,
}

/// How tools are called.
pub(crate) struct Hands {
    pub(crate) caller: Caller,
    pub(crate) toolbox: Arc<Toolbox>,
    pub(crate) scope: Scope,
    pub(crate) at_once: bool,
}

/// How a loop ended well.
pub(crate) struct Told {
    pub(crate) answer: Value,
    pub(crate) transcript: Vec<Message>,
    pub(crate) spent: Spent,
}

impl Talk {
    /// Asks and calls until there is an answer or a reason to have none. Dropping the future withdraws whatever is under
    /// way; tools may have run.
    pub(crate) async fn run(mut self, mut words: Option<&mut Words>) -> Result<Told, LlmError> {
        loop {
            let why = match self.machine.step() {
                Step::Done(answer) => {
                    let (transcript, spent) = (self.machine.transcript(), self.machine.spent().clone());
                    return Ok(Told { answer, transcript, spent });
                }
                Step::GiveUp(why) => why,
                Step::Ask(asking) => {
                    let asked = self.models.ask(&asking, words.as_deref_mut(), self.deadline);
                    match timeout_at(self.deadline, asked).await {
                        Ok(Ok(answered)) => {
                            if let Some(words) = words.as_deref_mut() {
                                words.stands();
                            }
                            self.machine.replied(answered.reply, answered.vendor.as_deref());
                            continue;
                        }
                        Ok(Err(why)) => why,
                        Err(_) => self.late(),
                    }
                }
                Step::Call(wanted) => match timeout_at(self.deadline, self.call(wanted)).await {
                    Ok(results) => {
                        self.machine.called(results);
                        continue;
                    }
                    Err(_) => self.late(),
                },
            };
            return Err(LlmError::new(why, self.machine.transcript(), self.machine.spent().clone()));
        }
    }

    fn late(&self) -> Why {
        Why::Deadline { after: self.begun.elapsed() }
    }

    async fn call(&self, wanted: Vec<Wanted>) -> Vec<(String, MessageContent)> {
        let Some(hands) = &self.hands else { return Vec::new() };
        let one = |wanted: Wanted| async move {
            let result = hands.toolbox.call(&hands.caller, &hands.scope, &wanted).await;
            (wanted.id, result)
        };
        if hands.at_once {
            return join_all(wanted.into_iter().map(one)).await;
        }
        let mut results = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            results.push(one(wanted).await);
        }
        results
    }
}

/// The span of a loop. Dropped unfinished, the loop was withdrawn.
pub(crate) struct LoopSpan<'a> {
    running: Running<'a>,
    tool: Arc<str>,
    begun: Instant,
}

impl<'a> LoopSpan<'a> {
    /// Begins now, below the span of `scope`; what happens in the course of the loop is below the context that comes back.
    pub(crate) fn begin(caller: &'a Caller, scope: &Scope, tool: &Arc<str>) -> (Self, TraceContext) {
        let at = TraceContext::below(scope.trace.as_ref());
        let parent = scope.trace.map(|trace| trace.span_id);
        let running = Running::begin(caller.ring(), SpanKind::Loop, &at, parent, tool);
        (Self { running, tool: Arc::clone(tool), begun: Instant::now() }, at)
    }

    /// Ends as the loop did.
    pub(crate) fn end(mut self, told: &Result<Told, LlmError>) {
        let (spent, outcome, why) = match told {
            Ok(told) => (&told.spent, Outcome::Ok, String::new()),
            Err(error) => {
                let outcome =
                    if matches!(error.why(), Why::Deadline { .. }) { Outcome::TimedOut } else { Outcome::Error };
                (error.spent(), outcome, format!(": {error}"))
            }
        };
        meters::ended(&self.tool, outcome, self.begun.elapsed(), spent);
        self.running.span().usage = Some(Usage {
            model: spent.model.as_str().into(),
            prompt_tokens: spent.prompt_tokens,
            completion_tokens: spent.completion_tokens,
            cost_usd: (spent.unpriced == 0).then_some(spent.cost_usd),
        });
        self.running.end(outcome, format!("{} turns, {} tool calls{why}", spent.turns, spent.tool_calls));
    }
}
