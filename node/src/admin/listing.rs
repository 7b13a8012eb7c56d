//! Agents and members as this node sees them.

use std::collections::BTreeMap;

use mesh_gossip::alive::KeyLife;
use mesh_gossip::catalog::{AgentEntry, Offer, Offers, Standing, Status, Tool};
use mesh_gossip::effects::Standing as MemberStanding;
use mesh_gossip::resolve::selector::{Scope, Selector};
use mesh_gossip::resolve::{Resolver, resolve};
use mesh_gossip::{MemberView, View};

use super::explain::{endpoint, status_name, tags};
use super::sightings::Sightings;
use super::timestamp::Timestamp;
use super::wire::{AgentInfo, DependencyBrief, DependencyResolution, MemberAddress, MemberInfo, ToolInfo};
use crate::offers::ROLE_LABEL;

/// Which agents are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that can be called.
    Healthy,
    /// The others, too.
    All,
}

/// Turns one view into lists.
pub(super) struct Listing<'a> {
    view: &'a View,
    resolver: &'a Resolver,
    sightings: &'a Sightings,
    now: Timestamp,
    /// Why offers cannot be resolved, by capability: worked out once each.
    lacks: BTreeMap<&'a str, Vec<(Offer, String)>>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(view: &'a View, resolver: &'a Resolver, sightings: &'a Sightings) -> Self {
        let lacks = view.catalog().capabilities().map(|(capability, _)| (capability, lacks(view, capability)));
        Self { view, resolver, sightings, now: Timestamp::now(), lacks: lacks.collect() }
    }

    /// Agents in order of their ids. Seeds are none.
    pub(super) fn agents(&self, wanted: Wanted) -> Vec<AgentInfo> {
        let known = self.view.catalog().agents();
        let wanted = known.filter(|agent| is_agent(agent) && (wanted == Wanted::All || is_healthy(agent)));
        let mut agents: Vec<AgentInfo> = wanted.filter_map(|agent| self.agent(&agent)).collect();
        agents.sort_by(|a, b| (&a.id, &a.member).cmp(&(&b.id, &b.member)));
        agents
    }

    /// One agent in full.
    pub(super) fn agent(&self, agent: &AgentEntry<'_>) -> Option<AgentInfo> {
        let offers = agent.offers?;
        let member = self.view.member(&agent.owner.member)?;
        let resolutions = self.resolutions(offers);
        let since = self.sightings.since(&member.id(), self.now);
        let resolved = resolutions.iter().filter(|resolution| resolution.status == "available").count();
        let tools = offers.tools.iter().enumerate().filter(|(_, tool)| !tool.is_route());
        Some(AgentInfo {
            id: offers.agent.to_string(),
            name: offers.name.to_string(),
            agent_type: offers.agent_type.clone().into(),
            status: status_name(status_of(agent)).into(),
            runtime: offers.labels.get("runtime").cloned().unwrap_or_default(),
            endpoint: endpoint(offers),
            tools: tools.map(|(place, tool)| self.tool(agent, offers, place, tool)).collect(),
            dependencies: resolutions.iter().map(brief).collect(),
            dependencies_resolved: resolved,
            dependencies_total: resolutions.len(),
            dependency_resolutions: resolutions,
            last_heartbeat: Some(if agent.standing == Standing::Alive { self.now } else { since }),
            created_at: Timestamp(member.alive().body().generation.0),
            updated_at: since,
            version: offers.labels.get("version").cloned().unwrap_or_default(),
            labels: offers.labels.clone(),
            description: offers.description.clone(),
            note: agent.health.map(|health| health.note.clone()).unwrap_or_default(),
            namespace: offers.namespace.to_string(),
            member: member.id().to_string(),
            zone: member.alive().body().zone.clone(),
            ..AgentInfo::default()
        })
    }

    fn tool(&self, agent: &AgentEntry<'_>, offers: &Offers, place: usize, tool: &Tool) -> ToolInfo {
        let reason = if !status_of(agent).is_usable() {
            Some("agent unhealthy".to_owned())
        } else {
            let lacks = self.lacks.get(&*tool.capability).into_iter().flatten();
            let mut ours =
                lacks.filter(|(offer, _)| *offer.agent() == offers.agent && offer.member() == agent.owner.member);
            ours.find(|(offer, _)| offer.tool().function == tool.function).map(|(_, reason)| reason.clone())
        };
        let name = if tool.capability.is_empty() { &tool.function } else { &tool.capability };
        ToolInfo {
            id: place + 1,
            name: name.to_string(),
            capability: tool.capability.to_string(),
            function_name: tool.function.to_string(),
            version: tool.version.to_string(),
            description: tool.description.clone(),
            tags: tool.tags.iter().map(ToString::to_string).collect(),
            dependencies: tool.dependencies.iter().map(|needed| needed.selector.capability.to_string()).collect(),
            llm_filter: tool.llm_filter.as_ref().and_then(|filter| serde_json::to_value(filter).ok()),
            llm_provider: tool.llm_provider.as_ref().and_then(|provider| serde_json::to_value(provider).ok()),
            available: reason.is_none(),
            unavailable_reason: reason,
        }
    }

    fn resolutions(&self, offers: &Offers) -> Vec<DependencyResolution> {
        let dependencies =
            offers.tools.iter().flat_map(|tool| tool.dependencies.iter().map(move |needed| (tool, needed)));
        let resolved = dependencies.map(|(tool, needed)| {
            let selector = needed.selector.clone().asked_in(&offers.namespace);
            let resolution = self.resolver.answer(self.view.catalog(), self.view.schemas(), &selector);
            let best = resolution.best().map(|best| &best.offer);
            DependencyResolution {
                function_name: tool.function.to_string(),
                capability: needed.selector.capability.to_string(),
                tags: tags(&needed.selector),
                mcp_tool: best.map(|best| best.tool().function.to_string()).unwrap_or_default(),
                provider_agent_id: best.map(|best| best.agent().to_string()).unwrap_or_default(),
                endpoint: best.map(|best| endpoint(best.offers())).unwrap_or_default(),
                status: if best.is_some() { "available" } else { "unresolved" }.into(),
            }
        });
        resolved.collect()
    }

    /// Members in order of their ids.
    pub(super) fn members(&self) -> Vec<MemberInfo> {
        let mut agents: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for agent in self.view.catalog().agents().filter(|agent| agent.offers.is_some()) {
            agents.entry(agent.owner.member).or_default().push(agent.owner.agent.to_string());
        }
        let members = self.view.members();
        members.map(|member| self.member(member, agents.remove(&member.id()).unwrap_or_default())).collect()
    }

    fn member(&self, member: &MemberView, agents: Vec<String>) -> MemberInfo {
        let body = member.alive().body();
        let state = match member.standing() {
            MemberStanding::Alive => "alive",
            MemberStanding::Suspect => "suspect",
            MemberStanding::Dead => "dead",
            MemberStanding::Left => "left",
        };
        let address =
            |address: &mesh_gossip::alive::Address| MemberAddress { gossip: address.gossip(), quic: address.quic() };
        MemberInfo {
            id: member.id().to_string(),
            is_self: member.id() == self.view.me(),
            state: state.into(),
            agents,
            generation: body.generation.0,
            incarnation: body.incarnation.0,
            started: Timestamp(body.generation.0),
            state_age_ms: self.sightings.age_ms(&member.id()),
            rtt_ms: member.round_trip().map(|round_trip| round_trip.as_secs_f64() * 1000.0),
            zone: body.zone.clone(),
            addresses: body.addresses.iter().map(address).collect(),
            protocol: (body.protocol.lowest, body.protocol.highest),
            ephemeral: body.key_life == KeyLife::Ephemeral,
        }
    }
}

