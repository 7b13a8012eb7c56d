//! The replicas of an agent, and which of them a client is served by.

use mesh_gossip::catalog::{AgentEntry, Owner, Standing, Status};
use mesh_gossip::gossip::View;
use mesh_gossip::resolve::affinity;

use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};

/// How many names an error shows.
const MOST_NAMES: usize = 10;

/// An agent that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    pub(super) owner: Owner,
    /// Its MCP endpoint, when it takes no exchanges.
    pub(super) url: Option<String>,
    is_suspect: bool,
}

/// Whoever has `wanted` as its id or name and may be asked.
///
/// # Errors
/// The names of others, the most similar first.
pub(super) fn of(view: &View, wanted: &str) -> Result<Vec<Replica>, Vec<String>> {
    let agents = || view.catalog().agents().filter(is_usable);
    let is_wanted = |agent: &AgentEntry<'_>| {
        agent.owner.agent.as_str() == wanted || agent.offers.is_some_and(|offers| *offers.name == *wanted)
    };
    let replicas: Vec<Replica> = agents().filter(is_wanted).filter_map(|agent| replica(&agent)).collect();
    if !replicas.is_empty() {
        return Ok(replicas);
    }
    let mut names: Vec<&str> = agents().filter_map(|agent| agent.offers).map(|offers| &*offers.name).collect();
    names.sort_unstable_by_key(|name| (usize::MAX - in_common(name, wanted), *name));
    names.dedup();
    Err(names.into_iter().take(MOST_NAMES).map(str::to_owned).collect())
}

/// A replica, for whoever chooses among several.
pub(in crate::mcp) trait Candidate {
    fn owner(&self) -> &Owner;
    fn may_be_dead(&self) -> bool;
}

impl Candidate for Replica {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn may_be_dead(&self) -> bool {
        self.is_suspect
    }
}

/// Puts first who serves `customer` as long as it lives, and those last who may be dead.
pub(in crate::mcp) fn order<C: Candidate>(replicas: &mut [C], customer: &str) {
    let mut from = 0;
    while let Some(home) = affinity::home(customer, replicas[from..].iter().map(Candidate::owner)).cloned() {
        let at = replicas[from..].iter().position(|replica| *replica.owner() == home).map_or(from, |at| from + at);
        replicas.swap(from, at);
        from += 1;
    }
    replicas.sort_by_key(Candidate::may_be_dead);
}

fn is_usable(agent: &AgentEntry<'_>) -> bool {
    let status = agent.health.map_or(Status::Healthy, |health| health.status);
    agent.standing != Standing::Gone && status.is_usable()
}

fn replica(agent: &AgentEntry<'_>) -> Option<Replica> {
    let offers = agent.offers?;
    let takes_exchanges = offers.labels.get(TRANSPORT_LABEL).is_some_and(|transport| transport == TRANSPORT_MESH);
    let url = if takes_exchanges { None } else { Some(mcp_url(offers.endpoints.first()?)?) };
    Some(Replica { owner: agent.owner.clone(), url, is_suspect: agent.standing == Standing::Suspect })
}

/// Where an agent at `endpoint` serves MCP: an endpoint without a path is the agent's, and MCP is under `/mcp`.
pub(in crate::mcp) fn mcp_url(endpoint: &str) -> Option<String> {
    let url = reqwest::Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(if url.path() == "/" { url.join("/mcp").ok()?.to_string() } else { url.to_string() })
}

/// How many letters two names begin with in common; names that contain each other count as alike as well.
fn in_common(name: &str, wanted: &str) -> usize {
    let contained = if name.contains(wanted) || wanted.contains(name) { name.len().min(wanted.len()) } else { 0 };
    name.bytes().zip(wanted.bytes()).take_while(|(ours, theirs)| ours == theirs).count().max(contained)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mesh_gossip::MemberId;
    use mesh_gossip::catalog::AgentId;

    use super::*;

    fn some(number: u8, is_suspect: bool) -> Replica {
        let member = MemberId::from_bytes([number; 16]);
        Replica { owner: Owner { member, agent: AgentId::native("a", &member).unwrap() }, url: None, is_suspect }
    }

    #[test]
    fn a_customer_keeps_its_replica_while_others_come_and_go() {
        let mut replicas: Vec<Replica> = (1..6).map(|number| some(number, false)).collect();
        order(&mut replicas, "anna");
        let first = replicas[0].clone();
        replicas.truncate(3);
        replicas.reverse();
        order(&mut replicas, "anna");
        assert_eq!(replicas[0], first);
    }

    #[test]
    fn whoever_may_be_dead_is_asked_last() {
        let mut replicas = vec![some(1, true), some(2, true), some(3, false)];
        order(&mut replicas, "anna");
        assert_eq!(replicas[0], some(3, false));
        assert_eq!(replicas.len(), 3);
    }

    #[test]
    fn an_endpoint_without_a_path_serves_mcp_below_it() {
        assert_eq!(mcp_url("http://h:1").as_deref(), Some("http://h:1/mcp"));
        assert_eq!(mcp_url("http://h:1/x/mcp").as_deref(), Some("http://h:1/x/mcp"));
        assert_eq!(mcp_url("file:///etc/passwd"), None);
    }

    #[test]
    fn similar_names_have_more_in_common() {
        assert!(in_common("weather", "wether") > in_common("clock", "wether"));
        assert!(in_common("hello-world", "world") > in_common("hello", "world"));
    }
}
