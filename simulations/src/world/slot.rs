//! One host: what runs there, its clock, and what waits until it has time.

use std::collections::VecDeque;

use mesh_gossip::moment::Moment;

use super::Pending;
use crate::host::Host;
use crate::traffic::Traffic;

/// What Linux gives a UDP socket by default (`net.core.rmem_default`), bookkeeping included.
pub const SOCKET_BUFFER_BYTES: usize = 212_992;

/// A batch to be counted on waking: all that the socket holds by then.
const EVERYTHING: usize = usize::MAX;

pub(super) struct Slot<H: Host> {
    pub(super) host: Option<H>,
    pub(super) life: u32,
    pub(super) clock: Clock,
    stalled_until: u64,
    pub(super) busy_until: u64,
    pub(super) packet_cost: u64,
    inbox: VecDeque<Pending<H>>,
    inbox_bytes: usize,
    late: VecDeque<(Moment, H::Timer)>,
    batch: usize,
    pub(super) wake_at: u64,
    pub(super) traffic: Traffic,
}

/// How a host's clock stands to the world's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    world: u64,
    own: u64,
    fast_by_ppm: i64,
}

impl Clock {
    /// Shows the world's time, which is `world` now.
    fn right(world: u64) -> Self {
        Self { world, own: world, fast_by_ppm: 0 }
    }

    /// From `world` on it is fast by so many parts in a million.
    pub(super) fn skew(&mut self, world: u64, fast_by_ppm: i64) {
        *self = Self { world, own: self.own_at(world).as_micros(), fast_by_ppm };
    }

    pub(super) fn own_at(self, world: u64) -> Moment {
        let passed = i128::from(world - self.world);
        let own = i128::from(self.own) + passed + passed * i128::from(self.fast_by_ppm) / 1_000_000;
        Moment::from_micros(u64::try_from(own).unwrap_or(0))
    }

    /// When this clock will show `own`: never early.
    pub(super) fn world_at(self, own: Moment) -> u64 {
        let ahead = i128::from(own.as_micros()) - i128::from(self.own);
        if self.fast_by_ppm == 0 {
            return u64::try_from(i128::from(self.world) + ahead).unwrap_or(0);
        }
        let rate = 1_000_000 + i128::from(self.fast_by_ppm);
        let passed = (ahead * 1_000_000 + rate - 1).div_euclid(rate);
        u64::try_from(i128::from(self.world) + passed).unwrap_or(0)
    }
}

impl<H: Host> Slot<H> {
    /// A host that is down, made at `now`.
    pub(super) fn new(now: u64) -> Self {
        Self {
            host: None,
            life: 0,
            clock: Clock::right(now),
            stalled_until: 0,
            busy_until: 0,
            packet_cost: 0,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            late: VecDeque::new(),
            batch: 0,
            wake_at: 0,
            traffic: Traffic::default(),
        }
    }

    pub(super) fn crash(&mut self) {
        self.host = None;
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.late.clear();
        (self.stalled_until, self.busy_until, self.wake_at, self.batch) = (0, 0, 0, 0);
    }

    /// Pauses the process, and says until when.
    pub(super) fn stall(&mut self, until: u64) -> u64 {
        self.stalled_until = self.stalled_until.max(until);
        if self.batch == 0 {
            self.batch = EVERYTHING;
        }
        self.stalled_until
    }

    /// Until when it can see to nothing.
    pub(super) fn engaged_until(&self) -> u64 {
        self.stalled_until.max(self.busy_until)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !(self.inbox.is_empty() && self.late.is_empty())
    }

    /// Keeps something until there is time, and says whether it did: a packet for which the socket has no room is lost.
    pub(super) fn keep(&mut self, what: Pending<H>, seal_bytes: usize) -> bool {
        if let Pending::Timer { due, timer } = what {
            self.late.push_back((due, timer));
            return true;
        }
        let bytes = socket_bytes(&what, seal_bytes);
        let has_room = bytes == 0 || self.inbox_bytes + bytes <= SOCKET_BUFFER_BYTES;
        if has_room {
            self.inbox_bytes += bytes;
            self.inbox.push_back(what);
        } else {
            self.traffic.overflowed += 1;
        }
        has_room
    }

    /// What it sees to next: after a pause what is in the socket first, then one round of a runtime after the other:
    /// every timer that is due, then as many packets as there are by then.
    pub(super) fn next(&mut self, seal_bytes: usize) -> Option<Pending<H>> {
        if self.batch == EVERYTHING {
            self.batch = self.inbox.len();
        }
        if self.batch == 0 {
            if let Some((due, timer)) = self.late.pop_front() {
                return Some(Pending::Timer { due, timer });
            }
            self.batch = self.inbox.len();
        }
        let what = self.inbox.pop_front()?;
        self.batch -= 1;
        self.inbox_bytes -= socket_bytes(&what, seal_bytes);
        Some(what)
    }
}

/// What something takes of the socket's buffer: only packets are in there.
fn socket_bytes<H: Host>(what: &Pending<H>, seal_bytes: usize) -> usize {
    match what {
        Pending::Packet { body, .. } => kernel_bytes(body.len() + seal_bytes),
        _ => 0,
    }
}

/// What a datagram takes of a socket's buffer: Linux charges the whole buffer that the driver filled, not the bytes.
fn kernel_bytes(datagram: usize) -> usize {
    match datagram {
        0..=192 => 768,
        193..=704 => 1_280,
        _ => 2_304 * datagram.div_ceil(1_472),
    }
}
