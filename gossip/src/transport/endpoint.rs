//! The UDP socket under the QUIC endpoint. It tells when nobody listens at an address of this machine any more: the system
//! knows that a process is gone the moment it is, long before silence is a sign of it.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;

use super::socket;

/// How long to wait for room in the system's buffer where it does not tell.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The most bytes of what the system says about one error: an error, and who reported it.
const REPORT_BYTES: usize = 256;

/// The socket.
#[derive(Debug)]
pub(super) struct EndpointSocket {
    io: UdpSocket,
    state: UdpSocketState,
}

impl EndpointSocket {
    /// Takes over `socket`, which does not block. Must be called inside a tokio runtime.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // Where the system does not know them, silence has to do. A socket of IPv6 may have peers of both kinds.
        let _ = setsockopt(&socket, Ipv4RecvErr, &true);
        if socket.local_addr()?.is_ipv6() {
            let _ = setsockopt(&socket, Ipv6RecvErr, &true);
        }
        Ok(Self { io: UdpSocket::from_std(socket)?, state })
    }

    /// Waits until the system says that nobody listens at an address of this machine. Only there: what comes from the
    /// network about other machines may have been sent by anybody. Dropping the future loses nothing.
    pub(super) async fn refused(&self) -> io::Result<SocketAddr> {
        loop {
            self.io.ready(Interest::ERROR).await?;
            match self.io.try_io(Interest::ERROR, || next_refusal(&self.io)) {
                Ok(Some(address)) if socket::is_here(address) => return Ok(socket::canonical(address)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for room to send.
    async fn has_room(self: Arc<Self>) -> io::Result<()> {
        let ready = self.io.ready(Interest::WRITABLE).await?;
        if ready & Ready::WRITABLE == Ready::EMPTY {
            // After an error of the socket tokio says no more than that it is done with.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

impl AsyncUdpSocket for EndpointSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room { socket: self, coming: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || {
            let send = || self.state.try_send((&self.io).into(), transmit);
            match send() {
                // That is about an earlier packet to somebody else, and this one was not sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.state.send((&self.io).into(), transmit)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
                // Packets get lost; QUIC sends them again.
                Ok(()) | Err(_) => Ok(()),
            }
        })
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(context))?;
            let receive = || self.state.recv((&self.io).into(), buffers, metas);
            // Errors are about packets that were sent.
            if let Ok(count) = self.io.try_io(Interest::READABLE, receive) {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

type Coming = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// One task's wait for room.
struct Room {
    socket: Arc<EndpointSocket>,
    coming: Option<Coming>,
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = Arc::clone(&self.socket);
        let coming = self.coming.get_or_insert_with(|| Box::pin(socket.has_room()));
        let room = ready!(coming.as_mut().poll(context));
        self.coming = None;
        Poll::Ready(room)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room in {:?}", self.socket)
    }
}

/// The next of the errors that the system keeps (`IP_RECVERR` in ip(7)): where a packet went that was refused; nothing for
/// an error of another kind.
fn next_refusal(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    let (mut packet, mut report) = ([0; 1], [0; REPORT_BYTES]);
    let mut packet = [IoSliceMut::new(&mut packet)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let error = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut packet, Some(&mut report), flags)?;
    let is_refusal = error.cmsgs()?.any(|part| match part {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            Errno::from_raw(error.ee_errno.cast_signed()) == Errno::ECONNREFUSED
        }
        _ => false,
    });
    Ok(error.address.filter(|_| is_refusal).as_ref().and_then(address_of))
}

fn address_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = || address.as_sockaddr_in().map(|four| SocketAddr::new(four.ip().into(), four.port()));
    let six = || {
        let six = address.as_sockaddr_in6()?;
        let ip: Ipv6Addr = six.ip();
        Some(SocketAddrV6::new(ip, six.port(), six.flowinfo(), six.scope_id()).into())
    };
    four().or_else(six)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn bound(ip: IpAddr) -> EndpointSocket {
        EndpointSocket::new(socket::bind(SocketAddr::new(ip, 0), 1 << 16).unwrap()).unwrap()
    }

    async fn send(from: &EndpointSocket, to: SocketAddr, contents: &[u8]) {
        from.io.writable().await.unwrap();
        from.try_send(&Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None }).unwrap();
    }

    async fn receive(socket: &EndpointSocket) -> Vec<u8> {
        let (mut buffer, mut meta) = ([0; 2_000], [RecvMeta::default()]);
        let count =
            std::future::poll_fn(|context| socket.poll_recv(context, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
        assert_eq!(tokio::time::timeout(SOON, count).await.unwrap().unwrap(), 1);
        buffer[..meta[0].len].to_vec()
    }

    #[tokio::test]
    async fn an_address_at_which_nobody_listens_any_more_is_told_and_others_get_all_their_packets() {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let (from, other) = (bound(ip), bound(ip));
            for _ in 0..3 {
                let gone = bound(ip).local_addr().unwrap();
                send(&from, gone, b"to nobody").await;
                send(&from, other.local_addr().unwrap(), b"to somebody").await;
                assert_eq!(receive(&other).await, b"to somebody");
                send(&other, from.local_addr().unwrap(), b"back").await;
                assert_eq!(receive(&from).await, b"back");
                assert_eq!(tokio::time::timeout(SOON, from.refused()).await.unwrap().unwrap(), gone);
            }
            let mut room = Arc::new(from).create_io_poller();
            let writable = std::future::poll_fn(|context| room.as_mut().poll_writable(context));
            tokio::time::timeout(SOON, writable).await.unwrap().unwrap();
        }
    }
}
