//! Streams of a proved link: a kind byte, then whatever that kind means.
//!
//! Two kinds are gossip's own. An *ask* is a bounded question with a bounded answer; a *ship* is a bounded message that
//! its receiver acknowledges, once it is in the queue, by finishing the stream. Everything else belongs to whoever
//! registered the kind (see [`super::quic::Quic::register`]).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, WriteError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::close::{Close, Reset};
use super::config::MEMBER_BYTES;
use super::link::{InUse, Link};
use super::quic::Shared;
use super::socket;
use crate::id::MemberId;

/// The most bytes of a question.
pub const MAX_ASK_BYTES: usize = 64 << 10;

/// The most bytes of an answer; an asker may allow less.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// The most bytes of a shipped message.
pub const MAX_SHIP_BYTES: usize = 256 << 10;

/// Kinds below this are gossip's own.
pub const FIRST_FREE_KIND: u8 = 16;

const ASK: u8 = 1;
const SHIP: u8 = 2;

/// How long a peer may take to send what it opened a stream for, and we to find an answer, and the peer to take it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Work that took longer at once has held up the streams behind it; so many of them get tasks of their own then.
const HELD_UP: Duration = Duration::from_micros(200);
const TASKS_THEN: u32 = 1_000;

/// A stream of a registered kind, positioned after its kind byte. The link counts as busy while this lives, so keep it
/// whole. Both halves behave as quinn's: a dropped `send` finishes the stream, so reset it to say that it is cut short.
pub struct MemberStream {
    /// Who is at the other end, proved.
    pub member: MemberId,
    /// Where that member is.
    pub address: SocketAddr,
    /// What we say.
    pub send: SendStream,
    /// What the member says.
    pub receive: RecvStream,
    link: InUse,
}

/// What is to be done for one stream.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whoever takes the streams of a kind.
pub trait Handler: Send + Sync + 'static {
    /// Takes a stream, and says what is to be done for it, if anything is left to do; or gives it back with what its
    /// opener is told. Called from the task that serves the whole connection: it must not block.
    ///
    /// # Errors
    /// The stream, and why it is not taken.
    fn take(&self, stream: MemberStream) -> Result<Option<Work>, (Reset, Box<MemberStream>)>;

    /// Whether it takes no more, so that somebody else may have the kind.
    fn is_closed(&self) -> bool;
}

/// A queue takes streams as long as it has room.
impl Handler for mpsc::Sender<MemberStream> {
    fn take(&self, stream: MemberStream) -> Result<Option<Work>, (Reset, Box<MemberStream>)> {
        self.try_send(stream).map(|()| None).map_err(|error| match error {
            TrySendError::Full(stream) => (Reset::Busy, Box::new(stream)),
            TrySendError::Closed(stream) => (Reset::UnknownKind, Box::new(stream)),
        })
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }
}

/// A question from a proved member.
#[derive(Debug)]
pub struct IncomingAsk {
    /// Who asks.
    pub from: MemberId,
    /// Where that member is.
    pub address: SocketAddr,
    /// The question, at most [`MAX_ASK_BYTES`].
    pub request: Bytes,
    /// Where the answer goes.
    pub reply: Reply,
}

/// The right to answer one question. Dropped unused, it tells the asker that there is no answer.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Bytes>);

/// A message that a proved member shipped. Its sender has been told that it arrived.
#[derive(Debug)]
pub struct Shipment {
    /// Who shipped it.
    pub from: MemberId,
    /// Where that member is.
    pub address: SocketAddr,
    /// The message, at most [`MAX_SHIP_BYTES`].
    pub message: Bytes,
}

impl Reply {
    /// Sends the answer on its way; it goes out as fast as the asker takes it, and no further once the asker gave up.
    /// One longer than [`MAX_ANSWER_BYTES`] becomes a refusal.
    pub fn send(self, answer: Bytes) {
        if answer.len() <= MAX_ANSWER_BYTES {
            // The asker may have gone; then nobody misses the answer.
            let _ = self.0.send(answer);
        }
    }
}

/// How a stream ended other than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The other end abandoned it.
    Reset(Reset),
    /// The other end sent more than it may.
    TooLong,
    /// One end replaced or gave up the connection; the other may not have seen the stream.
    Moved,
    /// The connection was lost.
    Lost,
}

