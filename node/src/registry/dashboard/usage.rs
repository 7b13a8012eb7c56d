//! `/api/schemas…`: which agents' tools a schema is of, and who depends on them.

use std::collections::{BTreeMap, BTreeSet};

use mesh_gossip::View;
use mesh_gossip::catalog::{AgentEntry, Offers, Standing, Tool};
use mesh_gossip::schema::Digest;
use serde::Serialize;

use crate::offers::{ROLE_LABEL, RUNTIME_LABEL};
use crate::registry::store::Schema;

/// Who has to do with each schema.
#[derive(Debug, Default)]
pub(super) struct Usage {
    providers: BTreeMap<Digest, Vec<Provider>>,
    consumers: BTreeMap<Digest, Vec<Consumer>>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Provider {
    agent_id: String,
    agent_name: String,
    runtime: String,
    function_name: String,
    capability: String,
    role: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Consumer {
    agent_id: String,
    agent_name: String,
    runtime: String,
    function_name: String,
    capability: String,
    via: &'static str,
    depends_on_capability: String,
}

/// One schema in a line.
#[derive(Debug, Serialize)]
pub(super) struct SchemaRow {
    hash: String,
    runtime_origin: String,
    created_at: crate::admin::timestamp::Timestamp,
    provider_count: usize,
    consumer_count: usize,
    sample_function: Option<String>,
    provider_agent_names: Vec<String>,
}

/// One schema with all who use it.
#[derive(Debug, Serialize)]
pub(super) struct SchemaUsage {
    schema: Schema,
    providers: Vec<Provider>,
    consumers: Vec<Consumer>,
}

impl Usage {
    /// What the healthy agents of `view` have to do with schemas.
    pub(super) fn of(view: &View) -> Self {
        let healthy: Vec<&Offers> =
            view.catalog().agents().filter(is_healthy).filter_map(|agent| Some(&**agent.offers?)).collect();
        let mut usage = Self::default();
        let mut outputs: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
        for (offers, tool) in tools(&healthy) {
            for (digest, role) in
                tool.input.iter().map(|it| (it, "input")).chain(tool.output.iter().map(|it| (it, "output")))
            {
                usage.providers.entry(*digest).or_default().push(provider(offers, tool, role));
            }
            outputs.entry(&*tool.capability).or_default().extend(tool.output);
        }
        for (offers, tool) in tools(&healthy) {
            for needed in tool.dependencies.iter().map(|dependency| &dependency.selector) {
                let mut digests = outputs.get(&*needed.capability).cloned().unwrap_or_default();
                digests.extend(needed.schema.map(|wish| wish.digest));
                for digest in digests {
                    usage.consumers.entry(digest).or_default().push(consumer(offers, tool, &needed.capability));
                }
            }
        }
        usage
    }

    /// `schema` in a line.
    pub(super) fn row(&self, schema: Schema) -> SchemaRow {
        let (providers, consumers) = self.of_schema(&schema);
        let names: BTreeSet<&str> = providers.iter().map(|provider| provider.agent_name.as_str()).collect();
        let ids = |ids: BTreeSet<&str>| ids.len();
        SchemaRow {
            provider_count: ids(providers.iter().map(|provider| provider.agent_id.as_str()).collect()),
            consumer_count: ids(consumers.iter().map(|consumer| consumer.agent_id.as_str()).collect()),
            sample_function: providers.first().map(|provider| provider.function_name.clone()),
            provider_agent_names: names.into_iter().map(str::to_owned).collect(),
            hash: schema.hash,
            runtime_origin: schema.runtime_origin,
            created_at: schema.created_at,
        }
    }

    /// `schema` and all who use it.
    pub(super) fn full(&self, schema: Schema) -> SchemaUsage {
        let (providers, consumers) = self.of_schema(&schema);
        SchemaUsage { providers: providers.to_vec(), consumers: consumers.to_vec(), schema }
    }

    fn of_schema(&self, schema: &Schema) -> (&[Provider], &[Consumer]) {
        let digest = schema.hash.parse::<Digest>().ok();
        let providers = digest.and_then(|digest| self.providers.get(&digest));
        let consumers = digest.and_then(|digest| self.consumers.get(&digest));
        (providers.map_or(&[], Vec::as_slice), consumers.map_or(&[], Vec::as_slice))
    }
}

fn tools<'a>(healthy: &'a [&'a Offers]) -> impl Iterator<Item = (&'a Offers, &'a Tool)> {
    healthy.iter().flat_map(|offers| offers.tools.iter().map(move |tool| (*offers, tool)))
}

fn is_healthy(agent: &AgentEntry<'_>) -> bool {
    let is_agent = agent.offers.is_some_and(|offers| !offers.labels.contains_key(ROLE_LABEL));
    is_agent && agent.standing != Standing::Gone && agent.health.is_none_or(|health| health.status.is_usable())
}

fn provider(offers: &Offers, tool: &Tool, role: &'static str) -> Provider {
    let (agent_id, agent_name, runtime) = who(offers);
    let (function_name, capability) = (tool.function.to_string(), tool.capability.to_string());
    Provider { agent_id, agent_name, runtime, function_name, capability, role }
}

fn consumer(offers: &Offers, tool: &Tool, depends_on: &str) -> Consumer {
    let (agent_id, agent_name, runtime) = who(offers);
    let (function_name, capability) = (tool.function.to_string(), tool.capability.to_string());
    let depends_on_capability = depends_on.to_owned();
    Consumer { agent_id, agent_name, runtime, function_name, capability, via: "dependency", depends_on_capability }
}

fn who(offers: &Offers) -> (String, String, String) {
    let runtime = offers.labels.get(RUNTIME_LABEL).cloned().unwrap_or_else(|| "unknown".to_owned());
    (offers.agent.to_string(), offers.name.to_string(), runtime)
}
