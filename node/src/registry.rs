//! The registry API of the existing system, from the view instead of a database: agents that know nothing of gossip join
//! the mesh through any node that serves it.
//!
//! An agent that registers here becomes offers that this node makes on its behalf for as long as its
//! heartbeats come (see [`book`]), and is answered from the resolver that our own agents use (see [`answer`]).

mod administration;
mod adoption;
pub mod answer;
mod api;
mod archive;
pub mod book;
mod chronicle;
mod cycle;
mod dashboard;
pub mod events;
mod forward;
mod history;
mod jobs;
mod keeper;
pub mod lease;
pub mod listing;
mod openapi;
mod parameters;
pub mod profile;
mod proxy;
mod publication;
pub mod registration;
mod routes;
mod service;
mod store;
mod surfaces;
mod traces;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::AgentId;
use mesh_gossip::gossip::RegisterError;
use mesh_gossip::resolve::Resolver;
use mesh_gossip::{Gossip, MemberId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

pub(crate) use self::api::{Beside, Served};
pub use self::api::{RegistryApi, api};
use self::book::Entry;
use self::events::Sink;
pub(crate) use self::forward::doubt;
use self::keeper::{Asker, Command, Keeper, Vigil};
pub use self::keeper::{Beat, Refused, Registered};
use self::listing::{AgentInfo, Listing};
use self::registration::Registration;
pub use self::routes::SurfaceAnswer;
use self::service::Service;
pub use self::store::StoreError;
use crate::call::{Caller, exchange};
use crate::config::{NodeConfig, RegistryConfig};
use crate::health::Verdict;

/// How many requests wait for the keeper of the book; further ones wait for their place.
const COMMANDS_WAITING: usize = 1_024;

/// How long a request waits for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The registry of one node: whatever its routes ask. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    asker: Asker,
}

struct Inner {
    gossip: Arc<Gossip>,
    resolver: Arc<Resolver>,
    config: RegistryConfig,
    name: String,
    version: String,
    commands: mpsc::Sender<Command>,
    events: Sink,
    verdict: watch::Receiver<Verdict>,
    began: Instant,
}

/// The registry has too much to do, or the node stops. Ask again, or another seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry does not answer now: ask again in a moment, or ask another seed")]
pub struct Unavailable;

impl Registry {
    /// A registry beside `gossip`, and the task that does its work.
    fn new(
        node: &NodeConfig,
        caller: &Caller,
        verdict: watch::Receiver<Verdict>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (commands, asked) = mpsc::channel(COMMANDS_WAITING);
        let (gossip, vigil) = (caller.gossip(), Vigil::new(commands.downgrade(), &caller.settings().clients));
        let (events, resolver) = (Sink::new(), Arc::new(Resolver::new()));
        let config = node.registry.clone();
        let (known, heard) = (Arc::clone(&resolver), events.clone());
        let keeper = Keeper::new(Arc::clone(gossip), heard, config.clone(), known, vigil);
        let inner = Arc::new(Inner {
            gossip: Arc::clone(gossip),
            resolver,
            config,
            name: node.name.clone(),
            version: node.version.clone(),
            commands,
            events,
            verdict,
            began: Instant::now(),
        });
        (Self { inner, asker: Asker::Agent }, keeper.run(asked))
    }

    /// Answers the members that pass on what agents say to them, or doubt our agents. The future does.
    ///
    /// # Errors
    /// [`RegisterError`] when somebody does already.
    async fn serve_members(&self) -> Result<impl Future<Output = ()> + Send + use<>, RegisterError> {
        let streams = self.gossip().register(forward::KIND, forward::REQUESTS_WAITING).await?;
        Ok(exchange::serve(forward::Forwarded::new(self), streams))
    }

    /// The same as other seeds ask it: what they pass on is not passed on again.
    fn for_members(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), asker: Asker::Seed }
    }

    /// The gossip beneath, with the view of the mesh.
    pub fn gossip(&self) -> &Arc<Gossip> {
        &self.inner.gossip
    }

    /// What remembers answers; ask it with this node's views only.
    pub fn resolver(&self) -> &Resolver {
        &self.inner.resolver
    }

    /// What it was told when it started.
    pub fn config(&self) -> &RegistryConfig {
        &self.inner.config
    }

    /// What happens to agents, from now on.
    pub fn events(&self) -> &Sink {
        &self.inner.events
    }

    /// Takes in what an agent says of itself, and answers it. Dropping the future leaves open whether it was taken in.
    ///
    /// # Errors
    /// [`Unavailable`]; within, why it is refused.
    pub async fn register(&self, told: Registration) -> Result<Result<Registered, Refused>, Unavailable> {
        let (told, from) = (Box::new(told), self.asker);
        self.ask(|done| Command::Register { told, from, done }).await
    }

    /// Takes in that an agent is there. Dropping the future leaves open whether its lease was renewed.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn beat(&self, agent: AgentId) -> Result<Beat, Unavailable> {
        let from = self.asker;
        self.ask(|done| Command::Beat { agent, from, done }).await
    }

    /// Takes in that an agent leaves; gives the seed that speaks for it, when that is another one. Dropping the future
    /// leaves open whether it did.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn withdraw(&self, agent: AgentId) -> Result<Option<MemberId>, Unavailable> {
        let from = self.asker;
        self.ask(|done| Command::Withdraw { agent, from, done }).await
    }

    /// Somebody could not reach `agent`: whether anybody is there is looked at without anybody waiting for it. Dropping
    /// the future leaves open whether it is.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn doubt(&self, agent: AgentId) -> Result<(), Unavailable> {
        let told = timeout(ANSWER_WITHIN, self.inner.commands.send(Command::Doubt { agent }));
        told.await.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
    }

    /// Makes these agents register again, all of them when none are named; says how many.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn rotate(&self, agents: Option<BTreeSet<AgentId>>) -> Result<usize, Unavailable> {
        self.ask(|done| Command::Rotate { agents, done }).await
    }

    /// The agents that this node speaks for, in order of their ids.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn entries(&self) -> Result<Vec<Arc<Entry>>, Unavailable> {
        self.ask(|done| Command::Entries { done }).await
    }

    /// All agents of the mesh as `GET /agents` shows them, in order of their ids.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn agents(&self) -> Result<Vec<AgentInfo>, Unavailable> {
        let entries = self.entries().await?;
        let inner = Arc::clone(&self.inner);
        let listed =
            tokio::task::spawn_blocking(move || Listing::new(&inner.gossip.view(), &inner.resolver, &entries).agents());
        listed.await.map_err(|_| Unavailable)
    }

    /// What the node's own check found last.
    pub fn verdict(&self) -> Verdict {
        self.inner.verdict.borrow().clone()
    }

    fn name(&self) -> &str {
        &self.inner.name
    }

    fn version(&self) -> &str {
        &self.inner.version
    }

    fn uptime(&self) -> Duration {
        self.inner.began.elapsed()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Unavailable> {
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.inner.commands.send(command(done)).await.map_err(|_| Unavailable)?;
            answer.await.map_err(|_| Unavailable)
        };
        timeout(ANSWER_WITHIN, asked).await.map_err(|_| Unavailable)?
    }
}
