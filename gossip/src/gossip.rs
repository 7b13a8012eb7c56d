//! A node that anybody can embed: [`Gossip::spawn`] starts it, the handle commands it, everybody reads its [`View`].
//!
//! One task owns the core (`driver`); it receives, fires timers, carries out what the core wants, and publishes what has
//! changed. Readers hold immutable views and never wait for it.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the runtime around the core")]

mod care;
mod carry;
mod course;
mod driver;
mod events;
mod explain;
mod gate;
pub mod keys;
mod life;
pub mod metrics;
mod news;
mod operate;
mod ports;
mod request;
mod search;
mod serve;
mod setup;
mod shelf;
mod timers;
mod trust;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use self::events::{Event, Events, EventsError};
pub use self::explain::{JoinState, Obstacle};
pub use self::metrics::Metrics;
pub use self::operate::{OrderGround, OrderRefused};
pub use self::setup::{GossipConfig, MAX_MESH_NAME_BYTES, Remember, SpawnError};
pub use self::shelf::Schemas;
pub use self::view::{MemberView, View};

use self::driver::{Driver, ticker};
use self::explain::Findings;
use self::gate::Gate;
use self::life::{Birth, Life};
use self::ports::Ports;
use self::request::Request;
use self::search::Search;
use self::timers::Timers;
use self::trust::Trusted;
use self::view::Draft;
use crate::alive::Alive;
use crate::id::{MemberId, MeshId};
use crate::identity::{self, Identity};
use crate::keyring::{Keyring, MeshKey};
use crate::moment::Moment;
use crate::order::{OrderBook, SignedOrder};
use crate::record::Key;
use crate::records::SetError;
use crate::snapshot::Snapshot;
use crate::transport::quic::{AskError, DialError, Handler, KindTaken, MemberStream, Quic, Trust as _};

/// How many requests wait for the driver; further ones wait for room.
const REQUESTS_WAITING: usize = 64;

/// A running node. Dropping the handle stops it at once and without a goodbye, as a crash would: others find out.
/// [`Gossip::leave`] says goodbye.
pub struct Gossip {
    shared: Arc<Shared>,
    trust: Arc<Trusted>,
    requests: mpsc::Sender<Request>,
    listens: Vec<SocketAddr>,
    driver: JoinHandle<()>,
}

/// What the driver writes and everybody reads.
struct Shared {
    view: ArcSwap<View>,
    views: watch::Sender<Arc<View>>,
    join: watch::Sender<JoinState>,
    events: broadcast::Sender<Event>,
    quic: ArcSwap<Vec<Arc<Quic>>>,
}

/// The node has stopped: it left, its socket broke, or it failed (which is in the log). Start another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gossip node has stopped; start another one")]
pub struct Stopped;

