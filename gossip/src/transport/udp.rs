//! The gossip socket: datagrams of at most [`MAX_DATAGRAM_BYTES`], sent without ever waiting.
//!
//! A datagram is advice that may get lost anyway, so a full kernel buffer or an unreachable host is a number here and
//! never an error for the protocol: SWIM finds out who is gone, not the socket.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::UdpSocket;

use super::socket;

/// The most bytes of a gossip datagram, so that it fits every path unfragmented (1,280 bytes of IPv6 less headers).
pub const MAX_DATAGRAM_BYTES: usize = 1_200;

/// How large a receive buffer must be: more than is allowed, so that what is too long is seen to be.
pub const RECEIVE_BUFFER_BYTES: usize = 1_500;

/// Kernel buffer asked for each way: a burst of two thousand datagrams, bounded so that a stalled process wakes to
/// seconds of backlog and not to minutes.
const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// The least time between two log lines about failed sends or receives.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The gossip socket. Sending and receiving may go on at the same time; receiving from one task only.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    counts: Counts,
    log: LogPace,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A datagram of allowed size.
    Datagram {
        /// Who sent it, or claims so; IPv4 peers appear with IPv4 addresses.
        from: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// Something longer than [`MAX_DATAGRAM_BYTES`], dropped.
    Oversized {
        /// Who sent it, or claims so.
        from: SocketAddr,
    },
}

/// What the socket did since it was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounts {
    /// Datagrams handed to the kernel.
    pub sent: u64,
    /// Bytes in them, without UDP and IP headers.
    pub sent_bytes: u64,
    /// Datagrams received within bounds.
    pub received: u64,
    /// Bytes in them, without UDP and IP headers.
    pub received_bytes: u64,
    /// Datagrams received that were too long.
    pub oversized: u64,
    /// Datagrams not sent because the kernel's buffer was full.
    pub dropped_full: u64,
    /// Datagrams not sent because the address cannot be reached from this socket.
    pub dropped_unreachable: u64,
    /// Errors the kernel reported about earlier datagrams.
    pub late_errors: u64,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    oversized: AtomicU64,
    dropped_full: AtomicU64,
    dropped_unreachable: AtomicU64,
    late_errors: AtomicU64,
}

impl Datagrams {
    /// Binds the gossip socket. `[::]` takes both IPv6 and IPv4 where the system can; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is in use, not ours, or of a family the system lacks.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket::bind(address, KERNEL_BUFFER_BYTES)?)?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, counts: Counts::default(), log: LogPace::default() })
    }

    /// Where the socket is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends `datagram` to `to` if that can be done at once, and counts it as dropped otherwise. Never waits.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        debug_assert!(datagram.len() <= MAX_DATAGRAM_BYTES, "a gossip datagram of {} bytes", datagram.len());
        let Some(address) = socket::for_socket(self.local, to) else {
            add(&self.counts.dropped_unreachable, 1);
            return;
        };
        // Past tokio's readiness, which knows nothing of a fresh socket yet and would drop the first datagrams.
        let raw = SockRef::from(&self.socket);
        let mut outcome = raw.send_to(datagram, &address.into());
        if outcome.as_ref().is_err_and(|error| is_about_an_earlier_datagram(error.kind())) {
            // The kernel reported somebody else's failure in place of sending; it does so once.
            add(&self.counts.late_errors, 1);
            outcome = raw.send_to(datagram, &address.into());
        }
        match outcome {
            Ok(_) => {
                add(&self.counts.sent, 1);
                add(&self.counts.sent_bytes, datagram.len() as u64);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => add(&self.counts.dropped_full, 1),
            Err(error) => {
                add(&self.counts.dropped_unreachable, 1);
                if self.log.due() {
                    tracing::debug!(%to, %error, "gossip datagrams cannot be sent");
                }
            }
        }
    }

    /// Waits for the next datagram. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Only when the socket itself is broken; what the kernel reports about single destinations is counted and skipped.
    pub async fn receive<'a>(&self, buffer: &'a mut [u8; RECEIVE_BUFFER_BYTES]) -> io::Result<Received<'a>> {
        let (length, from) = loop {
            match self.socket.recv_from(buffer).await {
                Ok(received) => break received,
                Err(error) if is_about_one_destination(&error) => self.skip(&error),
                Err(error) => return Err(error),
            }
        };
        Ok(self.sort(&buffer[..], length, from))
    }

    /// The next datagram if one is already there.
    ///
    /// # Errors
    /// As [`Datagrams::receive`].
    pub fn try_receive<'a>(&self, buffer: &'a mut [u8; RECEIVE_BUFFER_BYTES]) -> io::Result<Option<Received<'a>>> {
        let (length, from) = loop {
            match self.socket.try_recv_from(buffer) {
                Ok(received) => break received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if is_about_one_destination(&error) => self.skip(&error),
                Err(error) => return Err(error),
            }
        };
        Ok(Some(self.sort(&buffer[..], length, from)))
    }

    /// What was sent, received and dropped so far.
    pub fn counts(&self) -> DatagramCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DatagramCounts {
            sent: read(&self.counts.sent),
            sent_bytes: read(&self.counts.sent_bytes),
            received: read(&self.counts.received),
            received_bytes: read(&self.counts.received_bytes),
            oversized: read(&self.counts.oversized),
            dropped_full: read(&self.counts.dropped_full),
            dropped_unreachable: read(&self.counts.dropped_unreachable),
            late_errors: read(&self.counts.late_errors),
        }
    }

    fn sort<'a>(&self, buffer: &'a [u8], length: usize, from: SocketAddr) -> Received<'a> {
        let from = socket::canonical(from);
        if length > MAX_DATAGRAM_BYTES {
            add(&self.counts.oversized, 1);
            return Received::Oversized { from };
        }
        add(&self.counts.received, 1);
        add(&self.counts.received_bytes, length as u64);
        Received::Datagram { from, bytes: &buffer[..length] }
    }

    fn skip(&self, error: &io::Error) {
        add(&self.counts.late_errors, 1);
        if self.log.due() {
            tracing::debug!(%error, "the kernel reports gossip datagrams undelivered");
        }
    }
}

