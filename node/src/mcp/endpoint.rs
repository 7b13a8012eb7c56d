//! One MCP server behind one HTTP path: sessions for those who open one, plain JSON for all others.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use rmcp::ServerHandler;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::body;
use super::envelope::Envelope;
use super::sessions::Sessions;
use crate::context::MAX_PAYLOAD_BYTES;

/// The header that names an MCP session.
pub const SESSION_HEADER: &str = "mcp-session-id";

/// The most bytes of a request: arguments of 64 MiB, and what is around them.
const MAX_REQUEST_BYTES: usize = MAX_PAYLOAD_BYTES + (64 << 10);

/// How often a stream that has nothing to say shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// One MCP server over streamable HTTP: with a session header or `initialize` it is a session, anything else is answered
/// by itself in JSON. It does not check who calls: see [`super::access`]. Cheap to clone; when the last clone is
/// dropped its sessions end.
#[derive(Clone)]
pub struct Endpoint(Arc<dyn Serve>);

/// Calls that are so plain that they need no MCP session machinery.
#[async_trait]
pub trait Shortcut: Send + Sync + 'static {
    /// The answer to `message`, which came with `head` and outside of any session; `None` leaves it to the others.
    async fn answer(&self, head: &Parts, message: &Envelope<'_>) -> Option<Response>;
}

#[async_trait]
trait Serve: Send + Sync {
    async fn serve(&self, request: Request) -> Response;
    fn close(&self);
}

struct Server<H> {
    sessions: StreamableHttpService<H, Sessions>,
    /// Has a keeper of sessions of the same type, which stays empty: another type would be all of rmcp's code once more.
    single: StreamableHttpService<H, Sessions>,
    shortcut: Option<Arc<dyn Shortcut>>,
    stop: CancellationToken,
    _ends: DropGuard,
}

impl Endpoint {
    /// Serves what `handlers` makes: one for each session, and one for each request outside of any.
    pub fn new<H: ServerHandler>(
        handlers: impl Fn() -> H + Send + Sync + 'static,
        shortcut: Option<Arc<dyn Shortcut>>,
    ) -> Self {
        let stop = CancellationToken::new();
        // Host and Origin are checked for all that a node serves, not here.
        let config = StreamableHttpServerConfig::default()
            .with_sse_keep_alive(Some(KEEP_ALIVE))
            .with_max_request_body_bytes(MAX_REQUEST_BYTES)
            .disable_allowed_hosts()
            .with_cancellation_token(stop.clone());
        let handlers = Arc::new(handlers);
        let again = Arc::clone(&handlers);
        Self(Arc::new(Server {
            sessions: StreamableHttpService::new(move || Ok(handlers()), Sessions::new(), config.clone()),
            single: StreamableHttpService::new(
                move || Ok(again()),
                Sessions::new(),
                config.with_legacy_session_mode(false).with_json_response(true),
            ),
            shortcut,
            _ends: stop.clone().drop_guard(),
            stop,
        }))
    }

    /// Answers one request, whatever its path. Dropping the future, or the response's body, cancels the call in it.
    pub async fn serve(&self, request: Request) -> Response {
        self.0.serve(request).await
    }

    /// All of it at `path`, with or without a slash behind it.
    pub fn at(&self, path: &str) -> Router {
        let endpoint = self.clone();
        let serve = any(move |request: Request| {
            let endpoint = endpoint.clone();
            async move { endpoint.serve(request).await }
        });
        Router::new().route(path, serve.clone()).route(&format!("{path}/"), serve)
    }

    /// Ends all sessions and their streams, which would otherwise last as long as their clients like.
    pub fn close(&self) {
        self.0.close();
    }
}

#[async_trait]
impl<H: ServerHandler> Serve for Server<H> {
    async fn serve(&self, request: Request) -> Response {
        let (mut head, body) = request.into_parts();
        // Requests of other nodes have none; rmcp insists on one.
        head.headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        if head.method != Method::POST {
            make_acceptable(&mut head.headers, &STREAM);
            return self.sessions.handle(Request::from_parts(head, body)).await.map(Body::new);
        }
        let body = match body::read(body, &head.headers, MAX_REQUEST_BYTES).await {
            Ok(body) => body,
            Err(refused) => return refused.response(),
        };
        let in_session = head.headers.contains_key(SESSION_HEADER);
        let envelope = if in_session { None } else { Envelope::read(&body) };
        if let (Some(shortcut), Some(envelope)) = (&self.shortcut, &envelope)
            && is_json(&head.headers)
            && let Some(answer) = shortcut.answer(&head, envelope).await
        {
            return answer;
        }
        make_acceptable(&mut head.headers, &BOTH);
        if is_json(&head.headers) {
            head.headers.insert(CONTENT_TYPE, JSON);
        }
        let opens_session = envelope.is_some_and(|envelope| envelope.method == "initialize");
        let request = Request::from_parts(head, Body::from(body));
        if in_session || opens_session {
            self.sessions.handle(request).await.map(Body::new)
        } else {
            self.single.handle(request).await.map(Body::new)
        }
    }

    fn close(&self) {
        self.stop.cancel();
    }
}

/// A client that takes anything, or does not say, takes what we send; rmcp insists on hearing it in full.
fn make_acceptable(headers: &mut HeaderMap, wanted: &HeaderValue) {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges =
        accepts.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or("").trim());
    let takes_ours = |range: &str| matches!(range, "*/*" | "application/*" | "application/json");
    if !headers.contains_key(ACCEPT) || ranges.any(takes_ours) {
        headers.insert(ACCEPT, wanted.clone());
    }
}

/// Whether the body is to be read as JSON. `curl -d` calls everything a form; a browser's page may do so too without
/// asking first, but cannot hide its origin.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(said) = headers.get(CONTENT_TYPE) else { return !headers.contains_key(ORIGIN) };
    let essence = said.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !headers.contains_key(ORIGIN))
}
