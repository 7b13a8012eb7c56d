//! Agents that could not be connected to are doubted aloud: the seed that speaks for them looks at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mesh_gossip::Gossip;
use mesh_gossip::catalog::{AgentId, Owner};
use tokio::time::Instant;

use crate::registry::{self, Registry};

/// How long one doubt about an agent is enough.
const AGAIN: Duration = Duration::from_millis(500);

/// The most agents that are doubted at a time; beyond, callers merely go elsewhere.
const MOST: usize = 64;

/// The doubts of one node.
pub(super) struct Doubts {
    gossip: Arc<Gossip>,
    /// The registry of this node, when it has one.
    here: OnceLock<Registry>,
    told: Mutex<BTreeMap<AgentId, Instant>>,
}

impl Doubts {
    pub(super) fn new(gossip: Arc<Gossip>) -> Self {
        Self { gossip, here: OnceLock::new(), told: Mutex::default() }
    }

    /// This node itself speaks for agents.
    pub(super) fn are_heard_by(&self, registry: Registry) {
        // A node has one registry, made once.
        let _ = self.here.set(registry);
    }

    /// The registry that hears them, if this node has one.
    pub(super) fn registry(&self) -> Option<&Registry> {
        self.here.get()
    }

    /// `owner` could not be connected to.
    pub(super) fn tell(&self, owner: &Owner) {
        if owner.agent.belongs_to(&owner.member) || !self.is_new(&owner.agent) {
            return;
        }
        let (gossip, here, owner) = (Arc::clone(&self.gossip), self.here.get().cloned(), owner.clone());
        tokio::spawn(async move {
            let told = match here.filter(|_| owner.member == gossip.me()) {
                Some(registry) => registry.doubt(owner.agent.clone()).await,
                None => registry::doubt(&gossip, owner.member, &owner.agent).await,
            };
            if told.is_err() {
                tracing::debug!(agent = %owner.agent, "the seed of an agent that is not there does not answer");
            }
        });
    }

    fn is_new(&self, agent: &AgentId) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        told.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
        told.len() < MOST && told.insert(agent.clone(), now).is_none()
    }
}
