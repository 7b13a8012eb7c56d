//! What the QUIC transport costs: the numbers that the simulator's model of it is calibrated by, as JSON.
//!
//! Two real endpoints talk through a relay that delays every packet by a fixed time, loses some, and counts all. Bytes
//! are of UDP payload; IP and UDP headers add 28 (IPv4) or 48 (IPv6) a packet.
//!
//! `cargo run --release -p mesh-gossip --example quic_cost` takes about two minutes. Losses are drawn from a seed, but
//! timing is the machine's, so that repeated runs agree in the first two digits at best.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "measures real sockets in real time")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mesh_gossip::id::{MemberId, MeshId};
use mesh_gossip::identity::Identity;
use mesh_gossip::keyring::MeshKey;
use mesh_gossip::signature::Signer;
use mesh_gossip::transport::quic::{Arrivals, Congestion, Limits, PacketSize, Quic, QuicConfig, Trust};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(60);
const LINKS: u64 = 60;
const AT_ONCE: usize = 4;

#[derive(Serialize)]
struct Report {
    handshakes: Vec<Handshake>,
    asks: Vec<Ask>,
    transfers: Vec<Transfers>,
}

/// From the dial to the answer to a first question of 100 bytes, answered with 100, on a link of 20 ms round trip.
#[derive(Serialize)]
struct Handshake {
    address_known: bool,
    packet_size: &'static str,
    round_trips_to_first_answer: f64,
    up: Traffic,
    down: Traffic,
    /// Up to a second later: acknowledgements, and the search for a larger packet size.
    settled_up: Traffic,
    settled_down: Traffic,
}

/// One question on a connection that is there already.
#[derive(Serialize)]
struct Ask {
    request_bytes: usize,
    answer_bytes: usize,
    round_trips: f64,
    up: Traffic,
    down: Traffic,
}

/// Answers of one size, over links of 1 to 20 ms one way.
#[derive(Serialize)]
struct Transfers {
    congestion: &'static str,
    packet_size: &'static str,
    answer_bytes: usize,
    loss_percent: f64,
    links: usize,
    /// On a new connection: handshake, proofs and slow start included.
    first_ms: Spread,
    /// The same in round trips of its link.
    first_round_trips: Spread,
    /// The same once more on that connection.
    second_ms: Spread,
    second_round_trips: Spread,
    failed: usize,
    /// Sent by the answering side in both, for every byte of answer.
    overhead: f64,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Spread {
    p50: f64,
    p90: f64,
    max: f64,
}

struct Everybody {
    address_known: bool,
}

impl Trust for Everybody {
    fn mesh_keys(&self) -> Vec<MeshKey> {
        vec![MeshKey::from_bytes([7; 32])]
    }

    fn is_banned(&self, _: &MemberId) -> bool {
        false
    }

