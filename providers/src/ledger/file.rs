//! The file of a ledger: lines of JSON, appended; begun anew when it has grown.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::book::{Book, Entry};

/// A file that is longer than this is written anew at the next start, with sums instead of single entries.
const COMPACT_AT: u64 = 1 << 20;

/// No more than this is read of a file: what is behind it was not written by us.
const MAX_BYTES: u64 = 256 << 20;

/// How many replicas of a provider one machine may have.
const MAX_REPLICAS: usize = 1000;

/// Why figures cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep what calls cost in {path}: {why}; give it a home that can be written (MCP_MESH_HOME)", path = path.display())]
pub struct CannotKeep {
    path: PathBuf,
    why: std::io::Error,
}

/// A file that is ours alone while this lives.
#[derive(Debug)]
pub(super) struct LedgerFile {
    folder: PathBuf,
    number: usize,
    file: File,
    /// Held for its lock.
    _lock: File,
}

impl LedgerFile {
    /// Takes the first file in `folder` that nobody has, and reads what is in it.
    pub(super) fn open(folder: &Path, now: u64) -> Result<(Self, Book), CannotKeep> {
        let cannot = |path: &Path| {
            let path = path.to_owned();
            move |why| CannotKeep { path, why }
        };
        fs::create_dir_all(folder).map_err(cannot(folder))?;
        for number in 1..=MAX_REPLICAS {
            let path = usage(folder, number);
            if let Some(lock) = take(folder, number).map_err(cannot(&path))? {
                let (file, book) = read(&path, now).map_err(cannot(&path))?;
                return Ok((Self { folder: folder.to_owned(), number, file, _lock: lock }, book));
            }
        }
        let why = std::io::Error::other(format!("{MAX_REPLICAS} replicas run already"));
        Err(cannot(folder)(why))
    }

    /// Takes over what replicas have left behind that are gone: it is in this file then, and was in theirs. A crash in
    /// between counts it twice.
    pub(super) fn inherit(&mut self, now: u64) -> std::io::Result<Book> {
        let mut inherited = Book::default();
        let own = self.number;
        for number in (1..=MAX_REPLICAS).filter(|number| *number != own) {
            let path = usage(&self.folder, number);
            match fs::metadata(&path) {
                Ok(file) if file.len() == 0 => continue,
                Ok(_) => {}
                // They are numbered from the first one on.
                Err(_) => break,
            }
            let Some(_lock) = take(&self.folder, number)? else { continue };
            let (file, book) = read(&path, now)?;
            self.append(&book)?;
            file.set_len(0)?;
            for Entry { minute, line } in book.entries() {
                inherited.add(minute, &line);
            }
        }
        Ok(inherited)
    }

    /// Adds all of `book` at the end.
    pub(super) fn append(&mut self, book: &Book) -> std::io::Result<()> {
        self.file.write_all(&text(book))
    }
}

fn usage(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("usage-{number}.jsonl"))
}

/// The lock of a file, if nobody has it. It is on a file of its own: the other one is replaced when it has grown.
fn take(folder: &Path, number: usize) -> std::io::Result<Option<File>> {
    let lock = folder.join(format!("usage-{number}.lock"));
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

/// What is in the file, and the file at its end.
fn read(path: &Path, now: u64) -> std::io::Result<(File, Book)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let mut book = Book::default();
    let mut is_whole = true;
    let mut lines = BufReader::new(Read::by_ref(&mut file).take(MAX_BYTES));
    let mut line = Vec::new();
    while {
        line.clear();
        lines.read_until(b'\n', &mut line)? > 0
    } {
        is_whole = line.ends_with(b"\n");
        // A line that a crash cut off, or that somebody else wrote, is left out.
        if let Ok(Entry { minute, line }) = serde_json::from_slice(&line) {
            book.add(minute, &line);
        }
    }
    let book = book.folded(now);
    if length > COMPACT_AT || !is_whole {
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, text(&book))?;
        fs::rename(&fresh, path)?;
        file = OpenOptions::new().append(true).open(path)?;
    }
    Ok((file, book))
}

fn text(book: &Book) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in book.entries() {
        // Numbers and texts can always be written; what is no finite number becomes null and is left out when read.
        if serde_json::to_writer(&mut text, &entry).is_ok() {
            text.push(b'\n');
        }
    }
    text
}
