//! What calls took, remembered over restarts: an append-only file of sums by minute, asker and model.

mod book;
mod file;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use mesh::llm::wire::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::book::{Book, Entry};
use self::file::LedgerFile;

pub use self::file::CannotKeep;

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
    /// What the disk has refused so far.
    unwritten: Book,
    file: Option<LedgerFile>,
}

impl Ledger {
    /// One that forgets everything at its end.
    pub(crate) fn in_memory() -> Self {
        Self(Mutex::new(State { book: Book::default(), unwritten: Book::default(), file: None }))
    }

    /// One that goes on where the last one called `name` below `home` stopped. Replicas take a file each.
    ///
    /// # Errors
    /// [`CannotKeep`] when the disk refuses.
    pub(crate) fn open(home: &Path, name: &str) -> Result<Self, CannotKeep> {
        let (file, book) = LedgerFile::open(&home.join("providers"), name, minute(SystemTime::now()))?;
        Ok(Self(Mutex::new(State { book, unwritten: Book::default(), file: Some(file) })))
    }

    /// Adds what one call took. Once this returns it outlives the process, though not the machine: it is with the
    /// system, which need not have brought it to the disk.
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
        if state.file.is_none() {
            return;
        }
        let is_refused = !state.unwritten.is_empty();
        state.unwritten.add(now, &line);
        // A disk that refuses is not asked again by every call.
        if !is_refused {
            state.write();
        }
    }

    /// Writes what the disk has refused so far, and the file anew when it has grown. Called about twice a second.
    pub(crate) fn settle(&self) {
        let mut state = self.state();
        state.write();
        state.compact(minute(SystemTime::now()));
    }

    /// What was used since `since`, a line for each asker and model; also of providers of this home that are gone.
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
    fn inherit(&mut self, now: u64) {
        let inherited = self.file.as_mut().map(|file| file.inherit(now));
        match inherited {
            Some(Ok(book)) => book.entries().for_each(|Entry { minute, line }| self.book.add(minute, &line)),
            Some(Err(why)) => tracing::warn!(%why, "what providers have left behind that are gone is not counted"),
            None => {}
        }
    }

    fn write(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.unwritten.is_empty()) else { return };
        match file.append(&self.unwritten) {
            Ok(()) => self.unwritten = Book::default(),
            Err(why) => tracing::warn!(%why, "what calls cost is not written down yet"),
        }
    }

    fn compact(&mut self, now: u64) {
        let Some(file) = self.file.as_mut().filter(|file| file.has_grown()) else { return };
        self.book = std::mem::take(&mut self.book).folded(now);
        match file.rewrite(&self.book) {
            Ok(()) => self.unwritten = Book::default(),
            Err(why) => tracing::warn!(%why, "the file of what calls cost stays long"),
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
