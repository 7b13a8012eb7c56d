//! The tools of the mesh that a model is shown, and how they are called.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use mesh_gossip::View;
use mesh_gossip::catalog::{AgentId, Offer};
use mesh_gossip::resolve::llm::{Asker, FilterMode, ToolFilter, tools};
use mesh_gossip::schema::Digest;
use mesh_node::call::options::CallOptions;
use mesh_node::call::question::{Desk, INPUT_SCHEMA, Questions};
use mesh_node::call::{CallError, Caller, Request, Target};
use mesh_node::context::Scope;
use mesh_node::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use mesh_node::tool::JsonObject;
use serde_json::Value;
use tokio::time::Instant;

use super::limits::MAX_TOOLS;
use super::machine::Wanted;
use super::names::{self, ToolName};
use super::shown;
use super::wire::{MessageContent, STREAM_TAG, ToolSpec};

/// How long an agent may take to say how a tool's arguments are described.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many descriptions are remembered.
const MANY: usize = 1024;

/// The tools that a model is shown in one loop.
#[derive(Debug, Default)]
pub(crate) struct Toolbox {
    pub(crate) specs: Arc<[ToolSpec]>,
    by_name: BTreeMap<String, ToolName>,
}

/// How tools' arguments are described by their authors; the mesh itself knows a form without words. Shared by all tools
/// of an agent.
#[derive(Debug, Default)]
pub(crate) struct Descriptions {
    known: Mutex<BTreeMap<Described, Arc<JsonObject>>>,
}

/// The tools that one filter let through the last time: the same as long as nobody's offers change.
#[derive(Debug, Default)]
pub(crate) struct LastToolbox(Mutex<Option<Remembered>>);

#[derive(Debug)]
struct Remembered {
    /// Of the catalog, as the agent called so saw it.
    epoch: u64,
    agent: Arc<str>,
    toolbox: Arc<Toolbox>,
}

/// A description does not change while its form does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Described {
    agent: Arc<str>,
    function: Arc<str>,
    form: Digest,
}

impl Toolbox {
    /// The tools that `filter` lets through now, as the agent of `caller` sees the mesh. Its own are not among them, nor
    /// is whoever provides `model`. `last` remembers what comes of this filter and model.
    pub(crate) async fn open(
        caller: &Caller,
        descriptions: &Descriptions,
        filter: &ToolFilter,
        model: &str,
        last: &LastToolbox,
    ) -> Arc<Self> {
        if filter.patterns.is_empty() && filter.mode != FilterMode::Every {
            return Arc::default();
        }
        let (view, agent) = (caller.gossip().view(), caller.ring().agent());
        let epoch = view.catalog().epoch();
        if let Some(toolbox) = last.of(epoch, &agent) {
            return toolbox;
        }
        let offers = offers(&view, caller, filter, model);
        let names: Vec<ToolName> = offers.iter().map(name_of).collect();
        let shown = names::shown(&names);
        let described = offers.iter().map(|offer| descriptions.of(caller, &view, offer));
        let described = join_all(described).await;
        let is_final = described.iter().all(|(_, is_final)| *is_final);
        let specs = shown.iter().zip(&offers).zip(described).map(|((name, offer), (parameters, _))| {
            ToolSpec::new(name, &*offer.tool().description, (*parameters).clone())
        });
        let toolbox = Self { specs: specs.collect(), by_name: shown.iter().cloned().zip(names).collect() };
        let toolbox = Arc::new(toolbox);
        if is_final {
            last.remember(Remembered { epoch, agent, toolbox: Arc::clone(&toolbox) });
        }
        toolbox
    }

    /// Makes the call that a model wants, as any other call of the mesh. What it gives, or why it gives nothing, is told
    /// to the model.
    pub(crate) async fn call(&self, caller: &Caller, scope: &Scope, wanted: &Wanted) -> MessageContent {
        let Some(tool) = self.by_name.get(&wanted.tool) else { return shown::error("there is no such tool") };
        let request = Request {
            tool: Some(tool.function.as_str().into()),
            options: CallOptions::default(),
            scope: scope.clone(),
            ..Request::new(Target::Agent(tool.agent.as_str().into()), Bytes::from(wanted.arguments.clone()))
        };
        match caller.call(request).await {
            Ok(reply) => shown::payload(&reply.payload),
            Err(CallError::Unresolved { .. }) => {
                shown::error(&format!("`{}` is not there any more; do without it", wanted.tool))
            }
            Err(CallError::Fault { fault, .. }) => shown::error(&fault.message),
            Err(error) => shown::error(&error.to_string()),
        }
    }
}

