//! A conversation with the MCP server of one replica, on behalf of one client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use rmcp::ErrorData;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::directory::Replica;
use super::wire::{MAX_ANSWER_BYTES, Unanswered, Wire};
use crate::call::http::Events;
use crate::mcp::endpoint::SESSION_HEADER;
use crate::tool::JsonObject;

const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A session with a replica, or the way to it for requests outside of any. Dropped, the session ends.
pub(super) struct Link {
    wire: Wire,
    replica: Replica,
    /// What goes with every request: the session and the protocol where there is one.
    headers: HeaderMap,
    requests: AtomicU64,
    /// The level of logging that was asked for last.
    level: Mutex<Option<Value>>,
}

/// Something the server says.
pub(super) enum Message {
    /// What becomes of a request of ours.
    Answer { id: Value, outcome: Result<JsonObject, ErrorData> },
    /// Something it wants to know of the client: the whole request.
    Question { id: Value, request: Value },
    /// Something it only says.
    Notification { method: String, params: Value },
}

/// What the server says in one response, message by message. Dropped before its end, the server hears that nobody waits.
pub(super) struct Messages {
    body: BodyDataStream,
    /// Of a stream of events; otherwise the body is one message.
    events: Option<Events>,
    whole: Vec<u8>,
    ready: VecDeque<Message>,
}

impl Link {
    /// The way to `replica` for requests that stand for themselves; `headers` go with each.
    pub(super) fn single(wire: Wire, replica: Replica, headers: HeaderMap) -> Self {
        Self { wire, replica, headers, requests: AtomicU64::new(1), level: Mutex::default() }
    }

    /// Opens a session as the client that would say `hello` with `initialize`.
    ///
    /// # Errors
    /// [`Unanswered`]; nothing is left behind.
    pub(super) async fn open(wire: Wire, replica: Replica, hello: JsonObject) -> Result<Self, Unanswered> {
        let mut link = Self::single(wire, replica, HeaderMap::new());
        let (id, response) = link.ask("initialize", hello).await.map_err(never_begun)?;
        if let Some(session) = response.headers().get(SESSION_HEADER) {
            link.headers.insert(SESSION_HEADER, session.clone());
        }
        let answer = Messages::of(response).answer(&id).await.map_err(never_begun)?;
        let version = answer.get("protocolVersion").and_then(Value::as_str);
        if let Some(version) = version.and_then(|version| HeaderValue::from_str(version).ok()) {
            link.headers.insert(VERSION_HEADER, version);
        }
        link.tell(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await.map_err(never_begun)?;
        Ok(link)
    }

    /// Hears what the server says outside of its answers, as logs and updates of resources are.
    ///
    /// # Errors
    /// [`Unanswered`], also of a server that says nothing unasked.
    pub(super) async fn listen(&self) -> Result<Messages, Unanswered> {
        let response = self.wire.send(&self.replica, self.request(Method::GET, Body::empty())).await?;
        match response.status().is_success() {
            true => Ok(Messages::of(response)),
            false => Err(Unanswered::Lost(format!("the agent answers {}", response.status()))),
        }
    }

    /// Whose server it is.
    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Has the server log what is at least of this level, unless it knows. A server that does not log is none the wiser.
    pub(super) async fn log_from(&self, level: Value) {
        let known = self.level.lock().unwrap_or_else(PoisonError::into_inner).replace(level.clone());
        if known.as_ref() == Some(&level) {
            return;
        }
        let params = JsonObject::from_iter([("level".to_owned(), level)]);
        if let Ok((id, response)) = self.ask("logging/setLevel", params).await {
            // It may refuse; then it logs as it likes.
            let _ = Messages::of(response).answer(&id).await;
        }
    }

    /// Sends a request: its id, and the response that will bring the answer.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn ask(&self, method: &str, params: JsonObject) -> Result<(Value, Response<Body>), Unanswered> {
        let id = Value::from(self.requests.fetch_add(1, Ordering::Relaxed));
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let response = self.post(&message).await?;
        if response.status() == StatusCode::NOT_FOUND && self.headers.contains_key(SESSION_HEADER) {
            return Err(Unanswered::Unreachable("the agent has ended the session".to_owned()));
        }
        Ok((id, response))
    }

    /// Sends an answer or a notification.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn tell(&self, message: Value) -> Result<(), Unanswered> {
        let response = self.post(&message).await?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(Unanswered::Lost(format!("the agent answers {}", response.status()))),
        }
    }

    /// Lets the server know that nobody waits for the answer to request `id`. Outside of sessions hanging up says so.
    pub(super) fn give_up(self: &Arc<Self>, id: Value) {
        if let (true, Ok(runtime)) = (self.headers.contains_key(SESSION_HEADER), Handle::try_current()) {
            let (link, params) = (Arc::clone(self), json!({"requestId": id, "reason": "the caller gave up"}));
            let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
            // Who cannot be told runs on until it is done.
            runtime.spawn(async move { drop(link.tell(message).await) });
        }
    }

    async fn post(&self, message: &Value) -> Result<Response<Body>, Unanswered> {
        let mut request = self.request(Method::POST, Body::from(message.to_string()));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.wire.send(&self.replica, request).await
    }

    fn request(&self, method: Method, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        request
    }
}

