//! What the QUIC endpoint did since it was bound, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::close::{Close, Reset};

/// A reading of all counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuicCounts {
    /// Bytes of UDP payload sent on proved connections, handshakes included, IP and UDP headers not.
    pub sent_bytes: u64,
    /// Bytes of UDP payload received on proved connections.
    pub received_bytes: u64,
    /// Connections that we opened and both ends proved.
    pub dialled: u64,
    /// Connections that others opened and both ends proved.
    pub accepted: u64,
    /// Dials of ours that failed.
    pub dials_failed: u64,
    /// Newcomers told to show that they receive at the address they send from.
    pub retries: u64,
    /// Messages answered or taken.
    pub served: u64,
    closed: [u64; Close::ALL.len()],
    reset: [u64; Reset::ALL.len()],
}

impl QuicCounts {
    /// How many connections we refused or closed for `reason`.
    pub fn closed(&self, reason: Close) -> u64 {
        self.closed[reason as usize]
    }

    /// How many streams of others we abandoned for `reason`.
    pub fn reset(&self, reason: Reset) -> u64 {
        self.reset[reason as usize]
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    pub(super) dialled: Counter,
    pub(super) accepted: Counter,
    pub(super) dials_failed: Counter,
    pub(super) retries: Counter,
    pub(super) served: Counter,
    closed: [Counter; Close::ALL.len()],
    reset: [Counter; Reset::ALL.len()],
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn closed(&self, reason: Close) {
        self.closed[reason as usize].count();
    }

    pub(super) fn reset(&self, reason: Reset) {
        self.reset[reason as usize].count();
    }

    /// Keeps what a connection that ends has carried.
    pub(super) fn keep(&self, stats: &quinn::ConnectionStats) {
        self.sent_bytes.fetch_add(stats.udp_tx.bytes, Ordering::Relaxed);
        self.received_bytes.fetch_add(stats.udp_rx.bytes, Ordering::Relaxed);
    }

    /// A reading, to which the caller adds the connections that are still open.
    pub(super) fn read(&self) -> QuicCounts {
        QuicCounts {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            dialled: self.dialled.read(),
            accepted: self.accepted.read(),
            dials_failed: self.dials_failed.read(),
            retries: self.retries.read(),
            served: self.served.read(),
            closed: self.closed.each_ref().map(Counter::read),
            reset: self.reset.each_ref().map(Counter::read),
        }
    }
}
