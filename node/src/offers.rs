//! What a node tells the mesh about its agent: its offers, its health, and the schemas they name.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, BadValue, Health, Offers, Tool};
use mesh_gossip::gossip::keys;
use mesh_gossip::record::{Key, NotAKey};
use mesh_gossip::schema::Digest;
use mesh_gossip::schema::canonical::{self, canonicalise};
use serde_json::Value;

use crate::config::{NodeConfig, Role};
use crate::tool::{JsonObject, ToolDescriptor, Tools};

/// The label by which a member says that its agent takes calls over QUIC; whoever lacks it is called over HTTP.
pub const TRANSPORT_LABEL: &str = "transport";

/// What [`TRANSPORT_LABEL`] says of agents on our own nodes.
pub const TRANSPORT_MESH: &str = "mesh/1";

/// The label that says what the agent is written in.
pub const RUNTIME_LABEL: &str = "runtime";

/// The label with the agent's own version.
pub const VERSION_LABEL: &str = "version";

/// The label of those who are no agents: what it says is their role.
pub const ROLE_LABEL: &str = "role";

/// The label of those who serve the registry API.
pub const REGISTRY_LABEL: &str = "registry";

/// The label with the moment at which an agent that a seed speaks for registered first, in milliseconds since 1970.
pub(crate) const CREATED_LABEL: &str = "created";

/// The label that says what an agent does over the agent-to-agent protocol: some of [`A2A_PRODUCER`], [`A2A_CONSUMER`].
pub(crate) const A2A_LABEL: &str = "a2a";

/// It offers skills.
pub(crate) const A2A_PRODUCER: &str = "producer";

/// It uses skills.
pub(crate) const A2A_CONSUMER: &str = "consumer";

/// What an offer says of a tool that may ask the MCP client that calls it something.
pub(crate) const ASKS_CLIENT: &str = "asks_client";

/// Everything that one agent tells the mesh, as records.
pub(crate) type Records = BTreeMap<Key, Bytes>;

/// Why an agent cannot be offered as it is. Its author has to change it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotOffered {
    /// It offers more than a record carries, or something malformed.
    #[error("the agent's tools cannot be offered: {0}; offer fewer, or say less about them")]
    Offers(#[from] BadValue),
    /// Its id is too long for a key.
    #[error(transparent)]
    Key(#[from] NotAKey),
}

/// The records of the agent. Nobody is told that it is in good health: that is what silence means, and each record of each
/// agent is a signature that all others check.
pub(crate) fn records(
    config: &NodeConfig,
    agent: &AgentId,
    http_url: Option<&str>,
    tools: &Tools,
    health: &Health,
) -> Result<Records, NotOffered> {
    let mut records = Records::new();
    let offers = Offers {
        agent: agent.clone(),
        name: config.name.as_str().into(),
        agent_type: config.agent_type.clone(),
        endpoints: http_url.map(str::to_owned).into_iter().collect(),
        description: config.description.clone(),
        namespace: config.namespace.clone(),
        labels: labels(config),
        tools: tools.iter().map(|tool| offered(tool, &mut records)).collect(),
    };
    records.insert(keys::offers(agent)?, offers.encode()?.into());
    if *health != Health::default() {
        records.insert(keys::health(agent)?, health.encode()?.into());
    }
    Ok(records)
}

fn labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let ours = [
        (TRANSPORT_LABEL, TRANSPORT_MESH.to_owned()),
        (RUNTIME_LABEL, "rust".to_owned()),
        (VERSION_LABEL, config.version.clone()),
    ];
    let mut labels: BTreeMap<_, _> = ours.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    labels.extend(config.labels.clone());
    if config.serves_registry() {
        labels.insert(REGISTRY_LABEL.to_owned(), "http".to_owned());
    }
    if config.role != Role::Agent {
        labels.insert(ROLE_LABEL.to_owned(), config.role.word().to_owned());
    }
    labels
}

/// One tool as it is offered; its schemas become records of their own.
fn offered(tool: &ToolDescriptor, records: &mut Records) -> Tool {
    let mut kwargs = tool.kwargs.clone();
    kwargs.extend(tool.options.to_kwargs());
    if tool.is_repeatable() {
        kwargs.insert("idempotent".into(), Value::Bool(true));
    }
    if tool.asks_client {
        kwargs.insert(ASKS_CLIENT.into(), Value::Bool(true));
    }
    for expected in &tool.expected_schemas {
        publish(expected, &tool.name, records);
    }
    Tool {
        version: tool.version.clone(),
        tags: tool.tags.clone(),
        description: tool.description.clone(),
        input: publish(&tool.input_schema, &tool.name, records),
        output: tool.output_schema.as_deref().and_then(|schema| publish(schema, &tool.name, records)),
        kwargs,
        dependencies: tool.dependencies.clone(),
        llm_filter: tool.model.as_ref().map(|model| model.filter.clone()),
        llm_provider: tool.model.as_ref().map(|model| model.provider.clone()),
        ..Tool::new(tool.name.clone(), tool.capability.clone().unwrap_or_default())
    }
}

/// The digest of `schema`, whose canonical form becomes a record. A schema without one is not offered, as if the tool
/// had said nothing.
fn publish(schema: &JsonObject, tool: &str, records: &mut Records) -> Option<Digest> {
    let text = serde_json::to_string(schema).expect("a JSON object has a text");
    match canonicalise(&text) {
        Ok(canonical) => {
            let body = canonical::text(&canonical.schema);
            records.insert(keys::schema(&canonical.digest), body.into_bytes().into());
            Some(canonical.digest)
        }
        Err(why) => {
            tracing::warn!(tool, %why, "a schema of this tool is not offered");
            None
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use mesh_gossip::catalog::{Catalog, Health, Offers, Owner};
    use mesh_gossip::gossip::keys;
    use mesh_gossip::id::MemberId;
    use mesh_gossip::resolve::resolve;
    use mesh_gossip::resolve::selector::Selector;
    use mesh_gossip::schema::NoBodies;

    use super::records;
    use crate::config::NodeConfig;
    use crate::tool::{ToolDescriptor, Tools};

    #[test]
    fn what_is_offered_can_be_resolved_and_a_tool_without_capability_cannot() {
        let member = MemberId::from_bytes([7; 16]);
        let agent = mesh_gossip::catalog::AgentId::native("hello", &member).unwrap();
        let mut greet = ToolDescriptor::new("greet");
        greet.capability = Some("greeting".into());
        greet.annotations.read_only = Some(true);
        let tools: Tools = [Arc::new(greet), Arc::new(ToolDescriptor::new("secret"))].into();
        let config = NodeConfig::new("hello");
        let records = records(&config, &agent, Some("http://127.0.0.1:1"), &tools, &Health::default()).unwrap();
        assert_eq!(records.len(), 2, "offers, and one schema that both tools share");

        let offers = Offers::decode(&records[&keys::offers(&agent).unwrap()]).unwrap();
        assert_eq!(offers.tools[0].kwargs["idempotent"], true);
        let mut catalog = Catalog::new();
        catalog.apply(&Owner { member, agent }, Some(Arc::new(offers))).unwrap();
        assert_eq!(resolve(&catalog, &NoBodies, &Selector::new("greeting")).candidates.len(), 1);
        assert_eq!(resolve(&catalog, &NoBodies, &Selector::new("")).candidates.len(), 0);
    }
}
