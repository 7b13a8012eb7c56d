//! A running chitchat: started from a roster, fed one thing at a time, known to die.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatMessage, DeletionStatus, Deserializable, FailureDetectorConfig,
    Heartbeat, VersionedValue, spawn_chitchat,
};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::address::{Name, version_of};
use super::guard::KEY;
use super::socket::{Line, Outcome, line};
use crate::alive::Alive;

/// How often chitchat cleans up. Its rounds are swallowed, so this costs no bytes.
const TICK: Duration = Duration::from_secs(30);

/// What chitchat does with one message is computation; it has died or hangs when it takes longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// chitchat's own notion of who is alive decides nothing but whom it leaves out of a digest, half this long after.
const GRACE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Its task has ended, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chitchat has died")]
pub(super) struct Died;

/// chitchat and the line to it. Dropping it ends its task.
pub(super) struct Chamber {
    own: Name,
    handle: ChitchatHandle,
    line: Line,
}

impl Drop for Chamber {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl Chamber {
    /// Starts chitchat and gives it `roster`. `age` is how long the courier has been running.
    pub(super) async fn start(
        own: Name,
        cluster: &str,
        roster: &BTreeMap<Name, Arc<Alive>>,
        age: Duration,
    ) -> Result<Self, Died> {
        let (line, transport) = line();
        let config = ChitchatConfig {
            chitchat_id: own.chitchat_id(),
            cluster_id: cluster.to_owned(),
            gossip_interval: TICK,
            listen_addr: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: 8.0,
                sampling_window_size: 8,
                max_interval: Duration::from_secs(3600),
                initial_interval: Duration::from_secs(60),
                dead_node_grace_period: GRACE,
            },
            marked_for_deletion_grace_period: GRACE,
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let handle = spawn_chitchat(config, Vec::new(), &transport).await.map_err(|_| Died)?;
        let chamber = Self { own, handle, line };
        let chitchat = chamber.handle.chitchat();
        let mut chitchat = chitchat.lock().await;
        for (name, alive) in roster {
            carry(&mut chitchat, own, *name, alive);
        }
        // A heartbeat rises by one a message, far less than one a millisecond: this is above where it was.
        let heartbeat = u64::from(chitchat.self_node_state().heartbeat());
        raise_heartbeat(&mut chitchat, heartbeat + u64::try_from(age.as_millis()).unwrap_or_default());
        drop(chitchat);
        // Its first tick is due at once. Had before anything else is ready, it cannot compete with it.
        yield_now().await;
        Ok(chamber)
    }

    /// Makes chitchat hold `alive`, unless it holds something newer.
    pub(super) async fn carry(&self, name: Name, alive: &Alive) {
        carry(&mut *self.handle.chitchat().lock().await, self.own, name, alive);
    }

    /// Has chitchat read `message` and returns its answer.
    pub(super) async fn feed(&mut self, from: Name, message: ChitchatMessage) -> Result<Option<ChitchatMessage>, Died> {
        self.line.inbound.try_send((from.address(), message)).map_err(|_| Died)?;
        match self.outcome().await? {
            Outcome::Done => Ok(None),
            Outcome::Sent(answer) => match self.outcome().await? {
                Outcome::Done => Ok(Some(answer)),
                Outcome::Sent(_) => Err(Died),
            },
        }
    }

    /// Has chitchat open an exchange and returns its message.
    pub(super) async fn open(&mut self, with: Name) -> Result<ChitchatMessage, Died> {
        self.line.ask(with.address());
        self.handle.gossip(with.address()).map_err(|_| Died)?;
        match self.outcome().await? {
            Outcome::Sent(message) => Ok(message),
            Outcome::Done => Err(Died),
        }
    }

    async fn outcome(&mut self) -> Result<Outcome, Died> {
        timeout(PATIENCE, self.line.outcomes.recv()).await.ok().flatten().ok_or(Died)
    }

    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.handle.abort();
    }

    #[cfg(test)]
    pub(super) fn own(&self) -> Name {
        self.own
    }

    /// Whom chitchat holds a state of, with its version and heartbeat.
    #[cfg(test)]
    pub(super) async fn states(&self) -> Vec<(Name, u64, u64)> {
        let chitchat = self.handle.chitchat();
        let chitchat = chitchat.lock().await;
        let states = chitchat.node_states().iter();
        let named = states.map(|(id, state)| {
            let name = Name::from_parts(id.node_id.as_bytes(), id.generation_id, id.gossip_advertise_addr);
            (name.expect("chitchat holds names only"), state.max_version(), state.heartbeat().into())
        });
        named.collect()
    }

    /// How many members chitchat itself believes to be alive.
    #[cfg(test)]
    pub(super) async fn live(&self) -> usize {
        self.handle.chitchat().lock().await.live_nodes().count()
    }

    #[cfg(test)]
    pub(super) fn is_silent(&mut self) -> bool {
        self.line.outcomes.try_recv().is_err()
    }
}

/// The version follows from the record, so that everyone who holds the record holds it under the same version and it
/// does not matter through whom it came.
fn carry(chitchat: &mut Chitchat, own: Name, name: Name, alive: &Alive) {
    let Some(version) = version_of(alive.life()) else {
        return;
    };
    let id = name.chitchat_id();
    if chitchat.node_state(&id).is_some_and(|state| state.max_version() >= version) {
        return;
    }
    let value = STANDARD_NO_PAD.encode(alive.bytes());
    if name == own {
        let state = chitchat.self_node_state();
        state.set_max_version(version - 1);
        state.set(KEY, value);
        // Others remember the heartbeat of our former life and count none below it.
        raise_heartbeat(chitchat, version);
    } else {
        // Replaces the whole state, which is this one key.
        let value = VersionedValue { value, version, status: DeletionStatus::Set };
        chitchat.reset_node_state_if_update(&id, [(KEY.to_owned(), value)].into_iter(), version, 0);
    }
}

/// There is no constructor for a heartbeat but its decoder.
fn raise_heartbeat(chitchat: &mut Chitchat, to: u64) {
    let heartbeat = Heartbeat::deserialize(&mut &to.to_le_bytes()[..]).expect("eight bytes are a heartbeat");
    chitchat.self_node_state().try_set_heartbeat(heartbeat);
}
