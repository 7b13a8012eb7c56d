//! Calls to whatever else speaks MCP: streamable HTTP, one POST per call.
//!
//! A server is called without a session, as stock agents of the existing system want it. One that answers that it wants
//! a session gets one, which later calls share.

mod message;
mod sse;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::message::Message;
pub(super) use self::message::Pieces;
pub(crate) use self::sse::Events;
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope};
use crate::run::arguments;
use crate::tls::Clients;
use crate::tool::{Fault, FaultKind, Payload};
use crate::trace::{TRACEPARENT, TRACESTATE, X_PARENT_SPAN, X_TRACE_ID};

/// How long it may take to connect.
const CONNECT_BUDGET: Duration = Duration::from_millis(500);

/// How long a server may take to hear that a call is cancelled.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);

/// The most servers whose sessions are remembered.
const MAX_SESSIONS: usize = 1024;

/// The most bytes of an error page that are read.
const MAX_ERROR_BYTES: usize = 4096;

/// The most bytes of an answer: a result, and what is around it.
const MAX_ANSWER_BYTES: usize = MAX_PAYLOAD_BYTES + (64 << 10);

const SESSION_HEADER: &str = "mcp-session-id";
const PROTOCOL_HEADER: &str = "mcp-protocol-version";

/// The seconds that are left, in the header of the existing system.
const X_MESH_TIMEOUT: &str = "x-mesh-timeout";

/// Calls to MCP servers. Connections are kept and shared.
pub(super) struct Http {
    clients: Clients,
    /// Made when it is needed for the first time: many nodes never need it.
    client: OnceLock<Result<Client, String>>,
    sessions: Mutex<BTreeMap<String, Session>>,
    requests: AtomicU64,
}

/// A call on its way to a server.
#[derive(Clone, Copy)]
pub(super) struct HttpAttempt<'a> {
    /// Where the server is; `/mcp` is meant where no path is given.
    pub(super) url: &'a str,
    pub(super) tool: &'a str,
    pub(super) arguments: &'a Bytes,
    pub(super) scope: &'a Scope,
    pub(super) outlet: &'a Outlet,
    /// How it streams, if it does.
    pub(super) pieces: Option<Pieces>,
}

/// Why a call to a server has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    /// Nothing was sent.
    #[error("{0}")]
    NotReceived(String),
    /// The server took no call.
    #[error("{0}")]
    Refused(String),
    /// It broke afterwards.
    #[error("{why}")]
    Broken {
        why: String,
        /// Updates have been passed on.
        has_begun: bool,
    },
    /// The server answered so.
    #[error(transparent)]
    Fault(Fault),
    /// The answer is too large.
    #[error("an answer of more than {limit} bytes is too large")]
    TooLarge { bytes: usize, limit: usize },
}

/// What a server has given us.
#[derive(Clone, Debug)]
struct Session {
    id: HeaderValue,
    protocol: HeaderValue,
}

/// What came of a request.
enum Answer {
    Outcome(Result<Payload, Fault>),
    /// The server wants a session, or another one.
    WantsSession(String),
}

/// A request within a session, where closing the connection means nothing. Dropped before it is over, it is cancelled.
struct Waiting(Option<(Client, Url, Session, u64)>);

impl Waiting {
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (Some((client, url, session, id)), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        let mut headers = HeaderMap::new();
        add_session(&mut headers, Some(&session));
        let request = request(&client, &url, message::cancelled(id), headers).timeout(CANCEL_WITHIN);
        // A server that cannot be told runs on until it is done.
        runtime.spawn(async move { drop(request.send().await) });
    }
}

impl Http {
    pub(super) fn new(clients: Clients) -> Self {
        Self { clients, client: OnceLock::new(), sessions: Mutex::default(), requests: AtomicU64::new(1) }
    }

    /// Calls a tool. Updates go to the outlet as they come. Dropping the future closes the request, which most servers
    /// take for a cancellation.
    pub(super) async fn call(&self, attempt: HttpAttempt<'_>) -> Result<Payload, HttpError> {
        arguments::check(attempt.arguments)
            .map_err(|why| HttpError::Fault(Fault::new(FaultKind::InvalidArguments, why.to_string())))?;
        let url = endpoint(attempt.url)?;
        let known = self.session(url.as_str());
        match self.call_in(&url, &attempt, known.as_ref()).await? {
            Answer::Outcome(outcome) => outcome.map_err(HttpError::Fault),
            Answer::WantsSession(refusal) => {
                // What the first refusal says counts when there is no session to be had.
                let session = self.begin_session(&url).await.ok_or(HttpError::Refused(refusal))?;
                match self.call_in(&url, &attempt, Some(&session)).await? {
                    Answer::Outcome(outcome) => outcome.map_err(HttpError::Fault),
                    Answer::WantsSession(why) => Err(HttpError::Refused(why)),
                }
            }
        }
    }

