//! Calls that clients of the whole mesh make: as calls of the mesh, or passed on to the agent's own MCP server.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use rmcp::ErrorData;
use rmcp::model::{CallToolRequestParams, CallToolResponse, InputRequiredResult};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Answer, Asked, PATIENCE, Session, internal};
use crate::call::{Request, Target};
use crate::context::{Outlet, Scope};
use crate::mcp::gateway::directory::{Directory, Replica};
use crate::mcp::gateway::names::Thing;
use crate::mcp::gateway::passage::Passage;
use crate::mcp::gateway::tools;
use crate::mcp::gateway::wire::Unanswered;
use crate::mcp::updates::{Notifier, UPDATES_WAITING};
use crate::mcp::{convert, inbound};
use crate::tool::{Fault, FaultKind, JsonObject};
use crate::trace::{Outcome, Running, SpanKind, TraceContext};

/// How long a result waits for a client that does not take the updates before it.
const UPDATES_PATIENCE: Duration = Duration::from_secs(10);

impl Session {
    /// Calls a tool that the mesh knows.
    pub(super) async fn call(&self, thing: &Thing, arguments: JsonObject, context: &Asked) -> Answer<CallToolResponse> {
        let arguments = serde_json::to_vec(&arguments).map_err(internal)?;
        let mut request = Request::new(Target::Agent(Arc::clone(&thing.agent)), arguments);
        request.tool = Some(Arc::clone(&thing.name));
        request.scope = self.scope(context);
        let level = self.level(context);
        let notifier = Notifier { peer: context.peer.clone(), token: context.meta.get_progress_token(), level };
        let (said, updates) = mpsc::channel(UPDATES_WAITING);
        let outlet = if notifier.is_heard() { Outlet::to(said) } else { Outlet::closed() };
        let over = CancellationToken::new();
        let call = async {
            let reply = self.inner.caller.call_streaming(request, outlet).await;
            over.cancel();
            reply
        };
        let (mut call, mut tell) = (std::pin::pin!(call), std::pin::pin!(notifier.tell(updates, over.clone())));
        let mut told = false;
        let reply = loop {
            tokio::select! {
                biased;
                reply = &mut call => break reply,
                () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled", None)),
                () = &mut tell, if !told => told = true,
            }
        };
        if !told {
            // Whatever was said before the result comes before it.
            let _ = timeout(UPDATES_PATIENCE, tell).await;
        }
        let text = match reply.map_err(tools::fault) {
            Ok(reply) => convert::result(&tools::descriptor(&self.inner, thing), &reply.payload),
            Err(fault) => convert::fault(&fault),
        };
        convert::response(&text).map_err(internal)
    }

    /// Has an agent's own server run a tool, for a client that it may ask something. `is_offered`: the mesh knows the tool.
    pub(super) async fn pass_call(
        &self,
        directory: &Directory,
        thing: &Thing,
        is_offered: bool,
        params: &CallToolRequestParams,
        context: &Asked,
    ) -> Answer<CallToolResponse> {
        let Some(agent) = directory.agents.get(&thing.agent) else {
            return Err(ErrorData::invalid_params(format!("{} is gone", thing.agent), None));
        };
        let replicas: Vec<&Replica> = match is_offered {
            true => agent.able(&thing.name).collect(),
            false => agent.replicas.iter().collect(),
        };
        let is_repeatable = agent.tool(&thing.name).is_some_and(|tool| {
            let said = tool.kwargs.get("idempotent");
            is_offered && said == Some(&Value::Bool(true))
        });
        let way = Way { replicas, method: "tools/call", subject: &thing.name, is_repeatable };
        let fault = match self.passed(thing, way, params, context).await {
            Ok(result) => {
                let text = serde_json::to_vec(&result).map_err(internal)?;
                return convert::response(&text).map_err(internal);
            }
            Err(Unanswered::Refused(error)) => return Err(error),
            Err(Unanswered::Unreachable(why)) => Fault::new(FaultKind::DependencyUnavailable, why),
            Err(Unanswered::Lost(why)) => Fault::new(FaultKind::Lost, format!("{why}; it may have run")),
        };
        convert::response(&convert::fault(&fault)).map_err(internal)
    }

    /// Passes a request about a thing of `agent` on, whose answer may be a question.
    pub(super) async fn pass(
        &self,
        directory: &Directory,
        agent: &Arc<str>,
        method: &'static str,
        subject: &str,
        params: &impl Serialize,
        context: &Asked,
    ) -> Answer<JsonObject> {
        let replicas = directory.agents.get(agent).map(|agent| agent.replicas.iter().collect()).unwrap_or_default();
        let thing = Thing { agent: Arc::clone(agent), name: subject.into() };
        let way = Way { replicas, method, subject, is_repeatable: true };
        Ok(self.passed(&thing, way, params, context).await?)
    }

    pub(super) async fn passed(
        &self,
        thing: &Thing,
        way: Way<'_>,
        params: &impl Serialize,
        context: &Asked,
    ) -> Result<JsonObject, Unanswered> {
        let scope = self.scope(context);
        let at = TraceContext::below(scope.trace.as_ref());
        let parent = scope.trace.map(|trace| trace.span_id);
        let mut span = Running::begin(self.inner.caller.ring(), SpanKind::Call, &at, parent, &thing.agent);
        span.span().tool = Some(Arc::clone(&thing.name));
        let patience = if way.method == "tools/call" { self.inner.caller.settings().timeout } else { PATIENCE };
        let passage = Passage {
            wire: &self.inner.wire,
            links: &self.links,
            context,
            level: self.session_level(),
            deadline: scope.deadline.unwrap_or_else(|| Instant::now() + patience),
            trace: at.to_string(),
            is_repeatable: way.is_repeatable,
        };
        let outcome = tokio::select! {
            outcome = passage.pass(way.replicas, way.method, way.subject, params) => outcome,
            () = context.ct.cancelled() => {
                span.end(Outcome::Cancelled, "the client gave up");
                return Err(Unanswered::Refused(ErrorData::internal_error("cancelled", None)));
            }
        };
        match &outcome {
            Ok(_) => span.end(Outcome::Ok, ""),
            Err(error) => span.end(Outcome::Error, error.to_string()),
        }
        outcome
    }

    fn scope(&self, context: &Asked) -> Scope {
        let none = HeaderMap::new();
        let headers = context.extensions.get::<Parts>().map_or(&none, |head| &head.headers);
        inbound::scope(headers, Some(&context.meta), &self.inner.propagation)
    }
}

/// What is passed on, and to whom.
pub(super) struct Way<'a> {
    pub(super) replicas: Vec<&'a Replica>,
    pub(super) method: &'static str,
    /// The name of what it is about.
    pub(super) subject: &'a str,
    pub(super) is_repeatable: bool,
}

/// The question that a result is, if it is one.
pub(super) fn question(result: &JsonObject) -> Option<InputRequiredResult> {
    let is_one = result.get("resultType").and_then(Value::as_str) == Some("input_required");
    is_one.then(|| serde_json::from_value(Value::Object(result.clone())).ok()).flatten()
}
