//! The list for people.

use std::collections::{BTreeMap, BTreeSet};

use mesh_node::admin::wire::{AgentInfo, AgentsAnswer, ToolInfo};

use super::{List, is_healthy};
use crate::age;
use crate::output::{Colour, paint, say};
use crate::table::{Cell, Column, Side, Table, or_dash};

/// What became of the agents that are down.
#[derive(Default)]
struct Down<'a> {
    /// They declare something that no live agent does.
    unhealthy: usize,
    /// Nobody misses them.
    inactive: usize,
    /// A newer instance of the same name is there, by its id; how many it replaced.
    superseded: BTreeMap<&'a str, usize>,
    /// The ids of those that were replaced.
    replaced: BTreeSet<&'a str>,
}

impl<'a> Down<'a> {
    fn among(agents: &'a [AgentInfo]) -> Self {
        let mut down = Self::default();
        let live: BTreeSet<&str> = agents.iter().filter(|agent| is_healthy(agent)).flat_map(capabilities).collect();
        for agent in agents.iter().filter(|agent| !is_healthy(agent)) {
            let same = agents.iter().filter(|other| other.name == agent.name && other.id != agent.id);
            let newest = same.max_by_key(|other| (other.created_at, &other.id));
            let newer = newest.filter(|other| (other.created_at, &other.id) > (agent.created_at, &agent.id));
            if let Some(newer) = newer {
                *down.superseded.entry(&newer.id).or_default() += 1;
                down.replaced.insert(&agent.id);
            } else if capabilities(agent).any(|capability| !live.contains(capability)) {
                down.unhealthy += 1;
            } else {
                down.inactive += 1;
            }
        }
        down
    }

    fn count(&self) -> usize {
        self.unhealthy + self.inactive
    }
}

/// Prints what the node at `url` told.
pub(super) fn print(url: &str, answer: &AgentsAnswer, shown: &[&AgentInfo], list: &List) {
    let down = Down::among(&answer.agents);
    let healthy = answer.agents.iter().filter(|agent| is_healthy(agent)).count();
    let mut counts = vec![format!("{healthy} healthy")];
    let replaced = down.replaced.len();
    let worth = [(down.unhealthy, "unhealthy"), (down.inactive, "inactive"), (replaced, "superseded")];
    for (count, word) in worth.into_iter().filter(|(count, _)| *count > 0) {
        let text = format!("{count} {word}");
        counts.push(if word == "unhealthy" { paint(Colour::Red, text) } else { text });
    }
    let uptime = age::short(answer.node.now.since(answer.node.started));
    let running = paint(Colour::Green, "running");
    say(format_args!("Registry: {running} ({url}) - {} - uptime {uptime}\n", counts.join(", ")));
    if shown.is_empty() {
        say("No agents found");
    } else {
        table(answer, shown, &down, list).lines().iter().for_each(say);
    }
    if list.verbose {
        shown.iter().for_each(|agent| block(agent));
    }
    if !list.all && !shown.is_empty() {
        footer(shown.len(), &down);
    }
}

fn footer(shown: usize, down: &Down<'_>) {
    let word = if shown == 1 { "agent" } else { "agents" };
    let mut line = format!("\n{shown} {word} ({shown} healthy)");
    if down.count() > 0 {
        line += &format!(" - {} down hidden (use --all)", down.count());
    }
    if !down.replaced.is_empty() {
        line += &format!(" - {} superseded hidden", down.replaced.len());
    }
    say(line);
}

fn table(answer: &AgentsAnswer, shown: &[&AgentInfo], down: &Down<'_>, list: &List) -> Table {
    let mut columns = vec![Column::growing("NAME", 15), Column::growing("RUNTIME", 12), Column::growing("TYPE", 5)];
    columns.push(Column::growing("STATUS", 10));
    if !list.no_deps {
        columns.extend([Column::fixed("DEPS", 8, Side::Left), Column::fixed("CAPS", 8, Side::Right)]);
    }
    columns.push(Column::growing("ENDPOINT", 20));
    if list.wide {
        columns.push(Column::fixed("TOOLS", 6, Side::Left));
    }
    columns.extend([Column::fixed("AGE", 8, Side::Left), Column::fixed("LAST SEEN", 10, Side::Left)]);
    if list.wide || list.verbose {
        columns.push(Column::growing("CAPABILITIES", 12));
    }
    let mut table = Table::new(columns);
    for agent in shown {
        table.push(row(answer, agent, down, list));
    }
    table
}

