//! What happens to the agents that a seed speaks for, one thing after the other, for those who keep or show a history.

use std::sync::Arc;

use mesh_gossip::catalog::{AgentId, AgentType};
use mesh_gossip::resolve::Resolution;
use tokio::sync::broadcast;

use super::answer::Bound;
use super::profile::Profile;
use crate::admin::timestamp::Timestamp;

/// How many events wait for a slow subscriber; older ones are lost to it.
pub const EVENTS_KEPT: usize = 8_192;

/// One thing that happened to one agent.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// What kind of agent it is.
    pub agent_type: AgentType,
    /// Its own version.
    pub version: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to an agent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// It registered for the first time.
    Registered,
    /// It registered again after it had been given up or had withdrawn.
    Recovered,
    /// It said something new about itself.
    Updated,
    /// It said goodbye.
    Unregistered,
    /// It fell silent, or nobody is where it was.
    Unhealthy {
        /// Why, in words.
        reason: String,
    },
    /// It has to register again, because somebody said so.
    Rotated,
    /// It has been gone for so long that it is dropped.
    Purged,
    /// This seed speaks for it in the place of another one.
    Inherited,
    /// One of its dependencies was resolved for its registration; told for each of them.
    Resolved(Box<Resolved>),
}

/// One dependency of a registration, and what came of it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The function that depends.
    pub function: String,
    /// Which of its dependencies it is.
    pub index: usize,
    /// Everything that was considered. Its explanation holds the selector.
    pub resolution: Arc<Resolution>,
    /// What was answered.
    pub bound: Bound,
    /// The agent that was answered before; `None` when that was nobody.
    pub before: Option<String>,
}

/// Where events are told, and heard.
#[derive(Clone, Debug)]
pub struct Sink(broadcast::Sender<Event>);

impl Sink {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(EVENTS_KEPT))
    }

    /// All events from now on. Who is too slow loses the oldest ones, and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn tell(&self, profile: &Profile, kind: EventKind) {
        let event = Event {
            at: Timestamp::now(),
            agent: profile.agent.clone(),
            name: profile.name.clone(),
            agent_type: profile.agent_type.clone(),
            version: profile.version.clone(),
            kind,
        };
        // Without listeners there is nobody to tell.
        let _ = self.0.send(event);
    }
}