    fn is_known(&self, _: SocketAddr) -> bool {
        self.address_known
    }
}

/// A path between a dialler and a listener: packets take `delay` and get lost with probability `loss`, each way.
struct Path {
    address: SocketAddr,
    up: Arc<Direction>,
    down: Arc<Direction>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Direction {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Direction {
    fn read(&self) -> Traffic {
        Traffic { packets: self.packets.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl Traffic {
    fn since(self, earlier: Self) -> Self {
        Self { packets: self.packets - earlier.packets, bytes: self.bytes - earlier.bytes }
    }
}

impl Path {
    async fn new(listener: SocketAddr, delay: Duration, loss: f64, seed: u64) -> anyhow::Result<Self> {
        let (near, far) = (Arc::new(relay_socket()?), Arc::new(relay_socket()?));
        let (up, down) = (Arc::<Direction>::default(), Arc::<Direction>::default());
        // Who dials is known from its first packet on.
        let dialler = Arc::new(Mutex::new(None));
        let address = near.local_addr()?;
        let mut tasks = JoinSet::new();
        let way = Way { delay, loss, dialler, listener };
        tasks.spawn(carry(Arc::clone(&near), Arc::clone(&far), Arc::clone(&up), way.clone(), End::Near, seed));
        tasks.spawn(carry(far, near, Arc::clone(&down), way, End::Far, seed ^ 0x9e37_79b9));
        Ok(Self { address, up, down, _tasks: tasks })
    }
}

#[derive(Clone)]
struct Way {
    delay: Duration,
    loss: f64,
    dialler: Arc<Mutex<Option<SocketAddr>>>,
    listener: SocketAddr,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Near,
    Far,
}

fn relay_socket() -> anyhow::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(LOOPBACK)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket)?)
}

/// Takes packets at one socket and hands them on at the other, in order, each after the same delay.
async fn carry(from: Arc<UdpSocket>, to: Arc<UdpSocket>, count: Arc<Direction>, way: Way, end: End, seed: u64) {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut underway: VecDeque<(tokio::time::Instant, Vec<u8>)> = VecDeque::new();
    let mut packet = [0; 2_048];
    loop {
        let next = underway.front().map_or_else(|| tokio::time::Instant::now() + PATIENCE, |(due, _)| *due);
        tokio::select! {
            received = from.recv_from(&mut packet) => {
                let Ok((length, source)) = received else { return };
                if end == End::Near {
                    *way.dialler.lock().expect("nobody panics with it") = Some(source);
                }
                count.packets.fetch_add(1, Ordering::Relaxed);
                count.bytes.fetch_add(length as u64, Ordering::Relaxed);
                if !rng.random_bool(way.loss) {
                    underway.push_back((tokio::time::Instant::now() + way.delay, packet[..length].to_vec()));
                }
            }
            () = sleep_until(next) => {
                while underway.front().is_some_and(|(due, _)| *due <= tokio::time::Instant::now()) {
                    let Some((_, packet)) = underway.pop_front() else { break };
                    let target = match end {
                        End::Near => Some(way.listener),
                        End::Far => *way.dialler.lock().expect("nobody panics with it"),
                    };
                    if let Some(target) = target {
                        // A full buffer is a loss like any other.
                        let _ = to.send_to(&packet, target).await;
                    }
                }
            }
        }
    }
}

struct Node {
    quic: Quic,
    arrivals: Arrivals,
    id: MemberId,
}

fn node(limits: Limits, address_known: bool) -> anyhow::Result<Node> {
    let identity = Identity::ephemeral();
    let (id, session) = (identity.id(), identity.session());
    let signer: Arc<dyn Signer> = Arc::new(identity);
    let trust = Arc::new(Everybody { address_known });
    let mesh = MeshId::of("cost");
    let (quic, arrivals) = Quic::bind(QuicConfig { address: LOOPBACK, mesh, session, signer, trust, limits })?;
    Ok(Node { quic, arrivals, id })
}

/// Answers every question with as many bytes as its first eight say.
async fn answer_all(mut arrivals: Arrivals) {
    while let Some(ask) = arrivals.asks.recv().await {
        let length = ask.request.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        ask.reply.send(vec![0x5a; usize::try_from(length).unwrap_or(0)].into());
    }
}

fn question(request_bytes: usize, answer_bytes: usize) -> Bytes {
    let mut question = vec![0; request_bytes.max(8)];
    question[..8].copy_from_slice(&(answer_bytes as u64).to_le_bytes());
    question.into()
}

/// Two nodes and a path from the first to the second.
struct Pair {
    here: Node,
    there: MemberId,
    path: Path,
    /// Kept for its endpoint.
    _there: Quic,
    _answering: JoinSet<()>,
}

impl Pair {
    async fn new(limits: Limits, address_known: bool, delay: Duration, loss: f64, seed: u64) -> anyhow::Result<Self> {
        let (here, there) = (node(limits.clone(), address_known)?, node(limits, address_known)?);
        let path = Path::new(there.quic.local_addr(), delay, loss, seed).await?;
        let mut answering = JoinSet::new();
        answering.spawn(answer_all(there.arrivals));
        Ok(Self { here, there: there.id, path, _there: there.quic, _answering: answering })
    }

    async fn ask(&self, request_bytes: usize, answer_bytes: usize) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        let request = question(request_bytes, answer_bytes);
        self.here.quic.ask(self.there, self.path.address, request, answer_bytes, PATIENCE).await?;
        Ok(asked.elapsed())
    }

    fn traffic(&self) -> (Traffic, Traffic) {
        (self.path.up.read(), self.path.down.read())
    }
}

const fn name_of_size(size: PacketSize) -> &'static str {
    match size {
        PacketSize::Fixed => "fixed 1200",
        PacketSize::Probed => "probed to 1452",
    }
}

async fn handshake(address_known: bool, packet_size: PacketSize) -> anyhow::Result<Handshake> {
    let limits = Limits { packet_size, ..Limits::default() };
    let delay = Duration::from_millis(50);
    let pair = Pair::new(limits, address_known, delay, 0.0, 1).await?;
    let took = pair.ask(100, 100).await?;
    let (up, down) = pair.traffic();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (settled_up, settled_down) = pair.traffic();
    Ok(Handshake {
        address_known,
        packet_size: name_of_size(packet_size),
        round_trips_to_first_answer: rounded(took.as_secs_f64() / (2.0 * delay.as_secs_f64())),
        up,
        down,
        settled_up,
        settled_down,
    })
}

async fn established(request_bytes: usize, answer_bytes: usize) -> anyhow::Result<Ask> {
    let delay = Duration::from_millis(50);
    let pair = Pair::new(Limits::default(), true, delay, 0.0, 1).await?;
    pair.ask(100, 100).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (up, down) = pair.traffic();
    let took = pair.ask(request_bytes, answer_bytes).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (up_after, down_after) = pair.traffic();
    Ok(Ask {
        request_bytes,
        answer_bytes,
        round_trips: rounded(took.as_secs_f64() / (2.0 * delay.as_secs_f64())),
        up: up_after.since(up),
        down: down_after.since(down),
    })
}

struct Outcome {
    round_trip: Duration,
    first: Duration,
    second: Duration,
    sent: u64,
}

async fn transfer(limits: Limits, bytes: usize, loss: f64, seed: u64) -> anyhow::Result<Outcome> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let delay = Duration::from_micros(rng.random_range(1_000..20_000));
    let pair = Pair::new(limits, false, delay, loss, rng.next_u64()).await?;
    let first = pair.ask(100, bytes).await?;
    let second = pair.ask(100, bytes).await?;
    Ok(Outcome { round_trip: 2 * delay, first, second, sent: pair.traffic().1.bytes })
}

