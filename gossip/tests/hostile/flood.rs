//! Throws datagrams at a node, no faster than its socket takes them in.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use mesh_gossip::gossip::Gossip;

/// So many are under way at a time: more would be dropped by the kernel, which shows nothing about the node.
const WINDOW: u64 = 96;

/// What has not arrived by then was dropped on the way.
const LOST_AFTER: Duration = Duration::from_millis(100);

pub(crate) struct Flood {
    socket: UdpSocket,
    pub(crate) thrown: u64,
    pub(crate) arrived: u64,
}

impl Flood {
    /// From one address of this machine.
    pub(crate) fn new(source: [u8; 4]) -> Self {
        Self::from(UdpSocket::bind(SocketAddr::from((source, 0))).unwrap())
    }

    pub(crate) async fn throw(&mut self, at: &Gossip, count: u64, mut next: impl FnMut() -> Vec<u8>) {
        let to = at.local_addresses()[0];
        let mut left = count;
        while left > 0 {
            let now = left.min(WINDOW);
            left -= now;
            let before = received(at).await;
            for _ in 0..now {
                // A full buffer is a datagram lost, like any other.
                let _ = self.socket.send_to(&next(), to);
            }
            self.thrown += now;
            let begun = Instant::now();
            let mut seen = received(at).await;
            while seen < before + now && begun.elapsed() < LOST_AFTER {
                tokio::task::yield_now().await;
                seen = received(at).await;
            }
            self.arrived += now.min(seen - before);
        }
    }
}

impl From<UdpSocket> for Flood {
    fn from(socket: UdpSocket) -> Self {
        Self { socket, thrown: 0, arrived: 0 }
    }
}

async fn received(at: &Gossip) -> u64 {
    let datagrams = at.metrics().await.unwrap().datagrams;
    datagrams.received + datagrams.oversized
}
