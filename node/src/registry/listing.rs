//! All agents of the mesh as `GET /agents` shows them: those that this seed speaks for, and everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_gossip::View;
use mesh_gossip::catalog::{AgentEntry, AgentId, Offers, Standing, Status, Tool};
use mesh_gossip::resolve::llm::{Pattern, ToolFilter};
use mesh_gossip::resolve::selector::{Scope, Selector};
use mesh_gossip::resolve::tags::{TagWishes, Term, Wish};
use mesh_gossip::resolve::{LackReason, Reason, Resolution, Resolver};
use serde::Serialize;
use serde_json::Value;

use super::answer::{AVAILABLE, Answer, Answers, SentSchemas, UNRESOLVED, endpoint};
use super::book::{Entry, State};
use super::profile::Profile;
use crate::admin::timestamp::Timestamp;
use crate::offers::{A2A_CONSUMER, A2A_LABEL, A2A_PRODUCER, CREATED_LABEL, ROLE_LABEL, RUNTIME_LABEL, VERSION_LABEL};

/// What a dependency is whose provider went down since it was answered.
const UNAVAILABLE: &str = "unavailable";

/// One agent.
#[derive(Clone, Debug, Serialize)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// The name that its replicas share.
    pub name: String,
    /// What kind of agent it is.
    pub agent_type: String,
    /// What it is written in.
    pub runtime: String,
    /// Its own version.
    pub version: String,
    /// `healthy`, `unhealthy` or `unknown`.
    pub status: &'static str,
    /// What it is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it is called.
    pub endpoint: String,
    /// When it registered first.
    pub created_at: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Whether it offers skills over the agent-to-agent protocol.
    pub a2a_producer: bool,
    /// Whether it uses such skills.
    pub a2a_consumer: bool,
    /// How many dependencies its tools have.
    pub total_dependencies: usize,
    /// How many of them were resolved when it was last answered.
    pub dependencies_resolved: usize,
    /// What it provides.
    pub capabilities: Vec<CapabilityInfo>,
    /// Whom its tools were told to call.
    pub dependency_resolutions: Vec<DependencyRow>,
    /// Which tools its models were shown.
    pub llm_tool_resolutions: Vec<ToolRow>,
    /// Who it was told runs its models.
    pub llm_provider_resolutions: Vec<ProviderRow>,
    /// Where it offers and looks.
    #[serde(skip)]
    pub namespace: String,
}

/// One capability of an agent.
#[derive(Clone, Debug, Serialize)]
pub struct CapabilityInfo {
    /// The capability.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The tool behind it.
    pub function_name: String,
    /// What it does, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Which tools its model is shown, as it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_filter: Option<Value>,
    /// Who runs its model, as it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_provider: Option<Value>,
    /// Whether it is a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<bool>,
    /// Whether it, and everything that it requires, works.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable_reason: Option<String>,
}

/// What came of one dependency.
#[derive(Clone, Debug, Serialize)]
pub struct DependencyRow {
    /// The function that depends.
    pub function_name: String,
    /// What it asks for.
    pub capability: String,
    /// The tags that it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The tool that it was told to call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mcp_tool: String,
    /// Whose tool that is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_agent_id: String,
    /// Where that is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// `available`, `unavailable` or `unresolved`.
    pub status: &'static str,
}

/// One tool that a model was shown, or that there was none.
#[derive(Clone, Debug, Serialize)]
pub struct ToolRow {
    /// The function whose model it is.
    pub function_name: String,
    /// What the part of its filter asks for that the tool matches.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_capability: String,
    /// Which tags that part asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter_tags: Vec<String>,
    /// What becomes of tools that match its filter.
    pub filter_mode: String,
    /// The tool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mcp_tool: String,
    /// What that provides.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_capability: String,
    /// Whose tool that is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_agent_id: String,
    /// Where that is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// `available`, `unavailable` or `unresolved`.
    pub status: &'static str,
}

impl ToolRow {
    /// A row of `tool` for what provides `provided`, or for nothing that was found.
    fn of(tool: &Tool, filter: &ToolFilter, provided: &str) -> Self {
        let is_it = |pattern: &&Pattern| pattern.capability.as_deref() == Some(provided);
        let asked = filter.patterns.iter().find(is_it).or(filter.patterns.first());
        Self {
            function_name: tool.function.to_string(),
            filter_capability: asked.and_then(|asked| asked.capability.as_deref()).unwrap_or_default().to_owned(),
            filter_tags: asked.map(|asked| tags(&asked.tags)).unwrap_or_default(),
            filter_mode: filter.mode.into(),
            mcp_tool: String::new(),
            provider_capability: String::new(),
            provider_agent_id: String::new(),
            endpoint: String::new(),
            status: UNRESOLVED,
        }
    }
}

