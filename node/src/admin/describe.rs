//! What tools and schemas are like in detail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use mesh_gossip::catalog::{AgentEntry, Owner};
use mesh_gossip::schema::Digest;
use mesh_gossip::{MemberId, View};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::listing::Wanted;
use super::timestamp::Timestamp;
use super::wire::{SchemaEntry, SchemasAnswer, ToolDetail};
use super::{Answer, Asked, Desk, adopted, find};
use crate::call::question::{Answer as Answerer, INPUT_SCHEMA};
use crate::tool::ToolHost;

/// How long another node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most schemas in one answer.
const MAX_SCHEMAS: usize = 1000;

/// Tells other nodes about the tools of this one.
pub(super) struct SchemaAnswer(pub(super) Arc<dyn ToolHost>);

#[async_trait]
impl Answerer for SchemaAnswer {
    async fn answer(&self, _asker: MemberId, question: Bytes) -> Result<Bytes, String> {
        let tools = self.0.tools().borrow().clone();
        let tool = tools.iter().find(|tool| tool.name.as_bytes() == question).ok_or("there is no such tool")?;
        serde_json::to_vec(&*tool.input_schema).map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// Which tool is meant.
#[derive(Debug, Deserialize)]
pub(super) struct ToolQuery {
    #[serde(default)]
    agent: Option<String>,
    tool: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct SchemasQuery {
    #[serde(default)]
    limit: Option<usize>,
}

/// One tool in full.
pub(super) async fn tool(State(desk): State<Arc<Desk>>, Asked(query): Asked<ToolQuery>) -> Answer<ToolDetail> {
    let view = desk.gossip.view();
    let (owner, place) = find::tool(&view, query.agent.as_deref(), &query.tool, Wanted::Healthy)?;
    let agent = view.catalog().agent(&owner).and_then(|agent| desk.listing(&view).agent(&agent));
    let mut agent = agent.ok_or_else(find::gone)?;
    let listed = agent.tools.iter().position(|tool| tool.id == place + 1).ok_or_else(find::gone)?;
    let tool = agent.tools.swap_remove(listed);
    let told = match owner.agent.belongs_to(&owner.member) {
        true => {
            let question = Bytes::from(tool.function_name.clone().into_bytes());
            let asked = desk.questions.ask(owner.member, INPUT_SCHEMA, question, Instant::now() + PATIENCE).await;
            asked.ok().and_then(|answer| serde_json::from_slice(&answer).ok())
        }
        false => {
            let adopted = adopted::one(&desk.questions, &owner).await;
            adopted.and_then(|mut adopted| adopted.schemas.remove(&tool.function_name))
        }
    };
    // Of an agent that cannot be asked the mesh knows the canonical form of what it offers.
    let input_schema = told.or_else(|| canonical(&view, &owner, place));
    let (agent_id, agent_name, endpoint) = (agent.id, agent.name, agent.endpoint);
    Ok(Json(ToolDetail { agent_id, agent_name, endpoint, tool, input_schema }))
}

fn canonical(view: &View, owner: &Owner, place: usize) -> Option<Value> {
    let digest = view.catalog().agent(owner)?.offers?.tools.get(place)?.input?;
    view.schemas().get(&digest).map(|schema| Value::clone(schema))
}

/// The canonical schemas that are known, those of the newest agents first.
pub(super) async fn schemas(State(desk): State<Arc<Desk>>, Asked(query): Asked<SchemasQuery>) -> Answer<SchemasAnswer> {
    let view = desk.gossip.view();
    let mut first: BTreeMap<Digest, (Timestamp, String)> = BTreeMap::new();
    for agent in view.catalog().agents() {
        let Some((offers, created)) = agent.offers.zip(started(&view, &agent)) else { continue };
        let runtime = offers.labels.get("runtime").cloned().unwrap_or_else(|| "unknown".into());
        for digest in offers.tools.iter().flat_map(|tool| tool.input.iter().chain(&tool.output)) {
            let entry = first.entry(*digest).or_insert_with(|| (created, runtime.clone()));
            if created < entry.0 {
                *entry = (created, runtime.clone());
            }
        }
    }
    let entry = |(digest, (created_at, runtime_origin)): (Digest, (Timestamp, String))| {
        let canonical = Value::clone(view.schemas().get(&digest)?);
        Some(SchemaEntry { hash: digest.to_string(), canonical, runtime_origin, created_at })
    };
    let mut schemas: Vec<SchemaEntry> = first.into_iter().filter_map(entry).collect();
    schemas.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.hash.cmp(&b.hash)));
    schemas.truncate(query.limit.unwrap_or(100).clamp(1, MAX_SCHEMAS));
    Ok(Json(SchemasAnswer { count: schemas.len(), schemas }))
}

fn started(view: &View, agent: &AgentEntry<'_>) -> Option<Timestamp> {
    Some(Timestamp(view.member(&agent.owner.member)?.alive().body().generation.0))
}
