//! Several seeds: who speaks for an agent, who goes on when a seed is gone, and who gives way when two claim the same.
//!
//! Everything follows from the leases that seeds tell each other of. What a dead seed said of its agents stays valid for
//! one heartbeat time-out in everybody's catalog; within that time exactly one of those who are left takes each agent
//! over, under the next number. Whose heartbeats come, then the higher number, then the higher id has an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mesh_gossip::catalog::{AgentId, Owner, Standing};
use mesh_gossip::record::{Key, Value};
use mesh_gossip::resolve::affinity;
use mesh_gossip::schema::canonical;
use mesh_gossip::{Gossip, MemberId, MemberView, View};
use tokio::time::Instant;

use super::super::adoption;
use super::super::book::{Entry, State};
use super::super::events::EventKind;
use super::super::lease::{self, Lease};
use super::Keeper;
use crate::offers::REGISTRY_LABEL;

/// Leases to be looked at, each with the seed that told of it.
pub(super) type Found = Vec<(MemberId, Lease)>;

/// The most leases that are looked at in one go.
const AT_ONCE: usize = 2_000;

impl Keeper {
    /// The live seed that speaks for `agent`, when that is somebody else.
    pub(super) fn elsewhere(&self, agent: &AgentId) -> Option<MemberId> {
        if self.book.get(agent).is_some() {
            return None;
        }
        let (view, key) = (self.gossip.view(), lease::key(agent).ok()?);
        let others = view.live().filter(|member| member.id() != view.me());
        others.filter(|member| member.record(&key).is_some()).map(|member| member.id()).max()
    }

    /// The seed that spoke for `agent` until a moment ago and is gone, and the number of that lease, as far as it can be
    /// read at once: somebody is about to take the agent over.
    pub(super) fn left(&self, agent: &AgentId) -> Option<(MemberId, u64)> {
        if self.book.get(agent).is_some() {
            return None;
        }
        let (view, key) = (self.gossip.view(), lease::key(agent).ok()?);
        let waits = |since: &Instant| since.elapsed() <= self.config.heartbeat_timeout;
        let gone =
            view.members().filter(|member| !member.is_live() && self.mourned.get(&member.id()).is_none_or(waits));
        let left = gone.filter_map(|member| match member.record(&key)?.value() {
            Value::Inline(value) => {
                Some((member.id(), Lease::decode(value).ok().filter(|lease| lease.is_held)?.number))
            }
            Value::Blob { .. } | Value::Removed => Some((member.id(), 0)),
        });
        left.max_by_key(|(_, number)| *number)
    }