/// Who runs a model.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderRow {
    /// The function whose model it is.
    pub function_name: String,
    /// What it asks for.
    pub required_capability: String,
    /// The tags that it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_tags: Vec<String>,
    /// The tool that runs it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mcp_tool: String,
    /// Whose tool that is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_agent_id: String,
    /// Where that is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// `available`, `unavailable` or `unresolved`.
    pub status: &'static str,
}

/// Lists agents as one view and one state of the book show them.
pub(super) struct Listing<'a> {
    view: &'a View,
    resolver: &'a Resolver,
    book: &'a [Arc<Entry>],
    working: BTreeSet<&'a str>,
    by_capability: BTreeMap<&'a str, Arc<Resolution>>,
    now: Timestamp,
}

/// Canonical schemas will do where nobody is called.
struct NoneSent;

impl SentSchemas for NoneSent {
    fn input_schema(&self, _: &AgentId, _: &str) -> Option<Value> {
        None
    }
}

impl<'a> Listing<'a> {
    pub(super) fn new(view: &'a View, resolver: &'a Resolver, book: &'a [Arc<Entry>]) -> Self {
        let works = |agent: &AgentEntry<'_>| agent.offers.is_some() && status_of(agent).is_usable();
        let working = view.catalog().agents().filter(works).map(|agent| agent.owner.agent.as_str()).collect();
        let by_capability = view.catalog().capabilities().map(|(capability, _)| {
            let everywhere = Selector { namespace: Scope::Any, ..Selector::new(capability) };
            (capability, resolver.answer(view.catalog(), view.schemas(), &everywhere))
        });
        Self { view, resolver, book, working, by_capability: by_capability.collect(), now: Timestamp::now() }
    }

    /// All of them, in order of their ids, each once.
    pub(super) fn agents(&self) -> Vec<AgentInfo> {
        let mut agents: BTreeMap<String, AgentInfo> = BTreeMap::new();
        for entry in self.book {
            agents.insert(entry.profile.agent.to_string(), self.adopted(entry));
        }
        for agent in self.view.catalog().agents() {
            let Some(offers) = agent.offers.filter(|offers| !offers.labels.contains_key(ROLE_LABEL)) else { continue };
            let id = agent.owner.agent.as_str();
            // Of several who speak for one agent the one whose word counts.
            let is_better = agents.get(id).is_none_or(|known| known.status != HEALTHY) && !self.is_ours(&agent);
            if is_better && (status_of(&agent).is_usable() || !agents.contains_key(id)) {
                agents.insert(id.to_owned(), self.other(&agent, offers));
            }
        }
        agents.into_values().collect()
    }

    fn is_ours(&self, agent: &AgentEntry<'_>) -> bool {
        let ours = |entry: &Arc<Entry>| entry.profile.agent.cmp(&agent.owner.agent);
        agent.owner.member == self.view.me() && self.book.binary_search_by(ours).is_ok()
    }

    fn adopted(&self, entry: &Entry) -> AgentInfo {
        let profile = &entry.profile;
        let status = if entry.state == State::Healthy { HEALTHY } else { UNHEALTHY };
        let worked_out;
        let answer = match &entry.answered {
            Some(answered) => &answered.answer,
            None => {
                worked_out = self.answer(&entry.offers);
                &worked_out
            }
        };
        AgentInfo {
            created_at: entry.created,
            last_seen: entry.seen,
            a2a_producer: profile.a2a_producer,
            a2a_consumer: profile.a2a_consumer,
            endpoint: profile.endpoint(),
            ..self.info(&entry.offers, status, answer, Some(profile))
        }
    }