/// Whatever goes wrong before a session has begun, nothing has been done in it.
fn never_begun(error: Unanswered) -> Unanswered {
    match error {
        Unanswered::Lost(why) => Unanswered::Unreachable(why),
        error => error,
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.headers.contains_key(SESSION_HEADER) {
            let request = self.request(Method::DELETE, Body::empty());
            let (wire, replica) = (self.wire.clone(), self.replica.clone());
            // A session that cannot be ended ends by itself.
            runtime.spawn(async move { drop(wire.send(&replica, request).await) });
        }
    }
}

impl Messages {
    /// Reads what `response` brings.
    pub(super) fn of(response: Response<Body>) -> Self {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let events = kind.starts_with("text/event-stream").then(|| Events::new(MAX_ANSWER_BYTES));
        let body = response.into_body().into_data_stream();
        Self { body, events, whole: Vec::new(), ready: VecDeque::new() }
    }

    /// The next message; `None` when there are no more. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Unanswered::Lost`].
    pub(super) async fn next(&mut self) -> Result<Option<Message>, Unanswered> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            match self.body.next().await {
                None if self.events.is_some() => return Ok(None),
                None => return Ok(Message::read(&std::mem::take(&mut self.whole))),
                Some(piece) => self.take(&piece.map_err(|error| Unanswered::Lost(error.to_string()))?)?,
            }
        }
    }

    fn take(&mut self, piece: &Bytes) -> Result<(), Unanswered> {
        let too_long = || Unanswered::Lost(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"));
        match &mut self.events {
            Some(events) => {
                let ended = events.take(piece).map_err(|_| too_long())?;
                self.ready.extend(ended.iter().filter_map(|event| Message::read(event)));
            }
            None if self.whole.len() + piece.len() > MAX_ANSWER_BYTES => return Err(too_long()),
            None => self.whole.extend_from_slice(piece),
        }
        Ok(())
    }

    /// The answer to request `id`, whatever else is said before it.
    async fn answer(mut self, id: &Value) -> Result<JsonObject, Unanswered> {
        while let Some(message) = self.next().await? {
            if let Message::Answer { id: answered, outcome } = message
                && (answered == *id || answered.is_null())
            {
                return outcome.map_err(Unanswered::Refused);
            }
        }
        Err(Unanswered::Lost("the agent's answer ended without a result".to_owned()))
    }
}

impl Message {
    /// What `text` says, if it is one.
    fn read(text: &[u8]) -> Option<Self> {
        let Value::Object(mut message) = serde_json::from_slice(text).ok()? else { return None };
        let id = message.remove("id");
        if let Some(Value::Object(result)) = message.remove("result") {
            return Some(Self::Answer { id: id?, outcome: Ok(result) });
        }
        if let Some(error) = message.remove("error") {
            let outcome = Err(serde_json::from_value(error).ok()?);
            return Some(Self::Answer { id: id.unwrap_or_default(), outcome });
        }
        let method = message.get("method")?.as_str()?.to_owned();
        match id {
            Some(id) => Some(Self::Question { id, request: Value::Object(message) }),
            None => Some(Self::Notification { method, params: message.remove("params").unwrap_or_default() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{any, proptest};

    use super::*;

    fn messages(kind: &'static str, text: &'static str) -> Messages {
        let response = Response::builder().header(CONTENT_TYPE, kind).body(Body::from(text)).unwrap();
        Messages::of(response)
    }

    #[tokio::test]
    async fn a_stream_brings_what_is_said_and_asked_before_the_answer() {
        let text = "data: {\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n\
                    data: {\"id\":7,\"method\":\"ping\"}\n\ndata: {\"id\":1,\"result\":{}}\n\n";
        let mut messages = messages("text/event-stream", text);
        assert!(
            matches!(messages.next().await, Ok(Some(Message::Notification { method, .. })) if method.ends_with("progress"))
        );
        assert!(matches!(messages.next().await, Ok(Some(Message::Question { id, .. })) if id == 7));
        assert!(matches!(messages.next().await, Ok(Some(Message::Answer { id, outcome: Ok(_) })) if id == 1));
        assert!(matches!(messages.next().await, Ok(None)));
    }

    #[tokio::test]
    async fn a_body_of_json_is_the_answer_and_a_page_is_none() {
        let refused = messages("application/json", r#"{"id":null,"error":{"code":-32021,"message":"no"}}"#);
        assert!(matches!(refused.answer(&json!(1)).await, Err(Unanswered::Refused(_))));
        assert!(matches!(messages("text/html", "<html>").answer(&json!(1)).await, Err(Unanswered::Lost(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::read(&text);
        }
    }
}
