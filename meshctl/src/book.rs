//! What meshctl started and where it is: two files a process in `pids/`.
//!
//! `<name>.json` holds what is needed to prove that a process is still the one that was started; `<name>.pid`, just the
//! number, is for scripts. Files are replaced whole, so that a reader never sees half of one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::process::Leader;

/// The name of the seed that `start` brings up.
pub(crate) const SEED: &str = "seed";

/// Something that meshctl started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What `stop` and `logs` call it.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its pid, and the id of its process group.
    pub(crate) pid: u32,
    /// When the process began, in clock ticks since boot.
    pub(crate) pid_started: u64,
    /// What its environment is marked with.
    pub(crate) mark: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// When it was started, in seconds since 1970.
    pub(crate) started: u64,
}

/// What a started process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// An agent, or anything else that was to run.
    Agent,
    /// A seed of ours.
    Seed,
    /// Restarts an agent when its sources change.
    Watcher,
}

impl Entry {
    /// The process behind it.
    pub(crate) fn leader(&self) -> Leader {
        Leader { pid: self.pid, started: self.pid_started, mark: self.mark.clone() }
    }

    /// Whether its process runs.
    pub(crate) fn is_running(&self) -> bool {
        self.leader().is_running()
    }

    /// Seconds since 1970, for [`Entry::started`].
    pub(crate) fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

/// The entries of one home.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    folder: PathBuf,
}

impl Book {
    /// The book of `home`. Nothing is read or made yet.
    pub(crate) fn of(home: &Home) -> Self {
        Self { folder: home.pids() }
    }

    /// All entries by name, of whatever still runs or not. Files that are not entries are passed over.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path());
        let records = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let mut entries: Vec<Entry> = records.filter_map(|path| read(&path)).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    /// The entry of that name.
    pub(crate) fn entry(&self, name: &str) -> Option<Entry> {
        read(&self.record(name))
    }

    /// Writes an entry down, in place of an older one of its name.
    ///
    /// # Errors
    /// When the disk refuses, in words that name the file.
    pub(crate) fn write(&self, entry: &Entry) -> anyhow::Result<()> {
        let record = serde_json::to_vec_pretty(entry)?;
        replace(&self.record(&entry.name), &record)?;
        replace(&self.plain(&entry.name), format!("{}\n", entry.pid).as_bytes())
    }

    /// Takes an entry out, unless another process was written down under its name meanwhile.
    pub(crate) fn remove(&self, entry: &Entry) {
        if self.entry(&entry.name).is_some_and(|found| found.leader() == entry.leader()) {
            // Whoever was first has removed them, or the next sweep does.
            let _ = fs::remove_file(self.plain(&entry.name));
            let _ = fs::remove_file(self.record(&entry.name));
        }
    }

    /// Takes out all entries of which nothing runs, and pid files without a record. Only for who holds the lock of the
    /// home. A dead agent that is watched stays: it comes back when its sources change.
    pub(crate) fn sweep(&self) {
        for entry in self.entries() {
            let is_watched = || self.entry(&watcher_of(&entry.name)).is_some_and(|watcher| watcher.is_running());
            if !entry.leader().group_runs() && !is_watched() {
                self.remove(&entry);
            }
        }
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|file| file.path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "pid")) {
            if !path.with_extension("json").exists() {
                let _ = fs::remove_file(path);
            }
        }
    }

    // A name may contain dots, so that `with_extension` is of no use.
    fn record(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn plain(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pid"))
    }
}

/// What the watcher of an agent is called.
pub(crate) fn watcher_of(agent: &str) -> String {
    format!("{agent}.watcher")
}

/// Whether `name` can name a process: it names files, and is typed.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_age = |suffix: &str| suffix.chars().all(|letter| letter.is_ascii_digit());
    if name.rsplit_once('.').is_some_and(|(_, suffix)| is_age(suffix) || suffix == "watcher") {
        bail!("{name:?} cannot name a process: its logs would be taken for those of another one; give another --name");
    }
    if name.is_empty() || name.len() > 100 || name.starts_with(['.', '-']) || !name.chars().all(fits) {
        bail!("{name:?} cannot name a process: give --name with at most 100 letters, digits, `-`, `_` and `.`");
    }
    Ok(())
}

fn read(path: &Path) -> Option<Entry> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Puts `content` in place of what `path` holds, whole or not at all, for its owner's eyes only.
///
/// # Errors
/// When the disk refuses, in words that name the file.
pub(crate) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let draft = path.with_added_extension(format!("{}.draft", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&draft))).with_context(|| format!("cannot write {}", path.display()))
}
