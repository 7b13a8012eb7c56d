//! The tables of the store, and what one transaction does with them. Everything here blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::backends::InMemoryBackend;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::Row;
use super::{Bounds, Entry, Event, EventFilter, Known, Schema, StoreError};
use crate::admin::timestamp::Timestamp;

/// Events by the order in which they were written.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// Where in [`EVENTS`] the events of an agent are.
const BY_AGENT: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("events_by_agent");

/// Where in [`EVENTS`] the events of a kind are.
const BY_TYPE: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("events_by_type");

/// Schemas by their digest.
const SCHEMAS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("schemas");

/// The digests of [`SCHEMAS`] by the moment and the order in which they came.
const SCHEMAS_BY_AGE: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("schemas_by_age");

/// How many seeds of one home keep their events apart.
const SLOTS: usize = 16;

/// How much of the file is held in memory: enough for what is written and asked for now. Left to itself, it would be all.
const CACHE_BYTES: usize = 8 << 20;

/// The database.
pub(super) struct Disk {
    /// Not there after a write that failed: nothing can be written then before it is opened again.
    database: RwLock<Option<Database>>,
    /// Where it is; nowhere when it is in memory.
    file: Option<PathBuf>,
    bounds: Bounds,
}

/// A schema as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredSchema {
    canonical: Box<RawValue>,
    runtime_origin: String,
    created_at: u64,
}