impl From<WriteError> for Broken {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset(Reset::from_code(code)),
            WriteError::ConnectionLost(error) => Self::of(&error),
            _ => Self::Lost,
        }
    }
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(Reset::from_code(code)),
            ReadError::ConnectionLost(error) => Self::of(&error),
            _ => Self::Lost,
        }
    }
}

impl Broken {
    pub(super) fn of(error: &quinn::ConnectionError) -> Self {
        match error {
            quinn::ConnectionError::ApplicationClosed(close) => match Close::from_code(close.error_code) {
                Some(Close::Replaced | Close::Idle | Close::Silent | Close::Busy) => Self::Moved,
                _ => Self::Lost,
            },
            // The member's process is a new one that knows nothing of the connection; or we closed it ourselves,
            // between choosing it and using it.
            quinn::ConnectionError::Reset | quinn::ConnectionError::LocallyClosed => Self::Moved,
            _ => Self::Lost,
        }
    }
}

/// One message out, one back, on a stream of its own. Dropping the future abandons the stream and tells the peer.
pub(super) async fn exchange(link: &Arc<Link>, what: What, message: Bytes, limit: usize) -> Result<Bytes, Broken> {
    let busy = link.occupy();
    if limit > MEMBER_BYTES as usize {
        link.widen();
    }
    let (mut send, mut receive) = link.connection.open_bi().await.map_err(|error| Broken::of(&error))?;
    let kind = match what {
        What::Ask => ASK,
        What::Ship => SHIP,
    };
    if let Err(broken) = send_whole(&mut send, &mut [Bytes::copy_from_slice(&[kind]), message]).await {
        // A peer that has no use for the message stops it, and says why on its own half.
        return match broken {
            Broken::Reset(_) => Err(read_whole(&mut receive, 0, None).await.err().unwrap_or(broken)),
            _ => Err(broken),
        };
    }
    let answer = read_whole(&mut receive, limit, None).await;
    drop(busy);
    answer
}

/// What an exchange of gossip's own is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Ask,
    Ship,
}

/// A stream of another kind to the member at the other end of `link`.
pub(super) async fn open(link: &Arc<Link>, kind: u8) -> Result<MemberStream, Broken> {
    let busy = link.occupy();
    link.widen();
    let (mut send, receive) = link.connection.open_bi().await.map_err(|error| Broken::of(&error))?;
    send.write_all(&[kind]).await?;
    Ok(MemberStream::new(busy, send, receive))
}

impl MemberStream {
    fn new(link: InUse, send: SendStream, receive: RecvStream) -> Self {
        let member = link.link().member;
        let address = socket::canonical(link.link().connection.remote_address());
        Self { member, address, send, receive, link }
    }
}

/// Serves the streams that the member at the other end opens, until the link is closed.
pub(super) async fn serve(shared: Arc<Shared>, link: Arc<Link>) {
    let outlived = link.outlived();
    tokio::pin!(outlived);
    let mut shifts = Shifts::default();
    loop {
        shifts.waited = false;
        tokio::select! {
            stream = accept(&link, &mut shifts.waited) => match stream {
                Ok((send, receive)) => begin(&shared, &mut shifts, link.occupy(), send, receive),
                Err(_) => break,
            },
            () = &mut outlived => {
                shared.counters.closed(Close::Replaced);
                link.close(Close::Replaced);
                break;
            }
        }
    }
}

/// The next stream, and whether it was waited for.
async fn accept(link: &Link, waited: &mut bool) -> Result<(SendStream, RecvStream), ConnectionError> {
    let accept = link.connection.accept_bi();
    tokio::pin!(accept);
    poll_fn(|context| {
        let stream = accept.as_mut().poll(context);
        *waited |= stream.is_pending();
        stream
    })
    .await
}

/// Who does the work for a stream: the task that took it, as long as nobody has to wait for that; or a task of its own,
/// which costs a switch or two.
#[derive(Default)]
struct Shifts {
    /// No stream was waiting when the last one came.
    waited: bool,
    /// So many streams more get tasks, because one held us up.
    tasks: u32,
}