    async fn call_in(
        &self,
        url: &Url,
        attempt: &HttpAttempt<'_>,
        session: Option<&Session>,
    ) -> Result<Answer, HttpError> {
        let id = self.next_id();
        let body = message::call_tool(id, attempt.tool, attempt.arguments, &meta(attempt, id));
        let mut headers = headers_of(attempt.scope);
        add_session(&mut headers, session);
        let waiting = session.map(|session| self.waiting(url, session, id));
        let answer = match self.post(url, body, headers).await {
            Ok(response) if response.status().is_success() => {
                self.read(url, response, id, attempt, session).await.map(Answer::Outcome)
            }
            Ok(response) => Ok(refusal(response.status(), &error_text(response).await)),
            Err(error) => Err(error),
        };
        // It has ended one way or the other: there is nothing left to be cancelled.
        waiting.into_iter().for_each(Waiting::over);
        answer
    }

    /// Reads the answer to request `id`, as JSON or as events.
    async fn read(
        &self,
        url: &Url,
        response: Response,
        id: u64,
        attempt: &HttpAttempt<'_>,
        session: Option<&Session>,
    ) -> Result<Result<Payload, Fault>, HttpError> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_events = kind.starts_with("text/event-stream");
        let mut pieces = response.bytes_stream();
        let mut events = Events::new(MAX_ANSWER_BYTES);
        let mut whole = Vec::new();
        let mut has_begun = false;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|why| HttpError::Broken { why: in_full(&why), has_begun })?;
            if !is_events {
                let bytes = whole.len() + piece.len();
                if bytes > MAX_ANSWER_BYTES {
                    return Err(HttpError::TooLarge { bytes, limit: MAX_PAYLOAD_BYTES });
                }
                whole.extend_from_slice(&piece);
                continue;
            }
            let limit = MAX_PAYLOAD_BYTES;
            let ended = events.take(&piece).map_err(|_| HttpError::TooLarge { bytes: MAX_ANSWER_BYTES, limit })?;
            for event in ended {
                let Ok(message) = serde_json::from_slice::<Message<'_>>(&event) else { continue };
                if message.answers(id) {
                    return Ok(message.outcome());
                }
                if let Some(update) = message.update(attempt.pieces) {
                    has_begun |= attempt.outlet.is_open();
                    attempt.outlet.send(update).await;
                } else if let (Some(method), Some(asked)) = (&message.method, message.id) {
                    let mut headers = HeaderMap::new();
                    add_session(&mut headers, session);
                    // A server that cannot be told waits in vain, until our deadline.
                    let _ = self.post(url, message::answer(asked, method), headers).await;
                }
            }
        }
        if !is_events {
            let message = serde_json::from_slice::<Message<'_>>(&whole).ok();
            if let Some(message) = message.filter(|message| message.answers(id) || message.error.is_some()) {
                return Ok(message.outcome());
            }
        }
        Err(HttpError::Broken { why: "the server's answer ended without a result".to_owned(), has_begun })
    }

    /// Begins a session with a server that wants one.
    async fn begin_session(&self, url: &Url) -> Option<Session> {
        let id = self.next_id();
        let response = self.post(url, message::initialize(id), HeaderMap::new()).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let session = response.headers().get(SESSION_HEADER)?.clone();
        let protocol = protocol_of(response, id).await.unwrap_or(HeaderValue::from_static(message::PROTOCOL));
        let session = Session { id: session, protocol };
        let mut headers = HeaderMap::new();
        add_session(&mut headers, Some(&session));
        self.post(url, Bytes::from_static(message::INITIALIZED), headers).await.ok()?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS {
            sessions.pop_first();
        }
        sessions.insert(url.as_str().to_owned(), session.clone());
        Some(session)
    }

    fn session(&self, url: &str) -> Option<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    async fn post(&self, url: &Url, body: Bytes, headers: HeaderMap) -> Result<Response, HttpError> {
        let client = self
            .client
            .get_or_init(|| client(&self.clients))
            .as_ref()
            .map_err(|why| HttpError::NotReceived(why.clone()))?;
        let request = client.post(url.clone()).headers(headers).body(body);
        let request =
            request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, text/event-stream");
        request.send().await.map_err(|error| {
            let why = in_full(&error);
            if error.is_connect() { HttpError::NotReceived(why) } else { HttpError::Broken { why, has_begun: false } }
        })
    }

    /// From now on the server is told when nobody waits for its answer to request `id`.
    fn waiting(&self, url: &Url, session: &Session, id: u64) -> Waiting {
        let client = self.client.get().and_then(|client| client.as_ref().ok()).cloned();
        Waiting(client.map(|client| (client, url.clone(), session.clone(), id)))
    }

    fn next_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

