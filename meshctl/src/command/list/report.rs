//! The list as JSON.

use mesh_node::admin::timestamp::Timestamp;
use mesh_node::admin::wire::{AgentInfo, AgentsAnswer};
use mesh_node::runtime_file;
use serde::Serialize;

use super::is_healthy;
use crate::home::Home;
use crate::{age, local, output};

#[derive(Serialize)]
struct Report<'a> {
    registry: Registry<'a>,
    /// `null` when there are none, as scripts expect.
    agents: Option<&'a [&'a AgentInfo]>,
    processes: Option<Vec<Process>>,
    timestamp: Timestamp,
}

#[derive(Default, Serialize)]
struct Registry<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
    agent_count: usize,
    healthy_count: usize,
    unhealthy_count: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    uptime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Timestamp>,
}

/// A node of this machine.
#[derive(Serialize)]
struct Process {
    pid: u32,
    name: String,
    r#type: String,
    status: &'static str,
    start_time: Timestamp,
    agent_id: String,
    url: Option<String>,
    command: Option<String>,
}

/// Prints what the node at `url` told.
pub(super) fn print(url: &str, answer: &AgentsAnswer, shown: &[&AgentInfo]) -> anyhow::Result<()> {
    let healthy = answer.agents.iter().filter(|agent| is_healthy(agent)).count();
    let registry = Registry {
        status: "running",
        url,
        agent_count: answer.agents.len(),
        healthy_count: healthy,
        unhealthy_count: answer.agents.len() - healthy,
        uptime: age::short(answer.node.now.since(answer.node.started)),
        start_time: Some(answer.node.started),
    };
    let agents = (!shown.is_empty()).then_some(shown);
    output::json(&Report { registry, agents, processes: processes()?, timestamp: Timestamp::now() })
}

/// Prints that no node answers.
pub(super) fn print_nobody() -> anyhow::Result<()> {
    let registry = Registry { status: "not running", ..Registry::default() };
    output::json(&Report { registry, agents: None, processes: processes()?, timestamp: Timestamp::now() })
}

fn processes() -> anyhow::Result<Option<Vec<Process>>> {
    let running = runtime_file::running(Home::of_user()?.root()).into_iter().map(|node| Process {
        pid: node.pid,
        command: local::program(&node).map(|path| path.display().to_string()),
        name: node.name,
        r#type: if node.role == "seed" { "registry".to_owned() } else { node.role },
        status: "running",
        start_time: Timestamp(node.started * 1000),
        agent_id: node.agent_id,
        url: node.http_url,
    });
    let processes: Vec<Process> = running.collect();
    Ok((!processes.is_empty()).then_some(processes))
}
