//! What this machine knows of agents that run on it.

use std::path::PathBuf;

use mesh_node::admin::timestamp::Timestamp;
use mesh_node::admin::wire::AgentInfo;
use mesh_node::runtime_file::{self, RuntimeFile};

use crate::home::Home;

/// Adds process and program to those of `agents` that run here.
pub(crate) fn complete(home: &Home, agents: &mut [AgentInfo]) {
    for node in runtime_file::running(home.root()) {
        if let Some(agent) = agents.iter_mut().find(|agent| agent.id == node.agent_id) {
            agent.pid = Some(node.pid);
            agent.file_path = program(&node).map(|path| path.display().to_string());
            agent.start_time = Some(Timestamp(node.started * 1000));
        }
    }
}

/// What a process runs.
pub(crate) fn program(node: &RuntimeFile) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", node.pid)).ok()
}
