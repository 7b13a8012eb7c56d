//! A vendor's server, scripted, that remembers what it was sent.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::task::JoinHandle;

/// What it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A server on a free port. Dropped, it is gone.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// One that answers everything with what `answer` makes.
    pub(crate) async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let remembered = Arc::clone(&seen);
        let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            remembered.lock().unwrap().push(Seen { path: uri.to_string(), headers, body });
            answer()
        };
        let router = Router::new().fallback(handler);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, task }
    }

    /// The request that came last.
    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer.
pub(crate) fn whole(body: impl Into<String>) -> Response {
    ([("content-type", "application/json")], body.into()).into_response()
}

/// An error as vendors say it.
pub(crate) fn error(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body.to_owned()).into_response();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// Server-sent events, a few bytes at a time, so that no piece is a whole one.
pub(crate) fn events(text: &str) -> Response {
    let pieces: Vec<Bytes> = text.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
    sent(stream::iter(pieces))
}

/// The same with a pause after each line.
pub(crate) fn dripping(text: &str, pause: Duration) -> Response {
    let lines: Vec<Bytes> = text.split_inclusive('\n').map(|line| Bytes::copy_from_slice(line.as_bytes())).collect();
    sent(stream::iter(lines).then(move |line| async move {
        tokio::time::sleep(pause).await;
        line
    }))
}

/// The same with nothing behind it, and no end either.
pub(crate) fn stuck(text: &str) -> Response {
    let begun = Bytes::copy_from_slice(text.as_bytes());
    sent(stream::iter([begun]).chain(stream::pending()))
}

fn sent(pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
    ([("content-type", "text/event-stream")], body).into_response()
}
