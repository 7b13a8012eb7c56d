//! A TCP listener that accepts no more than it can serve.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::config::{HttpConfig, PortTaken};

/// The most connections at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2_048;

/// Accepts connections, each with a permit of its own.
pub(crate) struct BoundedListener {
    listener: TcpListener,
    address: SocketAddr,
    permits: Arc<Semaphore>,
    end: CancellationToken,
}

/// A connection; its permit goes with it. It breaks when its node ends: axum serves each in a task that nobody owns.
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

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.expect("nobody closes the semaphore");
        // axum's own listener waits out a lack of file descriptors and drops connections that broke already.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let end = Box::pin(self.end.clone().cancelled_owned());
        (Connection { stream, end, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connection {
    /// Small answers leave at once.
    pub(crate) fn send_at_once(&mut self) {
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke before it was served");
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
