//! Starting a process: its streams in its log, a group of its own, an entry in the book.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, anyhow};
use mesh_node::runtime_file::process_started;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use crate::book::{Book, Entry, Kind};
use crate::home::Home;
use crate::log_file::LogFile;
use crate::process::{Ending, MARK};
use crate::source::Source;

/// Everything needed to start a process, and to start it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// What `stop` and `logs` shall call it.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Where its program comes from.
    pub(crate) source: Source,
    /// What is set in its environment beyond meshctl's own.
    pub(crate) environment: BTreeMap<String, String>,
    /// What of meshctl's own environment it does not get.
    pub(crate) unset: Vec<String>,
    /// Where it runs; `None` where meshctl does.
    pub(crate) folder: Option<PathBuf>,
    /// As whom it runs.
    pub(crate) user: Option<u32>,
    /// As which group it runs.
    pub(crate) group: Option<u32>,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Its entry, written down already.
    pub(crate) entry: Entry,
    /// The child, to be waited for by a meshctl that stays.
    pub(crate) child: Child,
}

impl Launch {
    /// The home that it will use, which is ours unless its environment says otherwise.
    pub(crate) fn home(&self, ours: &Home) -> PathBuf {
        self.environment.get("MCP_MESH_HOME").map_or_else(|| ours.root().to_owned(), PathBuf::from)
    }

    /// Starts `program` (program and arguments) as this launch says and writes it down. None of meshctl's standard streams
    /// are passed on.
    ///
    /// # Errors
    /// When it cannot be executed, or the disk refuses the log or the entry; nothing runs then.
    pub(crate) async fn spawn(&self, home: &Home, program: &[String]) -> anyhow::Result<Launched> {
        home.make(&home.logs())?;
        home.make(&home.pids())?;
        let log = LogFile::of(home, &self.name).begin()?;
        let mark = fresh_mark();
        let (path, arguments) = program.split_first().ok_or_else(|| anyhow!("there is no command to start"))?;
        let mut command = Command::new(path);
        command.args(arguments);
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(&self.environment).env(MARK, &mark).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(group) = self.group {
            command.gid(group);
        }
        if let Some(user) = self.user {
            command.uid(user);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {path}"))?;
        let pid = child.id().context("a process that was just started has no pid")?;
        let entry = Entry {
            name: self.name.clone(),
            kind: self.kind,
            pid,
            // Of one that is gone already nothing matches 0, which is right.
            pid_started: process_started(pid).unwrap_or(0),
            mark,
            command: program.to_vec(),
            started: Entry::now(),
        };
        if let Err(error) = Book::of(home).write(&entry) {
            // What nobody could stop must not run.
            let ended = entry.leader().end(Ending::Forced).await;
            let _ = child.wait().await;
            return Err(ended.err().map_or(error, anyhow::Error::new));
        }
        Ok(Launched { entry, child })
    }
}

/// Milliseconds since 1970, our pid, and a count: unlike any other mark on this machine.
pub(crate) fn fresh_mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", since.as_millis(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether a mark was made by this process.
pub(crate) fn is_from_here(mark: &str) -> bool {
    mark.split('-').nth(1) == Some(std::process::id().to_string().as_str())
}
