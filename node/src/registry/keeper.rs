//! The one task that owns the book: it takes registrations and heartbeats, watches leases, and has the mesh told.
//!
//! A registration is answered when our own view shows what it changed, so that the answer contains it. While one batch of
//! news is on its way to the mesh the next one gathers, so that thousands who arrive at once are a few dozen batches.

mod succession;
mod vigil;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::moment::Moment;
use mesh_gossip::record::Key;
use mesh_gossip::resolve::Resolver;
use mesh_gossip::resolve::selector::{Scope, Selector};
use mesh_gossip::{Gossip, MemberId, View};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(super) use self::vigil::Vigil;
use super::adoption;
use super::answer::{Answered, Answers, SentSchemas, is_native};
use super::book::{Book, Change, Entry, Full, Now, State};
use super::cycle::{self, Requirements};
use super::events::{EventKind, Resolved, Sink};
use super::profile::{BadProfile, Profile};
use super::publication::{NotTold, Publication, publish};
use super::registration::Registration;
use super::service;
use crate::admin::timestamp::Timestamp;
use crate::config::RegistryConfig;

/// What is asked of the task; each with a way to answer.
pub(super) enum Command {
    /// An agent registers.
    Register { told: Box<Registration>, from: Asker, done: oneshot::Sender<Result<Registered, Refused>> },
    /// An agent says that it is there.
    Beat { agent: AgentId, from: Asker, done: oneshot::Sender<Beat> },
    /// An agent says goodbye; the answer is the seed that has to be told instead.
    Withdraw { agent: AgentId, from: Asker, done: oneshot::Sender<Option<MemberId>> },
    /// Somebody could not reach an agent.
    Doubt { agent: AgentId },
    /// Somebody wants to see the book.
    Entries { done: oneshot::Sender<Vec<Arc<Entry>>> },
    /// Agents have to register again; all of them without a name.
    Rotate { agents: Option<BTreeSet<AgentId>>, done: oneshot::Sender<usize> },
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// An agent, perhaps of another seed.
    Agent,
    /// Another seed, in whose eyes the agent is ours.
    Seed,
}

/// What became of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Its lease is renewed, and what it was answered still holds.
    Renewed,
    /// Its lease is renewed; what it was answered may have changed: it has to ask anew.
    Changed,
    /// Nobody knows it, or it was given up: it has to register.
    Unknown,
    /// That seed speaks for it: tell that one.
    Elsewhere(MemberId),
}

/// What a registration is answered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Who and what it is now.
    pub entry: Arc<Entry>,
    /// Whom to call.
    pub answered: Arc<Answered>,
    /// Whether it is new here.
    pub is_new: bool,
    /// What to warn its author of.
    pub warnings: Vec<String>,
}

/// Why a registration is refused; what was known of the agent stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It cannot be read, or something in it cannot be.
    #[error(transparent)]
    Profile(#[from] BadProfile),
    /// What it requires leads back to itself.
    #[error("required dependency cycle: {0}")]
    Cycle(String),
    /// Its id is that of an agent on one of our own nodes.
    #[error("validation failed: agent_id: {0} is the id of an agent that speaks for itself")]
    Taken(AgentId),
    /// Another seed speaks for it: tell that one.
    #[error("{0} speaks for it")]
    Elsewhere(MemberId),
    /// The book is full.
    #[error("failed to register agent: {0}")]
    Full(#[from] Full),
    /// It cannot be offered.
    #[error("{0}")]
    NotTold(String),
}

impl From<NotTold> for Refused {
    fn from(why: NotTold) -> Self {
        Self::NotTold(why.to_string())
    }
}

/// A registration that waits until the mesh was told of it.
struct Waiting {
    agent: AgentId,
    change: Change,
    warnings: Vec<String>,
    done: oneshot::Sender<Result<Registered, Refused>>,
}

/// The owner of the book.
pub(super) struct Keeper {
    gossip: Arc<Gossip>,
    events: Sink,
    config: RegistryConfig,
    resolver: Arc<Resolver>,
    book: Book,
    publication: Publication,
    vigil: Vigil,
    /// Seeds that are gone, and since when we know.
    mourned: BTreeMap<MemberId, Instant>,
    began: Instant,
    /// Registrations whose news is in the next batch, and in the one that is on its way.
    waiting: Vec<Waiting>,
    on_the_way: Vec<Waiting>,
}

/// Where the book knows schemas as they were sent.
struct Sent<'a>(&'a Book);

