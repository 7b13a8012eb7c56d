//! Bytes on the wire, by what they were for.

/// How many kinds of datagram are told apart.
pub const KINDS: usize = 24;

/// What one host has sent, headers of IP and UDP included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their bytes.
    pub datagram_bytes: u64,
    /// Bytes of streams: handshakes, requests, answers, acknowledgements, retransmissions.
    pub stream_bytes: u64,
    /// Bytes of datagrams by kind, as the host names kinds.
    pub by_kind: [u64; KINDS],
    /// Datagrams that found the socket buffer full.
    pub overflowed: u64,
}

impl Traffic {
    /// Everything sent.
    pub fn bytes(&self) -> u64 {
        self.datagram_bytes + self.stream_bytes
    }

    /// Counts one datagram of `bytes` on the wire.
    pub fn datagram(&mut self, kind: usize, bytes: u64) {
        self.datagrams += 1;
        self.datagram_bytes += bytes;
        self.by_kind[kind.min(KINDS - 1)] += bytes;
    }

    /// What was sent since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut by_kind = self.by_kind;
        for (now, then) in by_kind.iter_mut().zip(earlier.by_kind) {
            *now -= then;
        }
        Self {
            datagrams: self.datagrams - earlier.datagrams,
            datagram_bytes: self.datagram_bytes - earlier.datagram_bytes,
            stream_bytes: self.stream_bytes - earlier.stream_bytes,
            by_kind,
            overflowed: self.overflowed - earlier.overflowed,
        }
    }

    /// Adds another host's.
    pub fn add(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.datagram_bytes += other.datagram_bytes;
        self.stream_bytes += other.stream_bytes;
        for (sum, part) in self.by_kind.iter_mut().zip(other.by_kind) {
            *sum += part;
        }
        self.overflowed += other.overflowed;
    }
}
