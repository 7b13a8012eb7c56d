//! What a wrapped server has besides tools, to be served as the agent's own: prompts, resources, completion, tasks.
#![expect(deprecated, reason = "clients of earlier protocols have logging and subscriptions, and rely on it")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{
    CancelTaskParams, CancelTaskRequest, ClientRequest, CompleteRequest, CompleteRequestParams, CompleteResult,
    ErrorCode, GetPromptRequest, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskRequest,
    GetTaskResult, ListPromptsRequest, ListPromptsResult, ListResourceTemplatesRequest, ListResourceTemplatesResult,
    ListResourcesRequest, ListResourcesResult, PaginatedRequestParams, ReadResourceRequest, ReadResourceRequestParams,
    ReadResourceResponse, RequestMetaObject, ResourceUpdatedNotificationParam, ServerConfig, ServerPeerInfo,
    ServerResult, SetLevelRequest, SetLevelRequestParams, SubscribeRequest, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequest, UnsubscribeRequestParams, UpdateTaskParams, UpdateTaskRequest,
};
use rmcp::service::{
    NotificationContext, Peer, RequestContext, RoleServer, ServiceError, SubscriptionContext, SubscriptionSendError,
};
use rmcp::{ErrorData, ServerHandler};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Shared;
use super::exchange::Exchange;
use super::relay::Change;
use crate::context::Outlet;
use crate::mcp::client::{ClientHandle, Round};

/// An MCP server that is as the wrapped one says, tools aside. While that is away it has nothing.
pub(super) struct Mirror {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    _teller: AbortOnDropHandle<()>,
}

/// The clients that opened a session, to be told of changes.
#[derive(Default)]
struct Sessions(Mutex<Vec<Peer<RoleServer>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Vec<Peer<RoleServer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a client may take to take a notification.
const TELL_PATIENCE: Duration = Duration::from_secs(5);

type Answer<T> = Result<T, ErrorData>;
type Asked = RequestContext<RoleServer>;

impl Mirror {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let sessions = Arc::<Sessions>::default();
        let teller = tokio::spawn(tell(shared.changes.subscribe(), Arc::clone(&sessions)));
        Self { shared, sessions, _teller: AbortOnDropHandle::new(teller) }
    }

    fn info(&self) -> Option<Arc<ServerPeerInfo>> {
        self.shared.session.load().as_ref()?.peer.peer_info()
    }

    /// Passes `request` on and brings back the answer; a client that goes away cancels it.
    async fn forward(&self, request: ClientRequest, context: &Asked) -> Answer<ServerResult> {
        let away = || ErrorData::internal_error("the wrapped MCP server is not there at the moment", None);
        let session = self.shared.session.load_full().ok_or_else(away)?;
        let meta = forwarded(&context.meta, session.is_modern());
        let (client, questions) = ClientHandle::new(context.clone(), Round::default(), None);
        let mut exchange = Exchange::begin(&session, request, meta, Some(client)).await.map_err(|_| away())?;
        let nowhere = Outlet::closed();
        let answer = tokio::select! {
            answer = questions.ask_during(exchange.answer(&nowhere), context) => answer,
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled", None)),
        };
        answer.map_err(|error| match error {
            ServiceError::McpError(error) => error,
            _ => away(),
        })
    }
}

/// What of a request's metadata goes on to the server: not what belongs to this connection.
fn forwarded(meta: &RequestMetaObject, is_modern: bool) -> RequestMetaObject {
    let ours = ["progressToken", "io.modelcontextprotocol/protocolVersion"];
    let goes_on = |key: &str| !ours.contains(&key) && (is_modern || !key.starts_with("io.modelcontextprotocol/"));
    let kept = meta.iter().filter(|(key, _)| goes_on(key)).map(|(key, value)| (key.clone(), value.clone()));
    RequestMetaObject::from(kept.collect::<crate::tool::JsonObject>())
}

/// The next change; of a listener who fell behind, that everything may have changed. `None`: there will be no more.
async fn heard(changes: &mut broadcast::Receiver<Change>) -> Option<Change> {
    match changes.recv().await {
        Ok(change) => Some(change),
        Err(RecvError::Lagged(_)) => Some(Change::Resources),
        Err(RecvError::Closed) => None,
    }
}

/// Tells the clients of all sessions what changes, and forgets those that are gone or do not take it.
async fn tell(mut changes: broadcast::Receiver<Change>, sessions: Arc<Sessions>) {
    while let Some(change) = heard(&mut changes).await {
        let peers = std::mem::take(&mut *sessions.lock());
        let told = peers.into_iter().map(|peer| {
            let change = change.clone();
            async move {
                let told = timeout(TELL_PATIENCE, notify(&peer, change)).await;
                matches!(told, Ok(Ok(()))).then_some(peer)
            }
        });
        let still_there = futures::future::join_all(told).await;
        sessions.lock().extend(still_there.into_iter().flatten());
    }
}

async fn notify(peer: &Peer<RoleServer>, change: Change) -> Result<(), ServiceError> {
    match change {
        Change::Prompts => peer.notify_prompt_list_changed().await,
        Change::Resources => peer.notify_resource_list_changed().await,
        Change::Resource(uri) => peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(&*uri)).await,
    }
}

/// The answer if it is of the kind that was asked for.
macro_rules! expect {
    ($answer:expr, $kind:ident) => {
        match $answer? {
            ServerResult::$kind(result) => Ok(result),
            _ => Err(ErrorData::internal_error("the wrapped MCP server answered with something else", None)),
        }
    };
}

