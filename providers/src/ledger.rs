//! What calls took, remembered over restarts: an append-only file of sums by minute, asker and model.

mod book;
mod file;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mesh::llm::wire::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::book::{Book, Entry};
use self::file::LedgerFile;

pub use self::file::CannotKeep;

/// How long what was not written yet may stay in memory.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// The longest name of an asker or a model that is kept.
const MAX_NAME: usize = 128;

/// What some calls took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sum {
    /// How many calls.
    pub calls: u64,
    /// Tokens of their requests.
    pub prompt_tokens: u64,
    /// Tokens of their answers.
    pub completion_tokens: u64,
    /// Tokens of their requests that the vendor had cached.
    #[serde(default)]
    pub cached_tokens: u64,
    /// What those of them cost whose model has a price, in US dollars.
    pub cost_usd: f64,
    /// Calls of models without a price.
    #[serde(default)]
    pub unpriced: u64,
}

/// What one asker used of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Who asked: an agent's name, or `-` where nobody said so.
    pub agent: String,
    /// The model that answered, with its vendor.
    pub model: String,
    /// What it took.
    #[serde(flatten)]
    pub sum: Sum,
}

/// Keeps the figures of one provider.
pub(crate) struct Ledger(Mutex<State>);

struct State {
    book: Book,
    /// What is not in the file yet.
    unwritten: Book,
    file: Option<LedgerFile>,
    written: Option<Instant>,
}

impl Ledger {
    /// One that forgets everything at its end.
    pub(crate) fn in_memory() -> Self {
        Self(Mutex::new(State { book: Book::default(), unwritten: Book::default(), file: None, written: None }))
    }

    /// One that goes on where the last one in `folder` stopped. Replicas, which have one folder, take a file each.
    ///
    /// # Errors
    /// [`CannotKeep`] when the disk refuses.
    pub(crate) fn open(folder: &Path) -> Result<Self, CannotKeep> {
        let (file, book) = LedgerFile::open(folder, minute(SystemTime::now()))?;
        Ok(Self(Mutex::new(State { book, unwritten: Book::default(), file: Some(file), written: None })))
    }

    /// Where a provider called `name` keeps its figures below `home`.
    pub(crate) fn folder(home: &Path, name: &str) -> PathBuf {
        home.join("providers").join(name)
    }

    /// Adds what one call took.
    pub(crate) fn add(&self, agent: Option<&str>, usage: &Usage) {
        let sum = Sum {
            calls: 1,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.cache_read_tokens.unwrap_or_default(),
            cost_usd: usage.cost_usd.unwrap_or_default(),
            unpriced: u64::from(usage.cost_usd.is_none()),
        };
        let agent = agent.filter(|agent| !agent.is_empty()).unwrap_or("-");
        let line = Line { agent: short(agent), model: short(&usage.model), sum };
        let now = minute(SystemTime::now());
        let mut state = self.state();
        state.book.add(now, &line);
        state.unwritten.add(now, &line);
        state.write_if_due();
    }

    /// Writes what waits for it. Called about twice a second.
    pub(crate) fn settle(&self) {
        self.state().write_if_due();
    }

    /// What was used since `since`, a line for each asker and model; also of replicas that are gone.
    pub(crate) fn lines(&self, since: SystemTime) -> Vec<Line> {
        let mut state = self.state();
        state.inherit(minute(SystemTime::now()));
        state.book.lines(minute(since))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write_if_due(&mut self) {
        if self.written.is_none_or(|written| written.elapsed() >= WRITE_EVERY) {
            self.write();
        }
    }

    fn inherit(&mut self, now: u64) {
        let inherited = self.file.as_mut().map(|file| file.inherit(now));
        match inherited {
            Some(Ok(book)) => book.entries().for_each(|Entry { minute, line }| self.book.add(minute, &line)),
            Some(Err(why)) => tracing::warn!(%why, "what replicas have left behind that are gone is not counted"),
            None => {}
        }
    }

    fn write(&mut self) {
        let Some(file) = &mut self.file else {
            self.unwritten = Book::default();
            return;
        };
        if self.unwritten.is_empty() {
            return;
        }
        self.written = Some(Instant::now());
        match file.append(&self.unwritten) {
            Ok(()) => self.unwritten = Book::default(),
            // It is tried again with what comes then.
            Err(why) => tracing::warn!(%why, "what calls cost is not written down"),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.write();
    }
}

impl Sum {
    /// Adds what others took.
    pub fn add(&mut self, more: &Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(more.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(more.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(more.cached_tokens);
        self.cost_usd += more.cost_usd;
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }
}

/// Minutes since 1970.
fn minute(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

fn short(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(MAX_NAME).collect()
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

#[cfg(test)]
mod tests;
