//! One MCP session with the whole mesh, or one request outside of any.
#![expect(deprecated, reason = "clients of earlier protocols have logging, and rely on it")]

mod call;
pub(super) mod task;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CompleteRequestParams, CompleteResult,
    ErrorCode, GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    PaginatedRequestParams, Prompt, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Reference,
    Resource, ResourceTemplate, ResultType, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::call::question;

use super::directory::Directory;
use super::names::{Names, Thing};
use super::passage::{Links, Manner};
use super::shelf::{Items, List};
use super::tools::{self, Toolbox, Way};
use super::wire::Unanswered;
use super::{Changes, Inner};
use crate::mcp::endpoint::SESSION_HEADER;
use crate::offers::ASKS_CLIENT;

/// How long an agent may take for a prompt, a resource or a completion.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Session {
    inner: Arc<Inner>,
    /// The least that is logged to this client, once it said so.
    level: Mutex<Option<LoggingLevel>>,
    /// Its sessions with agents whose tools may ask it something.
    links: Links,
    /// Tells the client of this session what comes and goes; ends with it.
    teller: OnceLock<AbortOnDropHandle<()>>,
}

type Answer<T> = Result<T, ErrorData>;
type Asked = RequestContext<RoleServer>;

impl Session {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, level: Mutex::default(), links: Links::default(), teller: OnceLock::new() }
    }

    /// What this request is logged: what its session or it itself asked for.
    fn level(&self, context: &Asked) -> Option<LoggingLevel> {
        let is_modern = context.protocol_version().is_some_and(|version| !version.has_initialize());
        let head = context.extensions.get::<Parts>();
        let is_single = head.is_some_and(|head| !head.headers.contains_key(SESSION_HEADER));
        if is_modern || is_single {
            return context.meta.log_level();
        }
        Some(self.session_level())
    }

    fn session_level(&self) -> LoggingLevel {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(LoggingLevel::Info)
    }

    /// Asks the MCP server of an agent, one replica after the other until one answers.
    async fn ask<T: DeserializeOwned>(
        &self,
        directory: &Directory,
        agent: &Arc<str>,
        method: &str,
        params: &impl Serialize,
        context: &Asked,
    ) -> Answer<T> {
        let Value::Object(params) = serde_json::to_value(params).map_err(internal)? else {
            return Err(ErrorData::invalid_params("parameters are an object", None));
        };
        let deadline = Instant::now() + PATIENCE;
        let mut last = Unanswered::Unreachable(format!("{agent} is gone"));
        for replica in directory.agents.get(agent).iter().flat_map(|agent| &agent.replicas) {
            let answer = tokio::select! {
                answer = self.inner.wire.ask(replica, method, params.clone(), deadline) => answer,
                () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled", None)),
            };
            match answer {
                Ok(result) => return serde_json::from_value(Value::Object(result)).map_err(internal),
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    async fn all(&self, directory: &Directory, list: List) -> Vec<(Arc<str>, Items)> {
        self.inner.shelf.all(&self.inner.wire, directory, list).await
    }

    /// Passes on what a client wants of the agent that has a resource. It tells the client about it in its own session.
    async fn pass_about(
        &self,
        uri: &str,
        method: &'static str,
        params: &impl Serialize,
        context: &Asked,
    ) -> Answer<()> {
        let directory = self.inner.directory();
        let Some(agent) = self.owner_of(&directory, uri).await else {
            return Err(ErrorData::resource_not_found(format!("no agent has the resource {uri}"), None));
        };
        self.pass(&directory, &agent, method, uri, params, context).await.map(drop)
    }

    /// Whose resource, or template of resources, this is.
    async fn owner_of(&self, directory: &Directory, uri: &str) -> Option<Arc<str>> {
        let has = |field: &'static str, fits: fn(&str, &str) -> bool| {
            move |(agent, items): (Arc<str>, Items)| {
                let mut uris = items.iter().filter_map(|item| item.get(field)?.as_str());
                uris.any(|listed| fits(listed, uri)).then_some(agent)
            }
        };
        let listed = self.all(directory, List::Resources).await;
        if let Some(agent) = listed.into_iter().find_map(has("uri", |listed, uri| listed == uri)) {
            return Some(agent);
        }
        self.all(directory, List::Templates).await.into_iter().find_map(has("uriTemplate", fits_template))
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks();
        let mut info = ServerConfig::new(capabilities.build());
        info.server_info = Implementation::new("mesh", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListToolsResult> {
        Ok(ListToolsResult::with_all_items(Toolbox::open(&self.inner).await.list()))
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Asked) -> Answer<CallToolResponse> {
        let directory = self.inner.directory();
        let offered: Names = tools::offered(&directory).collect();
        let way = match tools::find_offered(&directory, &offered, &request.name) {
            Ok(thing) => Ok(Way::Call(thing)),
            Err(_) => Toolbox::open(&self.inner).await.find(&request.name),
        };
        let (thing, is_offered) = match way.map_err(|why| ErrorData::invalid_params(why, None))? {
            Way::Call(thing) => (thing, true),
            Way::Ask(thing) => (thing, false),
        };
        let agent = directory.agents.get(&thing.agent);
        let tool = agent.filter(|_| is_offered).and_then(|agent| agent.tool(&thing.name));
        let may_ask = !is_offered || tool.is_some_and(|tool| tool.kwargs.get(ASKS_CLIENT) == Some(&Value::Bool(true)));
        if is_offered && (!may_ask || Manner::of(&context) == Manner::Never) {
            let arguments = request.arguments.unwrap_or_default();
            return self.call(&thing, arguments, &context).await;
        }
        let mut params = request;
        params.name = thing.name.to_string().into();
        if Manner::of(&context) == Manner::Never {
            let result: CallToolResult = self.ask(&directory, &thing.agent, "tools/call", &params, &context).await?;
            return Ok(result.into());
        }
        self.pass_call(&directory, &thing, is_offered, &params, &context).await
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListPromptsResult> {
        let directory = self.inner.directory();
        let all = self.all(&directory, List::Prompts).await;
        let names = names_of(&all);
        let prompts = each::<Prompt>(&all).map(|(agent, mut prompt)| {
            prompt.name = names.shown(&Thing { agent: Arc::clone(agent), name: prompt.name.as_str().into() });
            prompt
        });
        Ok(ListPromptsResult::with_all_items(prompts.collect()))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, context: Asked) -> Answer<GetPromptResponse> {
        let directory = self.inner.directory();
        let thing = find(&self.all(&directory, List::Prompts).await, &request.name)?;
        let mut params = request;
        params.name = thing.name.to_string();
        if Manner::of(&context) == Manner::ByResult {
            let result = self.pass(&directory, &thing.agent, "prompts/get", &thing.name, &params, &context).await?;
            return match question(&result) {
                Some(question) => Ok(GetPromptResponse::InputRequired(question)),
                None => serde_json::from_value(result.into()).map(GetPromptResponse::Complete).map_err(internal),
            };
        }
        let result: GetPromptResult = self.ask(&directory, &thing.agent, "prompts/get", &params, &context).await?;
        Ok(result.into())
    }

    async fn list_resources(&self, _: Option<PaginatedRequestParams>, _: Asked) -> Answer<ListResourcesResult> {
        let all = self.all(&self.inner.directory(), List::Resources).await;
        let mut resources: Vec<Resource> = each(&all).map(|(_, resource)| resource).collect();
        // An address means one thing: the first who has it is asked for it.
        let mut seen = std::collections::BTreeSet::new();
        resources.retain(|resource| seen.insert(resource.uri.clone()));
        Ok(ListResourcesResult::with_all_items(resources))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Asked,
    ) -> Answer<ListResourceTemplatesResult> {
        let all = self.all(&self.inner.directory(), List::Templates).await;
        let mut templates: Vec<ResourceTemplate> = each(&all).map(|(_, template)| template).collect();
        let mut seen = std::collections::BTreeSet::new();
        templates.retain(|template| seen.insert(template.uri_template.clone()));
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, context: Asked) -> Answer<ReadResourceResponse> {
        let directory = self.inner.directory();
        let Some(agent) = self.owner_of(&directory, &request.uri).await else {
            return Err(ErrorData::resource_not_found(format!("no agent has the resource {}", request.uri), None));
        };
        if Manner::of(&context) == Manner::ByResult {
            let result = self.pass(&directory, &agent, "resources/read", &request.uri, &request, &context).await?;
            return match question(&result) {
                Some(question) => Ok(ReadResourceResponse::InputRequired(question)),
                None => serde_json::from_value(result.into()).map(ReadResourceResponse::Complete).map_err(internal),
            };
        }
        let result: ReadResourceResult = self.ask(&directory, &agent, "resources/read", &request, &context).await?;
        Ok(result.into())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, context: Asked) -> Answer<()> {
        self.pass_about(&request.uri, "resources/subscribe", &request, &context).await
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, context: Asked) -> Answer<()> {
        self.pass_about(&request.uri, "resources/unsubscribe", &request, &context).await
    }

    async fn complete(&self, request: CompleteRequestParams, context: Asked) -> Answer<CompleteResult> {
        let directory = self.inner.directory();
        let mut params = request;
        let agent = match &mut params.r#ref {
            Reference::Prompt(prompt) => {
                let thing = find(&self.all(&directory, List::Prompts).await, &prompt.name)?;
                prompt.name = thing.name.to_string();
                thing.agent
            }
            Reference::Resource(resource) => {
                let owner = self.owner_of(&directory, &resource.uri).await;
                owner.ok_or_else(|| ErrorData::invalid_params("no agent has this resource", None))?
            }
            _ => return Err(ErrorData::invalid_params("nothing that can be completed", None)),
        };
        let mut result: CompleteResult = self.ask(&directory, &agent, "completion/complete", &params, &context).await?;
        // What earlier protocols leave out; rmcp takes it out again for their clients.
        result.result_type.get_or_insert(ResultType::COMPLETE);
        Ok(result)
    }

    async fn get_task(&self, request: GetTaskParams, context: Asked) -> Answer<GetTaskResult> {
        let result = self.ask_about_task(&request.task_id, "tasks/get", &request, &context).await?;
        serde_json::from_value(Value::Object(result)).map_err(internal)
    }

    async fn update_task(&self, request: UpdateTaskParams, context: Asked) -> Answer<()> {
        self.ask_about_task(&request.task_id, "tasks/update", &request, &context).await.map(drop)
    }

    async fn cancel_task(&self, request: CancelTaskParams, context: Asked) -> Answer<()> {
        self.ask_about_task(&request.task_id, "tasks/cancel", &request, &context).await.map(drop)
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Asked) -> Answer<()> {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.level);
        Ok(())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut changes = self.inner.changes.subscribe();
        let peer = context.peer.clone();
        let teller = tokio::spawn(async move {
            while let Some(changed) = next(&mut changes).await {
                let mut told = peer.notify_tool_list_changed().await;
                if changed.agents {
                    told = told.and(peer.notify_prompt_list_changed().await);
                    told = told.and(peer.notify_resource_list_changed().await);
                }
                if told.is_err() {
                    return;
                }
            }
        });
        // A client that says twice that it is initialised is told by the first teller.
        let _ = self.teller.set(AbortOnDropHandle::new(teller));
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = requested.clone();
        // Resources are their agents'; nobody tells us when one changes.
        accepted.resource_subscriptions = None;
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Answer<()> {
        let (accepted, sink) = (context.accepted().clone(), context.sink().clone());
        let mut changes = self.inner.changes.subscribe();
        loop {
            let changed = tokio::select! {
                changed = next(&mut changes) => changed,
                () = context.cancelled() => return Ok(()),
            };
            let Some(changed) = changed else { return Ok(()) };
            let mut told = Ok(());
            if accepted.tools_list_changed == Some(true) {
                told = sink.notify_tool_list_changed().await;
            }
            if changed.agents && accepted.prompts_list_changed == Some(true) {
                told = told.and(sink.notify_prompt_list_changed().await);
            }
            if changed.agents && accepted.resources_list_changed == Some(true) {
                told = told.and(sink.notify_resource_list_changed().await);
            }
            if told.is_err() {
                return Ok(());
            }
        }
    }
}

/// What a change was about, beside tools.
struct Changed {
    agents: bool,
}

/// The next change; `None` when there will be no more.
async fn next(changes: &mut tokio::sync::watch::Receiver<Changes>) -> Option<Changed> {
    let before = *changes.borrow_and_update();
    changes.changed().await.ok()?;
    let now = *changes.borrow_and_update();
    Some(Changed { agents: now.agents != before.agents })
}

fn internal(error: serde_json::Error) -> ErrorData {
    ErrorData::new(ErrorCode::INTERNAL_ERROR, format!("the answer cannot be passed on: {error}"), None)
}

/// Everything in the lists that can be read.
fn each<T: DeserializeOwned>(all: &[(Arc<str>, Items)]) -> impl Iterator<Item = (&Arc<str>, T)> {
    all.iter().flat_map(|(agent, items)| {
        items.iter().filter_map(move |item| Some((agent, serde_json::from_value(item.clone()).ok()?)))
    })
}

fn names_of(all: &[(Arc<str>, Items)]) -> Names {
    let things = all.iter().flat_map(|(agent, items)| {
        let names = items.iter().filter_map(|item| item.get("name")?.as_str());
        names.map(|name| Thing { agent: Arc::clone(agent), name: name.into() })
    });
    things.collect()
}

/// Which prompt is called `name`.
fn find(all: &[(Arc<str>, Items)], name: &str) -> Answer<Thing> {
    names_of(all).find(name).map_err(|others| {
        let why = match others.is_empty() {
            true => format!("unknown prompt: {name}"),
            false => format!("several agents have a prompt {name:?}: ask for one of {}", others.join(", ")),
        };
        ErrorData::invalid_params(why, None)
    })
}

/// Whether `uri` may have come from `template`: what is before the first variable, and what is behind the last one, are
/// there. Whose template it is then decides by answering.
fn fits_template(template: &str, uri: &str) -> bool {
    let (Some(first), Some(last)) = (template.find('{'), template.rfind('}')) else { return template == uri };
    let (head, tail) = (&template[..first], template.get(last + 1..).unwrap_or_default());
    template == uri || (uri.len() >= head.len() + tail.len() && uri.starts_with(head) && uri.ends_with(tail))
}

#[cfg(test)]
mod tests {
    use super::fits_template;

    #[test]
    fn addresses_fit_the_templates_that_they_may_have_come_from() {
        assert!(fits_template("test://template/{id}/data", "test://template/7/data"));
        assert!(!fits_template("test://template/{id}/data", "test://template/7/date"));
        assert!(!fits_template("a{x}a", "a"));
        assert!(fits_template("}{", "}{") && !fits_template("}{", "x"));
    }
}
