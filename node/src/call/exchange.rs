//! One HTTP request and its response between two nodes, over a QUIC stream of kind 17: what an MCP session needs and a
//! call cannot express.
//!
//! Each direction is a length (four bytes, big endian), a head of so many bytes, and a body until the end of the stream.
//! Nothing but what the network holds is held: a body goes on only as fast as its reader takes it. A stream that is
//! reset, or stopped, ends the exchange at both ends.

mod head;
mod serve;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use mesh_gossip::transport::quic::{AskError, MemberStream};
use mesh_gossip::{Gossip, MemberId};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use self::head::{RequestHead, ResponseHead};

pub(crate) use self::head::travelling;
pub use self::serve::{Answer, serve};

/// The kind of stream that exchanges travel on.
pub const KIND: u8 = 17;

/// How many exchanges a node serves at once, long-lived streams of events included; as many more wait.
pub const AT_ONCE: usize = 1_024;

/// How long connecting to a member may take.
const CONNECT: Duration = Duration::from_millis(500);

/// How long a head may take to arrive after its stream was opened by the other end.
const HEAD: Duration = Duration::from_secs(10);

/// How much of a body is taken from the network at once, and how many such pieces wait for their reader.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_WAITING: usize = 2;

/// An open line to a member over which nothing was said yet.
pub struct Exchange(Line);

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The member cannot be reached, or has too much to do; it has seen nothing. Ask another one.
    #[error(transparent)]
    Unreachable(#[from] AskError),
    /// The head of the request is larger than 64 KiB. Send fewer or shorter headers.
    #[error("the headers of the request are larger than {limit} bytes")]
    TooLarge {
        /// The most bytes of a head.
        limit: usize,
    },
    /// The line broke before the response; the member may have acted on the request.
    #[error("the line to the member broke before it answered")]
    Broken,
}

/// Why a body was not passed on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// There was no more of it.
    Source,
    /// Nobody takes more of it.
    Sink,
}

/// A stream that is reset when it is dropped before both ends are done with it: merely dropped, it would look complete.
struct Line {
    stream: MemberStream,
    is_complete: bool,
}

impl Exchange {
    /// Opens a line to `member` for requests of that `kind`, connecting first if need be, within half a second. Dropping
    /// the future leaves nothing.
    ///
    /// # Errors
    /// [`ExchangeError::Unreachable`].
    pub async fn open(gossip: &Gossip, member: MemberId, kind: u8) -> Result<Self, ExchangeError> {
        let stream = gossip.open(member, kind, CONNECT).await?;
        Ok(Self(Line { stream, is_complete: false }))
    }

    /// Sends `request` and waits for the head of the response, however long that takes. Both bodies are passed on while
    /// the response lives; dropping that, or this future, tells the member that nobody waits any more.
    ///
    /// # Errors
    /// [`ExchangeError`], by what the caller may do.
    pub async fn send(self, request: Request<Body>) -> Result<Response<Body>, ExchangeError> {
        let (parts, body) = request.into_parts();
        let head = RequestHead::of(&parts).encode().ok_or(ExchangeError::TooLarge { limit: head::MAX_HEAD_BYTES })?;
        let (answered, answer) = oneshot::channel();
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(self.0, head, body, answered, pieces)));
        let head = answer.await.map_err(|_| ExchangeError::Broken)?;
        let pieces = ReceiverStream::new(waiting).map(move |piece| {
            // Owned by the body, the driver ends with it.
            let _driven = &driver;
            piece
        });
        head.response(Body::from_stream(pieces)).ok_or(ExchangeError::Broken)
    }
}

/// Sends a request and takes its response, both at once.
async fn drive(
    mut line: Line,
    head: Bytes,
    body: Body,
    answered: oneshot::Sender<ResponseHead>,
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
) {
    let MemberStream { send, receive, .. } = &mut line.stream;
    let down = async {
        let head = ResponseHead::decode(&head::read(receive).await?)?;
        answered.send(head).ok()?;
        take_body(receive, &pieces).await
    };
    let up = pass_body(send, head, body);
    let (mut down, mut up) = (std::pin::pin!(down), std::pin::pin!(up));
    let mut is_sent = false;
    let is_answered = loop {
        tokio::select! {
            answered = &mut down => break answered.is_some(),
            sent = &mut up, if !is_sent => match sent {
                // Whoever refuses a large request answers without having read it.
                Ok(()) | Err(Cut::Sink) => is_sent = true,
                Err(Cut::Source) => break false,
            },
        }
    };
    line.is_complete = is_answered && is_sent;
    if !is_answered {
        // Nobody may be left to hear it.
        let _ = pieces.send(Err(std::io::Error::other("the line to the member broke"))).await;
    }
}

/// Passes a head and all of `body` on, and ends the stream.
async fn pass_body(send: &mut SendStream, head: Bytes, mut body: Body) -> Result<(), Cut> {
    send.write_chunk(head).await.map_err(|_| Cut::Sink)?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Cut::Source)?.into_data() {
            send.write_chunk(data).await.map_err(|_| Cut::Sink)?;
        }
    }
    send.finish().map_err(|_| Cut::Sink)
}

/// Passes what arrives on until the other end is done; nothing when either end broke off.
async fn take_body(receive: &mut RecvStream, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> Option<()> {
    while let Some(chunk) = receive.read_chunk(PIECE_BYTES, true).await.ok()? {
        pieces.send(Ok(chunk.bytes)).await.ok()?;
    }
    Some(())
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_complete {
            // Fails only for a stream that has ended already. What is not read is stopped by dropping it.
            let _ = self.stream.send.reset(VarInt::from_u32(0));
        }
    }
}

#[cfg(test)]
mod tests;
