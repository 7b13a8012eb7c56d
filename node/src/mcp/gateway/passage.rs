//! Requests that are passed on to an agent's own MCP server as the client made them, for what a call of the mesh cannot
//! express: questions to the client while a tool runs, results that ask for more, errors of MCP itself.
#![expect(deprecated, reason = "clients of earlier protocols have logging, and rely on it")]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ConnectInfo;
use futures::stream::{FuturesUnordered, StreamExt};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_gossip::catalog::Owner;
use rmcp::RoleServer;
use rmcp::model::{ClientCapabilities, LoggingLevel, ServerRequest, TASKS_EXTENSION_ID};
use rmcp::service::{Peer, RequestContext, ServiceError};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::directory::Replica;
use super::link::{Link, Message, Messages};
use super::session::task;
use super::wire::{Unanswered, Wire};
use crate::call::exchange::travelling;
use crate::mcp::endpoint::SESSION_HEADER;
use crate::mcp::relay::{customer, proxy, replica};
use crate::tool::JsonObject;

/// Where requests of protocols without sessions say what their client can do.
const CAPABILITIES_META: &str = "io.modelcontextprotocol/clientCapabilities";

const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");

/// The sessions that one client has with agents, through us. They end with its own.
#[derive(Default)]
pub(super) struct Links(Mutex<BTreeMap<Owner, Kept>>);

/// A session, and what hears what is said in it outside of answers.
struct Kept {
    link: Arc<Link>,
    _listening: Option<AbortOnDropHandle<()>>,
}

/// One request of a client on its way to an agent.
pub(super) struct Passage<'a> {
    pub(super) wire: &'a Wire,
    pub(super) links: &'a Links,
    pub(super) context: &'a RequestContext<RoleServer>,
    /// The least that the client's session wants to be logged.
    pub(super) level: LoggingLevel,
    pub(super) deadline: Instant,
    /// The `traceparent` of what follows.
    pub(super) trace: String,
    /// Whether it may be asked again of another replica when the first was lost.
    pub(super) is_repeatable: bool,
}

/// How a client is asked things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By results, each request standing for itself.
    ByResult,
    /// In its session.
    InSession,
    /// Not at all.
    Never,
}

impl Manner {
    /// How the client of this request is asked.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        if context.protocol_version().is_some_and(|version| !version.has_initialize()) {
            return Self::ByResult;
        }
        let able = context.client_capabilities().unwrap_or_default();
        let can_answer = able.elicitation.is_some() || able.sampling.is_some() || able.roots.is_some();
        let head = context.extensions.get::<Parts>();
        let is_in_session = head.is_none_or(|head| head.headers.contains_key(SESSION_HEADER));
        if can_answer && is_in_session { Self::InSession } else { Self::Never }
    }
}

impl Links {
    fn get(&self, owner: &Owner) -> Option<Arc<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(owner).map(|kept| Arc::clone(&kept.link))
    }

    /// Keeps `link`, and ends those to agents that are not among `known`.
    fn keep(&self, link: &Arc<Link>, listening: Option<AbortOnDropHandle<()>>, known: &[&Replica]) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &link.replica().offers.name;
        links.retain(|owner, kept| {
            kept.link.replica().offers.name != *name || known.iter().any(|replica| replica.owner == *owner)
        });
        let kept = Kept { link: Arc::clone(link), _listening: listening };
        links.insert(link.replica().owner.clone(), kept);
    }

    fn forget(&self, owner: &Owner) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }
}

