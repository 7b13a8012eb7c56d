//! The agents that this seed speaks for, and until when: a pure core that is told what time it is.
//!
//! Whether an agent counts as healthy is decided by its heartbeats alone. One that falls silent is unhealthy after the
//! time-out, whatever it may answer elsewhere, and comes back only by registering again; one that withdraws is so at
//! once. Both stay in the book for a while, so that whoever looks sees what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::moment::Moment;

use super::answer::Answered;
use super::profile::Profile;
use crate::admin::timestamp::Timestamp;

/// The most agents in one book: with three records each they are within what one member may offer.
pub const MAX_AGENTS: usize = 6_000;

/// What time it is: for measuring, and for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub moment: Moment,
    /// What the clock on the wall says.
    pub wall: Timestamp,
}

/// Where an agent stands with its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its heartbeats come.
    Healthy,
    /// They stopped coming.
    Silent,
    /// It said goodbye.
    Withdrawn,
}

/// An agent in the book. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it said of itself.
    pub profile: Arc<Profile>,
    /// What the mesh is told of it.
    pub offers: Arc<Offers>,
    /// When it registered first.
    pub created: Timestamp,
    /// When it was last heard of.
    pub seen: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Which lease it is that it has: one more with every seed that took it over.
    pub lease: u64,
    /// What it was answered last; `None` when it has to ask.
    pub answered: Option<Arc<Answered>>,
    /// When its lease was last renewed, or it ended.
    since: Moment,
}

/// What a registration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not in the book.
    New,
    /// It is back.
    Recovered,
    /// It said something else than before.
    Changed,
    /// It said what it had said before.
    Same,
}

/// As many agents are in the book as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this seed speaks for {0} agents already, which is all that it may; start another seed")]
pub struct Full(pub usize);

/// All agents that this seed speaks for.
#[derive(Debug)]
pub struct Book {
    timeout: Duration,
    retention: Option<Duration>,
    agents: BTreeMap<AgentId, Arc<Entry>>,
}

impl Book {
    /// An empty book: agents are silent after `timeout` without a heartbeat, and dropped when they were silent or
    /// withdrawn for `retention` (never when that is `None`).
    pub fn new(timeout: Duration, retention: Option<Duration>) -> Self {
        Self { timeout, retention, agents: BTreeMap::new() }
    }

    /// One agent.
    pub fn get(&self, agent: &AgentId) -> Option<&Arc<Entry>> {
        self.agents.get(agent)
    }

