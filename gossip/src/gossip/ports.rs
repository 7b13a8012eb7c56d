//! The gossip sockets, one for each kind of address, and the question under which address others reach them.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::transport::udp::{DatagramCounts, Datagrams, RECEIVE_BUFFER_BYTES, Received};

/// How many oversized datagrams are skipped before we look at something else.
const OVERSIZED_AT_ONCE: usize = 16;

/// One or two sockets.
pub(super) struct Ports {
    ports: Vec<Port>,
}

struct Port {
    socket: Datagrams,
    buffer: Box<[u8; RECEIVE_BUFFER_BYTES]>,
}

/// A datagram in a buffer of [`Ports`], until the next one.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    port: usize,
    pub(super) from: SocketAddr,
    length: usize,
}

impl Ports {
    pub(super) fn bind(listen: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let bind = |address: &SocketAddr| match Datagrams::bind(*address) {
            Ok(socket) => Ok(Port { socket, buffer: Box::new([0; RECEIVE_BUFFER_BYTES]) }),
            Err(error) => Err((*address, error)),
        };
        Ok(Self { ports: listen.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// Where the sockets are bound.
    pub(super) fn local(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports.iter().map(|port| port.socket.local_addr())
    }

    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let of_kind = |port: &&Port| port.socket.local_addr().is_ipv4() == to.is_ipv4();
        if let Some(port) = self.ports.iter().find(of_kind).or(self.ports.first()) {
            port.socket.send(to, datagram);
        }
    }

    /// Waits for a datagram; `None` is one that was too long. Dropping the future loses nothing.
    pub(super) async fn receive(&mut self) -> io::Result<Option<Arrived>> {
        match self.ports.as_mut_slice() {
            [one] => one.receive(0).await,
            [one, two] => tokio::select! {
                arrived = one.receive(0) => arrived,
                arrived = two.receive(1) => arrived,
            },
            _ => pending().await,
        }
    }

    /// A datagram that is there already.
    pub(super) fn try_receive(&mut self) -> io::Result<Option<Arrived>> {
        for (at, port) in self.ports.iter_mut().enumerate() {
            // What is oversized is skipped, but not for ever: a flood of it must not keep us from everything else.
            for _ in 0..OVERSIZED_AT_ONCE {
                let Some(received) = port.socket.try_receive(&mut port.buffer)? else { break };
                if let Received::Datagram { from, bytes } = received {
                    return Ok(Some(Arrived { port: at, from, length: bytes.len() }));
                }
            }
        }
        Ok(None)
    }

    pub(super) fn bytes(&self, arrived: Arrived) -> &[u8] {
        &self.ports[arrived.port].buffer[..arrived.length]
    }

    /// What all sockets together did.
    pub(super) fn counts(&self) -> DatagramCounts {
        self.ports.iter().map(|port| port.socket.counts()).fold(DatagramCounts::default(), |sum, one| DatagramCounts {
            sent: sum.sent + one.sent,
            sent_bytes: sum.sent_bytes + one.sent_bytes,
            received: sum.received + one.received,
            received_bytes: sum.received_bytes + one.received_bytes,
            oversized: sum.oversized + one.oversized,
            dropped_full: sum.dropped_full + one.dropped_full,
            dropped_unreachable: sum.dropped_unreachable + one.dropped_unreachable,
            late_errors: sum.late_errors + one.late_errors,
        })
    }
}

impl Port {
    async fn receive(&mut self, at: usize) -> io::Result<Option<Arrived>> {
        Ok(match self.socket.receive(&mut self.buffer).await? {
            Received::Datagram { from, bytes } => Some(Arrived { port: at, from, length: bytes.len() }),
            Received::Oversized { .. } => None,
        })
    }
}

/// The IP addresses under which what is bound to `bound` can be reached by `towards`, as far as this machine knows: the
/// address itself, or for "all addresses" the one that a packet to `towards` would leave from.
pub(super) fn reachable_at(bound: IpAddr, towards: &[SocketAddr]) -> Vec<IpAddr> {
    if !bound.is_unspecified() {
        return vec![bound];
    }
    // Documentation addresses stand for the internet; connecting a UDP socket sends nothing.
    let four = [SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9))];
    let six = [SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9))];
    let towards = || towards.iter().copied();
    let source = |to: SocketAddr| {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    };
    let four = towards().filter(SocketAddr::is_ipv4).chain(four).find_map(source);
    let six = towards().filter(SocketAddr::is_ipv6).chain(six).find_map(source);
    match bound {
        IpAddr::V4(_) => vec![four.unwrap_or(Ipv4Addr::LOCALHOST.into())],
        IpAddr::V6(_) => {
            let found: Vec<IpAddr> = six.into_iter().chain(four).collect();
            if found.is_empty() { vec![Ipv6Addr::LOCALHOST.into()] } else { found }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IpAddr, Ipv4Addr, SocketAddr, reachable_at};

    #[test]
    fn a_node_bound_to_one_address_is_reached_there_and_one_bound_to_all_where_the_seed_sees_it() {
        let local: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert_eq!(reachable_at(local, &[]), [local]);
        assert_eq!(reachable_at(Ipv4Addr::UNSPECIFIED.into(), &[SocketAddr::new(local, 9)]), [local]);
        let alone = reachable_at(Ipv4Addr::UNSPECIFIED.into(), &[]);
        assert!(alone.len() == 1 && alone[0].is_ipv4() && !alone[0].is_unspecified());
    }
}
