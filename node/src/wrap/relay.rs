//! What a server says beside its results, in the order in which it says it.
//!
//! rmcp runs every notification in a task of its own, which reorders them. So the transport is tapped: progress goes
//! straight to the call it belongs to, and only the rest takes rmcp's way.
#![expect(deprecated, reason = "MCP is about to drop logging; servers that log are about to stay")]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{
    ClientRequest, DiscoverRequestMethod, ErrorData, JsonRpcMessage, LoggingLevel, LoggingMessageNotificationParam,
    ProgressToken, RequestId, ServerNotification, ServerResult,
};
use rmcp::service::{InboundStreamOrigin, RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::{Notify, broadcast, mpsc};

use crate::context::Update;
use crate::mcp::client::{Asked, ClientHandle};

/// How many updates of one call wait. Further ones are lost: a caller that does not listen must not stop the server.
const UPDATES_WAITING: usize = 256;

type Calls = HashMap<ProgressToken, UnderWay>;

/// A call that the server has not answered.
#[derive(Debug)]
struct UnderWay {
    request: RequestId,
    said: mpsc::Sender<Update>,
    /// Who called, if it can be asked something.
    client: Option<ClientHandle>,
}

/// Why a server's question goes to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NobodyToAsk {
    #[error(
        "nobody can be asked: the tool was not called by an MCP client, or not by one that can be asked while it runs"
    )]
    NoClient,
    #[error("nobody can be asked: no call is under way")]
    NoCall,
    #[error(
        "nobody can be asked: several calls are under way, and it cannot be told which of them the question is about"
    )]
    SeveralCalls,
}

/// Something besides tools that is no longer as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// This resource.
    Resource(Arc<str>),
}

/// Who is told what.
#[derive(Debug)]
pub(super) struct Relay {
    name: Arc<str>,
    calls: Mutex<Calls>,
    changes: broadcast::Sender<Change>,
    /// The tools have changed.
    pub(super) tools_changed: Notify,
}

/// Hears what belongs to one call, until it is dropped.
pub(super) struct Listening<'a> {
    relay: &'a Relay,
    token: ProgressToken,
    pub(super) said: mpsc::Receiver<Update>,
}

impl Relay {
    /// For a connection to the server of the agent called `name`.
    pub(super) fn new(name: Arc<str>, changes: broadcast::Sender<Change>) -> Self {
        Self { name, calls: Mutex::default(), changes, tools_changed: Notify::new() }
    }

    /// Tells whoever serves the rest of the server.
    pub(super) fn changed(&self, change: Change) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }

    /// Hears what is said about the call that was sent as `request` with this token. What the server asks in its course is
    /// asked of `client`.
    pub(super) fn listen(
        &self,
        token: ProgressToken,
        request: RequestId,
        client: Option<ClientHandle>,
    ) -> Listening<'_> {
        let (sender, said) = mpsc::channel(UPDATES_WAITING);
        self.calls().insert(token.clone(), UnderWay { request, said: sender, client });
        Listening { relay: self, token, said }
    }

    /// The client to ask what the server wants to know. `origin` is where the question came from, if the transport knows.
    ///
    /// # Errors
    /// [`NobodyToAsk`]. A question without an origin goes to nobody while several calls are under way: it would be put to
    /// somebody whom it does not concern.
    pub(super) fn client(&self, origin: Option<&InboundStreamOrigin>) -> Result<ClientHandle, NobodyToAsk> {
        let calls = self.calls();
        let call = match origin {
            Some(InboundStreamOrigin::OutboundRequest(id)) => {
                calls.values().find(|call| call.request == *id).ok_or(NobodyToAsk::NoCall)?
            }
            _ => match calls.len() {
                0 => return Err(NobodyToAsk::NoCall),
                1 => calls.values().next().ok_or(NobodyToAsk::NoCall)?,
                _ => return Err(NobodyToAsk::SeveralCalls),
            },
        };
        let client = call.client.clone().filter(|client| client.asked() == Asked::Meanwhile);
        client.ok_or(NobodyToAsk::NoClient)
    }

    /// Takes what is meant for a call, or for the log; gives back everything else.
    fn take(&self, message: ServerNotification) -> Option<ServerNotification> {
        match message {
            ServerNotification::ProgressNotification(message) => {
                let said = message.params;
                if let Some(call) = self.calls().get(&said.progress_token) {
                    let update = Update::Progress { progress: said.progress, total: said.total, message: said.message };
                    // Full: see the bound.
                    let _ = call.said.try_send(update);
                }
                None
            }
            ServerNotification::LoggingMessageNotification(message) => {
                self.log(message.params);
                None
            }
            other => Some(other),
        }
    }

    fn log(&self, said: LoggingMessageNotificationParam) {
        let (level, data) = (level(said.level), said.data.to_string());
        tracing::debug!(agent = %self.name, level, "{data}");
        let calls = self.calls();
        let mut under_way = calls.values();
        // A log message does not say which call it is about; with one under way there is no doubt.
        if let (Some(call), None) = (under_way.next(), under_way.next()) {
            let _ = call.said.try_send(Update::Log { level, logger: said.logger, data: data.into() });
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.relay.calls().remove(&self.token);
    }
}

/// A transport that tells a [`Relay`] first.
pub(super) struct Tap<T> {
    inner: T,
    relay: Arc<Relay>,
    discovers: HashSet<RequestId>,
    initialized: bool,
}

impl<T> Tap<T> {
    pub(super) fn new(inner: T, relay: Arc<Relay>) -> Self {
        Self { inner, relay, discovers: HashSet::new(), initialized: false }
    }

    /// A server that took so long to start that we went on to `initialize` answers our `server/discover` as well. rmcp
    /// would take that answer for one to `initialize`.
    fn is_late(&self, id: &RequestId) -> bool {
        self.initialized && self.discovers.contains(id)
    }

    /// Some servers have an answer to everything. One to `server/discover` that makes no sense means that they do not know
    /// it, and what rmcp then does is to `initialize`.
    fn is_no_discovery(&self, id: &RequestId, result: &ServerResult) -> bool {
        self.discovers.contains(id) && !matches!(result, ServerResult::DiscoverResult(_))
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Tap<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item {
            match request.request {
                // A handful per connection, all before it is set up.
                ClientRequest::DiscoverRequest(_) if !self.initialized => {
                    self.discovers.insert(request.id.clone());
                }
                ClientRequest::InitializeRequest(_) => self.initialized = true,
                _ => {}
            }
        }
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.inner.receive().await? {
                JsonRpcMessage::Notification(mut message) => {
                    if let Some(rest) = self.relay.take(message.notification) {
                        message.notification = rest;
                        return Some(JsonRpcMessage::Notification(message));
                    }
                }
                JsonRpcMessage::Response(answer) if self.is_late(&answer.id) => {}
                JsonRpcMessage::Error(error) if error.id.as_ref().is_some_and(|id| self.is_late(id)) => {}
                JsonRpcMessage::Response(answer) if self.is_no_discovery(&answer.id, &answer.result) => {
                    let unknown = ErrorData::method_not_found::<DiscoverRequestMethod>();
                    return Some(JsonRpcMessage::error(unknown, Some(answer.id)));
                }
                message => return Some(message),
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}

fn level(level: LoggingLevel) -> &'static str {
    match level {
        LoggingLevel::Debug => "debug",
        LoggingLevel::Info => "info",
        LoggingLevel::Notice => "notice",
        LoggingLevel::Warning => "warning",
        LoggingLevel::Error => "error",
        LoggingLevel::Critical => "critical",
        LoggingLevel::Alert => "alert",
        LoggingLevel::Emergency => "emergency",
    }
}
