//! Why this provider and not another.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::timestamp::Timestamp;

/// What came of a selector, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// What was asked, as text.
    pub selector: String,
    /// Who will do, best first.
    pub candidates: Vec<Candidate>,
    /// What each stage dropped.
    pub stages: Vec<StageInfo>,
    /// Schemas that were needed and have not arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_schemas: Vec<String>,
}

/// Somebody who will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The agent.
    pub agent_id: String,
    /// Its tool.
    pub function_name: String,
    /// The version of that.
    pub version: String,
    /// Where.
    pub endpoint: String,
    /// What its tags are worth to the selector.
    pub tag_score: u32,
    /// `alive` or `suspect`.
    pub state: String,
    /// Whether it is as good as the best: each call chooses among those.
    pub equal_to_best: bool,
    /// Whether its schema is known to match.
    pub schema_known: bool,
}

/// One dependency of a tool, and what comes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DependencyInfo {
    /// The tool that depends.
    pub function_name: String,
    /// Its place among the dependencies of that tool.
    pub dep_index: usize,
    /// Whether the tool is withdrawn while nobody provides it.
    pub required: bool,
    /// What comes of it.
    pub resolution: Explained,
}

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageInfo {
    /// `namespace`, `health`, `tags`, `version`, `schema`, `tiebreaker`.
    pub stage: String,
    /// Those that passed, as `agent:function`.
    #[serde(default)]
    pub kept: Vec<String>,
    /// Those that did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evicted: Vec<EvictedInfo>,
    /// The winner, of the last stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Why it won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Somebody whom a stage dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvictedInfo {
    /// As `agent:function`.
    pub id: String,
    /// Why, for programs.
    pub reason: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
}

/// One change of what a dependency resolves to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// `dependency_resolved` or `dependency_unresolved`.
    pub event_type: String,
    /// Whose dependency.
    pub agent_id: String,
    /// The name of that agent.
    pub agent_name: String,
    /// The tool that depends.
    pub function_name: String,
    /// When.
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(rename = "data")]
    pub trace: AuditTrace,
}

/// How a resolution came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditTrace {
    /// Whose dependency.
    pub consumer: String,
    /// Its place among the dependencies of the tool.
    pub dep_index: usize,
    /// What is asked for.
    pub spec: SpecInfo,
    /// What each stage did.
    pub stages: Vec<StageInfo>,
    /// Who was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// Who had been chosen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_chosen: Option<String>,
}

/// What a dependency asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecInfo {
    /// The capability.
    pub capability: String,
    /// The tags, as they were asked for.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The version constraint.
    #[serde(default)]
    pub version_constraint: String,
    /// `none`, `subset` or `strict`.
    pub schema_mode: String,
}

/// Who provides something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The agent.
    pub agent_id: String,
    /// Where.
    pub endpoint: String,
    /// Its tool.
    pub function_name: String,
}