impl Shifts {
    fn assign(&mut self, shared: &Shared, mut work: Work) {
        if !self.waited || self.tasks > 0 {
            self.tasks = self.tasks.saturating_sub(1);
            return shared.spawn(work);
        }
        let begun = Instant::now();
        let first = AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        let outcome = catch_unwind(first);
        if begun.elapsed() > HELD_UP {
            self.tasks = TASKS_THEN;
        }
        match outcome {
            Ok(Poll::Ready(())) => {}
            // Its task asks again whatever it waits for.
            Ok(Poll::Pending) => shared.spawn(work),
            Err(_) => tracing::error!("serving a stream failed; this is a defect, please report it"),
        }
    }
}

/// Hands a stream on whose kind came along with it, as it nearly always does; any other is served by a task of its own.
fn begin(shared: &Arc<Shared>, shifts: &mut Shifts, busy: InUse, send: SendStream, mut receive: RecvStream) {
    let mut kind = [0];
    // Whoever waits is the task, which asks again; a stream that broke or ended says so again.
    let kind = match receive.poll_read(&mut Context::from_waker(Waker::noop()), &mut kind) {
        Poll::Ready(Ok(1)) => Some(kind[0]),
        _ => None,
    };
    if let Some(kind) = kind.filter(|kind| *kind >= FIRST_FREE_KIND) {
        if let Some(work) = hand_on(shared, kind, MemberStream::new(busy, send, receive)) {
            shifts.assign(shared, work);
        }
        return;
    }
    shared.spawn(serve_one(Arc::clone(shared), busy, kind, send, receive));
}

async fn serve_one(shared: Arc<Shared>, busy: InUse, kind: Option<u8>, mut send: SendStream, mut receive: RecvStream) {
    let kind = match kind {
        Some(kind) => Ok(kind),
        None => read_kind(&mut receive).await,
    };
    let served = match kind {
        Err(reason) => Err(reason),
        Ok(ASK) => answer(&shared, &busy, &mut send, &mut receive).await,
        Ok(SHIP) => take(&shared, &busy, &mut send, &mut receive).await,
        Ok(kind) => {
            if let Some(work) = hand_on(&shared, kind, MemberStream::new(busy, send, receive)) {
                work.await;
            }
            return;
        }
    };
    match served {
        Ok(()) => shared.counters.served.count(),
        Err(reason) => abandon(&shared, reason, &mut send, &mut receive),
    }
}

async fn read_kind(receive: &mut RecvStream) -> Result<u8, Reset> {
    let mut kind = [0];
    match timeout(PATIENCE, receive.read_exact(&mut kind)).await {
        Err(_) => Err(Reset::Late),
        Ok(Err(_)) => Err(Reset::Cancelled),
        Ok(Ok(())) => Ok(kind[0]),
    }
}

/// Both calls fail only for a stream that has ended already.
fn abandon(shared: &Shared, reason: Reset, send: &mut SendStream, receive: &mut RecvStream) {
    shared.counters.reset(reason);
    let _ = receive.stop(reason.code());
    let _ = send.reset(reason.code());
}

/// What is to be done for a stream, unless nobody takes it.
fn hand_on(shared: &Shared, kind: u8, stream: MemberStream) -> Option<Work> {
    let handed = match shared.handler(kind) {
        Some(handler) => {
            stream.link.link().expect_many();
            handler.take(stream)
        }
        None => Err((Reset::UnknownKind, Box::new(stream))),
    };
    let (reason, mut stream) = match handed {
        Ok(work) => {
            shared.counters.served.count();
            return work;
        }
        Err(refused) => refused,
    };
    abandon(shared, reason, &mut stream.send, &mut stream.receive);
    None
}

async fn answer(shared: &Shared, busy: &InUse, send: &mut SendStream, receive: &mut RecvStream) -> Result<(), Reset> {
    let request = read_in_time(shared, receive, MAX_ASK_BYTES).await?;
    let (reply, answer) = oneshot::channel();
    let link = busy.link();
    let address = socket::canonical(link.connection.remote_address());
    let ask = IncomingAsk { from: link.member, address, request, reply: Reply(reply) };
    shared.asks.try_send(ask).map_err(|_| Reset::Busy)?;
    let answer = tokio::select! {
        answer = answer => answer.map_err(|_| Reset::Declined)?,
        _ = send.stopped() => return Err(Reset::Cancelled),
        () = tokio::time::sleep(PATIENCE) => return Err(Reset::Late),
    };
    send_in_time(send, answer).await
}