impl Disk {
    /// The file at `path`, or the first numbered one beside it that no other process has.
    pub(super) fn open(path: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error| StoreError::new(&error))?;
        }
        for slot in 0..SLOTS {
            let mut name = path.as_os_str().to_owned();
            if slot > 0 {
                name.push(format!(".{slot}"));
            }
            let file = PathBuf::from(name);
            match open(&file) {
                Ok(database) => return Ok(Self::new(database, Some(file), bounds)),
                Err(redb::Error::DatabaseAlreadyOpen) => {}
                Err(error) => return Err(StoreError::new(&error)),
            }
        }
        Err(StoreError("all slots are taken by other seeds of this home".to_owned()))
    }

    /// A store that ends with its process.
    pub(super) fn in_memory(bounds: Bounds) -> Result<Self, StoreError> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).map_err(redb::Error::from);
        let database = database.and_then(prepared).map_err(|error| StoreError::new(&error))?;
        Ok(Self::new(database, None, bounds))
    }

    fn new(database: Database, file: Option<PathBuf>, bounds: Bounds) -> Self {
        Self { database: RwLock::new(Some(database)), file, bounds }
    }

    /// Works with the database, which is opened again if it has to be.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let worked = || {
            if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
                return work(database);
            }
            let mut closed = self.database.write().unwrap_or_else(PoisonError::into_inner);
            let database = match (closed.take(), &self.file) {
                (Some(database), _) => database,
                (None, Some(file)) => open(file)?,
                (None, None) => return Err(redb::Error::PreviousIo),
            };
            work(closed.insert(database))
        };
        worked().map_err(|error| StoreError::new(&error))
    }

    /// Writes all of `entries` or nothing, and keeps the bounds.
    pub(super) fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let written = self.with(|database| {
            let transaction = database.begin_write()?;
            let mut tables = Tables::open(&transaction)?;
            for entry in entries {
                match entry {
                    Entry::Event(row) => tables.add_event(row)?,
                    Entry::Schema(schema) => tables.add_schema(schema, &self.bounds)?,
                    Entry::Sweep(known) => tables.sweep(known, &self.bounds)?,
                }
            }
            tables.keep_bound(&self.bounds)?;
            drop(tables);
            transaction.commit()?;
            Ok(())
        });
        if written.is_err() && self.file.is_some() {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        written
    }

    /// The newest events that `filter` lets through, newest first.
    pub(super) fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        let read = |database: &Database| -> Result<Vec<Event>, redb::Error> {
            let transaction = database.begin_read()?;
            let events = transaction.open_table(EVENTS)?;
            let index = match (&filter.agent_id, filter.event_type) {
                (Some(agent), _) => Some((transaction.open_table(BY_AGENT)?, agent.as_str())),
                (None, Some(kind)) => Some((transaction.open_table(BY_TYPE)?, kind.word())),
                (None, None) => None,
            };
            let mut found = Vec::new();
            // What is not understood was written by another version.
            let mut take = |bytes: &[u8]| {
                let event = Row::event(bytes);
                found.extend(event.filter(|event| filter.lets_through(event)));
                found.len() < filter.limit
            };
            match index {
                Some((index, word)) => {
                    for entry in index.range((word, 0)..=(word, u64::MAX))?.rev() {
                        let number = entry?.0.value().1;
                        if events.get(number)?.is_some_and(|bytes| !take(bytes.value())) {
                            break;
                        }
                    }
                }
                None => {
                    for entry in events.iter()?.rev() {
                        if !take(entry?.1.value()) {
                            break;
                        }
                    }
                }
            }
            Ok(found)
        };
        if filter.limit == 0 { Ok(Vec::new()) } else { self.with(read) }
    }

    /// The newest schemas, newest first.
    pub(super) fn schemas(&self, limit: usize) -> Result<Vec<Schema>, StoreError> {
        let read = |database: &Database| -> Result<Vec<Schema>, redb::Error> {
            let transaction = database.begin_read()?;
            let (by_age, schemas) = (transaction.open_table(SCHEMAS_BY_AGE)?, transaction.open_table(SCHEMAS)?);
            let mut found = Vec::new();
            for entry in by_age.iter()?.rev().take(limit) {
                let entry = entry?;
                let hash = entry.0.value().1;
                found.extend(schemas.get(hash)?.and_then(|stored| schema(hash, stored.value())));
            }
            Ok(found)
        };
        self.with(read)
    }

    /// One schema.
    pub(super) fn schema(&self, hash: &str) -> Result<Option<Schema>, StoreError> {
        let read = |database: &Database| -> Result<Option<Schema>, redb::Error> {
            let schemas = database.begin_read()?.open_table(SCHEMAS)?;
            Ok(schemas.get(hash)?.and_then(|stored| schema(hash, stored.value())))
        };
        self.with(read)
    }

    /// The last event of every agent that came, went or fell ill.
    pub(super) fn last_known(&self) -> Result<Vec<Event>, StoreError> {
        let read = |database: &Database| -> Result<Vec<Event>, redb::Error> {
            let transaction = database.begin_read()?;
            let (events, by_agent) = (transaction.open_table(EVENTS)?, transaction.open_table(BY_AGENT)?);
            let mut last: Vec<Event> = Vec::new();
            for entry in by_agent.iter()? {
                let number = entry?.0.value().1;
                let event = events.get(number)?.and_then(|bytes| Row::event(bytes.value()));
                let Some(event) = event.filter(|event| event.event_type.is_membership()) else { continue };
                match last.last_mut() {
                    Some(known) if known.agent_id == event.agent_id => *known = event,
                    _ => last.push(event),
                }
            }
            Ok(last)
        };
        self.with(read)
    }
}

/// The database in `file`, which is made when it is not there.
fn open(file: &Path) -> Result<Database, redb::Error> {
    prepared(Database::builder().set_cache_size(CACHE_BYTES).create(file)?)
}

/// Readers find every table from the start.
fn prepared(database: Database) -> Result<Database, redb::Error> {
    let transaction = database.begin_write()?;
    Tables::open(&transaction)?;
    transaction.commit()?;
    Ok(database)
}