    fn other(&self, agent: &AgentEntry<'_>, offers: &Offers) -> AgentInfo {
        let status = match status_of(agent) {
            Status::Healthy | Status::Degraded => HEALTHY,
            Status::Unhealthy => UNHEALTHY,
            Status::Unknown => "unknown",
        };
        // An agent that speaks for itself is as old as its node.
        let started = || self.view.member(&agent.owner.member).map(|member| member.alive().body().generation.0);
        let created = offers.labels.get(CREATED_LABEL).and_then(|created| created.parse().ok()).or_else(started);
        let manners = offers.labels.get(A2A_LABEL).map_or("", String::as_str);
        let does = |manner: &str| manners.split(',').any(|said| said == manner);
        let answer = self.answer(offers);
        AgentInfo {
            created_at: Timestamp(created.unwrap_or_default()),
            a2a_producer: does(A2A_PRODUCER),
            a2a_consumer: does(A2A_CONSUMER),
            ..self.info(offers, status, &answer, None)
        }
    }

    fn answer(&self, offers: &Offers) -> Answer {
        Answers::new(self.view, self.resolver, &NoneSent).to(offers).answer
    }

    fn info(&self, offers: &Offers, status: &'static str, answer: &Answer, profile: Option<&Profile>) -> AgentInfo {
        let label = |name: &str| offers.labels.get(name).cloned().unwrap_or_default();
        let dependencies = self.dependencies(offers, answer);
        let provides = offers.tools.iter().enumerate().filter(|(_, tool)| !tool.capability.is_empty());
        AgentInfo {
            id: offers.agent.to_string(),
            name: offers.name.to_string(),
            agent_type: offers.agent_type.clone().into(),
            runtime: label(RUNTIME_LABEL),
            version: label(VERSION_LABEL),
            status,
            description: offers.description.clone(),
            endpoint: endpoint(offers),
            created_at: self.now,
            last_seen: self.now,
            a2a_producer: false,
            a2a_consumer: false,
            total_dependencies: dependencies.len(),
            dependencies_resolved: dependencies.iter().filter(|row| row.status != UNRESOLVED).count(),
            capabilities: provides.map(|(at, tool)| self.capability(offers, at, tool, status, profile)).collect(),
            dependency_resolutions: dependencies,
            llm_tool_resolutions: self.tools(offers, answer),
            llm_provider_resolutions: self.providers(offers, answer),
            namespace: offers.namespace.to_string(),
        }
    }

    fn capability(
        &self,
        offers: &Offers,
        at: usize,
        tool: &Tool,
        status: &'static str,
        profile: Option<&Profile>,
    ) -> CapabilityInfo {
        let reason = match status {
            HEALTHY => self.lack(offers, tool),
            _ => Some("agent unhealthy".to_owned()),
        };
        let sent = profile.and_then(|profile| profile.tools.get(at));
        let filter = || serde_json::to_value(tool.llm_filter.as_ref()?).ok();
        let provider = || serde_json::to_value(tool.llm_provider.as_ref()?).ok();
        CapabilityInfo {
            name: tool.capability.to_string(),
            version: tool.version.to_string(),
            function_name: tool.function.to_string(),
            description: tool.description.clone(),
            tags: tool.tags.iter().map(ToString::to_string).collect(),
            llm_filter: sent.map_or_else(filter, |sent| sent.llm_filter.clone()),
            llm_provider: sent.map_or_else(provider, |sent| sent.llm_provider.clone()),
            task: (tool.kwargs.get("task") == Some(&Value::Bool(true))).then_some(true),
            available: reason.is_none(),
            unavailable_reason: reason,
        }
    }

    fn lack(&self, offers: &Offers, tool: &Tool) -> Option<String> {
        let evictions = self.by_capability.get(&*tool.capability)?.explanation.evictions();
        let is_it = |agent: &AgentId, function: &str| *agent == offers.agent && *function == *tool.function;
        let found = evictions.iter().find(|eviction| is_it(eviction.offer.agent(), &eviction.offer.tool().function))?;
        match &found.reason {
            Reason::Withdrawn(lack) => Some(lack_in_words(&lack.selector, &lack.reason)),
            Reason::Gone | Reason::Unhealthy(_) => Some("agent unhealthy".to_owned()),
            _ => None,
        }
    }

    fn dependencies(&self, offers: &Offers, answer: &Answer) -> Vec<DependencyRow> {
        let bound = |tool: &Tool, at: usize| answer.dependencies_resolved.get(&*tool.function)?.get(at);
        let wanted =
            offers.tools.iter().flat_map(|tool| tool.dependencies.iter().enumerate().map(move |it| (tool, it)));
        let rows = wanted.map(|(tool, (at, needed))| {
            let bound = bound(tool, at).cloned().unwrap_or_default();
            DependencyRow {
                function_name: tool.function.to_string(),
                capability: needed.selector.capability.to_string(),
                tags: tags(&needed.selector.tags),
                status: self.still(&bound.agent_id),
                mcp_tool: bound.function_name,
                provider_agent_id: bound.agent_id,
                endpoint: bound.endpoint,
            }
        });
        rows.collect()
    }