impl LastToolbox {
    fn of(&self, epoch: u64, agent: &str) -> Option<Arc<Toolbox>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.epoch == epoch && *last.agent == *agent)?;
        Some(Arc::clone(&last.toolbox))
    }

    fn remember(&self, what: Remembered) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }
}

/// One offer of each tool.
fn offers(view: &View, caller: &Caller, filter: &ToolFilter, model: &str) -> Vec<Offer> {
    let own = caller.ring().agent().parse::<AgentId>().ok();
    let asker = Asker { agent: own.as_ref(), namespace: &caller.settings().namespace };
    let set = tools(view.catalog(), view.schemas(), filter, asker);
    let mut found: Vec<Offer> =
        set.tools.into_iter().map(|mut choice| choice.candidates.swap_remove(0).offer).collect();
    // What is called like a tool of another agent: models are told them apart by longer names.
    for offer in set.shadowed {
        let of_capability = |other: &Offer| other.tool().capability == offer.tool().capability;
        let is_taken = match filter.mode {
            FilterMode::BestMatch => found.iter().any(of_capability),
            _ => found.iter().any(|other| name_of(other) == name_of(&offer)),
        };
        if !is_taken {
            found.push(offer);
        }
    }
    // A model is no tool of a model, nor what else its provider tells people; and routes are called by nobody.
    found.retain(|offer| {
        let tool = offer.tool();
        let is_providers = || offer.offers().tools.iter().any(|other| *other.capability == *model);
        let is_model = *tool.capability == *model || tool.tags.iter().any(|tag| **tag == *STREAM_TAG);
        let is_left_out = is_model || (filter.mode == FilterMode::Every && is_providers());
        !is_left_out && !tool.function.contains(':')
    });
    if found.len() > MAX_TOOLS {
        tracing::warn!(tools = found.len(), "a model is shown the first {MAX_TOOLS} tools only: narrow its filter");
        found.truncate(MAX_TOOLS);
    }
    found
}

fn name_of(offer: &Offer) -> ToolName {
    ToolName { agent: offer.offers().name.to_string(), function: offer.tool().function.to_string() }
}

impl Descriptions {
    /// How the arguments of the tool of `offer` are described, and whether that is all there is to know.
    async fn of(&self, caller: &Caller, view: &View, offer: &Offer) -> (Arc<JsonObject>, bool) {
        let body = offer.tool().input.and_then(|form| view.schemas().get(&form).cloned());
        let is_here = body.is_some();
        let plain = || {
            let body = body.and_then(|body| body.as_object().cloned());
            Arc::new(body.unwrap_or_else(|| [("type".to_owned(), Value::from("object"))].into_iter().collect()))
        };
        let Some(form) = offer.tool().input else { return (plain(), true) };
        let key = Described { agent: offer.offers().name.clone(), function: offer.tool().function.clone(), form };
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return (Arc::clone(known), true);
        }
        let is_native = offer.offers().labels.get(TRANSPORT_LABEL).is_some_and(|it| it == TRANSPORT_MESH);
        if !is_native {
            return (plain(), is_here);
        }
        let questions = Questions::new(Arc::clone(caller.gossip()), Desk::default());
        let question = Bytes::from(offer.tool().function.to_string());
        let answer = questions.ask(offer.member(), INPUT_SCHEMA, question, Instant::now() + PATIENCE).await;
        let Some(told) = answer.ok().and_then(|answer| serde_json::from_slice(&answer).ok()) else {
            return (plain(), false);
        };
        let told: Arc<JsonObject> = Arc::new(told);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            known.clear();
        }
        known.insert(key, Arc::clone(&told));
        (told, true)
    }
}
