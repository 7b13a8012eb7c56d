//! Ending what meshctl started, in the order in which it is safe: watchers, agents side by side, the seed.

use futures::future::join_all;

use crate::book::{Book, Entry, Kind, SEED, watcher_of};
use crate::home::Home;
use crate::lifecycle::Lifecycle;
use crate::process::{EndError, Ending};

/// What became of the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SeedEnd {
    /// None was running.
    None,
    /// It is gone.
    Stopped,
    /// It stays, because these agents run.
    Kept(Vec<String>),
}

/// Whether the seed goes although agents run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependants {
    /// It stays for them.
    Spare,
    /// It goes.
    Ignore,
}

/// Ends `entries` side by side, their watchers before them, and takes them out of the book. Returns when all are gone.
/// Dropping the future leaves them signalled and in the book.
pub(crate) async fn end_all(home: &Home, entries: &[Entry], how: Ending) -> Vec<(String, Result<(), EndError>)> {
    let book = &Book::of(home);
    let ended =
        join_all(entries.iter().map(|entry| async move { (entry.name.clone(), end_one(book, entry, how).await) }))
            .await;
    // Not while somebody starts one of the same name. Should the lock not be had, the next sweep finds them dead.
    if let Ok(_lock) = Lifecycle::hold(home).await {
        book.sweep();
    }
    ended
}

async fn end_one(book: &Book, entry: &Entry, how: Ending) -> Result<(), EndError> {
    if let Some(watcher) = book.entry(&watcher_of(&entry.name)) {
        watcher.leader().end(how).await?;
    }
    // Its watcher may have replaced it a moment ago.
    if let Some(now) = book.entry(&entry.name) {
        now.leader().end(how).await?;
    }
    entry.leader().end(how).await
}

/// Ends the seed, if one runs and no agent needs it.
///
/// # Errors
/// When the lock cannot be had or the seed does not go.
pub(crate) async fn end_seed(home: &Home, how: Ending, dependants: Dependants) -> anyhow::Result<SeedEnd> {
    let _lock = Lifecycle::hold(home).await?;
    let book = Book::of(home);
    book.sweep();
    let Some(seed) = book.entry(SEED) else { return Ok(SeedEnd::None) };
    let agents: Vec<String> =
        book.entries().into_iter().filter(|entry| entry.kind == Kind::Agent).map(|entry| entry.name).collect();
    if dependants == Dependants::Spare && !agents.is_empty() {
        return Ok(SeedEnd::Kept(agents));
    }
    seed.leader().end(how).await?;
    book.remove(&seed);
    Ok(SeedEnd::Stopped)
}