fn is_about_an_earlier_datagram(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}

fn is_about_one_destination(error: &io::Error) -> bool {
    // "Message too long" has no kind of its own; the kernel says it of an earlier datagram its path could not carry.
    const MESSAGE_TOO_LONG: i32 = match () {
        () if cfg!(target_os = "linux") => 90,
        () if cfg!(windows) => 10_040,
        () => 40,
    };
    is_about_an_earlier_datagram(error.kind())
        || matches!(error.kind(), ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown)
        || error.raw_os_error() == Some(MESSAGE_TOO_LONG)
}

fn add(count: &AtomicU64, by: u64) {
    count.fetch_add(by, Ordering::Relaxed);
}

/// Lets one log line through per [`LOG_EVERY`].
#[derive(Debug)]
struct LogPace {
    since: Instant,
    next_millis: AtomicU64,
}

impl Default for LogPace {
    fn default() -> Self {
        Self { since: Instant::now(), next_millis: AtomicU64::new(0) }
    }
}

impl LogPace {
    fn due(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next_millis.load(Ordering::Relaxed);
        let then = now.saturating_add(LOG_EVERY.as_millis() as u64);
        now >= next && self.next_millis.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn the_first_datagram_of_a_fresh_socket_arrives() {
        let (here, there) = (Datagrams::bind(LOOPBACK).unwrap(), Datagrams::bind(LOOPBACK).unwrap());
        here.send(there.local_addr(), b"hello");
        let mut buffer = [0; RECEIVE_BUFFER_BYTES];
        let received = there.receive(&mut buffer).await.unwrap();
        assert_eq!(received, Received::Datagram { from: here.local_addr(), bytes: b"hello" });
        assert_eq!((here.counts().sent, there.counts().received_bytes), (1, 5));
    }

    #[tokio::test]
    async fn a_datagram_is_oversized_from_1201_bytes_on_however_long_it_is() {
        let there = Datagrams::bind(LOOPBACK).unwrap();
        let stranger = std::net::UdpSocket::bind(LOOPBACK).unwrap();
        let from = stranger.local_addr().unwrap();
        let mut buffer = [0; RECEIVE_BUFFER_BYTES];
        for length in [1_201, 1_500, 1_501, 9_000] {
            stranger.send_to(&vec![7; length], there.local_addr()).unwrap();
            assert_eq!(there.receive(&mut buffer).await.unwrap(), Received::Oversized { from });
        }
        stranger.send_to(&[7; 1_200], there.local_addr()).unwrap();
        assert!(
            matches!(there.receive(&mut buffer).await.unwrap(), Received::Datagram { bytes, .. } if bytes.len() == 1_200)
        );
        assert_eq!(there.counts().oversized, 4);
    }

    #[tokio::test]
    async fn a_dual_stack_socket_shows_and_reaches_ipv4_peers_by_their_ipv4_address() {
        let Ok(both) = Datagrams::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)) else {
            return; // a machine without IPv6
        };
        let four = Datagrams::bind(LOOPBACK).unwrap();
        let mut buffer = [0; RECEIVE_BUFFER_BYTES];
        four.send(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), both.local_addr().port()), b"ping");
        let Received::Datagram { from, .. } = both.receive(&mut buffer).await.unwrap() else { panic!("oversized") };
        assert_eq!(from, four.local_addr());
        both.send(from, b"pong");
        assert!(matches!(four.receive(&mut buffer).await.unwrap(), Received::Datagram { bytes: b"pong", .. }));
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_counted_and_the_socket_lives_on() {
        let here = Datagrams::bind(LOOPBACK).unwrap();
        here.send(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 9), b"wrong family");
        here.send(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 9), b"not from loopback");
        let gone = Datagrams::bind(LOOPBACK).unwrap().local_addr();
        for _ in 0..10 {
            here.send(gone, b"nobody there");
        }
        here.send(here.local_addr(), b"myself");
        let mut buffer = [0; RECEIVE_BUFFER_BYTES];
        assert!(matches!(here.receive(&mut buffer).await.unwrap(), Received::Datagram { bytes: b"myself", .. }));
        assert_eq!(here.try_receive(&mut buffer).unwrap(), None);
        assert!(here.counts().dropped_unreachable >= 1);
    }
}
