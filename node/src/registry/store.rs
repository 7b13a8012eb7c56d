//! What a seed remembers of the past: events and schemas, on its own disk.
//!
//! One task owns the writing. Whoever has something to write never waits: it goes into a bounded queue, and is lost and
//! counted when that is full or when the disk takes nothing. Nothing else of the seed depends on what is written.

mod disk;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc};

use self::disk::Disk;
use self::event::Row;
pub(crate) use self::event::{Event, EventFilter, EventType};
use crate::admin::timestamp::Timestamp;

/// How much may wait to be written.
const QUEUE: usize = 4_096;

/// How much one transaction writes: each waits for the disk once.
const BATCH: usize = 512;

/// How many readers read at a time; further ones wait.
const READERS: usize = 4;

/// What is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Rows of events; `None` keeps all.
    pub(crate) events: Option<u64>,
    /// Schemas; further ones are not remembered until some are swept.
    pub(crate) schemas: u64,
    /// For how long agents that are gone, and schemas that nobody names, are remembered; `None` is for ever.
    pub(crate) retention: Option<Duration>,
    /// How many orphaned schemas one sweep takes at most.
    pub(crate) orphans_a_sweep: usize,
}

/// A canonical schema, and whose it was first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Schema {
    /// Its digest.
    pub(crate) hash: String,
    /// The schema.
    pub(crate) canonical: Box<RawValue>,
    /// What the first agent to name it is written in.
    pub(crate) runtime_origin: String,
    /// When it was first seen.
    pub(crate) created_at: Timestamp,
}

/// Who and what is still there, so that a sweep leaves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Ids of agents.
    pub(crate) agents: BTreeSet<String>,
    /// Digests of schemas.
    pub(crate) schemas: BTreeSet<String>,
    /// When that was so.
    pub(crate) at: Timestamp,
}

/// The store cannot be read or written; what it holds is as it was. Trying again may help when the disk has room again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store of events: {0}")]
pub struct StoreError(String);

/// The way to the store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    queue: mpsc::Sender<Entry>,
    disk: Arc<Disk>,
    readers: Arc<Semaphore>,
    lost: Arc<AtomicU64>,
}

/// Something to be written.
#[derive(Clone, Debug)]
enum Entry {
    Event(Row),
    Schema(Schema),
    Sweep(Arc<Known>),
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            events: Some(100_000),
            schemas: 10_000,
            retention: Some(Duration::from_secs(3600)),
            orphans_a_sweep: 1_000,
        }
    }
}

impl Store {
    /// Opens the store at `path`, or one in memory when there is no path or it cannot be used. The future is the one task
    /// that writes: it ends when all handles are gone.
    ///
    /// # Errors
    /// [`StoreError`] when not even memory can be had.
    pub(crate) async fn open(
        path: Option<&Path>,
        bounds: Bounds,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let path = path.map(Path::to_owned);
        let disk = blocking(move || {
            let Some(path) = path else { return Disk::in_memory(bounds) };
            Disk::open(&path, bounds).or_else(|why| {
                tracing::warn!(%why, path = %path.display(), "events are kept in memory only");
                Disk::in_memory(bounds)
            })
        });
        let disk = Arc::new(disk.await?);
        let (queue, entries) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writing = write(Arc::clone(&disk), entries, Arc::clone(&lost));
        Ok((Self { queue, disk, readers: Arc::new(Semaphore::new(READERS)), lost }, writing))
    }

    /// Remembers an event. Never waits: when too much waits to be written it is lost, and counted.
    pub(crate) fn record(&self, event: Event) {
        self.put(Entry::Event(Row::of(event)));
    }

    /// Remembers a schema, unless it is known.
    pub(crate) fn keep_schema(&self, schema: Schema) {
        self.put(Entry::Schema(schema));
    }

    /// Forgets what is neither `known` nor recent.
    pub(crate) fn sweep(&self, known: Known) {
        self.put(Entry::Sweep(Arc::new(known)));
    }

    /// How much could not be written since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The newest events that `filter` lets through, newest first. What was recorded in the last moment may be missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn events(&self, filter: EventFilter) -> Result<Vec<Event>, StoreError> {
        self.read(move |disk| disk.events(&filter)).await
    }

    /// The newest schemas, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn schemas(&self, limit: usize) -> Result<Vec<Schema>, StoreError> {
        self.read(move |disk| disk.schemas(limit)).await
    }

    /// The schema of that digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn schema(&self, hash: String) -> Result<Option<Schema>, StoreError> {
        self.read(move |disk| disk.schema(&hash)).await
    }

    /// For every agent that came, went or fell ill the last event that says so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn last_known(&self) -> Result<Vec<Event>, StoreError> {
        self.read(Disk::last_known).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.readers.acquire().await.expect("nobody closes the semaphore");
        let disk = Arc::clone(&self.disk);
        blocking(move || read(&disk)).await
    }

    fn put(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            count_lost(&self.lost, 1);
        }
    }
}

/// Writes until nobody can record any more. What the disk does not take is lost.
async fn write(disk: Arc<Disk>, mut entries: mpsc::Receiver<Entry>, lost: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_failing = false;
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let (disk, taken) = (Arc::clone(&disk), std::mem::take(&mut batch));
        let number = taken.len();
        let written = blocking(move || disk.write(&taken)).await;
        match written {
            Ok(()) if is_failing => tracing::info!("events are written again"),
            Ok(()) => {}
            Err(why) => {
                count_lost(&lost, number);
                if !is_failing {
                    tracing::error!(%why, "events are lost until the disk takes them again; nothing else is concerned");
                }
                is_failing = true;
                continue;
            }
        }
        is_failing = false;
    }
}

fn count_lost(lost: &AtomicU64, number: usize) {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    lost.fetch_add(number, Ordering::Relaxed);
    metrics::counter!("mesh_registry_events_lost_total").increment(number);
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or_else(|error| Err(StoreError(format!("its work was cut short: {error}"))))
}

impl StoreError {
    fn new(error: &dyn std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl EventType {
    /// Whether it says that an agent is there, or is not.
    fn is_membership(self) -> bool {
        matches!(self, Self::Register | Self::Unregister | Self::Unhealthy)
    }
}
