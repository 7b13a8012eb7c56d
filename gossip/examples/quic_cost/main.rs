//! What the QUIC transport costs: the numbers that the simulator's model of it is calibrated by, as JSON.
//!
//! Two real endpoints talk over a path in memory, in virtual time, so that neither the machine's speed nor its load
//! shows: what is measured are the protocols, quinn's and ours. Sleeps end on whole milliseconds, in tokio's virtual
//! time as in its real one, and so the paths' delays are whole milliseconds too. Bytes are of UDP payload; IP and UDP
//! headers add 28 (IPv4) or 48 (IPv6) a packet. Losses come from a seed; quinn draws packet numbers of its own, so
//! that runs agree in the first two digits.
//!
//! `cargo run --release -p mesh-gossip --example quic_cost`

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "tokio's clock, which is virtual here")]

mod network;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::id::{MemberId, MeshId};
use mesh_gossip::identity::Identity;
use mesh_gossip::keyring::MeshKey;
use mesh_gossip::signature::Signer;
use mesh_gossip::transport::quic::{Arrivals, Congestion, Limits, PacketSize, Quic, QuicConfig, Trust};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use network::{Socket, Traffic};

const PATIENCE: Duration = Duration::from_secs(120);

/// Paths for every figure with a spread.
const PATHS: u64 = 100;

/// Round trips are counted on a path of 20 ms.
const STEP: Duration = Duration::from_millis(10);

#[derive(Serialize)]
struct Report {
    handshakes: Vec<Handshake>,
    asks: Vec<Ask>,
    transfers: Vec<Transfers>,
}

/// From the dial to the answer to a first question of 100 bytes, answered with 100, on a path of 20 ms round trip.
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

