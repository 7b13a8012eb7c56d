//! Serves connections: as many as there is room for, the idle ones giving way to new ones.
//!
//! A client that connects and says nothing, or half of something, keeps nobody from being served: where there is no room
//! the connections that have been idle for the longest are ended, then the one whose request has been on its way for the
//! longest. None is idle for more than [`IDLE`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::listener::{BoundedListener, Connection};
use crate::tls::{Door, Stream, Visitor};

/// How long a connection may wait for the head of a request to be complete.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client may take for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long one more connection waits for an idle one to give way before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Which part of all connections is ended in one go: one of so many.
const PART: usize = 16;

/// All connections that are served.
#[derive(Debug, Default)]
struct Guests {
    entered: AtomicU64,
    /// By the order in which they came. The lock is held for one look or one entry.
    present: Mutex<BTreeMap<u64, Arc<Guest>>>,
}

/// One connection.
#[derive(Debug, Default)]
struct Guest {
    /// How many requests are under way; an answer that is still being sent is one.
    requests: AtomicUsize,
    /// Counts up with every request, so that of two idle ones the one that did something later is known.
    last: AtomicU64,
    /// Whether the rest of a request is still to come.
    is_writing: AtomicBool,
    /// Fires when it is to give way.
    give_way: CancellationToken,
}

/// Who is at the other end of a connection.
struct Client {
    peer: SocketAddr,
    /// Over TLS only.
    visitor: Option<Visitor>,
}

/// A request under way.
#[derive(Debug)]
struct Busy(Arc<Guest>);

/// The body of a request.
struct Question {
    body: Incoming,
    guest: Arc<Guest>,
}

/// An answer; as long as it is being sent its request is under way.
struct Answer {
    body: Body,
    _busy: Busy,
}

