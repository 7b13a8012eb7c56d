//! What riding on QUIC costs: handshakes, round trips, slow start, retransmission, bytes.
//!
//! A transfer is computed when it begins, round trip by round trip; only its end is an event of the world. What it
//! leaves out: competition of streams on one connection, and losses of acknowledgements (they cost bytes, not time).

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use crate::dice::Dice;
use crate::network::{HEADER_BYTES, Link, Network};

/// The figures of the model, as quinn 0.11 behaves with the settings of our endpoint: BBR, packets of 1,200 bytes, Retry
/// for unknown addresses. Calibrated against two real endpoints on a path in memory (`cargo run --example quic_cost` of
/// `mesh-gossip`); the tests below compare.
#[derive(Clone, Debug)]
pub struct StreamCosts {
    /// Round trips before the first byte of a request may leave: Retry, TLS, our proof of the mesh key.
    pub handshake_round_trips: u32,
    /// Payload of the datagrams a client sends for a handshake, its first packets padded to 1,200 bytes.
    pub handshake_client_bytes: u64,
    /// Payload of the datagrams a server sends for a handshake.
    pub handshake_server_bytes: u64,
    /// Datagrams of a handshake, half of them each way, whose loss costs a probe timeout.
    pub handshake_datagrams: u32,
    /// The round trip assumed before one was measured.
    pub initial_rtt: Duration,
    /// Application bytes of a full packet.
    pub packet_bytes: u64,
    /// Header, authentication tag and frame header of a packet.
    pub packet_overhead: u64,
    /// Payload of an acknowledgement; one answers two packets.
    pub ack_bytes: u64,
    /// Bytes that may be under way at first.
    pub initial_window: u64,
    /// Bytes that may be under way at most: the receiver's window.
    pub largest_window: u64,
    /// How the sending window grows in a round (BBR before it has found the path's width: little).
    pub growth: f64,
    /// How long a connection lives unused.
    pub idle_timeout: Duration,
    /// How many bytes a host can send a second.
    pub uplink: u64,
}

impl Default for StreamCosts {
    fn default() -> Self {
        Self {
            handshake_round_trips: 3,
            handshake_client_bytes: 3_840,
            handshake_server_bytes: 1_590,
            handshake_datagrams: 11,
            initial_rtt: Duration::from_millis(40),
            packet_bytes: 1_150,
            packet_overhead: 35,
            ack_bytes: 36,
            initial_window: 80_000,
            largest_window: 1_250_000,
            growth: 1.12,
            idle_timeout: Duration::from_secs(30),
            uplink: 125_000_000,
        }
    }
}

/// What one transfer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// When the last byte is there, in microseconds of the world.
    pub arrives: u64,
    /// Bytes on the wire by the sender.
    pub sender_bytes: u64,
    /// Bytes on the wire by the receiver.
    pub receiver_bytes: u64,
}

#[derive(Clone, Debug)]
struct Connection {
    lives: (u32, u32),
    ready: u64,
    last_used: u64,
    windows: [u64; 2],
}

/// One end of a transfer: which host, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The host.
    pub host: u32,
    /// How often it has been started.
    pub life: u32,
}

/// All connections of a world.
#[derive(Clone, Debug)]
pub struct Streams {
    costs: StreamCosts,
    connections: BTreeMap<(u32, u32), Connection>,
    uplink_free: BTreeMap<u32, u64>,
    handshakes: u64,
}

impl Streams {
    /// None yet.
    pub fn new(costs: StreamCosts) -> Self {
        Self { costs, connections: BTreeMap::new(), uplink_free: BTreeMap::new(), handshakes: 0 }
    }

    /// How many handshakes there were.
    pub fn handshakes(&self) -> u64 {
        self.handshakes
    }