/// Answers of one size, over paths of 1 to 20 ms one way.
#[derive(Serialize)]
struct Transfers {
    congestion: &'static str,
    packet_size: &'static str,
    answer_bytes: usize,
    loss_percent: f64,
    paths: usize,
    /// On a new connection: handshake, proofs and slow start included.
    first_ms: Spread,
    /// The same in round trips of its path.
    first_round_trips: Spread,
    /// The same once more on that connection.
    second_ms: Spread,
    second_round_trips: Spread,
    failed: usize,
    /// Sent by the answering side in both, for every byte of answer.
    overhead: f64,
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

struct Node {
    quic: Quic,
    arrivals: Arrivals,
    id: MemberId,
}

fn node(socket: &Arc<Socket>, limits: Limits, address_known: bool) -> anyhow::Result<Node> {
    let identity = Identity::ephemeral();
    let (id, session) = (identity.id(), identity.session());
    let signer: Arc<dyn Signer> = Arc::new(identity);
    let trust = Arc::new(Everybody { address_known });
    let (address, mesh) = (quinn::AsyncUdpSocket::local_addr(socket.as_ref())?, MeshId::of("cost"));
    let config = QuicConfig { address, mesh, session, signer, trust, limits };
    let (quic, arrivals) = Quic::bind_on(Arc::clone(socket) as Arc<dyn quinn::AsyncUdpSocket>, config)?;
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

/// Two nodes and the path between them.
struct Pair {
    here: Quic,
    there: Quic,
    member: MemberId,
    path: [Arc<Socket>; 2],
    _answering: JoinSet<()>,
}

impl Pair {
    fn new(limits: Limits, address_known: bool, delay: Duration, loss: f64, seed: u64) -> anyhow::Result<Self> {
        let path = network::path(delay, loss, seed);
        let here = node(&path[0], limits.clone(), address_known)?;
        let there = node(&path[1], limits, address_known)?;
        let mut answering = JoinSet::new();
        answering.spawn(answer_all(there.arrivals));
        Ok(Self { here: here.quic, there: there.quic, member: there.id, path, _answering: answering })
    }

    async fn ask(&self, request_bytes: usize, answer_bytes: usize) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        let request = question(request_bytes, answer_bytes);
        self.here.ask(self.member, self.there.local_addr(), request, answer_bytes.max(1), PATIENCE).await?;
        Ok(asked.elapsed())
    }

    fn traffic(&self) -> [Traffic; 2] {
        self.path.each_ref().map(|end| end.sent())
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
    let pair = Pair::new(limits, address_known, STEP, 0.0, 1)?;
    let took = pair.ask(100, 100).await?;
    let [up, down] = pair.traffic();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [settled_up, settled_down] = pair.traffic();
    let round_trips_to_first_answer = rounded(took.div_duration_f64(2 * STEP));
    let packet_size = name_of_size(packet_size);
    Ok(Handshake { address_known, packet_size, round_trips_to_first_answer, up, down, settled_up, settled_down })
}

async fn established(request_bytes: usize, answer_bytes: usize) -> anyhow::Result<Ask> {
    let pair = Pair::new(Limits::default(), true, STEP, 0.0, 1)?;
    pair.ask(100, 100).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [up, down] = pair.traffic();
    let took = pair.ask(request_bytes, answer_bytes).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [up_after, down_after] = pair.traffic();
    let round_trips = rounded(took.div_duration_f64(2 * STEP));
    let (up, down) = (up_after.since(up), down_after.since(down));
    Ok(Ask { request_bytes, answer_bytes, round_trips, up, down })
}

struct Outcome {
    round_trip: Duration,
    first: Duration,
    second: Duration,
    sent: u64,
}

async fn transfer(limits: Limits, bytes: usize, loss: f64, seed: u64) -> anyhow::Result<Outcome> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let delay = Duration::from_millis(rng.random_range(1..=20));
    let pair = Pair::new(limits, false, delay, loss, rng.next_u64())?;
    let first = pair.ask(100, bytes).await?;
    let second = pair.ask(100, bytes).await?;
    Ok(Outcome { round_trip: 2 * delay, first, second, sent: pair.traffic()[1].bytes })
}

fn transfers(
    congestion: Congestion,
    packet_size: PacketSize,
    answer_bytes: usize,
    loss: f64,
) -> anyhow::Result<Transfers> {
    let limits = Limits { congestion, packet_size, ..Limits::default() };
    let mut outcomes = Vec::new();
    let mut failed = 0;
    for seed in 0..PATHS {
        match in_virtual_time(transfer(limits.clone(), answer_bytes, loss, seed))? {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => failed += 1,
        }
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
        paths: outcomes.len(),
        first_ms: spread(outcomes.iter().map(|outcome| millis(outcome.first))),
        first_round_trips: spread(outcomes.iter().map(|outcome| outcome.first.div_duration_f64(outcome.round_trip))),
        second_ms: spread(outcomes.iter().map(|outcome| millis(outcome.second))),
        second_round_trips: spread(outcomes.iter().map(|outcome| outcome.second.div_duration_f64(outcome.round_trip))),
        failed,
        overhead: rounded(sent as f64 / (2 * answer_bytes * outcomes.len().max(1)) as f64),
    })
}

/// Runs `measure` on a clock that jumps from one event to the next.
fn in_virtual_time<T>(measure: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(measure))
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

fn main() -> anyhow::Result<()> {
    let mut report = Report { handshakes: Vec::new(), asks: Vec::new(), transfers: Vec::new() };
    for packet_size in [PacketSize::Fixed, PacketSize::Probed] {
        for address_known in [false, true] {
            report.handshakes.push(in_virtual_time(handshake(address_known, packet_size))??);
        }
    }
    for (request, answer) in [(100, 0), (100, 100), (100, 1_000), (100, 10_000), (1_000, 100), (10_000, 100)] {
        report.asks.push(in_virtual_time(established(request, answer))??);
    }
    for congestion in [Congestion::Bbr, Congestion::Cubic] {
        // At 10 % loss Cubic needs minutes for a megabyte.
        let small = [4_000, 16_000, 64_000].map(|bytes| [(bytes, 0.0), (bytes, 0.01), (bytes, 0.1)]);
        let large = [250_000, 1_000_000, 2_500_000].map(|bytes| [(bytes, 0.0), (bytes, 0.01)]);
        for (bytes, loss) in small.into_iter().flatten().chain(large.into_iter().flatten()) {
            eprintln!("{congestion:?}: {bytes} bytes at {loss} loss");
            report.transfers.push(transfers(congestion, PacketSize::Fixed, bytes, loss)?);
        }
        report.transfers.push(transfers(congestion, PacketSize::Probed, 2_500_000, 0.01)?);
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
