//! Calls that the node makes for whoever asks it to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::frames::FrameWriter;
use super::guard::{Framed, Refused};
use super::listing::Wanted;
use super::signing::Signer;
use super::wire::{CallFailed, CallQuery, CallUpdate, FrameKind, Served};
use super::{Desk, find};
use crate::call::{CallError, Caller, Reply, Request, Target};
use crate::context::{Headers, Outlet, Scope, SessionKey, Update};
use crate::mcp::convert;
use crate::tool::{FaultKind, ToolDescriptor};
use crate::trace::TraceContext;

/// How long a call may take when nothing is said, and at most.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How many updates and frames wait for an asker who reads slowly; then the tool waits, too.
const WAITING: usize = 16;

/// Makes the call that the first line of the body asks for, with the rest of the body as arguments. The answer is frames.
/// An asker who goes away cancels the call.
pub(super) async fn serve(
    State(desk): State<Arc<Desk>>,
    Extension(signer): Extension<Signer>,
    body: Bytes,
) -> Result<Response, Refused> {
    let end =
        body.iter().position(|byte| *byte == b'\n').ok_or_else(|| Refused::bad_request("a call has two parts"))?;
    let query: CallQuery =
        serde_json::from_slice(&body[..end]).map_err(|error| Refused::bad_request(error.to_string()))?;
    let arguments = body.slice(end + 1..);
    let is_object = serde_json::from_slice::<&RawValue>(&arguments).is_ok_and(|text| text.get().starts_with('{'));
    if !is_object {
        return Err(Refused::bad_request("the arguments of a call are a JSON object"));
    }
    let trace = trace_of(&query)?;
    let request = request(&desk.caller, &query, arguments, trace)?;
    let (out, frames) = mpsc::channel::<Bytes>(WAITING);
    let call = Call { caller: desk.caller.clone(), writer: FrameWriter::new(signer), out, trace };
    let calling = AbortOnDropHandle::new(tokio::spawn(call.run(request, query.updates)));
    let frames = ReceiverStream::new(frames).map(move |bytes| {
        // Whoever drops the answer ends the call.
        let _held = &calling;
        Ok::<_, Infallible>(bytes)
    });
    let mut response = Body::from_stream(frames).into_response();
    response.extensions_mut().insert(Framed);
    Ok(response)
}

fn trace_of(query: &CallQuery) -> Result<TraceContext, Refused> {
    match &query.trace {
        None => Ok(TraceContext::root()),
        Some(text) => TraceContext::from_mesh(text, None)
            .ok_or_else(|| Refused::bad_request("a trace is named by 32 hex digits, not all zero")),
    }
}

fn request(caller: &Caller, query: &CallQuery, arguments: Bytes, trace: TraceContext) -> Result<Request, Refused> {
    let view = caller.gossip().view();
    let (owner, place) = find::tool(&view, query.agent.as_deref(), &query.tool, Wanted::Healthy)?;
    let offers = view.catalog().agent(&owner).and_then(|agent| agent.offers).ok_or_else(find::gone)?;
    let function = offers.tools.get(place).map(|tool| tool.function.clone()).ok_or_else(find::gone)?;
    // Of replicas any may be meant, unless one was named by its id. Names are looked up in the caller's namespace.
    let told = query.agent.as_deref().unwrap_or(&offers.name).to_lowercase();
    let is_here = *offers.namespace == *caller.settings().namespace;
    let by_name = is_here && offers.name.to_lowercase().starts_with(&told);
    let target = if by_name { Target::Agent(offers.name.clone()) } else { Target::Exactly(owner) };
    let timeout = query.timeout_ms.map_or(TIMEOUT, Duration::from_millis).min(MAX_TIMEOUT);
    let session = query.session.as_deref().map(SessionKey::try_from).transpose();
    let session = session.map_err(|error| Refused::bad_request(error.to_string()))?;
    let headers: Headers =
        query.headers.iter().map(|(name, value)| (name.to_lowercase().into(), (&**value).into())).collect();
    let scope = Scope { deadline: Some(Instant::now() + timeout), trace: Some(trace), headers, ..Scope::default() };
    Ok(Request { tool: Some(function), session, scope, ..Request::new(target, arguments) })
}

