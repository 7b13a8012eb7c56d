//! The courier: chitchat as the repair layer for signed alive records.
//!
//! Rumours miss somebody now and then. Two couriers that exchange compare what they hold, member by member, and hand
//! each other what is missing. chitchat does the comparing; it is a courier and not an authority. It carries one key
//! per member, the member's signed alive record, and what comes out of it counts for what its signature says and for
//! nothing else. Who is alive is decided elsewhere, and so is when to exchange ([`pace`]) and how the bytes travel:
//! this module touches no network, a runtime and a simulator drive it alike.
//!
//! A member has one name in chitchat for life ([`Name`]), and the version of its record follows from the record
//! (generation and incarnation), so that it does not matter through whom a record came, a restart continues the former
//! state, and chitchat can be thrown away and started from the roster at any time. That is what happens when it dies,
//! and to be rid of members that are gone.
//!
//! # Driving it deterministically
//!
//! The courier hands chitchat one thing at a time and has no timers of its own, so that no branch of a `select!` ever
//! competes with another: the order tokio polls them in does not show. What is left is randomness from the system
//! (chitchat shuffles what it sends and iterates over hash sets) and tokio's clock. A simulator
//! 1. runs each world on a thread of its own that draws "system" randomness from the world's seed (the simulations'
//!    entropy module),
//! 2. builds a current-thread runtime with a paused clock on that thread and spawns the couriers in it,
//! 3. before an event at virtual time `t` awaits `tokio::time::sleep_until(start + t)` (chitchat's ticks run on the way,
//!    in their order), then gives the event to its courier and awaits [`CourierHandle::settled`], and takes what has
//!    come out with `try_recv`.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "supervises chitchat, which lives by tokio's clock"
)]

mod address;
mod chamber;
mod format;
pub mod guard;
mod inbox;
pub mod pace;
mod repair;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::address::Name;
use self::guard::{MAX_MEMBERS, Refused};
pub use self::inbox::Counts;
use self::inbox::Shared;
use self::repair::Repair;
use crate::alive::Alive;
use crate::id::{Generation, MemberId, MeshId};
use crate::signature::Verifier;

/// Who the courier works for.
#[derive(Clone)]
pub struct CourierConfig {
    /// The member it runs in.
    pub own: MemberId,
    /// The mesh it belongs to.
    pub mesh: MeshId,
    /// Checks the signatures of alive records.
    pub verifier: Arc<dyn Verifier>,
    /// Its bounds.
    pub limits: Limits,
}

/// How much the courier holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members, ourselves included; at most [`MAX_MEMBERS`].
    pub members: usize,
    /// Messages that wait to be read, exchanges that wait to be opened, and things that wait to be taken.
    pub waiting_messages: usize,
    /// Bytes of the messages that wait.
    pub waiting_bytes: usize,
    /// The least time between two questions of one member; at 1,000 members it spends 1 ms of ours with each.
    pub gap: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: MAX_MEMBERS, waiting_messages: 32, waiting_bytes: 1024 * 1024, gap: Duration::from_secs(1) }
    }
}

/// What the courier wants done.
#[derive(Debug)]
pub enum FromCourier {
    /// These bytes are to reach that member; losing them costs an exchange and nothing more.
    Send {
        /// For whom.
        to: MemberId,
        /// A message, compressed: a few hundred bytes to some 60 KB.
        bytes: Vec<u8>,
    },
    /// These genuine records came by, of members, strangers and perhaps of ourselves. What they mean is for the core to
    /// say; what it admits it gives back with [`CourierHandle::put`].
    Learnt(Vec<Alive>),
}

/// Why the courier does not carry a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There are as many members as a digest has room for. The member takes part all the same; news about it that gets
    /// lost is only found through snapshots.
    #[error("the courier carries {members} members and no more")]
    Full {
        /// How many it carries.
        members: usize,
    },
    /// Another member has the same name. It takes 98 equal bits of two hashes; refuse the newcomer.
    #[error("the member has the same name as {with}")]
    Collision {
        /// Who has the name.
        with: MemberId,
    },
    /// Its generation or incarnation is beyond what an honest member reaches; refuse the record.
    #[error("generation {} is out of bounds", .0.0)]
    Unreal(Generation),
}

/// Talks to a running courier. Dropping it ends the courier and everything it has started.
#[derive(Debug)]
pub struct CourierHandle {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for CourierHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a courier on the current tokio runtime. What it wants done comes out of the receiver; as long as nobody takes
/// it, it reads no further messages and opens no further exchanges.
pub fn spawn(mut config: CourierConfig) -> (CourierHandle, mpsc::Receiver<FromCourier>) {
    config.limits.members = config.limits.members.min(MAX_MEMBERS);
    let shared = Arc::new(Shared::new(config.limits));
    let (output, wishes) = mpsc::channel(config.limits.waiting_messages.max(2));
    let task = tokio::spawn(Repair::new(config, Arc::clone(&shared), output).run());
    (CourierHandle { shared, task }, wishes)
}

impl CourierHandle {
    /// Has `alive` carried: our own record, or that of a member that is admitted (again). Older ones are ignored.
    ///
    /// # Errors
    /// [`PutError`] says whether the record or only its carriage is refused.
    pub fn put(&self, alive: &Arc<Alive>) -> Result<(), PutError> {
        self.shared.lock().put(alive)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Stops carrying `member`, who is no longer believed in.
    pub fn remove(&self, member: MemberId) {
        self.shared.lock().remove(member);
        self.shared.wake.notify_one();
    }

    /// Opens an exchange with `member` soon, if it is admitted.
    pub fn exchange_with(&self, member: MemberId) {
        self.shared.lock().ask(member);
        self.shared.wake.notify_one();
    }

    /// Takes in what another courier sent. `from` must be who the transport says it is.
    ///
    /// # Errors
    /// [`Refused`] when the sender is a stranger or too much waits already. What is wrong with the message itself shows
    /// later, in [`Self::counts`].
    pub fn received(&self, from: MemberId, bytes: Vec<u8>) -> Result<(), Refused> {
        self.shared.lock().deliver(from, bytes)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts.clone()
    }

    /// Waits until everything that was given to the courier has been dealt with. For simulators and tests; dropping the
    /// future loses nothing.
    pub async fn settled(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.lock().is_idle() {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests;
