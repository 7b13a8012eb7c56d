//! The QUIC endpoint of a node: one proved connection per pair of members, whatever they have to say to each other.
//!
//! An unproved client holds at most 4 KB of handshake and 4 KB of stream, has one stream, a deadline, and few like it
//! beside it; all of that is raised once its proof of the mesh key has been checked.
//!
//! Congestion control is BBR by default: over paths of 1–20 ms one way with 1 % loss, the first megabyte on a new
//! connection takes 0.45 s and the next 0.08 s, with Cubic 0.9 s and 1.4 s (medians, `examples/quic_cost`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use quinn::{AsyncUdpSocket, Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use super::close::{Close, Reset};
pub use super::config::{Congestion, Limits, PacketSize, QuicConfig, Trust};
pub use super::counters::QuicCounts;
pub use super::error::{AskError, BindError, DialError, KindTaken};
pub use super::stream::{Handler, IncomingAsk, MemberStream, Reply, Shipment, Work};

use super::accept::accept;
use super::config::{INTAKE_BYTES, KERNEL_BUFFER_BYTES, UNPROVED_BYTES, transport};
use super::counters::Counters;
use super::endpoint::EndpointSocket;
use super::link::Link;
use super::pool::Pool;
use super::reset::{PlainConnectionIds, ResetKey};
use super::socket;
use super::stream::{self, Broken, FIRST_FREE_KIND, Intake, MAX_ANSWER_BYTES, MAX_ASK_BYTES, MAX_SHIP_BYTES, What};
use super::tls::{Answerer, Identity};
use crate::id::{MemberId, MeshId, PublicKey, Session};
use crate::keyring::{KeyHash, MeshKey};

/// How many refusals wait for whoever is told of them; a further one is told again with the next packet.
const REFUSALS_KEPT: usize = 64;

/// The endpoint. Dropping it closes every connection and ends its tasks; [`Quic::shutdown`] also waits for that.
pub struct Quic {
    shared: Arc<Shared>,
}

/// What arrives at the endpoint for gossip itself.
pub struct Arrivals {
    /// Questions; each waits for its [`Reply`].
    pub asks: mpsc::Receiver<IncomingAsk>,
    /// Messages.
    pub ships: mpsc::Receiver<Shipment>,
    /// Members on this machine with whom we are connected, and whose process does not listen any more: what was sent to
    /// them was refused. Told again with whatever else is sent there.
    pub refusals: mpsc::Receiver<MemberId>,
}