impl SentSchemas for Sent<'_> {
    fn input_schema(&self, agent: &AgentId, function: &str) -> Option<Value> {
        let tools = &self.0.get(agent)?.profile.tools;
        tools.iter().find(|tool| tool.function == function)?.input_schema.clone()
    }
}

/// Requirements as the view shows them.
struct InView<'a> {
    view: &'a View,
    resolver: &'a Resolver,
    /// Offers that the view does not show yet.
    coming: Vec<Arc<Entry>>,
}

impl Requirements for InView<'_> {
    fn of(&self, capability: &str, agent: &AgentId) -> BTreeSet<String> {
        let everywhere = Selector { namespace: Scope::Any, ..Selector::new(capability) };
        let resolution = self.resolver.answer(self.view.catalog(), self.view.schemas(), &everywhere);
        let working = resolution.candidates.iter().map(|candidate| &candidate.offer);
        let others = resolution.explanation.evictions().iter().map(|eviction| &eviction.offer);
        let shown = working.chain(others).map(|offer| (offer.agent(), offer.tool()));
        let coming =
            self.coming.iter().flat_map(|entry| entry.offers.tools.iter().map(|tool| (&entry.profile.agent, tool)));
        let offered = shown.chain(coming.filter(|(_, tool)| &*tool.capability == capability));
        let required = offered.filter(|(owner, _)| *owner != agent).flat_map(|(_, tool)| tool.required());
        required.map(|selector| selector.capability.to_string()).collect()
    }
}

impl Keeper {
    pub(super) fn new(
        gossip: Arc<Gossip>,
        events: Sink,
        config: RegistryConfig,
        resolver: Arc<Resolver>,
        vigil: Vigil,
    ) -> Self {
        let book = Book::new(config.heartbeat_timeout, config.retention);
        Self {
            gossip,
            events,
            config,
            resolver,
            book,
            publication: Publication::default(),
            vigil,
            mourned: BTreeMap::new(),
            began: Instant::now(),
            waiting: Vec::new(),
            on_the_way: Vec::new(),
        }
    }

