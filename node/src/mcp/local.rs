//! The MCP server of one agent: its own tools, and behind them whatever else its author's handler serves.
#![expect(deprecated, reason = "clients of earlier protocols have logging and subscriptions, and rely on it")]

mod call;
mod capabilities;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam, CompleteRequestParams,
    CompleteResult, CustomNotification, CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams,
    GetPromptResponse, GetSkillRequestParams, GetSkillResult, GetTaskParams, GetTaskResult, Implementation,
    InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListSkillsResult, ListToolsResult, LoggingLevel, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
    ReadResourceResponse, ServerConfig, SetLevelRequestMethod, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::convert;
use crate::propagation::Propagation;
use crate::run::Accompany;
use crate::tool::{ToolDescriptor, ToolHost, Tools};

/// What all MCP sessions of one agent share.
pub struct Own {
    name: String,
    version: String,
    /// What the agent says about itself; nothing if empty.
    description: String,
    tools: watch::Receiver<Tools>,
    calls: Arc<dyn Accompany>,
    propagation: Propagation,
}

/// One session, or one request outside of any: our tools in front of the author's handler.
pub(super) struct Local<H> {
    own: Arc<Own>,
    theirs: Arc<H>,
    /// The least that is logged to this client, once it said so.
    level: Mutex<Option<LoggingLevel>>,
    /// Tells the client of this session when our tools change; ends with it.
    teller: OnceLock<AbortOnDropHandle<()>>,
}

/// What stands behind our tools where the author has nothing.
pub(super) struct Nothing;

type Answer<T> = Result<T, ErrorData>;
type Asked = RequestContext<RoleServer>;
type Told = NotificationContext<RoleServer>;

impl Own {
    /// The tools of `host`, called through `calls`, of an agent that calls itself `name` in `version`.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        description: impl Into<String>,
        host: &dyn ToolHost,
        calls: Arc<dyn Accompany>,
        propagation: Propagation,
    ) -> Arc<Self> {
        let (name, version, description) = (name.into(), version.into(), description.into());
        Arc::new(Self { name, version, description, tools: host.tools(), calls, propagation })
    }

    fn tool(&self, name: &str) -> Option<Arc<ToolDescriptor>> {
        self.tools.borrow().iter().find(|tool| *tool.name == *name).cloned()
    }
}

impl<H: ServerHandler> Local<H> {
    pub(super) fn new(own: Arc<Own>, theirs: Arc<H>) -> Self {
        Self { own, theirs, level: Mutex::default(), teller: OnceLock::new() }
    }

    /// What this request is logged: what its session or it itself asked for. A request of its own that asked for
    /// nothing gets one plain answer.
    fn level(&self, context: &Asked) -> Option<LoggingLevel> {
        if call::is_modern(context) || call::is_single(context) {
            return context.meta.log_level();
        }
        Some(self.level.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(LoggingLevel::Info))
    }
}

impl ServerHandler for Nothing {
    async fn call_tool(&self, request: CallToolRequestParams, _: Asked) -> Answer<CallToolResponse> {
        Err(ErrorData::invalid_params(format!("unknown tool: {}", request.name), None))
    }
}

impl<H: ServerHandler> ServerHandler for Local<H> {
    fn get_info(&self) -> ServerConfig {
        let theirs = self.theirs.get_info();
        let mut info = ServerConfig::new(capabilities::with_ours(theirs.capabilities));
        info.server_info = Implementation::new(self.own.name.clone(), self.own.version.clone());
        let description = (!self.own.description.is_empty()).then(|| self.own.description.clone());
        info.instructions = theirs.instructions.or(description);
        info.meta = theirs.meta;
        info
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.theirs.supported_protocol_versions()
    }

    async fn initialize(&self, request: InitializeRequestParams, context: Asked) -> Answer<InitializeResult> {
        let answer = self.theirs.initialize(request, context).await?;
        Ok(self.get_info().with_protocol_version(answer.protocol_version))
    }

    async fn discover(&self, context: Asked) -> Answer<DiscoverResult> {
        let mut answer = self.theirs.discover(context).await?;
        let info = self.get_info();
        answer.capabilities = info.capabilities;
        answer.instructions = info.instructions;
        answer.set_server_info(info.server_info);
        Ok(answer)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.own.tool(name).map(|tool| convert::tool(&tool)).or_else(|| self.theirs.get_tool(name))
    }