impl Passage<'_> {
    /// Passes the request on to the replica that serves this client, or to the next one that can be reached, and what is
    /// said in its course both ways. `subject` is the name of what it is about. Dropping the future cancels it there.
    ///
    /// # Errors
    /// [`Unanswered`], of the last that was asked.
    pub(super) async fn pass(
        &self,
        mut replicas: Vec<&Replica>,
        method: &str,
        subject: &str,
        params: &impl Serialize,
    ) -> Result<JsonObject, Unanswered> {
        let Ok(Value::Object(params)) = serde_json::to_value(params) else {
            return Err(Unanswered::Lost("the parameters are no object".to_owned()));
        };
        replica::order(&mut replicas, &self.customer());
        let told = AtomicBool::new(false);
        let mut last = Unanswered::Unreachable("the agent is gone".to_owned());
        for replica in &replicas {
            let answer = self.pass_to(replica, &replicas, method, subject, &params, &told);
            let late = |_| Unanswered::Lost("no answer in time".to_owned());
            last = match timeout_at(self.deadline, answer).await.map_err(late).flatten() {
                Ok(result) => return Ok(task::named(result, replica)),
                Err(error @ Unanswered::Unreachable(_)) => error,
                Err(error @ Unanswered::Lost(_)) if self.is_repeatable && !told.load(Ordering::Relaxed) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= self.deadline {
                break;
            }
        }
        Err(last)
    }

    async fn pass_to(
        &self,
        replica: &Replica,
        known: &[&Replica],
        method: &str,
        subject: &str,
        params: &JsonObject,
        told: &AtomicBool,
    ) -> Result<JsonObject, Unanswered> {
        if Manner::of(self.context) == Manner::ByResult {
            let headers = self.headers(subject);
            let link = Arc::new(Link::single(self.wire.clone(), replica.clone(), headers));
            return self.converse(&link, method, params, told).await;
        }
        if let Some(link) = self.links.get(&replica.owner) {
            match self.converse(&link, method, params, told).await {
                // An agent ends sessions that idle, and a new process has none.
                Err(Unanswered::Unreachable(_)) => self.links.forget(&replica.owner),
                answer => return answer,
            }
        }
        let link = Arc::new(Link::open(self.wire.clone(), replica.clone(), self.hello()).await?);
        let peer = self.context.peer.clone();
        // A server need not say anything unasked.
        let listening = link.listen().await.ok().map(|messages| tokio::spawn(hear(messages, peer)));
        self.links.keep(&link, listening.map(AbortOnDropHandle::new), known);
        self.converse(&link, method, params, told).await
    }

    /// One request and its answer. What the agent says meanwhile goes to the client, and what it asks.
    async fn converse(
        &self,
        link: &Arc<Link>,
        method: &str,
        params: &JsonObject,
        told: &AtomicBool,
    ) -> Result<JsonObject, Unanswered> {
        if Manner::of(self.context) != Manner::ByResult {
            link.log_from(json!(self.level)).await;
        }
        let mut params = params.clone();
        params.insert("_meta".to_owned(), self.meta());
        let (id, response) = link.ask(method, params).await?;
        let mut unanswered = GivesUp { link, id: Some(id.clone()) };
        let mut messages = Messages::of(response);
        let mut asked = FuturesUnordered::new();
        let outcome = loop {
            tokio::select! {
                message = messages.next() => match message? {
                    None => break Err(Unanswered::Lost("the agent's answer ended without a result".to_owned())),
                    Some(Message::Answer { id: answered, outcome }) => {
                        if answered == id || answered.is_null() {
                            break outcome.map_err(Unanswered::Refused);
                        }
                    }
                    Some(Message::Question { id, request }) => asked.push(self.answer(link, id, request)),
                    Some(Message::Notification { method, params }) => {
                        told.store(true, Ordering::Relaxed);
                        tell(&self.context.peer, &method, params).await;
                    }
                },
                Some(()) = asked.next() => {}
            }
        };
        unanswered.id = None;
        outcome
    }

    /// Asks the client what the agent wants to know, and passes the answer back.
    async fn answer(&self, link: &Link, id: Value, request: Value) {
        let answer = match serde_json::from_value::<ServerRequest>(request) {
            Ok(request) => self.context.peer.send_request(request).await.map_err(|error| match error {
                ServiceError::McpError(refusal) => json!(refusal),
                error => json!({"code": -32600, "message": format!("the client did not answer: {error}")}),
            }),
            Err(error) => Err(json!({"code": -32601, "message": error.to_string()})),
        };
        let message = match answer {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
        };
        if let Err(error) = link.tell(message).await {
            tracing::debug!(%error, "a client's answer did not reach the agent that asked");
        }
    }

    /// What the client says of itself, without what is not passed on.
    fn hello(&self) -> JsonObject {
        let said = self.context.peer.peer_info().map(|info| json!(*info));
        let Some(Value::Object(mut hello)) = said else { return JsonObject::new() };
        hello.insert("capabilities".to_owned(), json!(self.capabilities()));
        hello
    }

    fn capabilities(&self) -> ClientCapabilities {
        let mut able = self.context.client_capabilities().unwrap_or_default();
        if let Some(extensions) = &mut able.extensions {
            extensions.retain(|name, _| name == TASKS_EXTENSION_ID);
        }
        able
    }

    fn meta(&self) -> Value {
        let mut meta = (*self.context.meta).clone();
        meta.insert("traceparent".to_owned(), self.trace.clone().into());
        if Manner::of(self.context) == Manner::ByResult {
            meta.insert(CAPABILITIES_META.to_owned(), json!(self.capabilities()));
        }
        json!(meta)
    }

    /// The headers of a request that stands for itself, as the client sent them.
    fn headers(&self, subject: &str) -> HeaderMap {
        let Some(head) = self.context.extensions.get::<Parts>() else { return HeaderMap::new() };
        let mut headers = travelling(&head.headers);
        for name in proxy::OURS.into_iter().chain([ACCEPT, CONTENT_TYPE, CONTENT_LENGTH]) {
            headers.remove(name);
        }
        if let Ok(name) = HeaderValue::from_str(subject) {
            headers.insert(NAME_HEADER, name);
        }
        headers
    }

    /// By which name replicas are chosen: the same for all requests of a client.
    fn customer(&self) -> String {
        let Some(head) = self.context.extensions.get::<Parts>() else { return String::new() };
        let session = head.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        let peer: Option<IpAddr> = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        session.map(str::to_owned).unwrap_or_else(|| customer(&head.headers, peer))
    }
}

/// Tells the client behind `peer` what an agent says outside of its answers.
async fn hear(mut messages: Messages, peer: Peer<RoleServer>) {
    while let Ok(Some(message)) = messages.next().await {
        if let Message::Notification { method, params } = message {
            tell(&peer, &method, params).await;
        }
    }
}

async fn tell(peer: &Peer<RoleServer>, method: &str, params: Value) {
    // What makes no sense is not passed on. A client that is gone has cancelled its request.
    match method {
        "notifications/progress" => {
            if let Ok(params) = serde_json::from_value(params) {
                let _ = peer.notify_progress(params).await;
            }
        }
        "notifications/message" => {
            if let Ok(params) = serde_json::from_value(params) {
                let _ = peer.notify_logging_message(params).await;
            }
        }
        "notifications/resources/updated" => {
            if let Ok(params) = serde_json::from_value(params) {
                let _ = peer.notify_resource_updated(params).await;
            }
        }
        // Lists of a single agent are not ours.
        _ => {}
    }
}

/// Lets the agent know when nobody waits for the answer to a request any more.
struct GivesUp<'a> {
    link: &'a Arc<Link>,
    /// The request, until it is answered.
    id: Option<Value>,
}

impl Drop for GivesUp<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.link.give_up(id);
        }
    }
}
