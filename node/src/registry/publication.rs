//! What the mesh is told of the agents that a seed speaks for: records, collected while an earlier batch is on its way.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, BadValue, Health, Status};
use mesh_gossip::gossip::{SetFailed, keys};
use mesh_gossip::record::{Key, NotAKey, Value};
use mesh_gossip::schema::Digest;
use mesh_gossip::{Gossip, View};
use tokio::time::{Duration, timeout};

use super::adoption;
use super::book::{Entry, State};
use super::lease::{self, BadLease, Lease};

/// How long our own view may take to show what we said.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// Keeps the records of adopted agents as they should be.
#[derive(Debug, Default)]
pub(super) struct Publication {
    /// What the mesh was told, or is about to be.
    told: BTreeMap<Key, Bytes>,
    /// How many agents name each schema.
    users: BTreeMap<Digest, usize>,
    /// The schemas that each agent names.
    named: BTreeMap<AgentId, BTreeSet<Digest>>,
    /// What is new since the last batch; `None` removes.
    due: Batch,
}

/// Records to be set or removed.
pub(super) type Batch = BTreeMap<Key, Option<Bytes>>;

/// Why an agent cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTold {
    /// What it offers is more than a record carries, or something malformed.
    #[error("validation failed: tools: {0}")]
    Offers(#[from] BadValue),
    /// What it said is too large to be passed on to other seeds.
    #[error("validation failed: {0}")]
    Lease(#[from] BadLease),
    /// Its id is too long for a key.
    #[error("validation failed: agent_id: {0}")]
    Key(#[from] NotAKey),
}

impl Publication {
    /// Tells what `entry` is now; `schemas` are those that came with it.
    ///
    /// # Errors
    /// [`NotTold`]; nothing changes then.
    pub(super) fn tell(&mut self, entry: &Entry, schemas: BTreeMap<Digest, String>) -> Result<(), NotTold> {
        let agent = &entry.profile.agent;
        let offers = entry.offers.encode()?;
        let lease = Lease::of(entry).encode()?;
        self.put(lease::key(agent)?, lease);
        match entry.state {
            State::Withdrawn => self.remove(keys::offers(agent)?),
            State::Healthy | State::Silent => self.put(keys::offers(agent)?, offers),
        }
        match entry.state {
            State::Silent => {
                let health =
                    Health { status: Status::Unhealthy, note: "its heartbeats stopped".into(), ..Health::default() };
                self.put(keys::health(agent)?, health.encode()?);
            }
            State::Healthy | State::Withdrawn => self.remove(keys::health(agent)?),
        }
        self.name(agent, adoption::schemas(&entry.offers), schemas);
        Ok(())
    }

    /// Says nothing of `agent` any more.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        let all = [keys::offers(agent), keys::health(agent), lease::key(agent)];
        all.into_iter().flatten().for_each(|key| self.remove(key));
        self.name(agent, BTreeSet::new(), BTreeMap::new());
    }

    /// What is to be told next, if there is anything.
    pub(super) fn take(&mut self) -> Option<Batch> {
        Some(std::mem::take(&mut self.due)).filter(|due| !due.is_empty())
    }

    fn put(&mut self, key: Key, value: Vec<u8>) {
        let value = Bytes::from(value);
        if self.told.get(&key) != Some(&value) {
            self.told.insert(key.clone(), value.clone());
            self.due.insert(key, Some(value));
        }
    }

    fn remove(&mut self, key: Key) {
        if self.told.remove(&key).is_some() {
            self.due.insert(key, None);
        }
    }

    /// Schemas are kept as long as somebody names them.
    fn name(&mut self, agent: &AgentId, names: BTreeSet<Digest>, mut bodies: BTreeMap<Digest, String>) {
        let before = match names.is_empty() {
            true => self.named.remove(agent),
            false => self.named.insert(agent.clone(), names.clone()),
        };
        let before = before.unwrap_or_default();
        for digest in names.difference(&before) {
            *self.users.entry(*digest).or_default() += 1;
        }
        for digest in &names {
            if let Some(body) = bodies.remove(digest) {
                self.put(keys::schema(digest), body.into_bytes());
            }
        }
        for digest in before.difference(&names) {
            let Some(users) = self.users.get_mut(digest) else { continue };
            *users -= 1;
            if *users == 0 {
                self.users.remove(digest);
                self.remove(keys::schema(digest));
            }
        }
    }
}

/// Tells the mesh, and waits until our own view shows it. Gives the records that were refused, and why.
pub(super) async fn publish(gossip: &Gossip, batch: Batch) -> Vec<(Key, String)> {
    let mut news = Vec::new();
    for (key, value) in batch {
        match value {
            Some(value) => news.push((key, value)),
            None if gossip.remove(key).await.is_err() => return Vec::new(),
            None => {}
        }
    }
    let refused = match gossip.set_all(news.clone()).await {
        Ok(()) => Vec::new(),
        Err(SetFailed::Stopped(_)) => return Vec::new(),
        // One by one it shows which.
        Err(_) => one_by_one(gossip, &news).await,
    };
    let last = news.iter().rev().find(|(key, _)| !refused.iter().any(|(other, _)| other == key));
    if let Some((key, value)) = last {
        let mut views = gossip.watch();
        let seen = views.wait_for(|view| shows(view, key, value));
        // A view that does not come only makes an answer older than it could be.
        if timeout(SEEN_WITHIN, seen).await.is_err() {
            tracing::warn!(%key, "the view does not show what was told");
        }
    }
    refused
}

async fn one_by_one(gossip: &Gossip, news: &[(Key, Bytes)]) -> Vec<(Key, String)> {
    let mut refused = Vec::new();
    for (key, value) in news {
        match gossip.set(key.clone(), value.clone()).await {
            Ok(()) => {}
            Err(SetFailed::Stopped(_)) => return refused,
            Err(why) => refused.push((key.clone(), why.to_string())),
        }
    }
    refused
}

fn shows(view: &View, key: &Key, value: &Bytes) -> bool {
    let record = view.member(&view.me()).and_then(|me| me.record(key));
    record.is_some_and(|record| match record.value() {
        Value::Inline(shown) => shown == value,
        Value::Blob { hash, .. } => hash == blake3::hash(value).as_bytes(),
        Value::Removed => false,
    })
}
