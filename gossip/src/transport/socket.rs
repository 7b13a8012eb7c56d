//! Binding UDP sockets the way both transports want them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// A bound, non-blocking UDP socket whose kernel buffers hold up to `buffer_bytes` each way, as far as the system allows.
///
/// An unspecified IPv6 address takes IPv4 as well where the system can do that.
///
/// # Errors
/// When the address is in use, not ours, or of a family the system lacks.
pub(super) fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.ip() == IpAddr::from([0u16; 8]) {
        // Where the system refuses, the socket is IPv6 only, which is still worth having.
        let _ = socket.set_only_v6(false);
    }
    // The system caps what it grants (net.core.rmem_max); less is slower under bursts, not wrong.
    let _ = socket.set_recv_buffer_size(buffer_bytes);
    let _ = socket.set_send_buffer_size(buffer_bytes);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The address as its owner knows it: an IPv4 peer seen through an IPv6 socket is an IPv4 peer.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        four @ IpAddr::V4(_) => SocketAddr::new(four, address.port()),
        // As it is: a link-local address is nothing without its scope.
        IpAddr::V6(_) => address,
    }
}

/// Whether packets to this address do not leave the machine.
pub(super) fn is_here(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The address as a socket of the family of `local` wants it; `None` when that socket cannot reach it.
pub(super) fn for_socket(local: SocketAddr, peer: SocketAddr) -> Option<SocketAddr> {
    match (local, canonical(peer)) {
        (SocketAddr::V4(_), SocketAddr::V6(_)) => None,
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => Some(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())),
        (_, same) => Some(same),
    }
}
