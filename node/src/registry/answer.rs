//! What an agent is answered: whom to call for each of its dependencies, which tools its models are shown, and who runs
//! those models. From the same resolver that our own agents use.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_gossip::View;
use mesh_gossip::catalog::{AgentId, Offer, Offers, Owner};
use mesh_gossip::resolve::llm::{self, Asker, FilterMode, ToolFilter};
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::{Candidate, Query, Resolution, Resolver, affinity};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH, VERSION_LABEL};

/// Everything that a registration is answered about others.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answer {
    /// By function, whom to call for each dependency, in the order of declaration.
    pub dependencies_resolved: BTreeMap<String, Vec<Bound>>,
    /// By function, the tools that its model is shown.
    pub llm_tools: BTreeMap<String, Vec<ShownTool>>,
    /// By function, who runs its model. Those for whom nobody does are not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub llm_providers: BTreeMap<String, ModelProvider>,
}

/// Whom to call for a dependency. With empty names, nobody.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bound {
    /// The agent.
    pub agent_id: String,
    /// What was asked for.
    pub capability: String,
    /// Where it is called.
    pub endpoint: String,
    /// Its tool.
    pub function_name: String,
    /// What it tells its consumers on top.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
    /// `available` or `unresolved`.
    pub status: &'static str,
}

/// A tool that a model is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownTool {
    /// The name by which it is called.
    pub name: String,
    /// What it provides.
    pub capability: String,
    /// What it does, in words.
    pub description: String,
    /// Where it is called.
    pub endpoint: String,
    /// The schema of its arguments.
    #[serde(rename = "inputSchema")]
    pub input_schema: Arc<Value>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its version.
    pub version: String,
    /// Whose it is.
    #[serde(skip)]
    pub agent_id: String,
}

/// Who runs a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelProvider {
    /// Its tool.
    pub name: String,
    /// Where it is called.
    pub endpoint: String,
    /// The agent.
    pub agent_id: String,
    /// What it provides.
    pub capability: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its version.
    pub version: String,
    /// Whose model it is.
    pub vendor: String,
    /// `available`.
    pub status: &'static str,
    /// What it tells its consumers on top.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
}

/// What an agent was answered last.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// The state of the catalog that it was found in, unless it waits for schemas, which come without that changing.
    epoch: Option<u64>,
    /// What each dependency was resolved to; nothing when there are models in it, which depend on more than that.
    resolved: Option<Vec<(Arc<Query>, Arc<Resolution>)>>,
}

impl Answered {
    /// Whether the same would be answered in `view` for sure. Costs next to nothing, so that thousands can be told with
    /// every heartbeat that nothing has changed for them.
    pub fn stands(&self, view: &View) -> bool {
        let is_as_before = |(query, last): &(Arc<Query>, Arc<Resolution>)| {
            Arc::ptr_eq(&query.answer(view.catalog(), view.schemas()), last)
        };
        self.epoch == Some(view.catalog().epoch())
            || self.resolved.as_ref().is_some_and(|resolved| resolved.iter().all(is_as_before))
    }
}

/// What a dependency is while somebody provides it.
pub const AVAILABLE: &str = "available";

/// What it is while nobody does.
pub const UNRESOLVED: &str = "unresolved";

/// Where schemas of arguments are found as they were sent: with the words that canonical ones lack.
pub(super) trait SentSchemas {
    /// The schema of the arguments of `function`, a tool of `agent`.
    fn input_schema(&self, agent: &AgentId, function: &str) -> Option<Value>;
}

/// Answers from one view.
pub(super) struct Answers<'a> {
    view: &'a View,
    resolver: &'a Resolver,
    sent: &'a dyn SentSchemas,
}

impl<'a> Answers<'a> {
    pub(super) fn new(view: &'a View, resolver: &'a Resolver, sent: &'a dyn SentSchemas) -> Self {
        Self { view, resolver, sent }
    }

    /// What the agent with `offers` is answered.
    pub(super) fn to(&self, offers: &Offers) -> Answered {
        let (mut answer, mut resolved) = (Answer::default(), Vec::new());
        for tool in &offers.tools {
            if !tool.dependencies.is_empty() {
                let bound = tool.dependencies.iter().map(|needed| {
                    let query = self.query(&needed.selector, offers);
                    let resolution = query.answer(self.view.catalog(), self.bodies());
                    let bound = bind(&needed.selector, &resolution, offers);
                    resolved.push((query, resolution));
                    bound
                });
                let bound = bound.collect();
                answer.dependencies_resolved.insert(tool.function.to_string(), bound);
            }
            if let Some(filter) = &tool.llm_filter {
                answer.llm_tools.insert(tool.function.to_string(), self.shown(filter, offers));
            }
            if let Some(provider) = tool.llm_provider.as_ref().and_then(|selector| self.model(selector, offers)) {
                answer.llm_providers.insert(tool.function.to_string(), provider);
            }
        }
        let is_pending = resolved.iter().any(|(_, resolution)| !resolution.pending_schemas().is_empty());
        let epoch = Some(self.view.catalog().epoch()).filter(|_| !is_pending);
        let has_models = offers.tools.iter().any(|tool| tool.llm_filter.is_some() || tool.llm_provider.is_some());
        Answered { answer, epoch, resolved: (!has_models).then_some(resolved) }
    }

