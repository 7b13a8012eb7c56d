//! From a server's description to an rmcp client that talks with it.
#![expect(deprecated, reason = "MCP is about to drop sampling; servers that sample are about to stay")]

use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
    ElicitResult, ErrorCode, Implementation, ListRootsResult, ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::{
    ClientInitializeError, InboundStreamOrigin, NotificationContext, RequestContext, RoleClient, RunningService,
    ServiceError, serve_client_with_lifecycle,
};
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
use rmcp::{ClientHandler, ErrorData, service::ClientLifecycleMode, transport::async_rw::AsyncRwTransport};
use tokio::time::timeout;

use super::process::Process;
use super::relay::{Change, NobodyToAsk, Relay, Tap};
use super::{Server, Wrapped};
use crate::mcp::client::{AskError, ClientHandle};

/// How long a server may take until it answers: one that `npx` has to download first takes a while.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// How long a process whose connection ended may take to be gone.
const EXIT_PATIENCE: Duration = Duration::from_millis(500);

/// How many requests go to one HTTP server at once; further ones wait. What a node runs at once is bounded elsewhere.
const REQUESTS_AT_ONCE: usize = 256;

/// The longest message of a server: an argument or result may be 64 MiB, and JSON in JSON is longer.
pub(crate) const MESSAGE_BYTES: usize = 160 << 20;

/// A server that answered.
pub(super) struct Connected {
    pub(super) service: RunningService<RoleClient, Handler>,
    pub(super) process: Option<Process>,
}

/// What we are to a wrapped server: a client that can do what the client of its call can.
pub(super) struct Handler(pub(super) Arc<Relay>);

/// Starts the server if it is a command, and shakes hands. Dropping the future ends what was started.
///
/// # Errors
/// In words, why there is no answer.
pub(super) async fn connect(wrapped: &Wrapped, relay: Arc<Relay>) -> Result<Connected, String> {
    let handler = Handler(Arc::clone(&relay));
    let spawned = Process::spawn(&wrapped.name, &wrapped.server).map_err(|error| cannot_start(wrapped, &error))?;
    let answered = |result: Result<_, ClientInitializeError>| {
        result.map_err(|error| format!("did not answer: {}", innermost(&error)))
    };
    let late = |_| format!("did not answer within {} s", START_PATIENCE.as_secs());
    if let Server::Url { url, headers } = &wrapped.server {
        let config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(url))
            .max_concurrent_requests(REQUESTS_AT_ONCE)
            .max_sse_event_size(MESSAGE_BYTES)
            .custom_headers(headers.clone());
        let transport = Tap::new(StreamableHttpClientTransport::from_config(config), relay);
        let service = timeout(START_PATIENCE, serve_client_with_lifecycle(handler, transport, lifecycle()));
        return Ok(Connected { service: answered(service.await.map_err(late)?)?, process: None });
    }
    if let Server::Within(surface) = &wrapped.server {
        let (reader, writer) = tokio::io::split(surface.connect());
        let transport = AsyncRwTransport::new_client(reader, writer).with_max_line_length(MESSAGE_BYTES);
        let transport = Tap::new(transport, relay);
        let service = timeout(START_PATIENCE, serve_client_with_lifecycle(handler, transport, lifecycle()));
        return Ok(Connected { service: answered(service.await.map_err(late)?)?, process: None });
    }
    let Some((mut process, stdout, stdin)) = spawned else { return Err("is neither a command nor an URL".to_owned()) };
    let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES);
    let transport = Tap::new(transport, relay);
    let service = timeout(START_PATIENCE, serve_client_with_lifecycle(handler, transport, lifecycle()));
    let failed = tokio::select! {
        service = service => match service.map_err(late).and_then(answered) {
            Ok(service) => return Ok(Connected { service, process: Some(process) }),
            Err(why) => why,
        },
        how = process.exited() => return Err(format!("{how} before it answered")),
    };
    // A process that is about to be gone says more about it than its connection.
    match timeout(EXIT_PATIENCE, process.exited()).await {
        Ok(how) => Err(format!("{how} before it answered")),
        Err(_) => Err(failed),
    }
}

/// What was the matter in the first place, without the layers that it came through.
fn innermost(error: &ClientInitializeError) -> String {
    let mut inner: &dyn Error = match error {
        ClientInitializeError::TransportError { error, .. } => &*error.error,
        error => error,
    };
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn cannot_start(wrapped: &Wrapped, error: &std::io::Error) -> String {
    match &wrapped.server {
        Server::Command { program, .. } => format!("cannot be started: {}: {error}", program.display()),
        Server::Url { .. } | Server::Within(_) => format!("cannot be reached: {error}"),
    }
}

/// The newest protocol that the server speaks.
pub(super) fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::LATEST],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    }
}

impl Handler {
    /// Whom the server means when it asks something.
    fn client(&self, context: &RequestContext<RoleClient>) -> Result<ClientHandle, ErrorData> {
        let origin = context.extensions.get::<InboundStreamOrigin>();
        self.0.client(origin).map_err(|nobody| match nobody {
            NobodyToAsk::NoClient => unable(&nobody),
            NobodyToAsk::NoCall | NobodyToAsk::SeveralCalls => ErrorData::invalid_request(nobody.to_string(), None),
        })
    }
}

/// What a server is told that asks for what whoever calls cannot do, though we can for others.
fn unable(why: &dyn Display) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, why.to_string(), None)
}

/// What a server is told whose question has no answer.
fn unanswered(error: AskError) -> ErrorData {
    match error {
        AskError::Refused(ServiceError::McpError(refusal)) => refusal,
        error @ AskError::Unable(_) => unable(&error),
        error => ErrorData::invalid_request(error.to_string(), None),
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("mesh", env!("CARGO_PKG_VERSION"));
        // Before the protocol of 2026 a client says so once for all calls; those whose caller cannot are told then.
        let able = ClientCapabilities::builder().enable_elicitation().enable_sampling().build();
        ClientConfig::new(able, us)
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.client(&context)?.elicit(question).await.map_err(unanswered)
    }

    async fn create_message(
        &self,
        conversation: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.client(&context)?.sample(conversation).await.map_err(unanswered)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Err(unable(&"roots are those of a connection, which calls of several clients share here"))
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.changed(Change::Prompts);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.changed(Change::Resources);
    }

    async fn on_resource_updated(
        &self,
        resource: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.changed(Change::Resource(resource.uri.into()));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.tools_changed.notify_one();
    }
}