impl ServerHandler for Mirror {
    fn get_info(&self) -> ServerConfig {
        let Some(info) = self.info() else { return ServerConfig::default() };
        let mut capabilities = info.capabilities.clone();
        capabilities.tools = None;
        let mut config = ServerConfig::new(capabilities);
        config.instructions = info.instructions.clone();
        config
    }

    async fn list_prompts(&self, page: Option<PaginatedRequestParams>, context: Asked) -> Answer<ListPromptsResult> {
        if self.info().is_none_or(|info| info.capabilities.prompts.is_none()) {
            return Ok(ListPromptsResult::default());
        }
        let request = ListPromptsRequest { params: page, ..Default::default() };
        expect!(self.forward(ClientRequest::ListPromptsRequest(request), &context).await, ListPromptsResult)
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, context: Asked) -> Answer<GetPromptResponse> {
        match self.forward(ClientRequest::GetPromptRequest(GetPromptRequest::new(request)), &context).await {
            Ok(ServerResult::InputRequiredResult(asks)) => Ok(GetPromptResponse::InputRequired(asks)),
            answer => expect!(answer, GetPromptResult).map(GetPromptResponse::Complete),
        }
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: Asked,
    ) -> Answer<ListResourcesResult> {
        if self.info().is_none_or(|info| info.capabilities.resources.is_none()) {
            return Ok(ListResourcesResult::default());
        }
        let request = ListResourcesRequest { params: page, ..Default::default() };
        expect!(self.forward(ClientRequest::ListResourcesRequest(request), &context).await, ListResourcesResult)
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        context: Asked,
    ) -> Answer<ListResourceTemplatesResult> {
        if self.info().is_none_or(|info| info.capabilities.resources.is_none()) {
            return Ok(ListResourceTemplatesResult::default());
        }
        let request = ListResourceTemplatesRequest { params: page, ..Default::default() };
        let answer = self.forward(ClientRequest::ListResourceTemplatesRequest(request), &context).await;
        expect!(answer, ListResourceTemplatesResult)
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, context: Asked) -> Answer<ReadResourceResponse> {
        match self.forward(ClientRequest::ReadResourceRequest(ReadResourceRequest::new(request)), &context).await {
            Ok(ServerResult::InputRequiredResult(asks)) => Ok(ReadResourceResponse::InputRequired(asks)),
            answer => expect!(answer, ReadResourceResult).map(ReadResourceResponse::Complete),
        }
    }

    async fn complete(&self, request: CompleteRequestParams, context: Asked) -> Answer<CompleteResult> {
        let answer = self.forward(ClientRequest::CompleteRequest(CompleteRequest::new(request)), &context).await;
        expect!(answer, CompleteResult)
    }

    async fn get_task(&self, request: GetTaskParams, context: Asked) -> Answer<GetTaskResult> {
        let request = ClientRequest::GetTaskRequest(GetTaskRequest::new(request));
        expect!(self.forward(request, &context).await, GetTaskResult)
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Asked) -> Answer<()> {
        self.forward(ClientRequest::UpdateTaskRequest(UpdateTaskRequest::new(request)), &context).await.map(drop)
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Asked) -> Answer<()> {
        self.forward(ClientRequest::CancelTaskRequest(CancelTaskRequest::new(request)), &context).await.map(drop)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|peer| !peer.is_transport_closed());
        sessions.push(context.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let is_modern = self.shared.session.load().as_ref().is_some_and(|session| session.is_modern());
        let mut accepted = requested.clone();
        if is_modern {
            // One connection stands for all clients: it cannot listen to what each of them wants.
            accepted.resource_subscriptions = None;
        }
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Answer<()> {
        let (accepted, sink) = (context.accepted().clone(), context.sink());
        let mut changes = self.shared.changes.subscribe();
        for uri in accepted.resource_subscriptions.iter().flatten() {
            let request = SubscribeRequest::new(SubscribeRequestParams::new(uri.clone()));
            self.forward(ClientRequest::SubscribeRequest(request), context.request_context()).await?;
        }
        loop {
            let change = tokio::select! {
                change = heard(&mut changes) => change,
                () = context.cancelled() => return Ok(()),
            };
            // Whatever the client did not ask for is refused by the sink, as it should be.
            let told = match change {
                Some(Change::Prompts) => sink.notify_prompt_list_changed().await,
                Some(Change::Resources) => sink.notify_resource_list_changed().await,
                Some(Change::Resource(uri)) => sink.notify_resource_updated(&*uri).await,
                None => return Ok(()),
            };
            if let Err(SubscriptionSendError::Service(_)) = told {
                return Ok(());
            }
        }
    }

    async fn set_level(&self, request: SetLevelRequestParams, context: Asked) -> Answer<()> {
        let has_logging = self.info().is_some_and(|info| info.capabilities.logging.is_some());
        if !has_logging {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "logging/setLevel", None));
        }
        self.forward(ClientRequest::SetLevelRequest(SetLevelRequest::new(request)), &context).await.map(drop)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, context: Asked) -> Answer<()> {
        self.forward(ClientRequest::SubscribeRequest(SubscribeRequest::new(request)), &context).await.map(drop)
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, context: Asked) -> Answer<()> {
        self.forward(ClientRequest::UnsubscribeRequest(UnsubscribeRequest::new(request)), &context).await.map(drop)
    }
}
