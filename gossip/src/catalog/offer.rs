//! What one agent offers, parsed: nothing in it is looked at twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::AgentId;
use crate::resolve::llm::ToolFilter;
use crate::resolve::selector::{DEFAULT_NAMESPACE, Selector};
use crate::resolve::version::Version;
use crate::schema::Digest;

/// Everything one agent offers. Shared as it is by all who know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offers {
    /// The agent.
    pub agent: AgentId,
    /// Its name, which its replicas share.
    pub name: Arc<str>,
    /// What kind of agent it is.
    #[serde(default)]
    pub agent_type: AgentType,
    /// Where it can be called, preferred first: URLs.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// What it is for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The namespace that it and its selectors live in.
    #[serde(default = "default_namespace")]
    pub namespace: Arc<str>,
    /// What else it says about itself (runtime, its own version, …). Matching never looks at it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its tools, and its routes, which are told among them ([`Tool::is_route`]).
    #[serde(default)]
    pub tools: Vec<Tool>,
}

/// One tool of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The name by which it is called.
    pub function: Arc<str>,
    /// What it provides; empty when it is called by name only and never resolved.
    pub capability: Arc<str>,
    /// Its version.
    #[serde(default)]
    pub version: Version,
    /// Its tags, as it gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// What it does, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The schema of its arguments. Models are shown only tools that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Digest>,
    /// The schema of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
    /// What consumers are told on top (`vendor`, `stream_type`, `timeout`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kwargs: BTreeMap<String, Value>,
    /// What it depends on, in the order of its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Which tools its model is shown, when it has a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_filter: Option<ToolFilter>,
    /// Who runs its model, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_provider: Option<Selector>,
}

/// Something a tool depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Who will do.
    #[serde(flatten)]
    pub selector: Selector,
    /// Whether the tool is withdrawn while nobody does.
    #[serde(default)]
    pub required: bool,
}

/// What kind of agent it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AgentType {
    /// An agent with tools.
    #[default]
    Mcp,
    /// An HTTP service that only consumes.
    Api,
    /// A service that speaks agent-to-agent.
    A2a,
    /// One that this version does not know.
    Other(String),
}

/// How an agent fares, as it says itself: a record beside its offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The agent as a whole.
    #[serde(default)]
    pub status: Status,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Tools (by function) that fare otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<Arc<str>, Status>,
}

/// How well something does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    #[default]
    Healthy,
    /// It works, not at its best; still resolved.
    Degraded,
    /// It does not work; not resolved.
    Unhealthy,
    /// Something that this version does not know; not resolved.
    #[serde(other)]
    Unknown,
}

impl Offers {
    /// An agent without tools in the default namespace.
    pub fn new(agent: AgentId, name: impl Into<Arc<str>>) -> Self {
        Self {
            agent,
            name: name.into(),
            agent_type: AgentType::default(),
            endpoints: Vec::new(),
            description: String::new(),
            namespace: default_namespace(),
            labels: BTreeMap::new(),
            tools: Vec::new(),
        }
    }
}

impl Tool {
    /// A tool that provides `capability` and says nothing else about itself.
    pub fn new(function: impl Into<Arc<str>>, capability: impl Into<Arc<str>>) -> Self {
        Self {
            function: function.into(),
            capability: capability.into(),
            version: Version::default(),
            tags: Vec::new(),
            description: String::new(),
            input: None,
            output: None,
            kwargs: BTreeMap::new(),
            dependencies: Vec::new(),
            llm_filter: None,
            llm_provider: None,
        }
    }

    /// Whether it is no tool but a route of an HTTP service, told as `METHOD:/path` for what it depends on: nobody calls
    /// it, and it provides nothing.
    pub fn is_route(&self) -> bool {
        self.capability.is_empty() && self.function.contains(":/")
    }

    /// The dependencies without which it is withdrawn.
    pub fn required(&self) -> impl Iterator<Item = &Selector> {
        self.dependencies.iter().filter(|dependency| dependency.required).map(|dependency| &dependency.selector)
    }
}

impl Health {
    /// How the tool called `function` does: never better than its agent.
    pub fn of(&self, function: &str) -> Status {
        self.tools.get(function).copied().unwrap_or_default().max(self.status)
    }
}

impl Status {
    /// Whether it may be called.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }
}

impl From<String> for AgentType {
    fn from(text: String) -> Self {
        match text.as_str() {
            "mcp_agent" => Self::Mcp,
            "api" => Self::Api,
            "a2a" => Self::A2a,
            _ => Self::Other(text),
        }
    }
}

impl From<AgentType> for String {
    fn from(agent_type: AgentType) -> Self {
        match agent_type {
            AgentType::Mcp => "mcp_agent".into(),
            AgentType::Api => "api".into(),
            AgentType::A2a => "a2a".into(),
            AgentType::Other(text) => text,
        }
    }
}

fn default_namespace() -> Arc<str> {
    DEFAULT_NAMESPACE.into()
}
