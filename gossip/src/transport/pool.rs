//! The links there are and the dials under way: at most one of each per member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::close::Close;
use super::error::DialError;
use super::link::Link;
use super::proof::Role;
use crate::id::MemberId;

/// The most dials under way at once; more are refused rather than queued.
const MAX_DIALS: usize = 128;

/// The most links to one member that were replaced and still serve streams; the oldest is closed for a further one.
const MAX_RETIRED: usize = 4;

type Outcome = Option<Result<Arc<Link>, DialError>>;

pub(super) struct Pool {
    me: MemberId,
    max_links: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: BTreeMap<MemberId, Arc<Link>>,
    /// Links that were replaced, oldest first, until their last stream has ended.
    retired: BTreeMap<MemberId, Vec<Arc<Link>>>,
    dials: BTreeMap<MemberId, watch::Sender<Outcome>>,
    is_closed: bool,
}

/// How a caller gets a link.
pub(super) enum Way {
    /// There is one.
    Open(Arc<Link>),
    /// Somebody dials already; the outcome will be here.
    Joined(watch::Receiver<Outcome>),
    /// The caller is the first and has to dial; the outcome goes into the landing and will be here.
    First(Landing, watch::Receiver<Outcome>),
}

/// The duty to say how a dial ended. Dropped without a word, the dial failed.
pub(super) struct Landing {
    pool: Arc<Pool>,
    member: MemberId,
    outcome: Result<Arc<Link>, DialError>,
}

impl Pool {
    pub(super) fn new(me: MemberId, max_links: usize) -> Arc<Self> {
        Arc::new(Self { me, max_links, state: Mutex::default() })
    }

    /// The way to `member`.
    pub(super) fn way_to(self: &Arc<Self>, member: MemberId) -> Result<Way, DialError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(DialError::Closed);
        }
        if let Some(link) = state.links.get(&member).filter(|link| link.is_open()) {
            return Ok(Way::Open(Arc::clone(link)));
        }
        if let Some(dial) = state.dials.get(&member) {
            return Ok(Way::Joined(dial.subscribe()));
        }
        // Checked again when the dial has succeeded; this spares the member a connection that has no place here.
        let has_room = state.links.len() < self.max_links || state.idlest().is_some();
        if state.dials.len() >= MAX_DIALS || !has_room {
            return Err(DialError::Full);
        }
        let dial = watch::Sender::new(None);
        let outcome = dial.subscribe();
        state.dials.insert(member, dial);
        Ok(Way::First(Landing { pool: Arc::clone(self), member, outcome: Err(DialError::NoAnswer) }, outcome))
    }

    /// Takes up a link that both ends have proved, and says which link to its member is used from now on: of one
    /// process's two the one dialled by the lower id, of two by the same end the newer, and any link to a new process
    /// of the member before one to its predecessor.
    pub(super) fn admit(&self, link: &Arc<Link>) -> Result<Arc<Link>, Close> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Close::Shutdown);
        }
        if let Some(held) = state.links.get(&link.member).filter(|held| held.is_open()).cloned() {
            let is_same_pair = held.session == link.session && held.role != link.role;
            if is_same_pair && self.is_by_lower(&held) {
                state.retire(link);
                return Ok(held);
            }
            state.retire(&held);
        } else if state.links.len() >= self.max_links {
            state.make_room()?;
        }
        state.links.insert(link.member, Arc::clone(link));
        // Whoever waits for a dial of our own to this member need not wait any longer.
        if let Some(dial) = state.dials.get(&link.member) {
            dial.send_replace(Some(Ok(Arc::clone(link))));
        }
        Ok(Arc::clone(link))
    }

    /// Forgets `link`, whether it is the one in use or was replaced.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        let mut state = self.lock();
        if let Some(retired) = state.retired.get_mut(&link.member) {
            retired.retain(|held| !Arc::ptr_eq(held, link));
            if retired.is_empty() {
                state.retired.remove(&link.member);
            }
        }
        if state.links.get(&link.member).is_some_and(|held| Arc::ptr_eq(held, link)) {
            state.links.remove(&link.member);
        }
    }

    /// All links to `member`, those that were replaced included.
    pub(super) fn links_to(&self, member: &MemberId) -> Vec<Arc<Link>> {
        let state = self.lock();
        state.links.get(member).into_iter().chain(state.retired.get(member).into_iter().flatten()).cloned().collect()
    }

    /// All links to everybody, those that were replaced included.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let state = self.lock();
        state.links.values().chain(state.retired.values().flatten()).cloned().collect()
    }

    /// Takes no links and allows no dials from now on; whoever waits for one hears so.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.links.clear();
        state.retired.clear();
        for (_, dial) in std::mem::take(&mut state.dials) {
            dial.send_replace(Some(Err(DialError::Closed)));
        }
    }

    fn is_by_lower(&self, link: &Link) -> bool {
        (link.role == Role::Dialler) == (self.me < link.member)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the pool")
    }
}

impl State {
    /// Has `link` serve its streams to their end, and no others.
    fn retire(&mut self, link: &Arc<Link>) {
        link.retire();
        let retired = self.retired.entry(link.member).or_default();
        retired.push(Arc::clone(link));
        if retired.len() > MAX_RETIRED {
            retired.remove(0).close(Close::Replaced);
        }
    }

    /// The link that has been idle longest, closed ones before all others.
    fn idlest(&self) -> Option<MemberId> {
        let idle = self.links.values().filter(|link| !link.is_open() || link.usage().streams == 0);
        idle.min_by_key(|link| (link.is_open(), link.usage().last)).map(|link| link.member)
    }

    fn make_room(&mut self) -> Result<(), Close> {
        let oldest = self.idlest().ok_or(Close::Busy)?;
        if let Some(link) = self.links.remove(&oldest) {
            link.close(Close::Idle);
        }
        Ok(())
    }
}

impl Landing {
    pub(super) fn land(mut self, outcome: Result<Arc<Link>, DialError>) {
        self.outcome = outcome;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // The outcome is not kept: the next caller tries again.
        if let Some(dial) = self.pool.lock().dials.remove(&self.member) {
            let outcome = &self.outcome;
            dial.send_if_modified(|told| {
                let is_news = !matches!(told, Some(Ok(_)));
                if is_news {
                    *told = Some(outcome.clone());
                }
                is_news
            });
        }
    }
}
