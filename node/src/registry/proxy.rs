//! `/proxy/{host:port}/mcp…`: passes a request on to an agent that the mesh knows, and to nobody else.
//!
//! Nothing of either body is held but the piece that is on its way: a slow reader slows the agent down. A redirect is an
//! answer like any other; nobody follows it here.

mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{BodyExt, Limited};
use mesh_gossip::Gossip;
use tokio::time::{Instant, timeout_at};

use self::target::{BadTarget, Found, Target};
use super::routes::{error, not_found};
use crate::call::exchange::{self, Exchange, travelling};
use crate::call::http::in_full;
use crate::context::MAX_PAYLOAD_BYTES;
use crate::propagation::Propagation;
use crate::tls::Clients;

/// The longest that a request may take, whatever it asks for.
const MAX_BUDGET: Duration = Duration::from_secs(600);

/// The largest piece that is passed on at once.
const PIECE_BYTES: usize = 32 << 10;

/// How long connecting to an agent may take.
const CONNECT: Duration = Duration::from_secs(5);

/// What a request may say about how long it may take, in seconds.
const X_MESH_TIMEOUT: &str = "x-mesh-timeout";

/// The headers that are passed on besides those that travel along chains of calls.
const PASSED: [HeaderName; 12] = [
    CONTENT_TYPE,
    ACCEPT,
    HeaderName::from_static("x-trace-id"),
    HeaderName::from_static("x-parent-span"),
    HeaderName::from_static(X_MESH_TIMEOUT),
    HeaderName::from_static("x-mesh-job-id"),
    HeaderName::from_static("x-mesh-calling-job-id"),
    HeaderName::from_static("x-mesh-calling-claim-epoch"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("last-event-id"),
];

/// What passes requests on. Cheap to clone.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Inner>);

struct Inner {
    gossip: Arc<Gossip>,
    client: reqwest::Client,
    propagation: Propagation,
    /// How long a request may take that does not say.
    budget: Duration,
}

/// Why an agent did not answer.
#[derive(Debug, thiserror::Error)]
enum NotPassed {
    #[error("the body has more than {MAX_PAYLOAD_BYTES} bytes")]
    TooLarge,
    #[error("Failed to reach target agent: {0}")]
    Unreached(String),
}

impl Proxy {
    /// Passes requests on to agents that `gossip` knows, with the headers that `propagation` lets through.
    pub(super) fn new(gossip: Arc<Gossip>, propagation: Propagation, budget: Duration, clients: &Clients) -> Self {
        let client = clients
            .builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .expect("a client that needs nothing of the system can be built");
        Self(Arc::new(Inner { gossip, client, propagation, budget: budget.min(MAX_BUDGET) }))
    }

    /// Its route.
    pub(super) fn router(self) -> Router {
        let route = get(pass).post(pass).head(not_found).fallback(not_found);
        Router::new().route("/proxy/{*target}", route).with_state(self)
    }
}

/// Those of `all` headers that are passed on.
fn passed(all: &HeaderMap, propagation: &Propagation) -> HeaderMap {
    let passes = |name: &HeaderName| PASSED.contains(name) || propagation.lets_through(name.as_str());
    let mut last = None;
    let named = travelling(all).into_iter().filter_map(|(name, value)| {
        // Further values of a header come without its name.
        last = name.or(last.take());
        last.clone().map(|name| (name, value))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in named.filter(|(name, _)| passes(name) && *name != CONTENT_LENGTH) {
        headers.append(name, value);
    }
    headers
}

/// How long a request may take, in whole seconds as it says, or `otherwise`.
fn budget(headers: &HeaderMap, otherwise: Duration) -> Duration {
    let said = headers.get(X_MESH_TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    said.filter(|said| *said > 0).map_or(otherwise, Duration::from_secs).min(MAX_BUDGET)
}

/// Passes one request on, and its answer back.
async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let raw = request.uri().path().strip_prefix("/proxy/").unwrap_or_default();
    let found = match Target::read(raw).and_then(|target| target.find(&proxy.0.gossip.view())) {
        Ok(found) => found,
        Err(refused) => return refused.into_response(),
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > MAX_PAYLOAD_BYTES) {
        return NotPassed::TooLarge.into_response();
    }
    let budget = budget(request.headers(), proxy.0.budget);
    let deadline = Instant::now() + budget;
    match timeout_at(deadline, proxy.send(found, request)).await {
        Ok(Ok(answer)) => bounded(answer, budget, deadline),
        Ok(Err(why)) => why.into_response(),
        Err(_) => NotPassed::Unreached(format!("no answer within {} s", budget.as_secs())).into_response(),
    }
}

impl Proxy {
    async fn send(&self, found: Found, request: Request) -> Result<Response, NotPassed> {
        let (head, body) = request.into_parts();
        let headers = passed(&head.headers, &self.0.propagation);
        let is_too_large = Arc::new(AtomicBool::new(false));
        let body = within_bounds(body, Arc::clone(&is_too_large));
        let sent = match found.member {
            Some(member) => {
                let mut request = Request::new(body);
                *request.method_mut() = head.method;
                *request.uri_mut() = http::Uri::from_static("/mcp");
                *request.headers_mut() = headers;
                self.over_mesh(member, request).await
            }
            None => {
                let body = reqwest::Body::wrap_stream(body.into_data_stream());
                let request = self.0.client.request(head.method, found.url).headers(headers).body(body);
                request.send().await.map(answer_of).map_err(|why| in_full(&why))
            }
        };
        sent.map_err(|why| match is_too_large.load(Ordering::Relaxed) {
            true => NotPassed::TooLarge,
            false => NotPassed::Unreached(why),
        })
    }

    async fn over_mesh(&self, member: mesh_gossip::MemberId, request: Request) -> Result<Response, String> {
        let line = Exchange::open(&self.0.gossip, member, exchange::KIND).await.map_err(|why| why.to_string())?;
        line.send(request).await.map_err(|why| why.to_string())
    }
}

impl IntoResponse for NotPassed {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreached(_) => StatusCode::BAD_GATEWAY,
        };
        error(status, self.to_string())
    }
}

impl IntoResponse for BadTarget {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoPath | Self::NotMcp => StatusCode::BAD_REQUEST,
            Self::NotAnAgent(_) => StatusCode::FORBIDDEN,
        };
        error(status, self.to_string())
    }
}

