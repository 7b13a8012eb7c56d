//! What waits for the courier: everything in it is bounded, and nothing that matters is lost when it is full.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::address::{Name, version_of};
use super::guard::{Filtered, Refused};
use super::{Limits, PutError};
use crate::alive::Alive;
use crate::id::MemberId;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Work {
    /// The roster holds this record now.
    Carry(Name, Arc<Alive>),
    /// The roster holds this member no more.
    Forget(Name),
    /// A message came in.
    Read { from: MemberId, bytes: Vec<u8> },
    /// An exchange is wanted.
    Ask(MemberId),
    /// A test wants chitchat dead.
    #[cfg(test)]
    Kill,
}

/// What the courier has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges opened by us.
    pub asked: u64,
    /// Exchanges answered by us.
    pub answered: u64,
    /// Bytes of messages handed out, compressed.
    pub sent_bytes: u64,
    /// Bytes of messages taken in, compressed.
    pub received_bytes: u64,
    /// Times chitchat was found dead.
    pub deaths: u64,
    /// Times it was restarted to sweep out members that are gone.
    pub sweeps: u64,
    /// Messages turned away, by reason.
    pub refused: BTreeMap<Refused, u64>,
    /// Parts of messages left out, by reason.
    pub filtered: BTreeMap<Filtered, u64>,
}

impl Counts {
    pub(super) fn refuse(&mut self, reason: Refused) {
        *self.refused.entry(reason).or_default() += 1;
    }
}

/// Shared by the handle and the courier's task. The lock is held for a few map operations, never across an await.
#[derive(Debug)]
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    /// Something is waiting.
    pub(super) wake: Notify,
    /// Nothing is.
    pub(super) idle: Notify,
}

#[derive(Debug)]
pub(super) struct Inbox {
    limits: Limits,
    roster: BTreeMap<Name, Arc<Alive>>,
    changed: BTreeSet<Name>,
    messages: VecDeque<(MemberId, Vec<u8>)>,
    message_bytes: usize,
    asks: BTreeSet<MemberId>,
    working: bool,
    closed: bool,
    full_logged: bool,
    #[cfg(test)]
    pub(super) kill: bool,
    pub(super) counts: Counts,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        let inbox = Inbox {
            limits,
            roster: BTreeMap::new(),
            changed: BTreeSet::new(),
            messages: VecDeque::new(),
            message_bytes: 0,
            asks: BTreeSet::new(),
            working: false,
            closed: false,
            full_logged: false,
            #[cfg(test)]
            kill: false,
            counts: Counts::default(),
        };
        Self { inbox: Mutex::new(inbox), wake: Notify::new(), idle: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing to do; `None` when nothing waits, which is also what "idle" means.
    pub(super) fn next(&self) -> Option<Work> {
        let work = self.lock().take();
        if work.is_none() {
            self.idle.notify_waiters();
        }
        work
    }

    /// Nothing will be done any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.idle.notify_waiters();
    }
}

impl Inbox {
    pub(super) fn put(&mut self, alive: &Arc<Alive>) -> Result<(), PutError> {
        let name = Name::of(alive.id());
        if version_of(alive.life()).is_none() {
            return Err(PutError::Unreal(alive.life().generation));
        }
        match self.roster.get(&name) {
            Some(held) if held.id() != alive.id() => return Err(PutError::Collision { with: held.id() }),
            Some(held) if held.age(alive).is_ge() => return Ok(()),
            Some(_) => {}
            None if self.roster.len() >= self.limits.members => {
                if !std::mem::replace(&mut self.full_logged, true) {
                    tracing::warn!(
                        members = self.limits.members,
                        "more members than chitchat repairs; the rest rely on snapshots"
                    );
                }
                return Err(PutError::Full { members: self.limits.members });
            }
            None => {}
        }
        self.roster.insert(name, Arc::clone(alive));
        self.changed.insert(name);
        Ok(())
    }

    pub(super) fn remove(&mut self, member: MemberId) {
        let name = Name::of(member);
        if self.roster.get(&name).is_some_and(|held| held.id() == member) {
            self.roster.remove(&name);
            self.changed.insert(name);
        }
    }

    pub(super) fn deliver(&mut self, from: MemberId, bytes: Vec<u8>) -> Result<(), Refused> {
        self.counts.received_bytes += bytes.len() as u64;
        let full = self.messages.len() >= self.limits.waiting_messages
            || self.message_bytes + bytes.len() > self.limits.waiting_bytes;
        let refusal = match () {
            () if self.roster.get(&Name::of(from)).is_none_or(|held| held.id() != from) => Refused::Stranger,
            () if full => Refused::Busy,
            () => {
                self.message_bytes += bytes.len();
                self.messages.push_back((from, bytes));
                return Ok(());
            }
        };
        self.counts.refuse(refusal);
        Err(refusal)
    }

    pub(super) fn ask(&mut self, member: MemberId) {
        if self.asks.len() < self.limits.waiting_messages {
            self.asks.insert(member);
        }
    }

    /// The whole roster, for a chitchat that starts anew.
    pub(super) fn roster(&self) -> BTreeMap<Name, Arc<Alive>> {
        self.roster.clone()
    }

    pub(super) fn is_idle(&self) -> bool {
        let waiting = !self.changed.is_empty() || !self.messages.is_empty() || !self.asks.is_empty();
        #[cfg(test)]
        let waiting = waiting || self.kill;
        self.closed || !(self.working || waiting)
    }

    fn take(&mut self) -> Option<Work> {
        let work = self.take_waiting();
        self.working = work.is_some();
        work
    }

    /// The roster first: what is known of members decides what their messages are worth.
    fn take_waiting(&mut self) -> Option<Work> {
        #[cfg(test)]
        if std::mem::take(&mut self.kill) {
            return Some(Work::Kill);
        }
        if let Some(name) = self.changed.pop_first() {
            return Some(match self.roster.get(&name) {
                Some(alive) => Work::Carry(name, Arc::clone(alive)),
                None => Work::Forget(name),
            });
        }
        if let Some((from, bytes)) = self.messages.pop_front() {
            self.message_bytes -= bytes.len();
            return Some(Work::Read { from, bytes });
        }
        self.asks.pop_first().map(Work::Ask)
    }
}
