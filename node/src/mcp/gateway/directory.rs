//! Which agents of a namespace there are, and which of their tools can be called now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_gossip::View;
use mesh_gossip::catalog::{Offers, Owner, Standing, Tool};
use mesh_gossip::resolve::Resolver;
use mesh_gossip::schema::Digest;

/// All agents of a namespace by name. Replicas are one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Directory {
    pub(super) agents: BTreeMap<Arc<str>, Agent>,
}

/// One agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Agent {
    /// Its replicas, those that nobody doubts first. Never empty.
    pub(super) replicas: Vec<Replica>,
    /// The tools that some replica offers, by the name of the function, and which of the replicas can run them: nobody
    /// when a tool is withdrawn everywhere.
    pub(super) tools: BTreeMap<Arc<str>, Vec<usize>>,
}

/// One replica of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replica {
    pub(super) owner: Owner,
    pub(super) standing: Standing,
    pub(super) offers: Arc<Offers>,
}

/// What clients would notice of a directory: agents with the digests of their tools.
pub(super) type Signature = BTreeMap<Arc<str>, BTreeSet<(Arc<str>, Option<Digest>, Option<Digest>)>>;

impl Directory {
    /// Everybody in `namespace` as `view` has it. `resolver` is asked who meets requirements; use one per mesh.
    pub(super) fn of(view: &View, resolver: &Resolver, namespace: &str) -> Self {
        let mut directory = Self::default();
        let everybody = view.catalog().agents().filter(|agent| agent.standing != Standing::Gone);
        for entry in everybody {
            let Some(offers) = entry.offers.filter(|offers| *offers.namespace == *namespace) else { continue };
            let agent = directory.agents.entry(offers.name.clone()).or_insert_with(Agent::empty);
            let replica = Replica { owner: entry.owner.clone(), standing: entry.standing, offers: offers.clone() };
            agent.replicas.push(replica);
        }
        for agent in directory.agents.values_mut() {
            agent.replicas.sort_by_key(|replica| std::cmp::Reverse(replica.standing));
            agent.find_tools(view, resolver);
        }
        directory
    }

    /// The replica whose id is `id`, and its agent's name.
    pub(super) fn replica(&self, id: &str) -> Option<(&Arc<str>, &Replica)> {
        self.agents.iter().find_map(|(name, agent)| {
            let replica = agent.replicas.iter().find(|replica| replica.owner.agent.as_str() == id)?;
            Some((name, replica))
        })
    }

    /// What clients would notice if it changed.
    pub(super) fn signature(&self) -> Signature {
        let tools = |agent: &Agent| {
            let available = agent.available();
            available.map(|(name, tool)| (name.clone(), tool.input, tool.output)).collect()
        };
        self.agents.iter().map(|(name, agent)| (name.clone(), tools(agent))).collect()
    }
}

impl Agent {
    fn empty() -> Self {
        Self { replicas: Vec::new(), tools: BTreeMap::new() }
    }

    /// The tools that can be called, as whoever can run them offers them.
    pub(super) fn available(&self) -> impl Iterator<Item = (&Arc<str>, &Tool)> {
        self.tools.keys().filter_map(|name| Some((name, self.tool(name)?)))
    }

    /// The tool as whoever can run it offers it.
    pub(super) fn tool(&self, name: &str) -> Option<&Tool> {
        let tools = &self.able(name).next()?.offers.tools;
        tools.iter().find(|tool| *tool.function == *name)
    }

    /// The replicas that can run a tool.
    pub(super) fn able(&self, tool: &str) -> impl Iterator<Item = &Replica> {
        self.tools.get(tool).into_iter().flatten().map(|at| &self.replicas[*at])
    }

    fn find_tools(&mut self, view: &View, resolver: &Resolver) {
        for (at, replica) in self.replicas.iter().enumerate() {
            let health = view.catalog().agent(&replica.owner).and_then(|entry| entry.health.cloned());
            for tool in replica.offers.tools.iter().filter(|tool| !tool.is_route()) {
                let fares = health.as_ref().is_none_or(|health| health.of(&tool.function).is_usable());
                let met = || {
                    tool.required().all(|needed| {
                        let needed = needed.clone().asked_in(&replica.offers.namespace);
                        !resolver.answer(view.catalog(), view.schemas(), &needed).candidates.is_empty()
                    })
                };
                let able = self.tools.entry(tool.function.clone()).or_default();
                if fares && met() {
                    able.push(at);
                }
            }
        }
    }
}