fn request(client: &Client, url: &Url, body: Bytes, headers: HeaderMap) -> RequestBuilder {
    let request = client.post(url.clone()).headers(headers).body(body);
    request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, text/event-stream")
}

fn client(clients: &Clients) -> Result<Client, String> {
    // Fails where the program has chosen its cryptography already; that choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let same_server = reqwest::redirect::Policy::custom(|attempt| {
        let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        if is_same && attempt.previous().len() < 3 { attempt.follow() } else { attempt.stop() }
    });
    let builder = clients
        .builder()
        .connect_timeout(CONNECT_BUDGET)
        .tcp_nodelay(true)
        .redirect(same_server)
        .no_proxy()
        .user_agent(concat!("mesh/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|why| format!("HTTP cannot be used: {}", in_full(&why)))
}

fn endpoint(url: &str) -> Result<Url, HttpError> {
    let mut url = Url::parse(url).map_err(|why| HttpError::NotReceived(format!("{url:?} is no URL: {why}")))?;
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    Ok(url)
}

fn meta(attempt: &HttpAttempt<'_>, id: u64) -> Map<String, Value> {
    let mut meta = Map::new();
    if attempt.outlet.is_open() {
        meta.insert("progressToken".to_owned(), id.into());
    }
    meta
}

fn headers_of(scope: &Scope) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut say = |name: &str, value: &str| {
        // A header that HTTP cannot express stays behind; that is better than no call.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    scope.headers.iter().for_each(|(name, value)| say(name, value));
    if let Some(trace) = &scope.trace {
        say(TRACEPARENT, &trace.to_string());
        say(X_TRACE_ID, &trace.trace_hex());
        say(X_PARENT_SPAN, &trace.span_hex());
    }
    if let Some(state) = &scope.trace_state {
        say(TRACESTATE, state);
    }
    if let Some(deadline) = scope.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        say(X_MESH_TIMEOUT, &left.as_secs().max(1).to_string());
    }
    headers
}

fn add_session(headers: &mut HeaderMap, session: Option<&Session>) {
    if let Some(session) = session {
        headers.insert(HeaderName::from_static(SESSION_HEADER), session.id.clone());
        headers.insert(HeaderName::from_static(PROTOCOL_HEADER), session.protocol.clone());
    }
}

/// What the server speaks, from its answer to `initialize`.
async fn protocol_of(response: Response, id: u64) -> Option<HeaderValue> {
    let mut pieces = response.bytes_stream();
    let mut events = Events::new(MAX_ANSWER_BYTES);
    let mut whole = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        whole.extend_from_slice(&piece);
        let ended = events.take(&piece).ok()?;
        if let Some(protocol) = ended.iter().find_map(|event| protocol_in(event, id)) {
            return Some(protocol);
        }
    }
    protocol_in(&whole, id)
}

fn protocol_in(text: &[u8], id: u64) -> Option<HeaderValue> {
    let message: Message<'_> = serde_json::from_slice(text).ok()?;
    let result: Value = serde_json::from_str(message.result.filter(|_| message.answers(id))?.get()).ok()?;
    HeaderValue::from_str(result.get("protocolVersion")?.as_str()?).ok()
}

/// What an answer without a result means.
fn refusal(status: StatusCode, text: &str) -> Answer {
    let why = format!("the server answers {status}: {text}");
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FaultKind::Forbidden,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => FaultKind::Overloaded,
        StatusCode::PAYLOAD_TOO_LARGE => FaultKind::TooLarge,
        _ if status.is_client_error() => return Answer::WantsSession(why),
        _ => FaultKind::Failed,
    };
    Answer::Outcome(Err(Fault::new(kind, why)))
}

/// The beginning of an error page, on one line.
async fn error_text(response: Response) -> String {
    let mut pieces = response.bytes_stream();
    let mut text = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        text.extend_from_slice(&piece[..piece.len().min(MAX_ERROR_BYTES - text.len())]);
        if text.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What went wrong, with everything beneath it.
pub(crate) fn in_full(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut beneath = std::error::Error::source(error);
    while let Some(error) = beneath {
        text = format!("{text}: {error}");
        beneath = error.source();
    }
    text
}