/// All tables in one writing transaction.
struct Tables<'a> {
    events: Table<'a, u64, &'static [u8]>,
    by_agent: Table<'a, (&'static str, u64), ()>,
    by_type: Table<'a, (&'static str, u64), ()>,
    schemas: Table<'a, &'static str, &'static [u8]>,
    schemas_by_age: Table<'a, (u64, &'static str), ()>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            events: transaction.open_table(EVENTS)?,
            by_agent: transaction.open_table(BY_AGENT)?,
            by_type: transaction.open_table(BY_TYPE)?,
            schemas: transaction.open_table(SCHEMAS)?,
            schemas_by_age: transaction.open_table(SCHEMAS_BY_AGE)?,
        })
    }

    fn add_event(&mut self, row: &Row) -> Result<(), redb::Error> {
        let number = self.events.last()?.map_or(0, |(number, _)| number.value() + 1);
        self.events.insert(number, row.bytes.as_slice())?;
        self.by_agent.insert((row.agent.as_str(), number), ())?;
        self.by_type.insert((row.kind.word(), number), ())?;
        Ok(())
    }

    /// Who reports a schema first is its origin.
    fn add_schema(&mut self, schema: &Schema, bounds: &Bounds) -> Result<(), redb::Error> {
        let is_full = self.schemas.len()? >= bounds.schemas;
        if is_full || self.schemas.get(schema.hash.as_str())?.is_some() {
            return Ok(());
        }
        let stored = StoredSchema {
            canonical: schema.canonical.clone(),
            runtime_origin: schema.runtime_origin.clone(),
            created_at: schema.created_at.0,
        };
        let bytes = serde_json::to_vec(&stored).expect("a schema is JSON");
        self.schemas.insert(schema.hash.as_str(), bytes.as_slice())?;
        self.schemas_by_age.insert((schema.created_at.0, schema.hash.as_str()), ())?;
        Ok(())
    }

    /// The oldest go first.
    fn keep_bound(&mut self, bounds: &Bounds) -> Result<(), redb::Error> {
        while bounds.events.is_some_and(|most| self.events.len().is_ok_and(|rows| rows > most)) {
            let Some(oldest) = self.events.first()?.map(|(number, _)| number.value()) else { return Ok(()) };
            self.remove_event(oldest)?;
        }
        Ok(())
    }

    fn remove_event(&mut self, number: u64) -> Result<(), redb::Error> {
        let event = self.events.remove(number)?.and_then(|bytes| Row::event(bytes.value()));
        if let Some(event) = event {
            self.by_agent.remove((event.agent_id.as_str(), number))?;
            self.by_type.remove((event.event_type.word(), number))?;
        }
        Ok(())
    }

    /// Forgets agents, with their events, and schemas of which nobody has heard for as long as things are kept.
    fn sweep(&mut self, known: &Known, bounds: &Bounds) -> Result<(), redb::Error> {
        let Some(retention) = bounds.retention else { return Ok(()) };
        let before = known.at.0.saturating_sub(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX));
        let mut agents: BTreeSet<String> = BTreeSet::new();
        for entry in self.by_agent.iter()? {
            let agent = entry?.0.value().0.to_owned();
            if !known.agents.contains(&agent) {
                agents.insert(agent);
            }
        }
        for agent in agents {
            let numbers = self.by_agent.range((agent.as_str(), 0)..=(agent.as_str(), u64::MAX))?;
            let numbers: Vec<u64> =
                numbers.map(|entry| entry.map(|entry| entry.0.value().1)).collect::<Result<_, _>>()?;
            let newest = numbers.last().map(|number| self.events.get(number)).transpose()?.flatten();
            let newest = newest.and_then(|bytes| Row::event(bytes.value()));
            if newest.is_none_or(|event| event.timestamp.0 < before) {
                numbers.into_iter().try_for_each(|number| self.remove_event(number))?;
            }
        }
        let old = self.schemas_by_age.range(..(before, ""))?;
        let old = old.map(|entry| entry.map(|entry| (entry.0.value().0, entry.0.value().1.to_owned())));
        let old: Vec<(u64, String)> = old.collect::<Result<_, _>>()?;
        let orphans = old.into_iter().filter(|(_, hash)| !known.schemas.contains(hash));
        for (at, hash) in orphans.take(bounds.orphans_a_sweep) {
            self.schemas.remove(hash.as_str())?;
            self.schemas_by_age.remove((at, hash.as_str()))?;
        }
        Ok(())
    }
}

fn schema(hash: &str, stored: &[u8]) -> Option<Schema> {
    let StoredSchema { canonical, runtime_origin, created_at } = serde_json::from_slice(stored).ok()?;
    Some(Schema { hash: hash.to_owned(), canonical, runtime_origin, created_at: Timestamp(created_at) })
}