    /// Sends `bytes` from one host to another, connecting first when there is no connection. `None` when the link is
    /// cut: then [`Streams::knock`] tells what trying cost.
    pub fn send(
        &mut self,
        now: u64,
        (from, to): (End, End),
        bytes: u64,
        network: &Network,
        dice: &mut Dice,
    ) -> Option<Transfer> {
        let (there, back) = (network.link(from.host, to.host)?, network.link(to.host, from.host)?);
        let rtt = there.latency + back.latency;
        let (key, lives, side) = pair(from, to);
        let idle = micros(self.costs.idle_timeout);
        let mut cost = Transfer { arrives: now, sender_bytes: 0, receiver_bytes: 0 };
        let known = self.connections.get(&key);
        if known.is_none_or(|known| known.lives != lives || now > known.last_used.max(known.ready) + idle) {
            let ready = now + self.shake_hands(rtt, there.loss.max(back.loss), dice, &mut cost);
            let windows = [self.costs.initial_window; 2];
            self.connections.insert(key, Connection { lives, ready, last_used: ready, windows });
        }
        let costs = &self.costs;
        let connection = self.connections.get_mut(&key).expect("inserted when missing");
        let begins = now.max(connection.ready);
        let (took, packets) = transfer(costs, bytes, there, rtt, &mut connection.windows[side], dice);
        let acks = packets.div_ceil(2);
        let sent = bytes + packets * (costs.packet_overhead + HEADER_BYTES as u64);
        cost.sender_bytes += sent;
        cost.receiver_bytes += acks * (costs.ack_bytes + HEADER_BYTES as u64);
        let free = self.uplink_free.entry(from.host).or_default();
        let queued = free.saturating_sub(begins);
        *free = begins.max(*free) + sent * 1_000_000 / costs.uplink;
        cost.arrives = begins + queued + sent * 1_000_000 / costs.uplink + micros(took);
        connection.last_used = cost.arrives;
        Some(cost)
    }

    /// What it costs to knock for `waiting` at a door that nobody opens, in bytes on the wire.
    pub fn knock(&mut self, from: End, to: End, waiting: Duration) -> u64 {
        let (key, ..) = pair(from, to);
        self.connections.remove(&key);
        let (mut bytes, mut wait, mut passed) = (0, self.costs.initial_rtt * 3, Duration::ZERO);
        while passed < waiting {
            bytes += 1_200 + HEADER_BYTES as u64;
            passed += wait;
            wait *= 2;
        }
        bytes
    }

    /// Microseconds until the first request may leave.
    fn shake_hands(&mut self, rtt: Duration, loss: f64, dice: &mut Dice, cost: &mut Transfer) -> u64 {
        self.handshakes += 1;
        let costs = &self.costs;
        let headers = u64::from(costs.handshake_datagrams.div_ceil(2)) * HEADER_BYTES as u64;
        cost.sender_bytes += costs.handshake_client_bytes + headers;
        cost.receiver_bytes += costs.handshake_server_bytes + headers;
        let mut took = rtt * costs.handshake_round_trips;
        for _ in 0..costs.handshake_datagrams {
            let mut timeout = (costs.initial_rtt * 3).max(rtt * 3 / 2);
            while loss > 0.0 && dice.random::<f64>() < loss && took < Duration::from_secs(60) {
                took += timeout;
                timeout *= 2;
                cost.sender_bytes += 1_200 + HEADER_BYTES as u64;
            }
        }
        micros(took)
    }
}

/// How long `bytes` take to be there, and in how many packets.
fn transfer(
    costs: &StreamCosts,
    bytes: u64,
    link: Link,
    rtt: Duration,
    window: &mut u64,
    dice: &mut Dice,
) -> (Duration, u64) {
    let mut left = bytes.div_ceil(costs.packet_bytes).max(1);
    let (mut took, mut sent) = (Duration::ZERO, 0);
    loop {
        let flight = left.min((*window / costs.packet_bytes).max(1));
        sent += flight;
        let (mut lost, mut tail_lost) = (0, false);
        if link.loss > 0.0 {
            for packet in 0..flight {
                let gone = dice.random::<f64>() < link.loss;
                lost += u64::from(gone);
                tail_lost |= gone && packet + 3 >= flight;
            }
        }
        left -= flight - lost;
        *window = scale(*window, costs.growth).min(costs.largest_window);
        if left == 0 {
            return (took + link.latency, sent);
        }
        // Fewer than three packets behind a lost one: only the probe timeout tells (RFC 9002 §6.1.1 and §6.2.1).
        let all_that_was_left = left == lost;
        took += if all_that_was_left && tail_lost { rtt * 3 + Duration::from_millis(25) } else { rtt };
        if took > Duration::from_secs(120) {
            return (took, sent);
        }
    }
}

fn pair(from: End, to: End) -> ((u32, u32), (u32, u32), usize) {
    if from.host <= to.host {
        ((from.host, to.host), (from.life, to.life), 0)
    } else {
        ((to.host, from.host), (to.life, from.life), 1)
    }
}

fn scale(bytes: u64, by: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a window of bytes times a share"
    )]
    let scaled = (bytes as f64 * by) as u64;
    scaled
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]
mod tests {
    use super::*;
    use crate::dice::dice;
    use crate::network::{HostSet, Latency, Verdict, Way, Weather};

    const ENDS: (End, End) = (End { host: 0, life: 0 }, End { host: 1, life: 0 });

