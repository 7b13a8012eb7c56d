//! Log files: one a process, a new one at each start, the last five kept.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::home::Home;

/// How many files of one process are kept, the current one included.
pub(crate) const KEPT: usize = 5;

/// The most that is read back from the end of a log for its last lines.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// The logs of one process.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    folder: PathBuf,
    name: String,
}

impl LogFile {
    /// The logs of `name`. Nothing is opened yet.
    pub(crate) fn of(home: &Home, name: &str) -> Self {
        Self { folder: home.logs(), name: name.to_owned() }
    }

    /// The current file (0), or an older one.
    pub(crate) fn path(&self, age: usize) -> PathBuf {
        match age {
            0 => self.folder.join(format!("{}.log", self.name)),
            age => self.folder.join(format!("{}.{age}.log", self.name)),
        }
    }

    /// Sets the current file aside and begins another one, to append to. Two processes may have it open.
    ///
    /// # Errors
    /// When the disk refuses, in words that name the file.
    pub(crate) fn begin(&self) -> anyhow::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        for age in (0..KEPT - 1).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot set {} aside", self.path(age).display()));
                }
                _ => {}
            }
        }
        let path = self.path(0);
        let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The last `count` lines of the current file; what there is, when it cannot be read.
    pub(crate) fn last_lines(&self, count: usize) -> Vec<String> {
        let text = tail(&self.path(0), MAX_TAIL_BYTES).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

/// The names that have logs in `home`, with the size of the current file in bytes and the number of older ones.
pub(crate) fn all(home: &Home) -> Vec<(String, Option<u64>, usize)> {
    let mut found = std::collections::BTreeMap::<String, (Option<u64>, usize)>::new();
    for entry in fs::read_dir(home.logs()).into_iter().flatten().flatten() {
        // Another name of the seed's.
        if entry.path().is_symlink() {
            continue;
        }
        let file = entry.file_name();
        let Some(stem) = file.to_str().and_then(|file| file.strip_suffix(".log")) else { continue };
        match stem.rsplit_once('.') {
            Some((name, age)) if age.parse().is_ok_and(|age: usize| (1..KEPT).contains(&age)) => {
                found.entry(name.to_owned()).or_default().1 += 1;
            }
            _ => {
                let size = entry.metadata().map(|metadata| metadata.len()).ok();
                found.entry(stem.to_owned()).or_default().0 = size;
            }
        }
    }
    found.into_iter().map(|(name, (size, older))| (name, size, older)).collect()
}

/// The text of `path` from its end backwards, at most `bytes`, beginning with a whole line. What is no UTF-8 is shown as
/// replacement characters.
///
/// # Errors
/// What the disk said.
pub(crate) fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(bytes);
    file.seek(SeekFrom::Start(skipped))?;
    let mut content = Vec::new();
    file.take(bytes).read_to_end(&mut content)?;
    let text = String::from_utf8_lossy(&content).into_owned();
    match text.split_once('\n') {
        Some((_, rest)) if skipped > 0 => Ok(rest.to_owned()),
        _ => Ok(text),
    }
}