/// Why a record was not set. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetFailed {
    /// The record is beyond its bounds.
    #[error(transparent)]
    Refused(#[from] SetError),
    /// There is no node any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a node is not part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotJoined {
    /// It still looks for the mesh, and goes on doing so.
    #[error("not part of the mesh yet: {0}")]
    Seeking(Obstacle),
    /// There is no node any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a kind of streams was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Somebody has it.
    #[error(transparent)]
    Taken(#[from] KindTaken),
    /// There is no node any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Gossip {
    /// Starts a node on the current tokio runtime: takes an identity, opens the sockets, and begins to look for the
    /// mesh. It does not wait until the mesh is found; see [`Gossip::joined`]. Dropping the future starts nothing.
    ///
    /// # Errors
    /// [`SpawnError`] names the field at fault and says what to do. Nothing runs then.
    pub async fn spawn(mut config: GossipConfig) -> Result<Self, SpawnError> {
        config.check()?;
        let setup = config.clone();
        let disk = tokio::task::spawn_blocking(move || from_disk(&setup));
        let disk = disk.await.expect("reading the state directory does not panic, nor is it cancelled")?;
        let FromDisk { identity, keys: first_keys, snapshot, operator } = disk;
        config.operator = operator;
        let mesh = MeshId::of(&config.mesh);
        let ports = Ports::bind(&config.listen).map_err(|(address, source)| SpawnError::Listen { address, source })?;
        let orders = orders_of(&snapshot, mesh, &config);
        let keys = keys_of(&orders, &first_keys);
        let trust = Arc::new(Trusted::default());
        trust.use_keys(&keys);
        let known = snapshot.alive.iter().filter_map(|bytes| Alive::verify(bytes, mesh, &*config.verifier).ok());
        let known: Vec<Alive> = known.filter(|alive| alive.id() != identity.id()).collect();
        let remembered = course::addresses_of(known.iter());
        let search = Search::new(&config.seeds);
        let quic = config.listen.iter().map(|at| SocketAddr::new(at.ip(), config.quic_port)).collect();
        let birth = Birth {
            mesh,
            identity,
            keys: &keys,
            ports: &ports,
            trust: &trust,
            quic,
            seeds: &search.addresses(),
            remembered,
        };
        let life = Life::begin(&config, birth)?;
        let draft = Draft::new(life.protocol.alive());
        let (requests, waiting) = mpsc::channel(REQUESTS_WAITING);
        let shared = Arc::new(Shared::new(&draft, &life, &config.mesh));
        let listens = ports.local().collect();
        let driver = Driver {
            mesh,
            shared: Arc::clone(&shared),
            trust: Arc::clone(&trust),
            requests: waiting,
            ports,
            timers: Timers::new(),
            tick: ticker(),
            life,
            first_keys,
            keys,
            tasks: tokio::task::JoinSet::new(),
            under_way: driver::UnderWay::default(),
            effects: crate::effects::Effects::default(),
            datagram: Vec::new(),
            gate: Gate::new(config.rates),
            draft,
            events: Vec::new(),
            search,
            findings: Findings::default(),
            counts: metrics::Counts::default(),
            rejects: BTreeMap::new(),
            kinds: BTreeMap::new(),
            observed: BTreeMap::new(),
            rotations: 0,
            stored_rotation: Arc::default(),
            unsaved: true,
            saved: Moment::ZERO,
            measured: Moment::ZERO,
            superseded: false,
            leaving: None,
            unbegun: None,
            published: Moment::ZERO,
            turned: Moment::ZERO,
            config,
        };
        let driver = tokio::spawn(async move {
            let _told = TellOfPanic;
            driver.run(orders).await;
        });
        Ok(Self { shared, trust, requests, listens, driver })
    }

    /// Our own id. It changes when another process turns out to have our key.
    pub fn me(&self) -> MemberId {
        self.view().me()
    }

    /// Where the gossip sockets are bound, for others to be told.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.listens
    }

    /// The mesh keys of this node, the one that seals first: for whoever lets others prove that they hold one. Secret.
    pub fn mesh_keys(&self) -> Vec<MeshKey> {
        self.trust.mesh_keys()
    }

    /// The mesh as it is believed to be now. Takes no lock; keep it as long as you like, it does not change.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Follows the view: its receiver is woken whenever there is a newer one. Changes that come together come as one.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.shared.views.subscribe()
    }

    /// Follows every single change from now on.
    pub fn events(&self) -> Events {
        Events(self.shared.events.subscribe())
    }

    /// Offers `value` under `key` from now on, in place of what was there, and tells the mesh. Once this returns others
    /// will hear of it, whatever becomes of the caller. Dropping the future leaves open whether it was set.
    ///
    /// # Errors
    /// [`SetFailed::Refused`] when the value, or all our records together, are too large.
    pub async fn set(&self, key: Key, value: impl Into<Bytes>) -> Result<(), SetFailed> {
        self.set_all(vec![(key, value.into())]).await
    }

    /// The same for several records, of which the mesh is told at once: cheaper for everybody than one by one. Dropping
    /// the future leaves open whether they were set.
    ///
    /// # Errors
    /// [`SetFailed::Refused`] because of the first record that is too large; those before it are set, those behind it
    /// are not.
    pub async fn set_all(&self, records: Vec<(Key, Bytes)>) -> Result<(), SetFailed> {
        Ok(self.request(|done| Request::Set { records, done }).await??)
    }

    /// Withdraws what is offered under `key`, if there is something. Dropping the future leaves open whether it was.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn remove(&self, key: Key) -> Result<(), Stopped> {
        self.request(|done| Request::Remove { key, done }).await
    }

    /// What `member` offers under `key`, fetched blobs included: nothing, when it offers nothing there or the blob has
    /// not arrived ([`Event::BlobArrived`] tells when it has). Values that are no blobs are in the view, too.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn value(&self, member: MemberId, key: Key) -> Result<Option<Bytes>, Stopped> {
        self.request(|done| Request::Value { member, key, done }).await
    }

    /// Whether the node is part of the mesh, or what is in its way.
    pub fn join_state(&self) -> JoinState {
        self.shared.join.borrow().clone()
    }

    /// Waits at most for `patience` until the node is part of the mesh, or the whole of it when it has no seeds. The
    /// node goes on trying either way. Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`NotJoined`] says in one sentence what is in the way.
    pub async fn joined(&self, patience: Duration) -> Result<(), NotJoined> {
        let mut states = self.shared.join.subscribe();
        let joined = states.wait_for(|state| *state == JoinState::Joined);
        tokio::select! {
            joined = tokio::time::timeout(patience, joined) => match joined {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(Stopped.into()),
                Err(_) => match self.join_state() {
                    JoinState::Joined => Ok(()),
                    JoinState::Seeking(obstacle) => Err(NotJoined::Seeking(obstacle)),
                },
            },
            () = self.requests.closed() => Err(Stopped.into()),
        }
    }

    /// Looks for the mesh at `addresses` as well, from now on and beside the seeds, in place of those that were named
    /// here before; at most 1,024 count. Dropping the future leaves open whether it does.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn seek(&self, addresses: Vec<SocketAddr>) -> Result<(), Stopped> {
        self.request(|done| Request::Seek { addresses, done }).await
    }

    /// Opens a stream of a kind that `member` has registered, connecting first if need be; `deadline` bounds all of it.
    /// Dropping the future leaves nothing behind but perhaps a connection.
    ///
    /// # Errors
    /// [`AskError`] by what the caller may do; an unknown member, or a stopped node, is unreachable.
    pub async fn open(&self, member: MemberId, kind: u8, deadline: Duration) -> Result<MemberStream, AskError> {
        let unreachable = AskError::Dial(DialError::NoAnswer);
        let address = self.view().address_of(&member).ok_or(unreachable)?.quic();
        let quic = life::quic_for(&self.shared.quic.load(), address).cloned().ok_or(unreachable)?;
        quic.open(member, address, kind, deadline).await
    }

    /// Takes streams of `kind` (16 and above) from now on; `queue` of them wait, more are refused as busy. Dropping the
    /// receiver gives the kind back.
    ///
    /// # Errors
    /// [`RegisterError::Taken`] when the kind has an owner.
    pub async fn register(&self, kind: u8, queue: usize) -> Result<mpsc::Receiver<MemberStream>, RegisterError> {
        let (handler, streams) = mpsc::channel(queue.max(1));
        self.hand_to(kind, Arc::new(handler)).await?;
        Ok(streams)
    }

    /// Has streams of `kind` (16 and above) taken by `handler` from now on, the moment they come: what has thousands of
    /// them a second is spared a queue.
    ///
    /// # Errors
    /// [`RegisterError::Taken`] when the kind has an owner.
    pub async fn hand_to(&self, kind: u8, handler: Arc<dyn Handler>) -> Result<(), RegisterError> {
        Ok(self.request(|done| Request::Register { kind, handler, done }).await??)
    }

    /// What the node did so far and how it fares.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn metrics(&self) -> Result<Metrics, Stopped> {
        self.request(|done| Request::Metrics { done }).await
    }

    /// Says goodbye, gives it half a second or so to spread, writes the snapshot, and stops. Others see the node as left
    /// rather than dead. Dropping the future changes nothing about that, unless the handle is dropped as well.
    ///
    /// # Errors
    /// [`Stopped`] when there was nothing to leave.
    pub async fn leave(&self) -> Result<(), Stopped> {
        self.request(|done| Request::Leave { done }).await
    }

    async fn request<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Stopped> {
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gossip node {}", self.me().short())
    }
}