/// How an agent fares in the eyes of whoever would call it.
pub(super) fn status_of(agent: &AgentEntry<'_>) -> Status {
    if agent.standing == Standing::Gone {
        return Status::Unhealthy;
    }
    agent.health.map_or(Status::Healthy, |health| health.status)
}

/// Whether it is one, and neither a seed nor a client.
pub(super) fn is_agent(agent: &AgentEntry<'_>) -> bool {
    agent.offers.is_some_and(|offers| !offers.labels.contains_key(ROLE_LABEL))
}

/// Whether an agent can be called.
pub(super) fn is_healthy(agent: &AgentEntry<'_>) -> bool {
    agent.offers.is_some() && status_of(agent).is_usable()
}

fn lacks(view: &View, capability: &str) -> Vec<(Offer, String)> {
    let selector = Selector { namespace: Scope::Any, ..Selector::new(capability) };
    let resolution = resolve(view.catalog(), view.schemas(), &selector);
    let evictions = resolution.explanation.evictions();
    evictions.iter().map(|eviction| (eviction.offer.clone(), eviction.reason.to_string())).collect()
}

fn brief(resolution: &DependencyResolution) -> DependencyBrief {
    DependencyBrief {
        name: resolution.capability.clone(),
        status: if resolution.status == "available" { "resolved" } else { "missing" }.into(),
        agent_id: resolution.provider_agent_id.clone(),
        endpoint: resolution.endpoint.clone(),
    }
}
