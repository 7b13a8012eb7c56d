//! The agent that MCP's conformance suite asks for: an rmcp handler with the suite's tools, prompts, resources and tasks.
#![expect(deprecated, reason = "the suite tests what earlier protocols have as well")]

mod asking;
mod prompts;
mod resources;
mod tasks;
mod tools;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult, CompletionInfo,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, JsonObject,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::broadcast;

type Answer<T> = Result<T, ErrorData>;
type Asked = RequestContext<RoleServer>;

/// A list that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    Tools,
    Prompts,
}

/// The suite's fixture.
pub struct Conformance {
    tools: Vec<Tool>,
    tasks: TaskManager,
    changes: broadcast::Sender<Changed>,
}

impl Default for Conformance {
    fn default() -> Self {
        Self { tools: tools::listed(), tasks: TaskManager::new(), changes: broadcast::channel(16).0 }
    }
}

/// What `json` says as one of rmcp's types.
fn typed<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("the fixture's own JSON is right")
}

fn object(json: Value) -> Arc<JsonObject> {
    Arc::new(typed(json))
}

fn invalid(message: &'static str) -> ErrorData {
    ErrorData::invalid_params(message, None)
}

impl ServerHandler for Conformance {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities: ServerCapabilities = typed(serde_json::json!({
            "tools": {"listChanged": true}, "prompts": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true}, "completions": {}, "logging": {},
        }));
        let tasks = ServerCapabilities::builder().enable_tasks().build();
        capabilities.extensions = tasks.extensions;
        ServerConfig::new(capabilities).with_server_info(Implementation::new("conformance", "1.0.0"))
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Asked) -> Answer<CallToolResponse> {
        let arguments = request.arguments.clone().unwrap_or_default();
        if let Some(change) = tools::change(&request.name) {
            // Nobody may be listening.
            let _ = self.changes.send(change);
        }
        if let Some(result) = tools::plain(&request.name, &arguments) {
            return Ok(result.into());
        }
        if let Some(task) = tasks::start(&self.tasks, &request.name, &arguments, &context)? {
            return Ok(task);
        }
        if let Some(result) = asking::in_rounds(&request, &context)? {
            return Ok(result);
        }
        asking::in_the_course(&request.name, &arguments, &context).await.map(Into::into)
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListPromptsResult> {
        Ok(ListPromptsResult::with_all_items(prompts::listed()))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, _: Asked) -> Answer<GetPromptResponse> {
        prompts::get(&request)
    }

    async fn complete(&self, _: CompleteRequestParams, _: Asked) -> Answer<CompleteResult> {
        let found = CompletionInfo::new(vec!["paris".to_owned(), "park".to_owned(), "party".to_owned()]);
        found.map(CompleteResult::new).map_err(|_| invalid("too many completions"))
    }

    async fn list_resources(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListResourcesResult> {
        Ok(ListResourcesResult::with_all_items(resources::listed()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Asked,
    ) -> Answer<ListResourceTemplatesResult> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, _: Asked) -> Answer<ReadResourceResponse> {
        resources::read(&request.uri).map(Into::into)
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Asked) -> Answer<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Asked) -> Answer<()> {
        Ok(())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Asked) -> Answer<()> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Answer<()> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return Ok(()),
            };
            let accepted = context.accepted();
            let told = match change {
                Ok(Changed::Tools) if accepted.tools_list_changed == Some(true) => {
                    context.sink().notify_tool_list_changed().await
                }
                Ok(Changed::Prompts) if accepted.prompts_list_changed == Some(true) => {
                    context.sink().notify_prompt_list_changed().await
                }
                _ => Ok(()),
            };
            if told.is_err() {
                return Ok(());
            }
        }
    }

    async fn get_task(&self, request: GetTaskParams, _: Asked) -> Answer<GetTaskResult> {
        self.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Asked) -> Answer<()> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Asked) -> Answer<()> {
        self.tasks.cancel_task(&request.task_id)
    }
}