/// One call under way, and where its frames go.
struct Call {
    caller: Caller,
    writer: FrameWriter,
    out: mpsc::Sender<Bytes>,
    trace: TraceContext,
}

impl Call {
    async fn run(mut self, request: Request, updates: bool) {
        let tool = request.tool.clone().unwrap_or_else(|| "".into());
        let (outlet, mut told) = match updates {
            true => {
                let (queue, told) = mpsc::channel(WAITING);
                (Outlet::to(queue), Some(told))
            }
            false => (Outlet::closed(), None),
        };
        let caller = self.caller.clone();
        let mut calling = std::pin::pin!(caller.call_streaming(request, outlet));
        let result = loop {
            tokio::select! {
                biased;
                Some(update) = next(&mut told) => self.update(update).await,
                result = &mut calling => break result,
            }
        };
        while let Some(update) = told.as_mut().and_then(|told| told.try_recv().ok()) {
            self.update(update).await;
        }
        match result {
            Ok(reply) => self.served(&tool, reply).await,
            Err(error) => self.failed(error).await,
        }
    }

    async fn update(&mut self, update: Update) {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let update = match update {
            Update::Progress { progress, total, message } => CallUpdate::Progress { progress, total, message },
            Update::Chunk(chunk) => CallUpdate::Chunk { text: text(&chunk) },
            Update::Log { level, data, .. } => CallUpdate::Log { level: level.into(), text: text(&data) },
        };
        self.json(FrameKind::Update, &update).await;
    }

    async fn served(&mut self, tool: &str, reply: Reply) {
        let (agent_id, attempts) = (reply.agent.to_string(), reply.attempts);
        self.json(FrameKind::Served, &Served { agent_id, attempts, trace_id: self.trace_id() }).await;
        let result = convert::result(&ToolDescriptor::new(tool), &reply.payload);
        self.frame(FrameKind::Result, result).await;
    }

    async fn failed(&mut self, error: CallError) {
        let trace_id = self.trace_id();
        match error {
            // What the tool answered is a result, as MCP sees it.
            CallError::Fault { agent, fault } if fault.kind != FaultKind::UnknownTool => {
                self.json(FrameKind::Served, &Served { agent_id: agent.to_string(), attempts: 1, trace_id }).await;
                self.frame(FrameKind::Result, convert::fault(&fault)).await;
            }
            error => {
                let failed =
                    CallFailed { error: word(&error).into(), message: error.to_string(), trace_id: Some(trace_id) };
                self.json(FrameKind::Failed, &failed).await;
            }
        }
    }

    fn trace_id(&self) -> String {
        format!("{:032x}", self.trace.trace_id)
    }

    async fn json(&mut self, kind: FrameKind, value: &impl serde::Serialize) {
        let body = serde_json::to_vec(value).expect("texts and numbers can be written");
        self.frame(kind, body.into()).await;
    }

    /// The asker may have gone; this call is being dropped then.
    async fn frame(&mut self, kind: FrameKind, body: Bytes) {
        let head = self.writer.head(kind, &body);
        let _ = self.out.send(head).await;
        let _ = self.out.send(body).await;
    }
}

/// The next update; never, when nobody wants any or the tool says no more.
async fn next(told: &mut Option<mpsc::Receiver<Update>>) -> Option<Update> {
    match told {
        Some(told) => told.recv().await,
        None => None,
    }
}

fn word(error: &CallError) -> &'static str {
    match error {
        CallError::Unresolved { .. } => "unresolved",
        CallError::SeveralTools { .. } => "several_tools",
        CallError::Fault { .. } => "unknown_tool",
        CallError::Unreachable { .. } => "unreachable",
        CallError::MayHaveRun { .. } => "may_have_run",
        CallError::TimedOut { .. } => "timed_out",
        CallError::TooLarge { .. } => "too_large",
        CallError::Invalid(_) => "invalid",
        CallError::NoCredentials { .. } => "no_credentials",
        CallError::Overloaded(_) => "overloaded",
    }
}
