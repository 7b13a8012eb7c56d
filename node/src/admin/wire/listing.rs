//! Agents and their tools, as they are listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::NodeInfo;
use crate::admin::timestamp::Timestamp;

/// All agents, as one node sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentsAnswer {
    /// Who answers.
    pub node: NodeInfo,
    /// In order of their ids.
    pub agents: Vec<AgentInfo>,
}

/// One agent. Lists are `null` when empty, as scripts expect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// Its name, which its replicas share.
    pub name: String,
    /// `mcp_agent`, `api`, `a2a`, or what it calls itself.
    pub agent_type: String,
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub status: String,
    /// What it is written in: `rust`, `python`, `typescript`, `java`; empty when it does not say.
    pub runtime: String,
    /// Where it is called, as a URL; `stdio://<id>` when it has none.
    pub endpoint: String,
    /// Its tools, in its own order.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub tools: Vec<ToolInfo>,
    /// What its tools depend on, in short.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub dependencies: Vec<DependencyBrief>,
    /// What its tools depend on, and who provides it.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub dependency_resolutions: Vec<DependencyResolution>,
    /// Nothing yet.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub llm_tool_resolutions: Vec<Value>,
    /// Nothing yet.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub llm_provider_resolutions: Vec<Value>,
    /// How many dependencies somebody provides now.
    pub dependencies_resolved: usize,
    /// How many dependencies there are.
    pub dependencies_total: usize,
    /// When it was last known to be there, by the clock of the node that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// When it was started, by its own clock.
    pub created_at: Timestamp,
    /// When it last changed, by the clock of the node that answers.
    pub updated_at: Timestamp,
    /// Its own version.
    pub version: String,
    /// Its process, when that runs where the asker is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What was started, when that is known where the asker is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    /// When its process was started, when that runs where the asker is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Nothing: agents do not tell their configuration.
    #[serde(default)]
    pub config: Option<Value>,
    /// What else it says about itself.
    #[serde(serialize_with = "map_or_null", deserialize_with = "null_or")]
    pub labels: BTreeMap<String, String>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Why it is not healthy, in words.
    #[serde(default)]
    pub note: String,
    /// The namespace it lives in.
    #[serde(default)]
    pub namespace: String,
    /// The member that speaks for it.
    #[serde(default)]
    pub member: String,
    /// The zone of that member.
    #[serde(default)]
    pub zone: String,
}

/// One tool of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolInfo {
    /// Its place among the tools of its agent, from 1.
    pub id: usize,
    /// What it provides, or its function when it provides nothing by name.
    pub name: String,
    /// What it provides; empty when it is called by name only.
    pub capability: String,
    /// The name by which it is called.
    pub function_name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Its tags.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub tags: Vec<String>,
    /// The capabilities that it depends on.
    #[serde(serialize_with = "or_null", deserialize_with = "null_or")]
    pub dependencies: Vec<String>,
    /// Which tools its model is shown.
    pub llm_filter: Option<Value>,
    /// Who runs its model.
    pub llm_provider: Option<Value>,
    /// Whether it can be resolved: its agent is there and healthy, and what it requires is available.
    pub available: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_reason: Option<String>,
}

/// One dependency, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyBrief {
    /// The capability.
    pub name: String,
    /// `resolved` or `missing`.
    pub status: String,
    /// Who provides it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_id: String,
    /// Where.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
}

/// One dependency, and who provides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyResolution {
    /// The tool that depends.
    pub function_name: String,
    /// The capability.
    pub capability: String,
    /// The tags that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The function of the provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mcp_tool: String,
    /// The provider.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_agent_id: String,
    /// Where.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// `available` or `unresolved`.
    pub status: String,
}

fn or_null<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { serializer.serialize_none() } else { serializer.collect_seq(list) }
}

fn map_or_null<S: Serializer>(map: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    if map.is_empty() { serializer.serialize_none() } else { serializer.collect_map(map) }
}

fn null_or<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