    async fn list_tools(&self, page: Option<PaginatedRequestParams>, context: Asked) -> Answer<ListToolsResult> {
        let is_first = page.as_ref().is_none_or(|page| page.cursor.is_none());
        let mut answer = self.theirs.list_tools(page, context).await?;
        let own: Vec<Tool> = self.own.tools.borrow().iter().map(|tool| convert::tool(tool)).collect();
        answer.tools.retain(|tool| own.iter().all(|own| own.name != tool.name));
        if is_first {
            answer.tools.splice(0..0, own);
        }
        Ok(answer)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Asked) -> Answer<CallToolResponse> {
        match self.own.tool(&request.name) {
            Some(tool) => {
                let level = self.level(&context);
                call::run(&self.own, &tool, request, context, level).await
            }
            None => call::run_theirs(&self.own, &*self.theirs, request, context).await,
        }
    }

    async fn set_level(&self, request: SetLevelRequestParams, context: Asked) -> Answer<()> {
        if call::is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.level);
        match self.theirs.set_level(request, context).await {
            Err(error) if error.code != ErrorCode::METHOD_NOT_FOUND => Err(error),
            _ => Ok(()),
        }
    }

    async fn on_initialized(&self, context: Told) {
        let mut tools = self.own.tools.clone();
        tools.mark_unchanged();
        let peer = context.peer.clone();
        let _ = self.teller.set(AbortOnDropHandle::new(tokio::spawn(async move {
            while tools.changed().await.is_ok() && peer.notify_tool_list_changed().await.is_ok() {}
        })));
        self.theirs.on_initialized(context).await;
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = self.theirs.accepted_subscription_filter(requested).unwrap_or_default();
        accepted.tools_list_changed = Some(true);
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Answer<()> {
        let sink = context.sink().clone();
        let wants_tools = context.accepted().tools_list_changed == Some(true);
        let mut tools = self.own.tools.clone();
        tools.mark_unchanged();
        let tell = async {
            while wants_tools && tools.changed().await.is_ok() && sink.notify_tool_list_changed().await.is_ok() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.theirs.listen(context) => ended,
            () = tell => Ok(()),
        }
    }

    // Everything below is theirs alone.

    async fn ping(&self, context: Asked) -> Answer<()> {
        self.theirs.ping(context).await
    }

    async fn complete(&self, request: CompleteRequestParams, context: Asked) -> Answer<CompleteResult> {
        self.theirs.complete(request, context).await
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, context: Asked) -> Answer<GetPromptResponse> {
        self.theirs.get_prompt(request, context).await
    }

    async fn list_prompts(&self, page: Option<PaginatedRequestParams>, context: Asked) -> Answer<ListPromptsResult> {
        self.theirs.list_prompts(page, context).await
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        context: Asked,
    ) -> Answer<ListResourcesResult> {
        self.theirs.list_resources(page, context).await
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        context: Asked,
    ) -> Answer<ListResourceTemplatesResult> {
        self.theirs.list_resource_templates(page, context).await
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, context: Asked) -> Answer<ReadResourceResponse> {
        self.theirs.read_resource(request, context).await
    }

    async fn subscribe(&self, request: SubscribeRequestParams, context: Asked) -> Answer<()> {
        self.theirs.subscribe(request, context).await
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, context: Asked) -> Answer<()> {
        self.theirs.unsubscribe(request, context).await
    }

    async fn on_custom_request(&self, request: CustomRequest, context: Asked) -> Answer<CustomResult> {
        self.theirs.on_custom_request(request, context).await
    }

    async fn on_cancelled(&self, notification: CancelledNotificationParam, context: Told) {
        self.theirs.on_cancelled(notification, context).await;
    }

    async fn on_progress(&self, notification: ProgressNotificationParam, context: Told) {
        self.theirs.on_progress(notification, context).await;
    }

    async fn on_roots_list_changed(&self, context: Told) {
        self.theirs.on_roots_list_changed(context).await;
    }

    async fn on_custom_notification(&self, notification: CustomNotification, context: Told) {
        self.theirs.on_custom_notification(notification, context).await;
    }

    async fn get_task(&self, request: GetTaskParams, context: Asked) -> Answer<GetTaskResult> {
        self.theirs.get_task(request, context).await
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Asked) -> Answer<()> {
        self.theirs.update_task(request, context).await
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Asked) -> Answer<()> {
        self.theirs.cancel_task(request, context).await
    }

    async fn list_skills(&self, page: Option<PaginatedRequestParams>, context: Asked) -> Answer<ListSkillsResult> {
        self.theirs.list_skills(page, context).await
    }

    async fn get_skill(&self, request: GetSkillRequestParams, context: Asked) -> Answer<GetSkillResult> {
        self.theirs.get_skill(request, context).await
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        context: Asked,
    ) -> Answer<ReadResourceDirectoryResult> {
        self.theirs.read_resource_directory(request, context).await
    }
}
