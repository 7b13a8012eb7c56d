//! Other nodes of this process: calls to them never leave it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use mesh_gossip::{Gossip, MemberId};

use crate::run::{Runner, WeakRunner};

/// The nodes that one program runs in one process. Whoever starts several gives each a clone. A node always knows itself,
/// so that what an agent asks of itself stays in process as well.
#[derive(Clone, Default)]
pub struct Neighbours(Arc<RwLock<Vec<Neighbour>>>);

struct Neighbour {
    gossip: Weak<Gossip>,
    runner: WeakRunner,
}

impl Neighbours {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the node whose gossip and runner these are, for as long as both live.
    pub fn join(&self, gossip: &Arc<Gossip>, runner: &Runner) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|neighbour| neighbour.gossip.strong_count() > 0 && neighbour.runner.upgrade().is_some());
        all.push(Neighbour { gossip: Arc::downgrade(gossip), runner: runner.downgrade() });
    }

    /// Who runs the tools of `member`, if that is in this process.
    pub(crate) fn runner_of(&self, member: &MemberId) -> Option<Runner> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A node's id changes when another process turns out to have its key.
        let is_it = |neighbour: &&Neighbour| neighbour.gossip.upgrade().is_some_and(|gossip| gossip.me() == *member);
        all.iter().find(is_it)?.runner.upgrade()
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes of this process", self.0.read().unwrap_or_else(PoisonError::into_inner).len())
    }
}
