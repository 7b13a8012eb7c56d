//! The file of a ledger: lines of JSON, appended; written anew when it has grown.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::book::{Book, Entry};

/// A file that is longer than this, and twice as long as when it was last written anew, is written anew with sums instead
/// of single entries.
const COMPACT_AT: u64 = 1 << 20;

/// No more than this is read of a file: what is behind it was not written by us.
const MAX_BYTES: u64 = 256 << 20;

/// How many replicas of a provider one machine may have.
const MAX_REPLICAS: usize = 1000;

/// How many other providers of one home are looked after.
const MAX_PROVIDERS: usize = 1000;

/// Why figures cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep what calls cost in {path}: {why}; give it a home that can be written (MCP_MESH_HOME)", path = path.display())]
pub struct CannotKeep {
    path: PathBuf,
    why: io::Error,
}

/// A file that is ours alone while this lives.
#[derive(Debug)]
pub(super) struct LedgerFile {
    /// Where the providers of this home have a folder each.
    providers: PathBuf,
    path: PathBuf,
    pub(super) file: File,
    length: u64,
    /// How long it was when it was read or written anew.
    folded: u64,
    /// Held for its lock.
    _lock: File,
}

impl LedgerFile {
    /// Takes the first file of the provider called `name` that nobody has, and reads what is in it.
    pub(super) fn open(providers: &Path, name: &str, now: u64) -> Result<(Self, Book), CannotKeep> {
        let cannot = |path: &Path| {
            let path = path.to_owned();
            move |why| CannotKeep { path, why }
        };
        let folder = &providers.join(name);
        fs::create_dir_all(folder).map_err(cannot(folder))?;
        for number in 1..=MAX_REPLICAS {
            let path = usage(folder, number);
            if let Some(lock) = take(folder, number).map_err(cannot(&path))? {
                let Read { file, length, book } = read(&path, now).map_err(cannot(&path))?;
                let providers = providers.to_owned();
                return Ok((Self { providers, path, file, length, folded: length, _lock: lock }, book));
            }
        }
        let why = io::Error::other(format!("{MAX_REPLICAS} replicas run already"));
        Err(cannot(folder)(why))
    }

    /// Takes over what replicas and other providers of this home have left behind that are gone: it is in this file then,
    /// and was in theirs. A crash in between counts it twice.
    pub(super) fn inherit(&mut self, now: u64) -> io::Result<Book> {
        let mut inherited = Book::default();
        for folder in fs::read_dir(&self.providers)?.take(MAX_PROVIDERS) {
            let folder = folder?.path();
            for number in 1..=MAX_REPLICAS {
                let path = usage(&folder, number);
                match fs::metadata(&path) {
                    Ok(file) if file.len() == 0 || path == self.path => continue,
                    Ok(_) => {}
                    // They are numbered from the first one on.
                    Err(_) => break,
                }
                let Some(_lock) = take(&folder, number)? else { continue };
                let Read { file, book, .. } = read(&path, now)?;
                self.append(&book)?;
                file.set_len(0)?;
                book.entries().for_each(|Entry { minute, line }| inherited.add(minute, &line));
            }
        }
        Ok(inherited)
    }

    /// Adds all of `book` at the end, or nothing of it.
    pub(super) fn append(&mut self, book: &Book) -> io::Result<()> {
        let text = text(book);
        if let Err(why) = self.file.write_all(&text) {
            // Half a line would spoil the next one, too.
            self.file.set_len(self.length)?;
            return Err(why);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Whether it is time to write it anew.
    pub(super) fn has_grown(&self) -> bool {
        self.length > COMPACT_AT.max(self.folded.saturating_mul(2))
    }

    /// Writes it anew, with nothing but `book` in it.
    pub(super) fn rewrite(&mut self, book: &Book) -> io::Result<()> {
        // Also when this fails it is not tried again before the file has doubled.
        self.folded = self.length;
        (self.file, self.length) = replace(&self.path, book)?;
        self.folded = self.length;
        Ok(())
    }
}

/// What was in a file.
struct Read {
    /// At its end.
    file: File,
    length: u64,
    book: Book,
}

fn usage(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("usage-{number}.jsonl"))
}

/// The lock of a file, if nobody has it. It is on a file of its own: the other one is replaced when it has grown.
fn take(folder: &Path, number: usize) -> io::Result<Option<File>> {
    let lock = folder.join(format!("usage-{number}.lock"));
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

fn read(path: &Path, now: u64) -> io::Result<Read> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut length = file.metadata()?.len();
    let mut book = Book::default();
    let mut is_whole = true;
    let mut lines = BufReader::new(io::Read::take(&mut file, MAX_BYTES));
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
        (file, length) = replace(path, &book)?;
    }
    Ok(Read { file, length, book })
}

/// A file in the place of the one at `path` with nothing but `book` in it, and how long it is.
fn replace(path: &Path, book: &Book) -> io::Result<(File, u64)> {
    let (fresh, text) = (path.with_extension("fresh"), text(book));
    fs::write(&fresh, &text)?;
    fs::rename(&fresh, path)?;
    Ok((OpenOptions::new().append(true).open(path)?, text.len() as u64))
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