/// What the endpoint's tasks share.
pub(super) struct Shared {
    pub(super) me: MemberId,
    pub(super) key: PublicKey,
    pub(super) mesh: MeshId,
    pub(super) session: Session,
    pub(super) trust: Arc<dyn Trust>,
    pub(super) limits: Limits,
    pub(super) local: SocketAddr,
    pub(super) endpoint: Endpoint,
    pub(super) pool: Arc<Pool>,
    pub(super) counters: Counters,
    pub(super) asks: mpsc::Sender<IncomingAsk>,
    pub(super) ships: mpsc::Sender<Shipment>,
    refusals: mpsc::Sender<MemberId>,
    /// Where nobody listens, for those who dial.
    pub(super) refused: broadcast::Sender<SocketAddr>,
    pub(super) intake: Intake,
    identity: Identity,
    /// For peers elsewhere and for those on this machine, whom we greet otherwise as well.
    dialling: Arc<TransportConfig>,
    dialling_here: Arc<TransportConfig>,
    pub(super) greeting_here: Arc<ServerConfig>,
    handlers: Mutex<BTreeMap<u8, Arc<dyn Handler>>>,
    /// How many links are served, retired ones included.
    open: tokio::sync::watch::Sender<usize>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Quic {
    /// Binds the endpoint and starts to accept. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] says whether the address, the limits or the key are at fault.
    pub fn bind(config: QuicConfig) -> Result<(Self, Arrivals), BindError> {
        let address = config.address;
        let failed = |source| BindError::Socket { address, source };
        let socket = socket::bind(address, KERNEL_BUFFER_BYTES).map_err(failed)?;
        let socket = Arc::new(EndpointSocket::new(socket).map_err(failed)?);
        let (quic, arrivals) = Self::bind_on(Arc::clone(&socket) as Arc<dyn AsyncUdpSocket>, config)?;
        quic.shared.spawn(Arc::clone(&quic.shared).hear_refusals(socket));
        Ok((quic, arrivals))
    }

    /// Starts on a socket that is bound already, perhaps one that is not the system's: a simulated network, whose time
    /// is tokio's. The address in `config` is not looked at.
    ///
    /// # Errors
    /// As [`Quic::bind`].
    pub fn bind_on(socket: Arc<dyn AsyncUdpSocket>, config: QuicConfig) -> Result<(Self, Arrivals), BindError> {
        let QuicConfig { address, mesh, session, signer, trust, limits } = config;
        let identity = Identity::new(Arc::clone(&signer));
        let tls = identity.server_config().map_err(BindError::Tls)?;
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(Arc::new(transport(&limits, 1, false)?));
        // Before we have so much as looked at a newcomer; together a megabyte.
        server.max_incoming(256).incoming_buffer_size(UNPROVED_BYTES.into()).incoming_buffer_size_total(1 << 20);
        let mut greeting_here = server.clone();
        greeting_here.transport_config(Arc::new(transport(&limits, 1, true)?));
        let mut endpoint = EndpointConfig::new(Arc::new(ResetKey::of(signer.as_ref())));
        endpoint.cid_generator(|| Box::new(PlainConnectionIds));

        let failed = |source| BindError::Socket { address, source };
        let endpoint = Endpoint::new_with_abstract_socket(endpoint, Some(server), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(failed)?;
        let local = endpoint.local_addr().map_err(failed)?;
        let (asks, incoming_asks) = mpsc::channel(limits.max_waiting.max(1));
        let (ships, incoming_ships) = mpsc::channel(limits.max_waiting.max(1));
        let (refusals, incoming_refusals) = mpsc::channel(REFUSALS_KEPT);
        let key = signer.public_key();
        let me = MemberId::of(&key);
        let shared = Arc::new(Shared {
            me,
            key,
            mesh,
            session,
            trust,
            local,
            endpoint,
            pool: Pool::new(me, limits.max_links),
            counters: Counters::default(),
            asks,
            ships,
            refusals,
            refused: broadcast::Sender::new(REFUSALS_KEPT),
            intake: Intake::new(INTAKE_BYTES),
            identity,
            dialling: Arc::new(transport(&limits, 0, false)?),
            dialling_here: Arc::new(transport(&limits, 0, true)?),
            greeting_here: Arc::new(greeting_here),
            handlers: Mutex::default(),
            open: tokio::sync::watch::Sender::new(0),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            limits,
        });
        shared.spawn(accept(Arc::clone(&shared)));
        let arrivals = Arrivals { asks: incoming_asks, ships: incoming_ships, refusals: incoming_refusals };
        Ok((Self { shared }, arrivals))
    }

    /// Where the endpoint listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Asks `member` at `address`, connecting first if need be, and waits for the whole answer of at most `limit` bytes.
    ///
    /// A connection that was replaced meanwhile is followed to its successor, so the question may arrive twice: ask
    /// only what may be asked twice. Dropping the future abandons the question; the member may have acted on it.
    ///
    /// # Errors
    /// [`AskError`] by what the caller may do.
    pub async fn ask(
        &self,
        member: MemberId,
        address: SocketAddr,
        request: Bytes,
        limit: usize,
        deadline: Duration,
    ) -> Result<Bytes, AskError> {
        check_length(&request, MAX_ASK_BYTES)?;
        self.exchange(member, address, What::Ask, request, limit.min(MAX_ANSWER_BYTES), deadline).await
    }

    /// Ships `message` to `member` at `address`, connecting first if need be, and waits until it is in the member's
    /// queue. It may arrive twice, as with [`Quic::ask`]; dropping the future leaves open whether it arrived.
    ///
    /// # Errors
    /// [`AskError`] by what the caller may do.
    pub async fn ship(
        &self,
        member: MemberId,
        address: SocketAddr,
        message: Bytes,
        deadline: Duration,
    ) -> Result<(), AskError> {
        check_length(&message, MAX_SHIP_BYTES)?;
        self.exchange(member, address, What::Ship, message, 0, deadline).await.map(drop)
    }

    /// Opens a stream of a kind that `member` has registered, connecting first if need be. Nothing comes back for an
    /// unknown kind but a reset ([`Reset::UnknownKind`]) of the stream. Dropping the future leaves nothing behind but
    /// perhaps a connection.
    ///
    /// # Errors
    /// [`AskError`] by what the caller may do; [`AskError::TimedOut`] also when the member has no stream to spare.
    pub async fn open(
        &self,
        member: MemberId,
        address: SocketAddr,
        kind: u8,
        deadline: Duration,
    ) -> Result<MemberStream, AskError> {
        let deadline = Instant::now() + deadline;
        let mut may_follow = true;
        loop {
            let link = self.link_by(deadline, member, address).await?;
            match timeout_at(deadline, stream::open(&link, kind)).await.map_err(|_| AskError::TimedOut)? {
                Err(Broken::Moved) if may_follow => may_follow = false,
                stream => return Ok(stream?),
            }
        }
    }

    /// Takes streams of `kind` from now on, at most `queue` of them waiting; more are reset as busy. Dropping the
    /// receiver gives the kind back.
    ///
    /// # Errors
    /// [`KindTaken`] when somebody has it, or `kind` is below [`FIRST_FREE_KIND`].
    pub fn register(&self, kind: u8, queue: usize) -> Result<mpsc::Receiver<MemberStream>, KindTaken> {
        let (handler, streams) = mpsc::channel(queue.max(1));
        self.hand_to(kind, Arc::new(handler))?;
        Ok(streams)
    }

    /// As [`Quic::register`], to whoever takes them at once: several endpoints may share it.
    ///
    /// # Errors
    /// [`KindTaken`].
    pub fn hand_to(&self, kind: u8, handler: Arc<dyn Handler>) -> Result<(), KindTaken> {
        let mut handlers = self.shared.handlers();
        if kind < FIRST_FREE_KIND || handlers.get(&kind).is_some_and(|handler| !handler.is_closed()) {
            return Err(KindTaken(kind));
        }
        handlers.insert(kind, handler);
        Ok(())
    }

    /// Closes all connections with `member`: because it is dead, or has just been banned.
    pub fn disconnect(&self, member: &MemberId, reason: Close) {
        for link in self.shared.pool.links_to(member) {
            self.shared.pool.forget(&link);
            self.shared.refuse(&link.connection, reason);
        }
    }

    /// Closes the connections that were proved with a mesh key that has left the ring since. To be called after a
    /// removal; whoever holds a key that is still good connects again when it needs to.
    pub fn drop_former_keys(&self) {
        let keys: Vec<KeyHash> = self.shared.trust.mesh_keys().iter().map(MeshKey::hash).collect();
        for link in self.shared.pool.links() {
            if !keys.contains(&link.key) {
                self.disconnect(&link.member, Close::WrongKey);
            }
        }
    }

    /// How many connections are open, and news when that changes. One that is being replaced counts until it is closed.
    pub fn connections(&self) -> tokio::sync::watch::Receiver<usize> {
        self.shared.open.subscribe()
    }

    /// What the endpoint did so far.
    pub fn counts(&self) -> QuicCounts {
        let mut counts = self.shared.counters.read();
        for link in self.shared.pool.links() {
            let stats = link.connection.stats();
            counts.sent_bytes += stats.udp_tx.bytes;
            counts.received_bytes += stats.udp_rx.bytes;
        }
        counts
    }

    /// Closes every connection, tells the peers, and waits for all tasks to end, the telling at most until `deadline`
    /// has passed. Questions under way fail. Dropping the future closes just the same but waits for nothing.
    pub async fn shutdown(self, deadline: Duration) {
        let shared = Arc::clone(&self.shared);
        drop(self);
        shared.tasks.wait().await;
        // Whoever does not hear of it in time will find out by itself.
        let _ = tokio::time::timeout(deadline, shared.endpoint.wait_idle()).await;
    }

    async fn exchange(
        &self,
        member: MemberId,
        address: SocketAddr,
        what: What,
        message: Bytes,
        limit: usize,
        deadline: Duration,
    ) -> Result<Bytes, AskError> {
        let deadline = Instant::now() + deadline;
        let mut may_follow = true;
        loop {
            let link = self.link_by(deadline, member, address).await?;
            let heard = link.connection.stats().udp_rx.datagrams;
            match timeout_at(deadline, stream::exchange(&link, what, message.clone(), limit)).await {
                Ok(Err(Broken::Moved)) if may_follow => may_follow = false,
                Ok(outcome) => return Ok(outcome?),
                Err(_) => {
                    // Not one packet in all that time: the next caller should not have to wait for this link again.
                    if link.connection.stats().udp_rx.datagrams == heard {
                        self.shared.pool.forget(&link);
                        self.shared.refuse(&link.connection, Close::Silent);
                    }
                    return Err(AskError::TimedOut);
                }
            }
        }
    }

    async fn link_by(&self, deadline: Instant, member: MemberId, address: SocketAddr) -> Result<Arc<Link>, DialError> {
        timeout_at(deadline, self.shared.link_to(member, address)).await.unwrap_or(Err(DialError::NoAnswer))
    }
}

#[cfg(test)]
impl Quic {
    pub(super) fn shared_for_tests(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn tasks_for_tests(&self) -> TaskTracker {
        self.shared.tasks.clone()
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        self.shared.pool.close();
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.endpoint.close(Close::Shutdown.code(), b"");
    }
}

impl Shared {
    /// Runs `task` until it is done or the endpoint goes.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Serves a link that has been proved, and accounts for it when it ends.
    pub(super) fn serve(self: &Arc<Self>, link: Arc<Link>) {
        self.open.send_modify(|open| *open += 1);
        // Made here and not in the task, which may be cancelled before it begins.
        let served = Served { shared: Arc::clone(self), link };
        self.spawn(async move { stream::serve(Arc::clone(&served.shared), Arc::clone(&served.link)).await });
    }

    /// Tells whoever waits for an answer from an address that nobody is there.
    async fn hear_refusals(self: Arc<Self>, socket: Arc<EndpointSocket>) {
        while let Ok(address) = socket.refused().await {
            // Nobody may be dialling.
            let _ = self.refused.send(address);
            let is_there = |link: &&Arc<Link>| socket::canonical(link.connection.remote_address()) == address;
            for link in self.pool.links().iter().filter(is_there) {
                // Where the queue is full, the next packet tells again.
                let _ = self.refusals.try_send(link.member);
            }
        }
    }

    pub(super) fn refuse(&self, connection: &Connection, reason: Close) {
        self.counters.closed(reason);
        connection.close(reason.code(), b"");
    }

    pub(super) fn client_config(
        &self,
        expected: MemberId,
        at: SocketAddr,
    ) -> Result<(quinn::ClientConfig, Answerer), rustls::Error> {
        let (tls, answerer) = self.identity.client_config(expected)?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        let transport = if socket::is_here(at) { &self.dialling_here } else { &self.dialling };
        config.transport_config(Arc::clone(transport));
        Ok((config, answerer))
    }

    pub(super) fn handler(&self, kind: u8) -> Option<Arc<dyn Handler>> {
        self.handlers().get(&kind).cloned()
    }

    fn handlers(&self) -> std::sync::MutexGuard<'_, BTreeMap<u8, Arc<dyn Handler>>> {
        self.handlers.lock().expect("nothing panics while it holds the handlers")
    }
}

/// A link while it is served; says goodbye to it however that ends.
struct Served {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shared.pool.forget(&self.link);
        self.shared.counters.keep(&self.link.connection.stats());
        self.shared.open.send_modify(|open| *open -= 1);
    }
}

fn check_length(message: &Bytes, limit: usize) -> Result<(), AskError> {
    if message.len() > limit { Err(AskError::TooLong { limit }) } else { Ok(()) }
}