    /// All agents, in order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Entry>> {
        self.agents.values()
    }

    /// An agent registered; its lease runs from now.
    ///
    /// # Errors
    /// [`Full`]; nothing changes.
    pub fn register(&mut self, now: Now, profile: Arc<Profile>, offers: Arc<Offers>) -> Result<Change, Full> {
        let Some(entry) = self.agents.get_mut(&profile.agent) else {
            self.has_room()?;
            self.agents.insert(profile.agent.clone(), Arc::new(Entry::new(now, profile, offers, 1)));
            return Ok(Change::New);
        };
        let entry = Arc::make_mut(entry);
        let change = match entry.state {
            State::Silent | State::Withdrawn => Change::Recovered,
            State::Healthy if entry.profile == profile => Change::Same,
            State::Healthy => Change::Changed,
        };
        let former = std::mem::replace(entry, Entry::new(now, profile, offers, entry.lease));
        entry.created = former.created;
        entry.answered = former.answered;
        Ok(change)
    }

    /// Takes an agent over from a seed that is gone. Its lease is the next one and runs from now, so that it has the
    /// time-out to find its way here.
    ///
    /// # Errors
    /// [`Full`]; nothing changes.
    pub fn inherit(&mut self, now: Now, mut entry: Entry) -> Result<(), Full> {
        self.has_room()?;
        entry.since = now.moment;
        self.agents.insert(entry.profile.agent.clone(), Arc::new(entry));
        Ok(())
    }

    /// Makes the lease of `agent` that number, because another seed had the one before.
    pub fn renumber(&mut self, agent: &AgentId, lease: u64) {
        if let Some(entry) = self.agents.get_mut(agent) {
            Arc::make_mut(entry).lease = lease;
        }
    }

    /// A heartbeat of `agent`. Says whether that renewed a lease; if not, it has to register.
    pub fn beat(&mut self, now: Now, agent: &AgentId) -> bool {
        let Some(entry) = self.agents.get_mut(agent).filter(|entry| entry.state == State::Healthy) else {
            return false;
        };
        let entry = Arc::make_mut(entry);
        entry.since = now.moment;
        entry.seen = now.wall;
        true
    }

    /// Notes what `agent` was answered.
    pub fn answer(&mut self, agent: &AgentId, answered: Option<Arc<Answered>>) {
        if let Some(entry) = self.agents.get_mut(agent) {
            Arc::make_mut(entry).answered = answered;
        }
    }

    /// `agent` says goodbye. Says whether it was there until now.
    pub fn withdraw(&mut self, now: Now, agent: &AgentId) -> bool {
        self.end(now, agent, State::Withdrawn)
    }

    /// It turned out that nobody is where `agent` was. Says whether it counted as healthy until now.
    pub fn lose(&mut self, now: Now, agent: &AgentId) -> bool {
        self.end(now, agent, State::Silent)
    }

    /// Those whose leases ran out by now.
    pub fn expire(&mut self, now: Now) -> Vec<AgentId> {
        let timeout = self.timeout;
        let late = self.agents.values().filter(|entry| entry.state == State::Healthy);
        let late = late.filter(|entry| now.moment.since(entry.since) > timeout);
        let late: Vec<AgentId> = late.map(|entry| entry.profile.agent.clone()).collect();
        for agent in &late {
            self.end(now, agent, State::Silent);
        }
        late
    }

    /// Drops those that have been gone for long enough.
    pub fn purge(&mut self, now: Now) -> Vec<Arc<Entry>> {
        let Some(retention) = self.retention else { return Vec::new() };
        let old = self.agents.values().filter(|entry| entry.state != State::Healthy);
        let old = old.filter(|entry| now.moment.since(entry.since) > retention);
        let old: Vec<Arc<Entry>> = old.cloned().collect();
        old.iter().for_each(|entry| drop(self.agents.remove(&entry.profile.agent)));
        old
    }

    /// Puts an entry back as it was.
    pub fn put(&mut self, entry: Arc<Entry>) {
        self.agents.insert(entry.profile.agent.clone(), entry);
    }

    /// Drops `agent`: it could not be offered, or somebody else speaks for it now.
    pub fn forget(&mut self, agent: &AgentId) -> Option<Arc<Entry>> {
        self.agents.remove(agent)
    }

    fn has_room(&self) -> Result<(), Full> {
        if self.agents.len() < MAX_AGENTS { Ok(()) } else { Err(Full(MAX_AGENTS)) }
    }

    fn end(&mut self, now: Now, agent: &AgentId, state: State) -> bool {
        let Some(entry) = self.agents.get_mut(agent).filter(|entry| entry.state != State::Withdrawn) else {
            return false;
        };
        let was_healthy = entry.state == State::Healthy;
        if was_healthy || state == State::Withdrawn {
            let entry = Arc::make_mut(entry);
            entry.state = state;
            entry.since = now.moment;
            entry.answered = None;
        }
        was_healthy
    }
}