    /// Looks for agents that somebody has to take over, or that two claim; what it finds has to be read first.
    pub(super) fn seek(&mut self) -> Option<BoxFuture<'static, Found>> {
        let view = self.gossip.view();
        let seeds = seeds(&view);
        let mut wanted = Vec::new();
        for member in view.members().filter(|member| member.id() != view.me()) {
            match member.is_live() {
                true => drop(self.mourned.remove(&member.id())),
                false if !self.is_mourned(member) => continue,
                false => {}
            }
            for record in member.records() {
                let Some(agent) = lease::subject(record.key()) else { continue };
                let is_mine = match member.is_live() {
                    true => self.book.get(&agent).is_some(),
                    false => self.elsewhere(&agent).is_none() && is_heir(&view, &seeds, &agent),
                };
                if is_mine && wanted.len() < AT_ONCE && !self.is_settled(member, &agent) {
                    wanted.push((member.id(), record.key().clone()));
                }
            }
        }
        let gossip = Arc::clone(&self.gossip);
        (!wanted.is_empty()).then(|| read(gossip, view, wanted).boxed())
    }

    /// Takes over what is left to us, gives up what somebody else has.
    pub(super) fn found(&mut self, found: Found) {
        let view = self.gossip.view();
        for (member, lease) in found {
            let agent = lease.profile.agent.clone();
            let is_live = view.member(&member).is_some_and(|member| member.is_live());
            match self.book.get(&agent).cloned() {
                Some(own) if is_live => {
                    let ours = (own.state == State::Healthy, own.lease, view.me());
                    if (lease.is_held, lease.number, member) > ours {
                        self.give_up(&agent);
                    }
                }
                None if !is_live && lease.is_held => self.inherit(&view, lease),
                _ => {}
            }
        }
    }

    fn give_up(&mut self, agent: &AgentId) {
        tracing::info!(%agent, "another seed speaks for an agent");
        self.book.forget(agent);
        self.publication.forget(agent);
        self.vigil.forget(agent);
    }

    fn inherit(&mut self, view: &View, lease: Lease) {
        let offers = Arc::new(adoption::offers(&lease.profile, lease.created));
        let body = |digest| Some((digest, canonical::text(view.schemas().get(&digest)?)));
        let schemas: BTreeMap<_, _> = adoption::schemas(&offers).into_iter().filter_map(body).collect();
        let profile = Arc::new(lease.profile);
        let mut entry = Entry::new(self.now(), Arc::clone(&profile), offers, lease.number.saturating_add(1));
        (entry.created, entry.seen) = (lease.created, lease.seen);
        if let Err(why) = self.publication.tell(&entry, schemas) {
            return tracing::error!(agent = %profile.agent, %why, "an agent cannot be taken over");
        }
        if let Err(why) = self.book.inherit(self.now(), entry) {
            self.publication.forget(&profile.agent);
            return tracing::error!(agent = %profile.agent, %why, "an agent cannot be taken over");
        }
        if let Some(entry) = self.book.get(&profile.agent) {
            self.vigil.watch(entry);
        }
        tracing::info!(agent = %profile.agent, "the agent of a seed that is gone is taken over");
        self.events.tell(&profile, EventKind::Inherited);
    }

    /// Whether the agents of a seed that is gone are still to be had: for one heartbeat time-out from when we saw that it
    /// is gone.
    fn is_mourned(&mut self, member: &MemberView) -> bool {
        if !member.records().any(|record| lease::subject(record.key()).is_some()) {
            return false;
        }
        let since = *self.mourned.entry(member.id()).or_insert_with(Instant::now);
        since.elapsed() <= self.config.heartbeat_timeout
    }

    /// Whether nothing is left to decide about `agent`, which `member` tells of.
    fn is_settled(&self, member: &MemberView, agent: &AgentId) -> bool {
        !member.is_live() && self.book.get(agent).is_some()
    }
}

/// All seeds that are there, by their agents' names.
fn seeds(view: &View) -> BTreeSet<Owner> {
    let agents = view.catalog().agents().filter(|agent| agent.standing != Standing::Gone);
    let seeds = agents.filter(|agent| agent.offers.is_some_and(|offers| offers.labels.contains_key(REGISTRY_LABEL)));
    seeds.map(|agent| agent.owner.clone()).collect()
}

/// Whether `agent` falls to us. Everybody who sees the same seeds agrees.
fn is_heir(view: &View, seeds: &BTreeSet<Owner>, agent: &AgentId) -> bool {
    affinity::home(agent.as_str(), seeds).is_some_and(|heir| heir.member == view.me())
}

/// Reads the leases under these keys. One that cannot be read is no lease.
async fn read(gossip: Arc<Gossip>, view: Arc<View>, wanted: Vec<(MemberId, Key)>) -> Found {
    let mut found = Vec::new();
    for (member, key) in wanted {
        let inline = view.member(&member).and_then(|member| match member.record(&key)?.value() {
            Value::Inline(value) => Some(value.clone()),
            Value::Blob { .. } | Value::Removed => None,
        });
        let value = match inline {
            Some(value) => Some(value),
            None => gossip.value(member, key.clone()).await.ok().flatten(),
        };
        let Some(read) = value.map(|value| Lease::decode(&value)) else { continue };
        match read {
            Ok(lease) if lease::subject(&key).as_ref() == Some(&lease.profile.agent) => found.push((member, lease)),
            Ok(_) => tracing::debug!(%member, %key, "a lease of another agent than its key says"),
            Err(why) => tracing::debug!(%member, %key, %why, "a lease that cannot be read"),
        }
    }
    found
}