async fn transfers(
    congestion: Congestion,
    packet_size: PacketSize,
    answer_bytes: usize,
    loss: f64,
) -> anyhow::Result<Transfers> {
    let limits = Limits { congestion, packet_size, ..Limits::default() };
    let mut under_way = JoinSet::new();
    let mut outcomes = Vec::new();
    let mut failed = 0;
    let mut keep = |outcome: Result<anyhow::Result<Outcome>, _>| -> anyhow::Result<()> {
        match outcome? {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => failed += 1,
        }
        anyhow::Ok(())
    };
    for seed in 0..LINKS {
        if under_way.len() == AT_ONCE
            && let Some(outcome) = under_way.join_next().await
        {
            keep(outcome)?;
        }
        under_way.spawn(transfer(limits.clone(), answer_bytes, loss, seed));
    }
    while let Some(outcome) = under_way.join_next().await {
        keep(outcome)?;
    }
    let sent: u64 = outcomes.iter().map(|outcome| outcome.sent).sum();
    Ok(Transfers {
        congestion: match congestion {
            Congestion::Bbr => "bbr",
            Congestion::Cubic => "cubic",
        },
        packet_size: name_of_size(packet_size),
        answer_bytes,
        loss_percent: loss * 100.0,
        links: outcomes.len(),
        first_ms: spread(outcomes.iter().map(|outcome| millis(outcome.first))),
        first_round_trips: spread(outcomes.iter().map(|outcome| outcome.first.div_duration_f64(outcome.round_trip))),
        second_ms: spread(outcomes.iter().map(|outcome| millis(outcome.second))),
        second_round_trips: spread(outcomes.iter().map(|outcome| outcome.second.div_duration_f64(outcome.round_trip))),
        failed,
        overhead: rounded(sent as f64 / (2 * answer_bytes * outcomes.len().max(1)) as f64),
    })
}

fn spread(figures: impl Iterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = figures.map(rounded).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Spread { p50: at(0.5), p90: at(0.9), max: sorted.last().copied().unwrap_or(f64::NAN) }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut report = Report { handshakes: Vec::new(), asks: Vec::new(), transfers: Vec::new() };
    for packet_size in [PacketSize::Fixed, PacketSize::Probed] {
        for address_known in [false, true] {
            report.handshakes.push(handshake(address_known, packet_size).await?);
        }
    }
    for (request, answer) in [(100, 100), (100, 1_000), (100, 10_000), (1_000, 100)] {
        report.asks.push(established(request, answer).await?);
    }
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        // At 10 % loss Cubic needs minutes for a megabyte.
        let small =
            [4_000, 16_000, 64_000].map(|bytes| [(bytes, 0.0), (bytes, 0.01), (bytes, 0.1)]).into_iter().flatten();
        let large = [250_000, 1_000_000, 2_500_000].map(|bytes| [(bytes, 0.0), (bytes, 0.01)]).into_iter().flatten();
        for (bytes, loss) in small.chain(large) {
            eprintln!("{congestion:?}: {bytes} bytes at {loss} loss");
            report.transfers.push(transfers(congestion, PacketSize::Fixed, bytes, loss).await?);
        }
        report.transfers.push(transfers(congestion, PacketSize::Probed, 2_500_000, 0.01).await?);
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