    fn tools(&self, offers: &Offers, answer: &Answer) -> Vec<ToolRow> {
        let mut rows = Vec::new();
        for tool in &offers.tools {
            let Some(filter) = &tool.llm_filter else { continue };
            match answer.llm_tools.get(&*tool.function).filter(|shown| !shown.is_empty()) {
                None => rows.push(ToolRow::of(tool, filter, "")),
                Some(shown) => rows.extend(shown.iter().map(|shown| ToolRow {
                    mcp_tool: shown.name.clone(),
                    provider_capability: shown.capability.clone(),
                    provider_agent_id: shown.agent_id.clone(),
                    endpoint: shown.endpoint.clone(),
                    status: self.still(&shown.agent_id),
                    ..ToolRow::of(tool, filter, &shown.capability)
                })),
            }
        }
        rows
    }

    fn providers(&self, offers: &Offers, answer: &Answer) -> Vec<ProviderRow> {
        let wanted = offers.tools.iter().filter_map(|tool| Some((tool, tool.llm_provider.as_ref()?)));
        let rows = wanted.map(|(tool, selector)| {
            let provider = answer.llm_providers.get(&*tool.function);
            let text =
                |text: fn(&super::answer::ModelProvider) -> &String| provider.map(text).cloned().unwrap_or_default();
            ProviderRow {
                function_name: tool.function.to_string(),
                required_capability: selector.capability.to_string(),
                required_tags: tags(&selector.tags),
                mcp_tool: text(|provider| &provider.name),
                provider_agent_id: text(|provider| &provider.agent_id),
                endpoint: text(|provider| &provider.endpoint),
                status: provider.map_or(UNRESOLVED, |provider| self.still(&provider.agent_id)),
            }
        });
        rows.collect()
    }

    /// Whether whoever was answered is still there.
    fn still(&self, agent: &str) -> &'static str {
        match agent {
            "" => UNRESOLVED,
            _ if self.working.contains(agent) => AVAILABLE,
            _ => UNAVAILABLE,
        }
    }
}

const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";

fn status_of(agent: &AgentEntry<'_>) -> Status {
    match agent.standing {
        Standing::Gone => Status::Unhealthy,
        Standing::Alive | Standing::Suspect => agent.health.map_or(Status::Healthy, |health| health.status),
    }
}

/// The tags that a selector names, with their operators; groups are left out, as in the existing system.
fn tags(wishes: &TagWishes) -> Vec<String> {
    let single = wishes.terms().iter().filter_map(|term| match term {
        Term::One(Wish::Required(tag)) => Some(tag.to_string()),
        Term::One(Wish::Preferred(tag)) => Some(format!("+{tag}")),
        Term::One(Wish::Excluded(tag)) => Some(format!("-{tag}")),
        Term::AnyOf(_) => None,
    });
    single.collect()
}

/// Why a tool is withdrawn, in the words of the existing system.
fn lack_in_words(selector: &Selector, reason: &LackReason) -> String {
    let capability = &selector.capability;
    match reason {
        LackReason::Nobody => format!("required dep '{capability}' unresolved"),
        LackReason::NobodyFits => {
            let mut wished = Vec::new();
            if !selector.tags.is_empty() {
                let tags = serde_json::to_string(&selector.tags).unwrap_or_default().replace('"', "");
                wished.push(format!("tags={tags}"));
            }
            if !selector.version.is_any() {
                wished.push(format!("version {}", selector.version));
            }
            if let Some(wish) = &selector.schema {
                wished.push(format!("schema={}", wish.digest));
            }
            format!("required dep '{capability}' unresolved (no provider matches {})", wished.join(", "))
        }
        LackReason::Unhealthy(agent) => format!("required dep '{capability}' unavailable (provider {agent} unhealthy)"),
        LackReason::Withdrawn(agent) => {
            format!("required dep '{capability}' unavailable (provider {agent} unavailable)")
        }
        LackReason::Loop(_) => format!("required dependency evaluation cycle at '{capability}'"),
        LackReason::Tangled => format!("required dep '{capability}' unresolved (too many requirements to look at)"),
    }
}