    fn network(loss: f64) -> Network {
        let ten = Duration::from_millis(10);
        Network::new(1, Weather { latency: Latency::Uniform { min: ten, max: ten }, loss, ..Weather::default() })
    }

    #[test]
    fn a_first_request_pays_for_the_handshake_and_a_second_does_not() {
        let (network, mut dice) = (network(0.0), dice(1, 1));
        let mut streams = Streams::new(StreamCosts::default());
        let first = streams.send(0, ENDS, 100, &network, &mut dice).unwrap();
        assert_eq!(first.arrives / 1_000, 70, "three round trips and one way");
        let second = streams.send(first.arrives, ENDS, 100, &network, &mut dice).unwrap();
        assert_eq!((second.arrives - first.arrives) / 1_000, 10);
        assert!(second.sender_bytes < 200 && first.sender_bytes > 3_000);
    }

    /// What the example `quic_cost` of `mesh-gossip` measured: a first question of 100 bytes on a new connection, over
    /// paths of 1 to 20 ms one way; round trips until the answer of so many bytes is there, without loss and at 1 and
    /// 10 % (medians).
    const MEASURED: &[(u64, [f64; 3])] = &[
        (4_000, [4.0, 4.0, 8.8]),
        (16_000, [4.0, 4.0, 9.1]),
        (64_000, [4.2, 5.0, 10.6]),
        (250_000, [6.9, 7.9, f64::NAN]),
        (1_000_000, [17.2, 19.2, f64::NAN]),
        (2_500_000, [19.0, 21.8, f64::NAN]),
    ];

    /// Round trips of a first question with an answer of `bytes`: the median of many.
    fn modelled(bytes: u64, loss: f64) -> f64 {
        let mut round_trips: Vec<f64> = (0..400)
            .map(|seed| {
                let (network, mut dice) = (Network::new(seed, Weather { loss, ..Weather::default() }), dice(seed, 1));
                let mut streams = Streams::new(StreamCosts::default());
                let asked = streams.send(0, ENDS, 100, &network, &mut dice).unwrap();
                let answer = streams.send(asked.arrives, (ENDS.1, ENDS.0), bytes, &network, &mut dice).unwrap();
                let rtt = micros(network.latency(0, 1) * 2);
                answer.arrives as f64 / rtt as f64
            })
            .collect();
        round_trips.sort_by(f64::total_cmp);
        round_trips[round_trips.len() / 2]
    }

    #[test]
    fn the_model_takes_about_as_long_as_real_quinn() {
        for (bytes, measured) in MEASURED {
            for (loss, measured) in [0.0, 0.01, 0.1].into_iter().zip(measured).filter(|(_, it)| it.is_finite()) {
                let modelled = modelled(*bytes, loss);
                println!("{bytes:>9} B {:>3.0} %: measured {measured:>5.1}, modelled {modelled:>5.1}", loss * 100.0);
                assert!((0.6..1.5).contains(&(modelled / measured)), "{bytes} B at {loss}: {modelled} for {measured}");
            }
        }
    }

    #[test]
    fn the_model_sends_about_as_much_as_real_quinn() {
        let (network, mut dice) = (network(0.0), dice(1, 1));
        let mut streams = Streams::new(StreamCosts::default());
        let first = streams.send(0, ENDS, 100, &network, &mut dice).unwrap();
        // Measured with the answer of 100 bytes: 4,010 bytes in 7 packets up, 1,723 in 7 down.
        let answer = streams.send(first.arrives, (ENDS.1, ENDS.0), 100, &network, &mut dice).unwrap();
        let up = (first.sender_bytes + answer.receiver_bytes) as f64 / f64::from(4_010 + 7 * 28);
        let down = (first.receiver_bytes + answer.sender_bytes) as f64 / f64::from(1_723 + 7 * 28);
        assert!((0.9..1.1).contains(&up) && (0.9..1.1).contains(&down), "{up} {down}");
    }

    #[test]
    fn losses_cost_round_trips_and_a_cut_link_everything() {
        let (mut network, mut dice) = (network(0.1), dice(1, 1));
        let mut streams = Streams::new(StreamCosts::default());
        let lossy = streams.send(0, ENDS, 150_000, &network, &mut dice).unwrap();
        assert!(lossy.arrives > 100_000);
        let all: HostSet = [0].into_iter().collect();
        network.add_rule(Way::Around(all), Verdict::Cut);
        assert_eq!(streams.send(0, ENDS, 1, &network, &mut dice), None);
        let knocking = streams.knock(ENDS.0, ENDS.1, Duration::from_secs(1));
        assert!((3_000..6_000).contains(&knocking), "Initials after 0, 120, 360, 840 ms: {knocking}");
    }
}