async fn take(shared: &Shared, busy: &InUse, send: &mut SendStream, receive: &mut RecvStream) -> Result<(), Reset> {
    let message = read_in_time(shared, receive, MAX_SHIP_BYTES).await?;
    let link = busy.link();
    let address = socket::canonical(link.connection.remote_address());
    shared.ships.try_send(Shipment { from: link.member, address, message }).map_err(|_| Reset::Busy)?;
    send_in_time(send, Bytes::new()).await
}

async fn read_in_time(shared: &Shared, receive: &mut RecvStream, limit: usize) -> Result<Bytes, Reset> {
    match timeout(PATIENCE, read_whole(receive, limit, Some(&shared.intake))).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Broken::TooLong)) => Err(Reset::TooLong),
        Ok(Err(Broken::Reset(reason))) => Err(reason),
        Ok(Err(_)) => Err(Reset::Cancelled),
        Err(_) => Err(Reset::Late),
    }
}

async fn send_in_time(send: &mut SendStream, message: Bytes) -> Result<(), Reset> {
    match timeout(PATIENCE, send_whole(send, &mut [message])).await {
        Ok(sent) => sent.map_err(|_| Reset::Cancelled),
        Err(_) => Err(Reset::Late),
    }
}

/// Reads to the end of the stream. In order and into memory of our own: pieces read out of order would each keep the
/// whole packet that brought them, and a peer that sends single bytes could have us hold a thousand times the limit.
async fn read_whole(receive: &mut RecvStream, limit: usize, intake: Option<&Intake>) -> Result<Bytes, Broken> {
    let mut bytes = Vec::new();
    let mut held = Held { intake, bytes: 0 };
    while let Some(piece) = receive.read_chunk(usize::MAX, true).await? {
        if bytes.len() + piece.bytes.len() > limit {
            // Fails only for a stream that has ended already.
            let _ = receive.stop(Reset::TooLong.code());
            return Err(Broken::TooLong);
        }
        held.more(piece.bytes.len())?;
        bytes.extend_from_slice(&piece.bytes);
    }
    Ok(bytes.into())
}

/// How much of messages nobody asked for is being read, so that many members together cannot fill the memory.
pub(super) struct Intake {
    limit: usize,
    held: AtomicUsize,
}

impl Intake {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0) }
    }
}

/// One message's part of the intake.
struct Held<'a> {
    intake: Option<&'a Intake>,
    bytes: usize,
}

impl Held<'_> {
    fn more(&mut self, bytes: usize) -> Result<(), Broken> {
        let Some(intake) = self.intake else { return Ok(()) };
        self.bytes += bytes;
        let held = intake.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > intake.limit { Err(Broken::Reset(Reset::Busy)) } else { Ok(()) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(intake) = self.intake {
            intake.held.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Sends `parts` and ends the stream; if that is cut short, resets it, because a stream that is merely dropped ends
/// as if it were complete.
async fn send_whole(send: &mut SendStream, parts: &mut [Bytes]) -> Result<(), Broken> {
    let mut unfinished = Unfinished(Some(send));
    if let Some(send) = &mut unfinished.0 {
        send.write_all_chunks(parts).await?;
        send.finish().map_err(|_| Broken::Lost)?;
    }
    unfinished.0 = None;
    Ok(())
}

struct Unfinished<'a>(Option<&'a mut SendStream>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(send) = &mut self.0 {
            // Fails only for a stream that has ended already.
            let _ = send.reset(Reset::Cancelled.code());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_read_is_bounded_for_all_members_together_and_given_back() {
        let intake = Intake::new(10);
        let mut one = Held { intake: Some(&intake), bytes: 0 };
        let mut two = Held { intake: Some(&intake), bytes: 0 };
        assert_eq!((one.more(6), two.more(4)), (Ok(()), Ok(())));
        assert_eq!(two.more(1), Err(Broken::Reset(Reset::Busy)));
        drop(two);
        assert_eq!(one.more(4), Ok(()));
        drop(one);
        assert_eq!(intake.held.load(Ordering::Relaxed), 0);
    }
}
