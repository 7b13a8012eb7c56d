//! The one task that tells the mesh what the agent offers and how it fares.

use std::sync::Arc;

use mesh_gossip::catalog::AgentId;
use mesh_gossip::gossip::{Event, EventsError, SetFailed};
use mesh_gossip::{Gossip, MemberId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{NodeConfig, Role};
use crate::health::Verdict;
use crate::offers::{self, NotOffered, Records};
use crate::tool::{ToolHost, Tools};

/// Keeps the records of one agent as its tools and its health are.
pub(super) struct Publisher {
    pub(super) config: Arc<NodeConfig>,
    pub(super) gossip: Arc<Gossip>,
    pub(super) http_url: Option<String>,
    /// Lives as long as there is somebody to tell.
    pub(super) host: Arc<dyn ToolHost>,
    /// What else depends on somebody.
    pub(super) routes: Tools,
    pub(super) verdict: watch::Receiver<Verdict>,
    /// Told when the agent's id changes with its member.
    pub(super) agent: watch::Sender<AgentId>,
    /// Fires when nothing is to be offered any more.
    pub(super) withdraw: CancellationToken,
    /// What the mesh was told.
    pub(super) told: Records,
}

/// The id of the agent that runs as `member`: lower case, as ids are.
pub(super) fn agent_id(config: &NodeConfig, member: &MemberId) -> Result<AgentId, mesh_gossip::catalog::NotAnAgentId> {
    let name = config.id_prefix.as_deref().unwrap_or(&config.name);
    AgentId::native(&name.to_ascii_lowercase().replace('_', "-"), member)
}

impl Publisher {
    /// Whether the agent can be offered as it is.
    ///
    /// # Errors
    /// [`NotOffered`], for its author.
    pub(super) fn check(&self) -> Result<(), NotOffered> {
        self.wanted().map(drop)
    }

    /// Publishes until the node stops.
    pub(super) async fn run(mut self) {
        let mut events = self.gossip.events();
        let mut tools = self.host.tools();
        loop {
            tools.mark_unchanged();
            self.publish().await;
            tokio::select! {
                changed = tools.changed() => if changed.is_err() { return },
                changed = self.verdict.changed() => if changed.is_err() { return },
                () = self.withdraw.cancelled(), if !self.is_withdrawn() => {}
                moved = moved(&mut events) => match moved {
                    Some(to) => self.move_to(to),
                    None => return,
                },
            }
        }
    }

    fn wanted(&self) -> Result<Records, NotOffered> {
        // Whoever offers nothing says what it is all the same.
        if self.withdraw.is_cancelled() {
            return Ok(Records::new());
        }
        let tools = match self.config.role {
            Role::Seed | Role::Client => Tools::from([]),
            Role::Agent => self.host.tools().borrow().iter().chain(&*self.routes).cloned().collect(),
        };
        let health = self.verdict.borrow().record();
        offers::records(&self.config, &self.agent.borrow(), self.http_url.as_deref(), &tools, &health)
    }

    fn is_withdrawn(&self) -> bool {
        self.withdraw.is_cancelled() && self.told.is_empty()
    }

    /// Sets what is new, removes what is gone. What fails is tried again with the next change.
    async fn publish(&mut self) {
        self.verdict.mark_unchanged();
        let wanted = match self.wanted() {
            Ok(wanted) => wanted,
            Err(why) => {
                tracing::error!(%why, "the tools as they are now are not offered; the former ones stay");
                return;
            }
        };
        let gone: Vec<_> = self.told.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in gone {
            if self.gossip.remove(key.clone()).await.is_err() {
                return;
            }
            self.told.remove(&key);
        }
        let news = wanted.into_iter().filter(|(key, value)| self.told.get(key) != Some(value));
        let news: Vec<_> = news.collect();
        match self.gossip.set_all(news.clone()).await {
            Ok(()) => return self.told.extend(news),
            Err(SetFailed::Stopped(_)) => return,
            // One by one it shows which.
            Err(_) => {}
        }
        for (key, value) in news {
            match self.gossip.set(key.clone(), value.clone()).await {
                Ok(()) => {
                    self.told.insert(key, value);
                }
                Err(SetFailed::Stopped(_)) => return,
                Err(why) => tracing::error!(%key, %why, "a record is not offered"),
            }
        }
    }

    /// Under its new key a member is another member, and its agent another agent. What was told of the former one has
    /// come along, and is taken back.
    fn move_to(&mut self, member: MemberId) {
        match agent_id(&self.config, &member) {
            Ok(agent) => {
                tracing::warn!(%agent, "the agent goes on under another id");
                self.agent.send_replace(agent);
            }
            Err(why) => tracing::error!(%why, "the agent cannot go on under its new key"),
        }
    }
}

/// Waits until the node has another identity; `None` when it has stopped.
async fn moved(events: &mut mesh_gossip::gossip::Events) -> Option<MemberId> {
    loop {
        match events.next().await {
            Ok(Event::Moved { to }) => return Some(to),
            Ok(_) | Err(EventsError::Lagged(_)) => {}
            Err(EventsError::Stopped) => return None,
        }
    }
}
