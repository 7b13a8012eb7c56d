//! Processes of the operating system: who runs, who belongs together, how to end them.

use std::fs;
use std::io;
use std::time::Duration;

use mesh_node::runtime_file::process_started;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

/// How often a process that shall end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long the kernel may take to end a process group after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// The environment variable that marks what meshctl started, and all that those started.
pub(crate) const MARK: &str = "MCP_MESH_GROUP_ID";

/// A process that leads its own group, told apart from a later one with the same pid by when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Its pid, and the id of its group.
    pub(crate) pid: u32,
    /// When it began, in clock ticks since boot.
    pub(crate) started: u64,
    /// The value of [`MARK`] in its environment.
    pub(crate) mark: String,
}

/// How to end a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGTERM, and SIGKILL for what is left after this time.
    Polite(Duration),
    /// SIGKILL at once.
    Forced,
}

/// Why a group could not be ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// The system does not let us.
    #[error("process {pid} cannot be signalled: {source}")]
    Refused {
        /// The group.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// It sits in the kernel and does not even follow SIGKILL.
    #[error("process {pid} is still there {KILL_PATIENCE:?} after SIGKILL")]
    Unkillable {
        /// The group.
        pid: u32,
    },
}

impl Leader {
    /// Whether the leader itself runs. A zombie does not, nor does another process that was given its pid.
    pub(crate) fn is_running(&self) -> bool {
        process_started(self.pid) == Some(self.started)
    }

    /// Whether anything of its group runs: the leader, or what it left behind.
    pub(crate) fn group_runs(&self) -> bool {
        if self.is_running() {
            return true;
        }
        // The pid lives on in somebody else: the kernel gives no pid away that still names a group.
        if process_started(self.pid).is_some() {
            return false;
        }
        members(self.pid).into_iter().any(|pid| is_marked(pid, &self.mark))
    }

    /// Ends the group and returns when all of it is gone. Dropping the future leaves it signalled.
    ///
    /// # Errors
    /// [`EndError`].
    pub(crate) async fn end(&self, how: Ending) -> Result<(), EndError> {
        if let Ending::Polite(patience) = how {
            self.signal(Signal::SIGTERM)?;
            // One that was stopped reads its mail only when it goes on.
            self.signal(Signal::SIGCONT)?;
            if self.gone_within(patience).await {
                return Ok(());
            }
        }
        self.signal(Signal::SIGKILL)?;
        if self.gone_within(KILL_PATIENCE).await { Ok(()) } else { Err(EndError::Unkillable { pid: self.pid }) }
    }

    async fn gone_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.group_runs() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    fn signal(&self, signal: Signal) -> Result<(), EndError> {
        if !self.group_runs() {
            return Ok(());
        }
        match killpg(pid(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(EndError::Refused { pid: self.pid, source: errno.into() }),
        }
    }
}

/// The group that a process belongs to; `None` when there is no such process.
pub(crate) fn group_of(process: u32) -> Option<u32> {
    stat(process).map(|(group, _)| group)
}

/// The TCP ports that the group `leader` listens on.
pub(crate) fn ports(leader: u32) -> Vec<u16> {
    let mut listened = Vec::new();
    for process in members(leader) {
        let sockets = sockets(process);
        for table in ["tcp", "tcp6"] {
            let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
            listened.extend(text.lines().filter_map(listening).filter(|(_, inode)| sockets.contains(inode)));
        }
    }
    listened.into_iter().map(|(port, _)| port).collect()
}

/// Port and inode of a line of `/proc/…/net/tcp`, if it is a socket that listens.
fn listening(line: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // 0A is TCP_LISTEN (include/net/tcp_states.h).
    let (local, inode) = (fields.get(1)?, fields.get(9).filter(|_| fields.get(3) == Some(&"0A"))?);
    Some((u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?, inode.parse().ok()?))
}

/// The inodes of the sockets that a process has open.
fn sockets(process: u32) -> Vec<u64> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    links.filter_map(inode).collect()
}

/// What runs in the group `leader`, zombies left out.
fn members(leader: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(group, runs)| group == leader && runs)).collect()
}

/// Group, and whether it runs rather than being a zombie.
fn stat(process: u32) -> Option<(u32, bool)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command stands in parentheses and may itself contain some; state, parent and group follow behind the last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some((fields.nth(1)?.parse().ok()?, !matches!(state, "Z" | "X" | "x")))
}

fn is_marked(process: u32, mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    fs::read(format!("/proc/{process}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
}

fn pid(process: u32) -> Pid {
    // Pids of Linux end at 2^22.
    Pid::from_raw(i32::try_from(process).unwrap_or(i32::MAX))
}