    fn query(&self, selector: &Selector, offers: &Offers) -> Arc<Query> {
        self.resolver.query(&selector.clone().asked_in(&offers.namespace))
    }

    fn bodies(&self) -> &'a dyn mesh_gossip::schema::SchemaBodies {
        self.view.schemas()
    }

    /// As in the existing system a model may be shown its own agent's tools, unless it is shown everybody's.
    fn shown(&self, filter: &ToolFilter, consumer: &Offers) -> Vec<ShownTool> {
        let own = (filter.mode == FilterMode::Every).then_some(&consumer.agent);
        let asker = Asker { agent: own, namespace: &consumer.namespace };
        let set = llm::tools(self.view.catalog(), self.bodies(), filter, asker);
        let chosen = set.tools.iter().filter_map(|choice| choose(&choice.candidates, consumer));
        chosen.filter_map(|offer| self.shown_tool(offer)).collect()
    }

    fn shown_tool(&self, offer: &Offer) -> Option<ShownTool> {
        let tool = offer.tool();
        let sent = self.sent.input_schema(offer.agent(), &tool.function).map(Arc::new);
        let input_schema = sent.or_else(|| self.view.schemas().get(&tool.input?).cloned())?;
        Some(ShownTool {
            name: tool.function.to_string(),
            capability: tool.capability.to_string(),
            description: tool.description.clone(),
            endpoint: endpoint_for_models(offer.offers()),
            input_schema,
            tags: tool.tags.iter().map(ToString::to_string).collect(),
            version: tool.version.to_string(),
            agent_id: offer.agent().to_string(),
        })
    }

    fn model(&self, selector: &Selector, consumer: &Offers) -> Option<ModelProvider> {
        let selector = selector.clone().asked_in(&consumer.namespace);
        let resolution = llm::provider(self.view.catalog(), self.bodies(), &selector);
        let offer = choose(&resolution.candidates, consumer)?;
        let tool = offer.tool();
        Some(ModelProvider {
            name: tool.function.to_string(),
            endpoint: endpoint_for_models(offer.offers()),
            agent_id: offer.agent().to_string(),
            capability: tool.capability.to_string(),
            tags: tool.tags.iter().map(ToString::to_string).collect(),
            version: tool.version.to_string(),
            vendor: tool.kwargs.get("vendor").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
            status: AVAILABLE,
            kwargs: kwargs(offer),
        })
    }
}

/// Whom `consumer` is told to call for `selector`.
fn bind(selector: &Selector, resolution: &Resolution, consumer: &Offers) -> Bound {
    let capability = selector.capability.to_string();
    match choose(&resolution.candidates, consumer) {
        Some(offer) => Bound {
            agent_id: offer.agent().to_string(),
            capability,
            endpoint: endpoint(offer.offers()),
            function_name: offer.tool().function.to_string(),
            kwargs: kwargs(offer),
            status: AVAILABLE,
        },
        None => Bound { capability, status: UNRESOLVED, ..Bound::default() },
    }
}

/// The first of `candidates`, best first, whom an HTTP agent can reach; or of its replicas, which are as good, the one that
/// falls to `consumer`. Itself when it is one of them.
pub(super) fn choose<'a>(candidates: &'a [Candidate], consumer: &Offers) -> Option<&'a Offer> {
    let mut reachable = candidates.iter().filter(|candidate| is_reachable(candidate.offer.offers()));
    let first = reachable.next()?;
    let is_replica = |other: &&Candidate| {
        let (one, other) = (first.offer.offers(), other.offer.offers());
        one.name == other.name && one.labels.get(VERSION_LABEL) == other.labels.get(VERSION_LABEL)
    };
    let equals = reachable.take_while(|other| other.rank() == first.rank()).filter(is_replica);
    let mut replicas: BTreeMap<Owner, &Offer> = BTreeMap::new();
    for candidate in std::iter::once(first).chain(equals) {
        // Of several tools of one agent the first one counts.
        replicas.entry(owner(&candidate.offer)).or_insert(&candidate.offer);
    }
    if let Some((_, own)) = replicas.iter().find(|(owner, _)| owner.agent == consumer.agent) {
        return Some(own);
    }
    let home = affinity::home(consumer.agent.as_str(), replicas.keys())?;
    replicas.get(home).copied()
}

fn owner(offer: &Offer) -> Owner {
    Owner { member: offer.member(), agent: offer.agent().clone() }
}

/// Agents on our own nodes can go without HTTP; all others say where they are, or that they talk over their standard
/// streams.
fn is_reachable(offers: &Offers) -> bool {
    !is_native(offers) || !offers.endpoints.is_empty()
}

/// Whether the agent runs on one of our nodes.
pub(super) fn is_native(offers: &Offers) -> bool {
    offers.labels.get(TRANSPORT_LABEL).is_some_and(|transport| transport == TRANSPORT_MESH)
}

/// Where an agent is called, as the existing system writes it.
pub(super) fn endpoint(offers: &Offers) -> String {
    offers.endpoints.first().cloned().unwrap_or_else(|| format!("stdio://{}", offers.agent))
}

/// The same as models' tools are called: an agent that listens on all addresses is called on this machine.
fn endpoint_for_models(offers: &Offers) -> String {
    endpoint(offers).replacen("://0.0.0.0:", "://localhost:", 1)
}

fn kwargs(offer: &Offer) -> Map<String, Value> {
    offer.tool().kwargs.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