/// The body as long as it is no larger than one request may be; says so when it is.
fn within_bounds(body: Body, is_too_large: Arc<AtomicBool>) -> Body {
    let limited = Limited::new(body, MAX_PAYLOAD_BYTES).map_err(move |why| {
        if why.is::<http_body_util::LengthLimitError>() {
            is_too_large.store(true, Ordering::Relaxed);
        }
        std::io::Error::other(why)
    });
    Body::new(limited)
}

fn answer_of(answer: reqwest::Response) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = travelling(answer.headers());
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    response
}

/// The answer in small pieces until `deadline`; a stream of events ends with a frame that says why.
fn bounded(mut answer: Response, budget: Duration, deadline: Instant) -> Response {
    // Where it leads to is no business of whoever asked for this agent.
    answer.headers_mut().remove(LOCATION);
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_events = kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    let frame = format!("\n: mesh-proxy-timeout budget={}s\n\n", budget.as_secs());
    let farewell = is_events.then(|| Bytes::from(frame));
    let (head, body) = answer.into_parts();
    Response::from_parts(head, Body::from_stream(pieces(body.into_data_stream(), farewell, deadline)))
}

/// What is left to be told.
enum Left<S> {
    /// Pieces of the answer, the first one here already.
    Pieces(S, Bytes),
    Nothing,
}

fn pieces<S>(body: S, farewell: Option<Bytes>, deadline: Instant) -> impl Stream<Item = std::io::Result<Bytes>>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Unpin,
{
    stream::unfold(Left::Pieces(body, Bytes::new()), move |left| {
        let farewell = farewell.clone();
        async move {
            let Left::Pieces(mut body, mut held) = left else { return None };
            while held.is_empty() {
                held = match timeout_at(deadline, body.next()).await {
                    Ok(Some(Ok(piece))) => piece,
                    Ok(Some(Err(why))) => return Some((Err(std::io::Error::other(why)), Left::Nothing)),
                    Ok(None) => return None,
                    Err(_) => {
                        let end = farewell.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::TimedOut));
                        return Some((end, Left::Nothing));
                    }
                };
            }
            let piece = held.split_to(held.len().min(PIECE_BYTES));
            Some((Ok(piece), Left::Pieces(body, held)))
        }
    })
}