impl Entry {
    /// An agent that is heard of for the first time, under its lease number `lease`.
    pub fn new(now: Now, profile: Arc<Profile>, offers: Arc<Offers>, lease: u64) -> Self {
        let (created, seen, since) = (now.wall, now.wall, now.moment);
        Self { profile, offers, created, seen, state: State::Healthy, lease, answered: None, since }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use serde_json::json;

    use super::{AgentId, Arc, Book, Change, Duration, Moment, Now, Profile, State, Timestamp};
    use crate::registry::adoption;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Now {
        Now { moment: Moment::from_micros(seconds * 1_000_000), wall: Timestamp(seconds * 1000) }
    }

    fn book() -> Book {
        Book::new(TIMEOUT, Some(Duration::from_secs(3600)))
    }

    fn id(name: &str) -> AgentId {
        name.parse().unwrap()
    }

    fn register(book: &mut Book, now: Now, name: &str, port: u16) -> Change {
        let told = json!({"agent_id": name, "http_host": "h", "http_port": port});
        let profile = Profile::read(&serde_json::from_value(told).unwrap(), None).unwrap().profile;
        let offers = Arc::new(adoption::offers(&profile, Timestamp::default()));
        book.register(now, Arc::new(profile), offers).unwrap()
    }

    #[test]
    fn a_lease_lasts_as_long_as_heartbeats_come() {
        let mut book = book();
        assert_eq!(register(&mut book, at(0), "a", 1), Change::New);
        assert!(book.beat(at(20), &id("a")));
        assert!(book.expire(at(40)).is_empty());
        assert_eq!(book.expire(at(41)), [id("a")]);
        assert!(book.expire(at(42)).is_empty(), "it is said once");
        assert!(!book.beat(at(43), &id("a")), "a heartbeat alone does not bring it back");
        assert_eq!(register(&mut book, at(44), "a", 1), Change::Recovered);
        assert_eq!(book.get(&id("a")).unwrap().created, at(0).wall);
        assert!(book.beat(at(45), &id("a")));
    }

    #[test]
    fn who_withdraws_is_out_at_once_and_comes_back_by_registering() {
        let mut book = book();
        register(&mut book, at(0), "a", 1);
        assert!(book.withdraw(at(1), &id("a")));
        assert!(!book.withdraw(at(1), &id("a")) && !book.withdraw(at(1), &id("b")));
        assert_eq!(book.get(&id("a")).unwrap().state, State::Withdrawn);
        assert!(!book.beat(at(2), &id("a")) && book.expire(at(100)).is_empty());
        assert_eq!(register(&mut book, at(3), "a", 1), Change::Recovered);
    }

    #[test]
    fn who_is_gone_for_long_is_dropped_and_nobody_else() {
        let mut book = book();
        register(&mut book, at(0), "a", 1);
        register(&mut book, at(0), "b", 1);
        book.withdraw(at(0), &id("a"));
        assert!(book.purge(at(3600)).is_empty());
        assert_eq!(book.purge(at(3601)).len(), 1);
        assert_eq!(book.iter().len(), 1);
    }

    #[test]
    fn what_is_said_again_changes_nothing() {
        let mut book = book();
        register(&mut book, at(0), "a", 1);
        assert_eq!(register(&mut book, at(1), "a", 1), Change::Same);
        assert_eq!(register(&mut book, at(2), "a", 2), Change::Changed);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Register(u8, u16),
        Beat(u8),
        Withdraw(u8),
        Expire,
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
        let step = prop_oneof![
            (0..4_u8, 1..3_u16).prop_map(|(agent, port)| Step::Register(agent, port)),
            (0..4_u8).prop_map(Step::Beat),
            (0..4_u8).prop_map(Step::Withdraw),
            proptest::strategy::Just(Step::Expire),
        ];
        proptest::collection::vec((0..15_u64, step), 0..80)
    }

    proptest! {
        /// Against the simplest model there is: when each agent was last heard of, if its lease has not ended.
        #[test]
        fn an_agent_is_healthy_exactly_while_it_was_heard_of_within_the_time_out(steps in steps()) {
            let (mut book, mut now) = (book(), 0);
            let mut heard: [Option<u64>; 4] = [None; 4];
            for (wait, step) in steps {
                now += wait;
                book.expire(at(now));
                for last in &mut heard {
                    *last = last.filter(|last| now - last <= TIMEOUT.as_secs());
                }
                let name = |agent: u8| format!("agent-{agent}");
                match step {
                    Step::Register(agent, port) => {
                        let change = register(&mut book, at(now), &name(agent), port);
                        let was = heard[usize::from(agent)].replace(now);
                        prop_assert_eq!(was.is_some(), matches!(change, Change::Same | Change::Changed));
                    }
                    Step::Beat(agent) => {
                        let last = &mut heard[usize::from(agent)];
                        prop_assert_eq!(book.beat(at(now), &id(&name(agent))), last.is_some());
                        *last = last.map(|_| now);
                    }
                    Step::Withdraw(agent) => {
                        let was = heard[usize::from(agent)].take();
                        prop_assert_eq!(book.withdraw(at(now), &id(&name(agent))), was.is_some());
                    }
                    Step::Expire => {}
                }
                let healthy = book.iter().filter(|entry| entry.state == State::Healthy).count();
                prop_assert_eq!(healthy, heard.iter().flatten().count());
                prop_assert!(book.iter().all(|entry| entry.seen <= at(now).wall));
            }
        }
    }
}
