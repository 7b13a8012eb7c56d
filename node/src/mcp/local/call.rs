//! One call of one of our tools by an MCP client.
#![expect(deprecated, reason = "clients of earlier protocols have logging, and rely on it")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use rmcp::model::{CallToolRequestParams, CallToolResponse, LoggingLevel, ProtocolVersion};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Own;
use crate::context::{Origin, Outlet, Scope};
use crate::mcp::client::{ClientHandle, Round};
use crate::mcp::endpoint::{SESSION_HEADER, Shortcut};
use crate::mcp::envelope::Envelope;
use crate::mcp::updates::{Notifier, UPDATES_WAITING};
use crate::mcp::{convert, inbound};
use crate::run::{Arrival, CallId};
use crate::tool::{Fault, FaultKind, Payload, ToolDescriptor};

/// How long a result waits for a client that does not take the updates before it.
const UPDATES_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the request speaks a protocol without sessions.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Whether the request came over HTTP outside of any session.
pub(super) fn is_single(context: &RequestContext<RoleServer>) -> bool {
    context.extensions.get::<Parts>().is_some_and(|head| !head.headers.contains_key(SESSION_HEADER))
}

/// Runs `tool` and shows what comes of it.
pub(super) async fn run(
    own: &Own,
    tool: &ToolDescriptor,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
    level: Option<LoggingLevel>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = serde_json::to_vec(&request.arguments.unwrap_or_default()).map_err(internal)?;
    let scope = scope(own, &context);
    let notifier = Notifier { peer: context.peer.clone(), token: context.meta.get_progress_token(), level };
    let (said, updates) = mpsc::channel(UPDATES_WAITING);
    let outlet = if notifier.is_heard() { Outlet::to(said) } else { Outlet::closed() };
    let round = Round { responses: request.input_responses, state: request.request_state };
    let (client, questions) = ClientHandle::new(context.clone(), round, level);
    let arrival = arrival(tool, arguments.into(), scope, outlet, context.ct.clone(), Some(client));
    let over = CancellationToken::new();
    let run = async {
        let result = own.calls.run(arrival).await;
        over.cancel();
        result
    };
    shown(tool, questions.ask_during(told(run, notifier.tell(updates, over.clone())), &context).await)
}

/// Has the author's handler run a tool that only it knows, within the same bounds as any other.
pub(super) async fn run_theirs(
    own: &Own,
    theirs: &impl ServerHandler,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arrival = Arrival {
        scope: scope(own, &context),
        cancelled: context.ct.clone(),
        ..Arrival::new(&*request.name, "{}", Origin::Client)
    };
    let mut said = None;
    let run = async {
        let answer = theirs.call_tool(request, context).await;
        let outcome = match &answer {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
                Err(Fault::new(FaultKind::Failed, "the result says that it is an error"))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::new(FaultKind::Failed, &*error.message)),
        };
        said = Some(answer);
        outcome
    };
    let ran = own.calls.accompany(arrival, Box::pin(run)).await;
    match (said, ran) {
        (Some(answer), _) => answer,
        (None, Ok(())) => Err(ErrorData::internal_error("the tool ended without an answer", None)),
        (None, Err(fault)) => {
            serde_json::from_slice(&convert::fault(&fault)).map(CallToolResponse::Complete).map_err(internal)
        }
    }
}

fn scope(own: &Own, context: &RequestContext<RoleServer>) -> Scope {
    let none = HeaderMap::new();
    let headers = context.extensions.get::<Parts>().map_or(&none, |head| &head.headers);
    inbound::scope(headers, Some(&context.meta), &own.propagation)
}

/// Waits for `run` while its updates are told, which does not keep it from its deadline.
async fn told(
    run: impl Future<Output = Result<Payload, Fault>>,
    tell: impl Future<Output = ()>,
) -> Result<Payload, Fault> {
    let (mut run, mut tell) = (std::pin::pin!(run), std::pin::pin!(tell));
    let mut is_told = false;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut run => break result,
            () = &mut tell, if !is_told => is_told = true,
        }
    };
    if !is_told {
        // Whatever was said before the result comes before it.
        let _ = tokio::time::timeout(UPDATES_PATIENCE, tell).await;
    }
    result
}

fn arrival(
    tool: &ToolDescriptor,
    arguments: Bytes,
    scope: Scope,
    outlet: Outlet,
    cancelled: CancellationToken,
    client: Option<ClientHandle>,
) -> Arrival {
    let name = Arc::clone(&tool.name);
    let origin = Origin::Client;
    Arrival { id: CallId::random(), agent: None, tool: name, arguments, scope, origin, outlet, cancelled, client }
}

fn shown(tool: &ToolDescriptor, result: Result<Payload, Fault>) -> Result<CallToolResponse, ErrorData> {
    let text = match result {
        Ok(payload) => convert::result(tool, &payload),
        Err(fault) if fault.kind == FaultKind::UnknownTool => {
            return Err(ErrorData::invalid_params(fault.message, None));
        }
        Err(fault) => convert::fault(&fault),
    };
    convert::response(&text).map_err(internal)
}

fn internal(error: serde_json::Error) -> ErrorData {
    ErrorData::internal_error(format!("the result cannot be shown: {error}"), None)
}

/// Plain calls of our own tools, as `curl` and agents of the existing system make them: one JSON text in, one out.
#[async_trait]
impl Shortcut for Own {
    async fn answer(&self, head: &Parts, message: &Envelope<'_>) -> Option<Response> {
        if !speaks_plainly(&head.headers) {
            return None;
        }
        let call = message.tool_call()?;
        let tool = self.tool(&call.name)?;
        if call.meta.as_ref().is_some_and(|meta| meta.keys().any(|key| is_for_the_server(key))) {
            return None;
        }
        let meta = call.meta.map(rmcp::model::MetaObject);
        let scope = inbound::scope(&head.headers, meta.as_ref(), &self.propagation);
        let arguments = Bytes::copy_from_slice(call.arguments.map_or("{}", RawValue::get).as_bytes());
        // Whoever is gone drops this future, and with it the run.
        let arrival = arrival(&tool, arguments, scope, Outlet::closed(), CancellationToken::new(), None);
        let result = match self.calls.run(arrival).await {
            Ok(payload) => convert::result(&tool, &payload),
            Err(fault) if fault.kind == FaultKind::UnknownTool => return None,
            Err(fault) => convert::fault(&fault),
        };
        Some(answer(message.id, &result))
    }
}

/// Whether the request is one of a protocol that asks for nothing but a body.
fn speaks_plainly(headers: &HeaderMap) -> bool {
    let Some(said) = headers.get("mcp-protocol-version") else { return true };
    said.to_str().is_ok_and(|said| {
        let known = ProtocolVersion::KNOWN_VERSIONS.iter().any(|version| version.as_str() == said);
        known && said < ProtocolVersion::V_2026_07_28.as_str()
    })
}

fn is_for_the_server(key: &str) -> bool {
    key == "progressToken" || key.starts_with("io.modelcontextprotocol/")
}

fn answer(id: &RawValue, result: &[u8]) -> Response {
    let mut text = Vec::with_capacity(result.len() + id.get().len() + 40);
    text.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    text.extend_from_slice(id.get().as_bytes());
    text.extend_from_slice(br#","result":"#);
    text.extend_from_slice(result);
    text.push(b'}');
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