fn row(answer: &AgentsAnswer, agent: &AgentInfo, down: &Down<'_>, list: &List) -> Vec<Cell> {
    let now = answer.node.now;
    let grey = down.replaced.contains(agent.id.as_str());
    let plain = |text: String| if grey { Cell::painted(Colour::Grey, text) } else { Cell::new(text) };
    let status = match agent.status.as_str() {
        "healthy" => Colour::Green,
        "unhealthy" => Colour::Red,
        _ => Colour::Yellow,
    };
    let mut name = agent.id.clone();
    if let Some(count) = down.superseded.get(agent.id.as_str()).filter(|_| !list.all) {
        name += &format!(" (+{count} superseded)");
    }
    let mut row = vec![plain(name), plain(runtime(agent)), plain(kind(agent).into())];
    row.push(Cell::painted(if grey { Colour::Grey } else { status }, &agent.status));
    if !list.no_deps {
        row.extend([dependencies(agent), available(agent)]);
    }
    row.push(plain(endpoint(agent)));
    if list.wide {
        row.push(plain(own(agent).count().to_string()));
    }
    row.push(plain(age::short(now.since(agent.created_at))));
    row.push(plain(agent.last_heartbeat.map_or_else(|| "-".into(), |seen| age::short(now.since(seen)))));
    if list.wide || list.verbose {
        row.push(plain(or_dash(&own(agent).map(|tool| tool.name.as_str()).collect::<Vec<_>>().join(", ")).into()));
    }
    row
}

fn dependencies(agent: &AgentInfo) -> Cell {
    let (resolved, total) = (agent.dependencies_resolved, agent.dependencies_total);
    let colour = match resolved {
        resolved if resolved == total => Colour::Green,
        0 => Colour::Red,
        _ => Colour::Yellow,
    };
    Cell::painted(colour, format!("{resolved}/{total}"))
}

fn available(agent: &AgentInfo) -> Cell {
    let (total, usable) = (own(agent).count(), own(agent).filter(|tool| tool.available).count());
    let text = format!("{usable}/{total}");
    if usable < total { Cell::painted(Colour::Red, text) } else { Cell::new(text) }
}

/// Tools that an author wrote.
fn own(agent: &AgentInfo) -> impl Iterator<Item = &ToolInfo> {
    agent.tools.iter().filter(|tool| !tool.function_name.starts_with("__mesh_"))
}

fn capabilities(agent: &AgentInfo) -> impl Iterator<Item = &str> {
    own(agent).map(|tool| tool.name.as_str())
}

/// What an agent is written in, as it is spelled.
pub(crate) fn runtime(agent: &AgentInfo) -> String {
    match agent.runtime.as_str() {
        "python" => "Python".into(),
        "typescript" => "TypeScript".into(),
        "java" => "Java".into(),
        "rust" => "Rust".into(),
        "" => "-".into(),
        other => other.into(),
    }
}

/// What kind of agent it is, for people.
pub(crate) fn kind(agent: &AgentInfo) -> &'static str {
    match agent.agent_type.as_str() {
        "mcp_agent" | "decorator_agent" => "Agent",
        "api" => "API",
        "mesh_tool" => "Tool",
        "a2a" => "A2A",
        _ => "Unknown",
    }
}

/// Where it is, without what goes without saying.
pub(crate) fn endpoint(agent: &AgentInfo) -> String {
    if agent.endpoint.is_empty() {
        return "-".into();
    }
    if agent.endpoint.starts_with("stdio:") {
        return "stdio".into();
    }
    let rest = agent.endpoint.split_once("://").map_or(agent.endpoint.as_str(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

fn block(agent: &AgentInfo) {
    say(format_args!("\n=== {} ===", agent.id));
    say(format_args!("Name: {}", agent.name));
    say(format_args!("Endpoint: {}", agent.endpoint));
    say(format_args!("Version: {}", agent.version));
    if let Some(pid) = agent.pid {
        say(format_args!("PID: {pid}"));
    }
    if let Some(path) = &agent.file_path {
        say(format_args!("File: {path}"));
    }
    if !agent.tools.is_empty() {
        say(format_args!("Tools ({}):", own(agent).count()));
        let mut services: BTreeMap<&str, usize> = BTreeMap::new();
        for tool in own(agent) {
            match tool.capability.rsplit_once('.') {
                Some((service, _)) => *services.entry(service).or_default() += 1,
                None => say(format_args!("  - {} ({})", tool.function_name, tool.name)),
            }
        }
        services.iter().for_each(|(service, methods)| say(format_args!("  - {service}/ ({methods} methods)")));
    }
    if !agent.dependency_resolutions.is_empty() {
        say(format_args!("Dependencies ({}):", agent.dependency_resolutions.len()));
        for needed in &agent.dependency_resolutions {
            let provider = if needed.provider_agent_id.is_empty() { "-" } else { &needed.provider_agent_id };
            say(format_args!("  - {} → {provider} [{}]", needed.capability, needed.status));
        }
    }
}
