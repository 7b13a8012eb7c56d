//! What this machine knows of agents that run on it.

use std::path::PathBuf;

use mesh_node::admin::timestamp::Timestamp;
use mesh_node::admin::wire::AgentInfo;
use mesh_node::runtime_file::{self, RuntimeFile};

use crate::book::{Book, Kind};
use crate::home::Home;
use crate::process;

/// Adds process and program to those of `agents` that run here.
pub(crate) fn complete(home: &Home, agents: &mut [AgentInfo]) {
    for node in runtime_file::running(home.root()) {
        if let Some(agent) = agents.iter_mut().find(|agent| agent.id == node.agent_id) {
            agent.pid = Some(node.pid);
            agent.file_path = program(&node).map(|path| path.display().to_string());
            agent.start_time = Some(Timestamp(node.started * 1000));
        }
    }
    complete_others(home, agents);
}

/// Adds the same to agents of other languages that meshctl started: they listen where they say that they are.
fn complete_others(home: &Home, agents: &mut [AgentInfo]) {
    let entries = Book::of(home).entries().into_iter().filter(|entry| entry.kind == Kind::Agent && entry.is_running());
    for entry in entries {
        let mut ports = None;
        for agent in agents.iter_mut().filter(|agent| agent.pid.is_none() && agent.runtime != "rust") {
            let ports = ports.get_or_insert_with(|| process::ports(entry.pid));
            let port = agent.endpoint.rsplit_once(':').and_then(|(_, port)| port.trim_end_matches('/').parse().ok());
            if port.is_some_and(|port| ports.contains(&port)) {
                agent.pid = Some(entry.pid);
                agent.file_path = entry.command.iter().rev().find(|word| word.starts_with('/')).cloned();
                agent.start_time = Some(Timestamp(entry.started * 1000));
            }
        }
    }
}

/// What a process runs.
pub(crate) fn program(node: &RuntimeFile) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", node.pid)).ok()
}