/// Serves whatever `listener` accepts until `close` fires, then finishes what is under way. With a `door` it speaks TLS.
pub(crate) async fn serve(
    mut listener: BoundedListener,
    door: Option<Arc<Door>>,
    router: Router,
    close: CancellationToken,
) {
    let guests = Arc::new(Guests::default());
    let tasks = TaskTracker::new();
    loop {
        let accepted = async {
            let (stream, peer) = next(&mut listener, &guests).await;
            let permit = loop {
                if let Some(permit) = listener.room() {
                    break permit;
                }
                guests.make_room();
                if let Ok(permit) = timeout(LOOK_AGAIN, listener.wait_for_room()).await {
                    break permit;
                }
            };
            (listener.connection(stream, permit), peer)
        };
        let (connection, peer) = tokio::select! {
            accepted = accepted => accepted,
            () = close.cancelled() => break,
        };
        let (door, router, guests, close) = (door.clone(), router.clone(), Arc::clone(&guests), close.clone());
        tasks.spawn(async move {
            let (number, guest) = guests.enter();
            // Whoever has not shaken hands yet is idle, and gives way.
            let opened = tokio::select! {
                opened = open(door.as_deref(), connection) => opened,
                () = guest.give_way.cancelled() => None,
                () = close.cancelled() => None,
            };
            if let Some((stream, visitor)) = opened {
                one(stream, Client { peer, visitor }, router, &guests, &guest, close).await;
            }
            guests.leave(number);
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The next connection. Where the system has no room for one more, an idle one gives way.
async fn next(listener: &mut BoundedListener, guests: &Guests) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                guests.make_room();
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Shakes hands where that is wanted; `None` when that fails, or takes too long.
async fn open(door: Option<&Door>, connection: Connection) -> Option<(Stream, Option<Visitor>)> {
    let Some(door) = door else { return Some((Stream::Plain(connection), None)) };
    match timeout(HANDSHAKE, door.open(connection)).await {
        Ok(Ok((stream, visitor))) => Some((stream, Some(visitor))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client shakes no hands");
            None
        }
        Err(_) => None,
    }
}

/// Serves one connection until it ends, or is idle and shall.
async fn one(
    stream: Stream,
    client: Client,
    router: Router,
    guests: &Arc<Guests>,
    guest: &Arc<Guest>,
    close: CancellationToken,
) {
    let peer = client.peer;
    let serving = {
        let (guest, guests) = (Arc::clone(guest), Arc::clone(guests));
        service_fn(move |mut request: Request<Incoming>| {
            let busy = Busy::new(&guest, &guests);
            request.extensions_mut().insert(ConnectInfo(client.peer));
            if let Some(visitor) = &client.visitor {
                request.extensions_mut().insert(visitor.clone());
            }
            let guest = Arc::clone(&guest);
            let answered = router.clone().oneshot(request.map(|body| Body::new(Question::new(body, guest))));
            async move {
                let Ok(response) = answered.await;
                Ok::<_, Infallible>(response.map(|body| Body::new(Answer { body, _busy: busy })))
            }
        })
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), serving).with_upgrades());
    let mut is_leaving = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, %peer, "a connection broke");
                }
                break;
            }
            () = async { tokio::select! { () = guest.give_way.cancelled() => {}, () = close.cancelled() => {} } },
                if !is_leaving =>
            {
                if guest.is_idle() || (guest.is_writing() && guest.give_way.is_cancelled()) {
                    break;
                }
                served.as_mut().graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

impl Guests {
    fn enter(&self) -> (u64, Arc<Guest>) {
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let guest = Arc::new(Guest { last: number.into(), ..Guest::default() });
        self.present().insert(number, Arc::clone(&guest));
        (number, guest)
    }

    fn leave(&self, number: u64) {
        self.present().remove(&number);
    }

    /// Ends the connection that is missed least, unless all have something under way; some more with it that are idle, so
    /// that not each of thousands who come costs a look at all.
    fn make_room(&self) {
        let present = self.present();
        let mut idle: Vec<_> =
            present.values().filter(|guest| guest.can_go() && !guest.give_way.is_cancelled()).collect();
        idle.sort_unstable_by_key(|guest| guest.worth());
        let some = idle.iter().enumerate().take(1 + present.len() / PART);
        let some = some.take_while(|(place, guest)| *place == 0 || guest.is_idle());
        some.for_each(|(_, guest)| guest.give_way.cancel());
    }

    fn present(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Guest>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    fn is_writing(&self) -> bool {
        self.is_writing.load(Ordering::Acquire)
    }

    fn can_go(&self) -> bool {
        self.is_idle() || self.is_writing()
    }

    /// Who is worth least goes first.
    fn worth(&self) -> (bool, u64) {
        (self.is_writing(), self.last.load(Ordering::Relaxed))
    }
}

impl Busy {
    fn new(guest: &Arc<Guest>, guests: &Guests) -> Self {
        guest.requests.fetch_add(1, Ordering::AcqRel);
        guest.last.store(guests.entered.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Self(Arc::clone(guest))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Question {
    fn new(body: Incoming, guest: Arc<Guest>) -> Self {
        guest.is_writing.store(!http_body::Body::is_end_stream(&body), Ordering::Release);
        Self { body, guest }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // What is left of it, if anything, nobody waits for.
        self.guest.is_writing.store(false, Ordering::Release);
    }
}

impl http_body::Body for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.guest.is_writing.store(false, Ordering::Release);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::HttpConfig;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn served(most: usize, router: Router) -> (SocketAddr, CancellationToken) {
        let close = CancellationToken::new();
        let listener = BoundedListener::bind(&HttpConfig::default(), CancellationToken::new()).await.unwrap();
        let listener = listener.at_most(most);
        let address = listener.address();
        tokio::spawn(serve(listener, None, router, close.clone()));
        (address, close)
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn those_who_say_nothing_or_half_of_something_give_way_to_those_who_ask() {
        let (address, _close) = served(4, Router::new().route("/", get(|| async { "here" }))).await;
        let mut idle = Vec::new();
        for number in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let begun = ["", "GET / HT", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"][number % 3];
            stream.write_all(begun.as_bytes()).await.unwrap();
            idle.push(stream);
        }
        for _ in 0..8 {
            assert!(ask(address, "/").await.ends_with("here"));
        }
    }

    #[tokio::test]
    async fn those_whose_requests_never_end_give_way_to_those_who_ask() {
        let read = axum::routing::post(|body: Bytes| async move { body.len().to_string() });
        let (address, _close) = served(4, Router::new().route("/", get(|| async { "here" }).merge(read))).await;
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx").await.unwrap();
            slow.push(stream);
        }
        for _ in 0..8 {
            assert!(ask(address, "/").await.ends_with("here"));
        }
    }

    #[tokio::test]
    async fn a_request_under_way_does_not_give_way_and_is_finished_when_the_node_closes() {
        let (finish, finished) = oneshot::channel::<()>();
        let finished = Arc::new(tokio::sync::Mutex::new(Some(finished)));
        let slow = get(move || {
            let finished = Arc::clone(&finished);
            async move {
                let finished = finished.lock().await.take().unwrap();
                finished.await.unwrap();
                "done"
            }
        });
        let (address, close) = served(2, Router::new().route("/slow", slow).route("/", get(|| async { "here" }))).await;
        let slow = tokio::spawn(ask(address, "/slow"));
        for _ in 0..6 {
            let idle = TcpStream::connect(address).await.unwrap();
            assert!(ask(address, "/").await.ends_with("here"));
            drop(idle);
        }
        close.cancel();
        finish.send(()).unwrap();
        assert!(slow.await.unwrap().ends_with("done"));
    }
}