impl Shared {
    fn new(draft: &Draft, life: &Life, mesh: &str) -> Self {
        let view = draft.view(life.protocol.digest());
        Self {
            view: ArcSwap::new(Arc::clone(&view)),
            views: watch::Sender::new(view),
            join: watch::Sender::new(JoinState::Seeking(Findings::default().obstacle(mesh))),
            events: broadcast::Sender::new(events::EVENTS_KEPT),
            quic: ArcSwap::new(Arc::new(life.quic.clone())),
        }
    }
}

/// Lives as long as the driver, and tells the log when that fails: the calls of the handle only say that it stopped.
struct TellOfPanic;

impl Drop for TellOfPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the gossip node has failed and stopped; this is a defect, please report it");
        }
    }
}

struct FromDisk {
    identity: Arc<Identity>,
    keys: Keyring,
    snapshot: Snapshot,
    operator: Option<crate::id::PublicKey>,
}

/// Everything that blocks.
fn from_disk(config: &GossipConfig) -> Result<FromDisk, SpawnError> {
    let state_dir = config.state_dir.as_deref();
    let identity = match state_dir {
        Some(state_dir) => Identity::acquire(state_dir, &config.agent)?,
        None => Identity::ephemeral(),
    };
    let keys = match (&config.keys, state_dir) {
        (Some(keys), _) => keys.clone(),
        (None, Some(state_dir)) => identity::mesh_key::load_or_create(state_dir)?,
        (None, None) => return Err(SpawnError::keys_missing()),
    };
    let operator = match (config.operator, state_dir) {
        (None, Some(state_dir)) => identity::operator::load_public(state_dir)?,
        (operator, _) => operator,
    };
    let snapshot = care::load(identity.directory(), config.remember);
    Ok(FromDisk { identity: Arc::new(identity), keys, snapshot, operator })
}

/// The orders that were in force the last time, as far as the operator of today gave them.
fn orders_of(snapshot: &Snapshot, mesh: MeshId, config: &GossipConfig) -> Vec<SignedOrder> {
    let Some(operator) = config.operator else { return Vec::new() };
    let orders = snapshot.orders.iter();
    orders.filter_map(|bytes| SignedOrder::verify(bytes, mesh, &operator, &*config.verifier).ok()).collect()
}

fn keys_of(orders: &[SignedOrder], first: &Keyring) -> Keyring {
    let mut book = OrderBook::new();
    for order in orders {
        book.apply(order.clone());
    }
    book.keyring(first).0
}