    /// Works until nobody can ask any more. Dropping the future stops it; what the mesh was told stays told.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let RegistryConfig { heartbeat_timeout, check_interval, .. } = self.config;
        let [timeout, every] = [heartbeat_timeout, check_interval].map(service::as_go_writes);
        tracing::info!("health monitor (timeout: {timeout}, interval: {every})");
        let mut look = interval(check_interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut news: Option<BoxFuture<'static, Vec<(Key, String)>>> = None;
        let mut leases: Option<BoxFuture<'static, succession::Found>> = None;
        loop {
            if news.is_none() {
                news = self.next_batch();
            }
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                refused = under_way(&mut news) => {
                    news = None;
                    self.told(&refused);
                }
                found = under_way(&mut leases) => {
                    leases = None;
                    self.found(found);
                }
                probed = self.vigil.next() => self.probed(probed),
                _ = look.tick() => {
                    self.look();
                    leases = leases.or_else(|| self.seek());
                }
            }
        }
    }

    fn now(&self) -> Now {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { moment: Moment::from_micros(micros), wall: Timestamp::now() }
    }

    /// Whoever asked may be gone by the time of the answer; nothing is lost then.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Register { told, from, done } => self.register(&told, from, done),
            Command::Beat { agent, from, done } => drop(done.send(self.beat(&agent, from))),
            Command::Withdraw { agent, from, done } => {
                self.withdraw(&agent);
                let _ = done.send(self.elsewhere(&agent).filter(|_| from == Asker::Agent));
            }
            Command::Doubt { agent } => self.doubt(&agent),
            Command::Entries { done } => drop(done.send(self.book.iter().cloned().collect())),
            Command::Rotate { agents, done } => drop(done.send(self.rotate(agents.as_ref()))),
        }
    }

    fn register(&mut self, told: &Registration, from: Asker, done: oneshot::Sender<Result<Registered, Refused>>) {
        match self.take(told, from) {
            Ok((agent, change, warnings)) => self.waiting.push(Waiting { agent, change, warnings, done }),
            Err(refused) => drop(done.send(Err(refused))),
        }
    }

    fn take(&mut self, told: &Registration, from: Asker) -> Result<(AgentId, Change, Vec<String>), Refused> {
        let known = told.agent_id.as_deref().and_then(|id| id.parse().ok()).and_then(|id| self.book.get(&id)).cloned();
        let reading = Profile::read(told, known.as_ref().map(|entry| &*entry.profile))?;
        let (profile, schemas, warnings) = (reading.profile, reading.schemas, reading.warnings);
        let now = self.now();
        let offers = adoption::offers(&profile, known.as_ref().map_or(now.wall, |entry| entry.created));
        let view = self.gossip.view();
        if known.is_none() && speaks_for_itself(&view, &profile.agent) {
            return Err(Refused::Taken(profile.agent));
        }
        if let Some(seed) = self.elsewhere(&profile.agent).filter(|_| from == Asker::Agent) {
            return Err(Refused::Elsewhere(seed));
        }
        self.refuse_cycles(&view, &offers)?;
        let agent = profile.agent.clone();
        let before = known.clone();
        let left = self.left(&agent);
        let change = self.book.register(now, Arc::new(profile), Arc::new(offers))?;
        if let Some((_, number)) = left {
            self.book.renumber(&agent, number.saturating_add(1));
        }
        let entry = Arc::clone(self.book.get(&agent).expect("it was registered just now"));
        if change != Change::Same
            && let Err(why) = self.publication.tell(&entry, schemas)
        {
            self.restore(&agent, before);
            return Err(why.into());
        }
        self.vigil.watch(&entry);
        let kind = match change {
            Change::New => Some(EventKind::Registered),
            Change::Recovered => Some(EventKind::Recovered),
            Change::Changed => Some(EventKind::Updated),
            Change::Same => None,
        };
        if let Some(kind) = kind {
            self.events.tell(&entry.profile, kind);
        }
        Ok((agent, change, warnings))
    }

    fn restore(&mut self, agent: &AgentId, before: Option<Arc<Entry>>) {
        match before {
            Some(before) => self.book.put(before),
            None => drop(self.book.forget(agent)),
        }
    }

    fn refuse_cycles(&self, view: &View, offers: &Offers) -> Result<(), Refused> {
        if offers.tools.iter().all(|tool| tool.required().next().is_none()) {
            return Ok(());
        }
        let coming = self.waiting.iter().chain(&self.on_the_way).filter_map(|waiting| self.book.get(&waiting.agent));
        let others = InView { view, resolver: &self.resolver, coming: coming.cloned().collect() };
        match cycle::closed_by(offers, &others) {
            Some(cycle) => Err(Refused::Cycle(cycle.join(" → "))),
            None => Ok(()),
        }
    }

    fn beat(&mut self, agent: &AgentId, from: Asker) -> Beat {
        if !self.book.beat(self.now(), agent) {
            let elsewhere = || self.elsewhere(agent).or_else(|| self.left(agent).map(|(member, _)| member));
            return elsewhere().filter(|_| from == Asker::Agent).map_or(Beat::Unknown, Beat::Elsewhere);
        }
        let entry = Arc::clone(self.book.get(agent).expect("its lease was renewed just now"));
        let view = self.gossip.view();
        match &entry.answered {
            Some(answered) if answered.stands(&view) => Beat::Renewed,
            Some(answered) => {
                let now = self.answer_to(&view, &entry.offers);
                if now.answer != answered.answer {
                    return Beat::Changed;
                }
                self.book.answer(agent, Some(Arc::new(now)));
                Beat::Renewed
            }
            None => Beat::Changed,
        }
    }

    fn withdraw(&mut self, agent: &AgentId) {
        if self.book.withdraw(self.now(), agent) {
            self.tell_end(agent, EventKind::Unregistered);
        }
    }

    fn look(&mut self) {
        let now = self.now();
        for agent in self.book.expire(now) {
            let reason = format!("no heartbeat for {:?}", self.config.heartbeat_timeout);
            self.tell_end(&agent, EventKind::Unhealthy { reason });
        }
        for entry in self.book.purge(now) {
            self.publication.forget(&entry.profile.agent);
            self.events.tell(&entry.profile, EventKind::Purged);
        }
    }

    fn tell_end(&mut self, agent: &AgentId, kind: EventKind) {
        let Some(entry) = self.book.get(agent).cloned() else { return };
        if let Err(why) = self.publication.tell(&entry, BTreeMap::new()) {
            tracing::error!(%agent, %why, "the mesh is not told that an agent is gone");
        }
        tracing::info!(%agent, state = ?entry.state, "an agent is out");
        self.vigil.forget(agent);
        self.events.tell(&entry.profile, kind);
    }

    fn rotate(&mut self, agents: Option<&BTreeSet<AgentId>>) -> usize {
        let wanted = |entry: &&Arc<Entry>| agents.is_none_or(|agents| agents.contains(&entry.profile.agent));
        let healthy = self.book.iter().filter(|entry| entry.state == State::Healthy).filter(wanted);
        let rotated: Vec<Arc<Entry>> = healthy.cloned().collect();
        for entry in &rotated {
            self.book.answer(&entry.profile.agent, None);
            self.events.tell(&entry.profile, EventKind::Rotated);
        }
        rotated.len()
    }

    /// Sends what is new, and whoever waits for it along. Those who changed nothing are answered with the rest.
    fn next_batch(&mut self) -> Option<BoxFuture<'static, Vec<(Key, String)>>> {
        let batch = self.publication.take();
        self.on_the_way = std::mem::take(&mut self.waiting);
        let Some(batch) = batch else {
            self.told(&[]);
            return None;
        };
        let gossip = Arc::clone(&self.gossip);
        Some(async move { publish(&gossip, batch).await }.boxed())
    }

    /// A batch has been told: answers those who waited for it. Agents whose records were refused are dropped.
    fn told(&mut self, refused: &[(Key, String)]) {
        let mut lost = BTreeMap::new();
        for (key, why) in refused {
            match subject(key) {
                Some(agent) => drop(lost.insert(agent, why)),
                None => tracing::error!(%key, why, "a schema is not offered"),
            }
        }
        for (agent, why) in &lost {
            tracing::error!(%agent, why, "an agent is not offered");
            self.publication.forget(agent);
            self.book.forget(agent);
            self.vigil.forget(agent);
        }
        let view = self.gossip.view();
        for Waiting { agent, change, warnings, done } in std::mem::take(&mut self.on_the_way) {
            let outcome = match lost.get(&agent) {
                Some(why) => Err(Refused::NotTold(format!("failed to register agent: {why}"))),
                None => self.registered(&view, &agent, change, warnings),
            };
            let _ = done.send(outcome);
        }
    }

    fn registered(
        &mut self,
        view: &View,
        agent: &AgentId,
        change: Change,
        warnings: Vec<String>,
    ) -> Result<Registered, Refused> {
        let gone = || Refused::NotTold("failed to register agent: it was withdrawn meanwhile".into());
        let entry = self.book.get(agent).cloned().ok_or_else(gone)?;
        let answered = Arc::new(self.answer_to(view, &entry.offers));
        if self.events.has_listeners() {
            self.tell_resolutions(view, &entry, &answered);
        }
        self.book.answer(agent, Some(Arc::clone(&answered)));
        Ok(Registered { entry, answered, is_new: change == Change::New, warnings })
    }

    fn tell_resolutions(&self, view: &View, entry: &Entry, answered: &Answered) {
        let before = |function: &str, index: usize| {
            let bound = entry.answered.as_ref()?.answer.dependencies_resolved.get(function)?.get(index)?;
            Some(bound.agent_id.clone()).filter(|agent| !agent.is_empty())
        };
        for tool in &entry.offers.tools {
            let Some(bound) = answered.answer.dependencies_resolved.get(&*tool.function) else { continue };
            for (index, (needed, bound)) in tool.dependencies.iter().zip(bound).enumerate() {
                let selector = needed.selector.clone().asked_in(&entry.offers.namespace);
                let resolution = self.resolver.answer(view.catalog(), view.schemas(), &selector);
                let (function, before) = (tool.function.to_string(), before(&tool.function, index));
                let resolved = Resolved { function, index, resolution, bound: bound.clone(), before };
                self.events.tell(&entry.profile, EventKind::Resolved(Box::new(resolved)));
            }
        }
    }

    fn answer_to(&self, view: &View, offers: &Offers) -> Answered {
        Answers::new(view, &self.resolver, &Sent(&self.book)).to(offers)
    }
}

/// What comes of work that is under way; waits while there is none.
async fn under_way<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Whether somebody on one of our own nodes has that id.
fn speaks_for_itself(view: &View, agent: &AgentId) -> bool {
    let native = view.catalog().agents().filter(|entry| entry.owner.agent == *agent);
    native.filter_map(|entry| entry.offers).any(|offers| is_native(offers))
}

/// The agent that a record is about.
fn subject(key: &Key) -> Option<AgentId> {
    let (kind, name) = key.as_str().split_once('/')?;
    matches!(kind, "offers" | "health" | "lease").then(|| name.parse().ok())?
}
