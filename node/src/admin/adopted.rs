//! What only the seed knows that speaks for an agent: when it registered, when it was last heard of, which models and tools
//! for these it was told of, and the schemas of its tools as it sent them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use mesh_gossip::catalog::Owner;
use mesh_gossip::{MemberId, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::timestamp::Timestamp;
use super::wire::AgentInfo;
use crate::call::Caller;
use crate::call::question::{Answer, Questions};
use crate::registry::book::Entry;
use crate::registry::listing::AgentInfo as Listed;

/// The topic. The question is the id of an agent, or nothing, which means all; schemas are told of one only.
pub(super) const TOPIC: &str = "adopted";

/// How long a seed may take to answer before others do without.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of one agent.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Adopted {
    agent: String,
    created: Timestamp,
    seen: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    llm_tools: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    llm_providers: Vec<Value>,
    /// By function.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) schemas: BTreeMap<String, Value>,
}

/// Tells other nodes about the agents that this one speaks for, if it does for any.
pub(super) struct AdoptedAnswer(pub(super) Caller);

#[async_trait]
impl Answer for AdoptedAnswer {
    async fn answer(&self, _asker: MemberId, question: Bytes) -> Result<Bytes, String> {
        let registry = self.0.registry().ok_or("this node speaks for nobody")?;
        let entries = registry.entries().await.map_err(|error| error.to_string())?;
        let wanted =
            entries.iter().filter(|entry| question.is_empty() || entry.profile.agent.as_str().as_bytes() == question);
        let mut told: Vec<Adopted> = wanted.clone().map(|entry| Adopted::of(entry, !question.is_empty())).collect();
        if wanted
            .flat_map(|entry| &entry.offers.tools)
            .any(|tool| tool.llm_filter.is_some() || tool.llm_provider.is_some())
        {
            let listed = registry.agents().await.map_err(|error| error.to_string())?;
            told.iter_mut().for_each(|one| one.add_models(&listed));
        }
        serde_json::to_vec(&told).map(Bytes::from).map_err(|error| error.to_string())
    }
}

impl Adopted {
    fn of(entry: &Entry, in_full: bool) -> Self {
        let tools = entry.profile.tools.iter().filter(|_| in_full);
        let schemas = tools.filter_map(|tool| Some((tool.function.clone(), tool.input_schema.clone()?)));
        Self {
            agent: entry.profile.agent.to_string(),
            created: entry.created,
            seen: entry.seen,
            llm_tools: Vec::new(),
            llm_providers: Vec::new(),
            schemas: schemas.collect(),
        }
    }
}

impl Adopted {
    /// Adds what the agent was told of models, as the registry lists it.
    fn add_models(&mut self, listed: &[Listed]) {
        let Ok(at) = listed.binary_search_by(|agent| agent.id.cmp(&self.agent)) else { return };
        let rows = |rows: serde_json::Result<Value>| match rows {
            Ok(Value::Array(rows)) => rows,
            _ => Vec::new(),
        };
        self.llm_tools = rows(serde_json::to_value(&listed[at].llm_tool_resolutions));
        self.llm_providers = rows(serde_json::to_value(&listed[at].llm_provider_resolutions));
    }
}

/// What the seed of `owner` says of it. None for agents of ours, and when the seed does not answer.
pub(super) async fn one(questions: &Questions, owner: &Owner) -> Option<Adopted> {
    if owner.agent.belongs_to(&owner.member) {
        return None;
    }
    let question = Bytes::copy_from_slice(owner.agent.as_str().as_bytes());
    ask(questions, owner.member, question).await.into_iter().next()
}

/// Puts in what the seeds say of those of `agents` that they speak for.
pub(super) async fn complete(questions: &Questions, view: &View, agents: &mut [AgentInfo]) {
    let owners = view.catalog().agents().map(|agent| agent.owner);
    let seeds: BTreeSet<MemberId> =
        owners.filter(|owner| !owner.agent.belongs_to(&owner.member)).map(|owner| owner.member).collect();
    let told = join_all(seeds.into_iter().map(async |seed| (seed, ask(questions, seed, Bytes::new()).await))).await;
    let told: BTreeMap<(String, String), Adopted> = told
        .into_iter()
        .flat_map(|(seed, told)| told.into_iter().map(move |one| ((seed.to_string(), one.agent.clone()), one)))
        .collect();
    for agent in agents {
        if let Some(adopted) = told.get(&(agent.member.clone(), agent.id.clone())) {
            adopted.put_into(agent);
        }
    }
}

impl Adopted {
    /// Says in `agent` when it came, when it was last heard of, and what it was told of models.
    pub(super) fn put_into(&self, agent: &mut AgentInfo) {
        agent.created_at = self.created;
        agent.start_time = Some(self.created);
        agent.last_heartbeat = Some(self.seen);
        agent.updated_at = self.seen;
        agent.llm_tool_resolutions.clone_from(&self.llm_tools);
        agent.llm_provider_resolutions.clone_from(&self.llm_providers);
    }
}

async fn ask(questions: &Questions, seed: MemberId, question: Bytes) -> Vec<Adopted> {
    let answer = questions.ask(seed, TOPIC, question, Instant::now() + PATIENCE).await;
    answer.ok().and_then(|answer| serde_json::from_slice(&answer).ok()).unwrap_or_default()
}
