//! What runs on this machine: one small file a node in `run/` of the home directory, for meshctl and for newcomers.
//!
//! A file is written when the node serves and removed when it stops in order; of a killed one it stays until somebody
//! notices that the process is gone. Nothing in it is secret.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFile {
    /// The agent's id.
    pub agent_id: String,
    /// The agent's name.
    pub name: String,
    /// `agent` or `seed`.
    pub role: String,
    /// Its process.
    pub pid: u32,
    /// When that process was started, in the kernel's clock ticks since boot: tells a recycled pid apart.
    pub pid_started: u64,
    /// Where its HTTP is, as `http://ip:port`; nothing when it serves none.
    pub http_url: Option<String>,
    /// Where its gossip is.
    pub gossip: SocketAddr,
    /// The name of its mesh.
    pub mesh: String,
    /// When it began, in seconds since 1970.
    pub started: u64,
}

impl RuntimeFile {
    /// Where it is kept.
    pub fn path(home: &Path, agent_id: &str) -> PathBuf {
        directory(home).join(format!("{agent_id}.json"))
    }

    /// Puts it where others find it, whole or not at all.
    ///
    /// # Errors
    /// What the disk said.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory(home))?;
        let path = Self::path(home, &self.agent_id);
        let draft = path.with_extension(format!("{}.draft", self.pid));
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(draft, path)
    }

    /// Takes it away.
    pub fn remove(&self, home: &Path) {
        if let Err(error) = std::fs::remove_file(Self::path(home, &self.agent_id)) {
            tracing::debug!(%error, "run-time file was gone already");
        }
    }

    /// Whether the process it tells of still runs. A zombie does not.
    pub fn is_running(&self) -> bool {
        process_started(self.pid).is_some_and(|started| started == self.pid_started)
    }
}

/// All nodes that run with this home now, seeds first, then by age.
pub fn running(home: &Path) -> Vec<RuntimeFile> {
    let files = std::fs::read_dir(directory(home)).into_iter().flatten().flatten().map(|entry| entry.path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut nodes: Vec<RuntimeFile> = json
        .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
        .filter(RuntimeFile::is_running)
        .collect();
    nodes.sort_by_key(|node| (node.role != "seed", node.started, node.agent_id.clone()));
    nodes
}

/// When the process called `pid` was started, in clock ticks since boot; `None` when there is none, or only a zombie.
pub fn process_started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may itself contain some; state and start time follow behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(started)
}

fn directory(home: &Path) -> PathBuf {
    home.join("run")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{RuntimeFile, process_started, running};

    fn file(pid: u32, role: &str) -> RuntimeFile {
        RuntimeFile {
            agent_id: format!("{role}-{pid}"),
            name: role.into(),
            role: role.into(),
            pid,
            pid_started: process_started(pid).unwrap_or(1),
            http_url: None,
            gossip: "127.0.0.1:7745".parse().unwrap(),
            mesh: "default".into(),
            started: 1,
        }
    }

    #[test]
    fn only_nodes_whose_process_runs_are_listed_and_seeds_come_first() {
        let home = tempfile::tempdir().unwrap();
        let me = std::process::id();
        let (agent, seed) = (file(me, "agent"), file(me, "seed"));
        agent.write(home.path()).unwrap();
        seed.write(home.path()).unwrap();
        let recycled = RuntimeFile { pid_started: 0, agent_id: "old".into(), ..agent.clone() };
        recycled.write(home.path()).unwrap();
        std::fs::write(home.path().join("run/broken.json"), "{").unwrap();
        assert_eq!(running(home.path()), [seed, agent.clone()]);
        agent.remove(home.path());
        assert_eq!(running(home.path()).len(), 1);
    }
}
