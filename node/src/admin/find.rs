//! Which agent is meant.

use axum::http::StatusCode;
use mesh_gossip::View;
use mesh_gossip::catalog::{AgentEntry, Owner, Tool};

use super::guard::Refused;
use super::listing::{Wanted, is_agent, is_healthy};
use super::wire::Problem;

/// The agent whom `text` means: by its id or name, exactly or, if that is nobody's, by the beginning of one, in any
/// case. Of replicas of one name any may be meant.
pub(super) fn agent(view: &View, text: &str, wanted: Wanted) -> Result<Owner, Refused> {
    let mut found = matching(view, text, wanted);
    found.sort_by(|a, b| a.owner.agent.cmp(&b.owner.agent));
    let healthy: Vec<&AgentEntry<'_>> = found.iter().filter(|agent| is_healthy(agent)).collect();
    let among: Vec<&AgentEntry<'_>> = if healthy.is_empty() { found.iter().collect() } else { healthy };
    let Some(first) = among.first() else { return Err(nobody(text, wanted)) };
    if among.iter().any(|agent| name(agent) != name(first)) {
        let choices = among.iter().map(|agent| agent.owner.agent.to_string()).collect();
        return Err(ambiguous(format!("multiple agents match '{text}'"), choices));
    }
    Ok(first.owner.clone())
}

/// Which agent has the tool that `text` means, and its place among that agent's tools: a function of that name, else a
/// capability. Of replicas of one name any may be meant.
pub(super) fn tool(view: &View, agent: Option<&str>, text: &str, wanted: Wanted) -> Result<(Owner, usize), Refused> {
    let among: Vec<AgentEntry<'_>> = match agent {
        Some(agent) => {
            let meant = self::agent(view, agent, wanted)?;
            view.catalog().agents().filter(|agent| *agent.owner == meant).collect()
        }
        None => matching(view, "", wanted),
    };
    let with = |is_meant: fn(&Tool, &str) -> bool| -> Vec<(AgentEntry<'_>, usize)> {
        let is_found = |tool: &Tool| !tool.is_route() && is_meant(tool, text);
        let place = |agent: &AgentEntry<'_>| agent.offers?.tools.iter().position(is_found);
        among.iter().filter_map(|agent| Some((*agent, place(agent)?))).collect()
    };
    let mut found = with(|tool, text| &*tool.function == text);
    if found.is_empty() {
        found = with(|tool, text| &*tool.capability == text);
    }
    found.sort_by(|a, b| a.0.owner.agent.cmp(&b.0.owner.agent));
    let Some((first, place)) = found.first() else {
        let message = match agent {
            Some(agent) => format!("tool '{text}' not found on agent '{agent}'"),
            None => format!("no agent found with tool '{text}'"),
        };
        return Err(Refused::new(StatusCode::NOT_FOUND, "no_tool", message));
    };
    if found.iter().any(|(agent, _)| name(agent) != name(first)) {
        let choice = |(agent, place): &(AgentEntry<'_>, usize)| {
            let function = agent.offers.map(|offers| offers.tools[*place].function.clone()).unwrap_or_default();
            format!("{}:{function} (agent name: {})", agent.owner.agent, name(agent))
        };
        let message = format!("several agents have a tool '{text}': say which, as agent:tool");
        return Err(ambiguous(message, found.iter().map(choice).collect()));
    }
    Ok((first.owner.clone(), *place))
}

fn name(agent: &AgentEntry<'_>) -> String {
    agent.offers.map(|offers| offers.name.to_string()).unwrap_or_default()
}

/// All whom `text` may mean; everybody when it says nothing.
pub(super) fn matching<'a>(view: &'a View, text: &str, wanted: Wanted) -> Vec<AgentEntry<'a>> {
    let known = || view.catalog().agents().filter(is_agent);
    let among = || known().filter(|agent| wanted == Wanted::All || is_healthy(agent));
    if text.is_empty() {
        return among().collect();
    }
    let exact: Vec<AgentEntry<'_>> =
        among().filter(|agent| agent.owner.agent.as_str() == text || name(agent) == text).collect();
    if !exact.is_empty() {
        return exact;
    }
    let text = text.to_lowercase();
    let begins = |candidate: &str| candidate.to_lowercase().starts_with(&text);
    among().filter(|agent| begins(agent.owner.agent.as_str()) || begins(&name(agent))).collect()
}

/// Several may be meant.
pub(super) fn ambiguous(message: String, choices: Vec<String>) -> Refused {
    let problem = Problem { error: "ambiguous".into(), message, choices };
    Refused(StatusCode::CONFLICT, problem)
}

/// Nobody is meant.
pub(super) fn nobody(text: &str, wanted: Wanted) -> Refused {
    let healthy = if wanted == Wanted::Healthy { "healthy " } else { "" };
    Refused::new(StatusCode::NOT_FOUND, "no_agent", format!("no {healthy}agent found matching '{text}'"))
}

/// It was there a moment ago.
pub(super) fn gone() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no_agent", "the agent has just gone: ask again")
}
