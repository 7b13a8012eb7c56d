//! The end of an exchange that answers.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_gossip::MemberId;
use mesh_gossip::transport::quic::MemberStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::head::{self, RequestHead, ResponseHead};
use super::{AT_ONCE, HEAD, Line, PIECES_WAITING, pass_body, take_body};

/// Whoever answers the requests that members send.
#[async_trait]
pub trait Answer: Send + Sync + 'static {
    /// The response to `request` of `member`, who may ask whatever any member may. Dropping the future or the response's
    /// body ends what goes on behind it.
    async fn answer(&self, member: MemberId, request: Request<Body>) -> Response<Body>;
}

/// Answers the exchanges that arrive on `streams` until there are no more. Dropping the future breaks them off.
pub async fn serve(answers: Arc<dyn Answer>, mut streams: mpsc::Receiver<MemberStream>) {
    let mut exchanges = JoinSet::new();
    loop {
        tokio::select! {
            stream = streams.recv(), if exchanges.len() < AT_ONCE => match stream {
                Some(stream) => {
                    let line = Line { stream, is_complete: false };
                    exchanges.spawn(attend(Arc::clone(&answers), line));
                }
                None => return,
            },
            // A task that panicked dropped its line, which the other end notices.
            Some(_) = exchanges.join_next() => {}
        }
    }
}

/// Answers one request. A member that breaks the rules or goes away is owed nothing.
async fn attend(answers: Arc<dyn Answer>, mut line: Line) {
    let member = line.stream.member;
    let Ok(Some(bytes)) = timeout(HEAD, head::read(&mut line.stream.receive)).await else { return };
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let body = Body::from_stream(ReceiverStream::new(waiting));
    let Some(request) = RequestHead::decode(&bytes).and_then(|head| head.request(body)) else { return };
    let MemberStream { send, receive, .. } = &mut line.stream;
    let gone = send.stopped();
    let up = async move {
        let taken = take_body(receive, &pieces).await;
        if taken.is_none() && !pieces.is_closed() {
            let _ = pieces.send(Err(std::io::Error::other("the member broke off"))).await;
            return None;
        }
        // Whoever answers may have read enough.
        Some(())
    };
    let down = async {
        let response = answers.answer(member, request).await;
        let (head, body) = match ResponseHead::of(&response).encode() {
            Some(head) => (head, response.into_body()),
            None => (too_large(), Body::empty()),
        };
        pass_body(send, head, body).await.is_ok()
    };
    let (mut down, mut up, mut gone) = (std::pin::pin!(down), std::pin::pin!(up), std::pin::pin!(gone));
    let mut is_taken = false;
    let is_sent = loop {
        tokio::select! {
            biased;
            sent = &mut down => break sent,
            taken = &mut up, if !is_taken => match taken {
                Some(()) => is_taken = true,
                None => break false,
            },
            // Nobody reads the response any more; a stream of events might not notice for long.
            _ = &mut gone => break false,
        }
    };
    line.is_complete = is_sent;
}

/// The head of the answer in place of one whose own head is too large.
fn too_large() -> Bytes {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    ResponseHead::of(&response).encode().expect("a head without headers is small")
}
