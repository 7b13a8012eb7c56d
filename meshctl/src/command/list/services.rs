//! Services: capabilities named `service.method`, grouped.

use std::collections::BTreeMap;

use mesh_node::admin::wire::{AgentInfo, ToolInfo};
use serde::Serialize;

use crate::output::{self, Colour, paint, say};
use crate::table::{Cell, Column, Table};

#[derive(Serialize)]
struct Services<'a> {
    services: Vec<Service<'a>>,
    ungrouped: Vec<Method<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    methods: Vec<Method<'a>>,
}

#[derive(Serialize)]
struct Method<'a> {
    method: &'a str,
    capability: &'a str,
    providers: Vec<Provider<'a>>,
}

#[derive(Serialize)]
struct Provider<'a> {
    agent_id: &'a str,
    agent_name: &'a str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable_reason: Option<&'a str>,
}

/// Prints them.
pub(super) fn show(agents: &[&AgentInfo], json: bool) -> anyhow::Result<()> {
    let services = grouped(agents);
    if json {
        return output::json(&services);
    }
    let names = ["SERVICE", "METHOD", "AGENT", "STATUS"];
    let mut table = Table::new(names.map(|name| Column::growing(name, 12)).into());
    for service in &services.services {
        for method in &service.methods {
            for provider in &method.providers {
                let status = match provider.unavailable_reason {
                    None => Cell::painted(Colour::Green, "available"),
                    Some(reason) => Cell::painted(Colour::Red, format!("unavailable ({reason})")),
                };
                let text = [service.service, method.method, provider.agent_name].map(Cell::new);
                table.push(text.into_iter().chain([status]).collect());
            }
        }
    }
    if services.services.is_empty() {
        say("No services found");
    } else {
        table.lines().iter().for_each(say);
    }
    let rest = services.ungrouped.len();
    if rest > 0 {
        say(paint(Colour::Grey, format!("\n({rest} ungrouped capabilities not shown — use --tools)")));
    }
    Ok(())
}

fn grouped<'a>(agents: &[&'a AgentInfo]) -> Services<'a> {
    let mut found: BTreeMap<&str, BTreeMap<&str, Method<'_>>> = BTreeMap::new();
    let mut ungrouped: BTreeMap<&str, Method<'_>> = BTreeMap::new();
    let tools = agents.iter().flat_map(|agent| agent.tools.iter().map(|tool| (*agent, tool)));
    for (agent, tool) in tools.filter(|(_, tool)| !tool.function_name.starts_with("__mesh_")) {
        let (methods, method) = match tool.capability.rsplit_once('.') {
            None => (&mut ungrouped, tool.name.as_str()),
            Some((service, method)) => (found.entry(service).or_default(), method),
        };
        let none = || Method { method, capability: &tool.name, providers: Vec::new() };
        let providers = &mut methods.entry(method).or_insert_with(none).providers;
        // An agent is told of once, however many of its tools provide this.
        match providers.iter().position(|known| known.agent_id == agent.id) {
            Some(at) if tool.available => providers[at] = provider(agent, tool),
            Some(_) => {}
            None => providers.push(provider(agent, tool)),
        }
    }
    let service =
        |(service, methods): (_, BTreeMap<_, _>)| Service { service, methods: methods.into_values().collect() };
    Services { services: found.into_iter().map(service).collect(), ungrouped: ungrouped.into_values().collect() }
}

fn provider<'a>(agent: &'a AgentInfo, tool: &'a ToolInfo) -> Provider<'a> {
    Provider {
        agent_id: &agent.id,
        agent_name: &agent.name,
        available: tool.available,
        unavailable_reason: tool.unavailable_reason.as_deref(),
    }
}
