//! A TCP listener that accepts no more than it can serve.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::config::{HttpConfig, PortTaken};

/// The most connections at a time.
const MAX_CONNECTIONS: usize = 2_048;

/// Accepts connections, each with a permit of its own.
pub(crate) struct BoundedListener {
    listener: TcpListener,
    address: SocketAddr,
    permits: Arc<Semaphore>,
    end: CancellationToken,
}

/// A connection; its permit goes with it. It breaks when its node ends.
pub(crate) struct Connection {
    stream: TcpStream,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

/// HTTP could not listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen for HTTP on {address}: {source}; choose another one (MESH_HTTP_LISTEN), or port 0 for a free one"
)]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl BoundedListener {
    /// Listens where `config` says, or on a free port when that one is taken and another is allowed. Its connections break
    /// when `end` fires.
    pub(crate) async fn bind(config: &HttpConfig, end: CancellationToken) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address: config.listen, source };
        let listener = match TcpListener::bind(config.listen).await {
            Ok(listener) => listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && config.port_taken == PortTaken::TakeAnother => {
                let listener = TcpListener::bind((config.listen.ip(), 0)).await.map_err(failed)?;
                let instead = listener.local_addr().map_err(failed)?;
                tracing::warn!(wanted = %config.listen, %instead, "the HTTP port is taken, using another one");
                listener
            }
            Err(error) => return Err(failed(error)),
        };
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)), end })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl BoundedListener {
    /// The next connection. It is not served before there is room for it.
    ///
    /// # Errors
    /// When it broke already, or the system has no room for it: try again in a moment.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    /// Room for a connection, if there is any.
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Room for a connection, as soon as there is any.
    pub(super) async fn wait_for_room(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.permits).acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// A connection that has room.
    pub(super) fn connection(&self, stream: TcpStream, room: OwnedSemaphorePermit) -> Connection {
        // Small answers leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke before it was served");
        }
        Connection { stream, end: Box::pin(self.end.clone().cancelled_owned()), _permit: room }
    }

    #[cfg(test)]
    pub(super) fn at_most(mut self, connections: usize) -> Self {
        self.permits = Arc::new(Semaphore::new(connections));
        self
    }
}

impl Connection {
    /// Its first byte, which stays there to be read.
    ///
    /// # Errors
    /// When it ends before.
    pub(crate) async fn first_byte(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.stream.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever serves a connection reads all the time, at least to find out whether the client is still there.
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
