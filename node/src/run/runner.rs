//! Runs arriving calls on an agent's tools, within bounds, and tells what came of them.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::arguments::{self, Aside};
use super::meters::Meters;
use super::{Accompany, Arrival, CallId, Dispatch};
use crate::call::Caller;
use crate::call::window::{CallKey, Once};
use crate::context::{CallContext, Headers, MAX_PAYLOAD_BYTES, Origin, Outlet, Scope};
use crate::propagation::Propagation;
use crate::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use crate::trace::{Outcome, Running, SpanKind, TraceContext};

/// How long a tool may clean up once it was told that it is cancelled.
const CLEAN_UP: Duration = Duration::from_millis(100);

/// How runs of tools are called that an author's handler serves without listing them: their names are whatever clients
/// make up, and nothing is kept by such names.
const UNLISTED: &str = "unlisted";

/// How a [`Runner`] runs.
#[derive(Clone)]
pub struct RunSettings {
    /// The most calls under way; more are refused as overloaded. Default 1,024.
    pub most: usize,
    /// How long a tool may run that says nothing about it, in a call without a deadline. Default 300 s.
    pub timeout: Duration,
    /// Which of the headers in `_mesh_headers` travel on.
    pub propagate: Propagation,
    /// Checks the credentials of calls to tools that require some. Without one such calls are refused.
    pub verifier: Option<Arc<dyn Verifier>>,
}

/// Decides whether a call's credentials will do.
#[async_trait]
pub trait Verifier: Send + Sync + 'static {
    /// Checks the headers of a call to `tool`, brought by `origin`. Dropped when the caller gives up, and when its deadline
    /// passes.
    ///
    /// # Errors
    /// Why they will not do, in words for the caller.
    async fn verify(&self, tool: &ToolDescriptor, headers: &Headers, origin: &Origin) -> Result<(), String>;
}

/// Runs the tools of one agent. Cheap to clone; all clones share bounds and memory.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

/// A [`Runner`] that others own.
#[derive(Clone)]
pub struct WeakRunner(Weak<Inner>);

struct Inner {
    host: Arc<dyn ToolHost>,
    tools: watch::Receiver<Tools>,
    caller: Caller,
    settings: RunSettings,
    places: Arc<Semaphore>,
    is_draining: AtomicBool,
    /// The calls of other nodes: each runs once, however often it is sent.
    once: Once,
    meters: Meters,
}

/// A call that may run: what is left of its arrival once it was looked at.
struct Admitted {
    tool: Arc<ToolDescriptor>,
    arguments: Bytes,
    scope: Scope,
    /// The span of the run, and the one in whose course it runs.
    at: TraceContext,
    parent: Option<u64>,
    deadline: Instant,
    _place: OwnedSemaphorePermit,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { most: 1024, timeout: Duration::from_secs(300), propagate: Propagation::default(), verifier: None }
    }
}

impl Runner {
    /// Runs the tools of `host`; calls that they make go through `caller`, which also says where spans are kept.
    pub fn new(host: Arc<dyn ToolHost>, caller: Caller, settings: RunSettings) -> Self {
        Self(Arc::new(Inner {
            tools: host.tools(),
            host,
            caller,
            places: Arc::new(Semaphore::new(settings.most.min(Semaphore::MAX_PERMITS))),
            settings,
            is_draining: AtomicBool::new(false),
            once: Once::default(),
            meters: Meters::new(),
        }))
    }

    /// Runs one call and waits for what comes of it. Dropping the future ends the run.
    ///
    /// # Errors
    /// [`Fault`], for the caller as it is; its kind says what to do.
    pub async fn run(&self, arrival: Arrival) -> Result<Payload, Fault> {
        let Origin::Member(member) = arrival.origin else { return self.0.take(arrival).await };
        let cancelled = arrival.cancelled.clone();
        let call = (member, arrival.id);
        let inner = Arc::clone(&self.0);
        // Boxed it is not copied into each of the futures around it: it takes kilobytes.
        let run = |cancelled| Box::pin(async move { inner.take(Arrival { cancelled, ..arrival }).await });
        self.0.once.run(call, &cancelled, run).await
    }

    /// How many calls are under way.
    pub fn under_way(&self) -> usize {
        self.0.under_way()
    }

    /// Refuses new calls from now on, except for those that agents of this process make, which may be part of what is
    /// under way. Waits at most until `deadline` for the others to end, and says how many have not. Dropping the future
    /// stops the waiting.
    pub async fn drain(&self, deadline: Instant) -> usize {
        self.0.is_draining.store(true, Ordering::SeqCst);
        let all = u32::try_from(self.0.settings.most).unwrap_or(u32::MAX);
        match timeout_at(deadline, self.0.places.acquire_many(all)).await {
            Ok(_) => 0,
            Err(_) => self.under_way(),
        }
    }

    /// The same, without keeping it.
    pub fn downgrade(&self) -> WeakRunner {
        WeakRunner(Arc::downgrade(&self.0))
    }
}

impl WeakRunner {
    /// The runner, if it is still there.
    pub fn upgrade(&self) -> Option<Runner> {
        self.0.upgrade().map(Runner)
    }
}

#[async_trait]
impl Dispatch for Runner {
    async fn run(&self, arrival: Arrival) -> Result<Payload, Fault> {
        Self::run(self, arrival).await
    }

    fn knows(&self, call: &CallKey) -> bool {
        self.0.once.knows(call)
    }

    fn delivered(&self, call: &CallKey) {
        self.0.once.delivered(call);
    }
}

#[async_trait]
impl Accompany for Runner {
    async fn accompany(&self, arrival: Arrival, work: BoxFuture<'_, Result<(), Fault>>) -> Result<(), Fault> {
        let tool = self.0.tool(&arrival.tool).unwrap_or_else(|_| Arc::new(ToolDescriptor::new(UNLISTED)));
        let (admitted, arrival) = self.0.admit(tool, arrival).await?;
        self.0.attend(&admitted, &arrival.cancelled.child_token(), work).await
    }
}

impl Inner {
    fn under_way(&self) -> usize {
        self.settings.most - self.places.available_permits().min(self.settings.most)
    }

    async fn take(&self, arrival: Arrival) -> Result<Payload, Fault> {
        let tool = self.tool(&arrival.tool)?;
        let (admitted, arrival) = self.admit(tool, arrival).await?;
        self.run(admitted, arrival).await
    }

    /// Looks at a call before anything runs.
    async fn admit(&self, tool: Arc<ToolDescriptor>, mut arrival: Arrival) -> Result<(Admitted, Arrival), Fault> {
        if self.is_draining.load(Ordering::SeqCst) && arrival.origin != Origin::Process {
            return Err(Fault::new(FaultKind::Draining, "this agent is leaving"));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Fault::new(FaultKind::Overloaded, format!("{} calls are under way, which is all", self.settings.most))
        })?;
        self.check_agent(&arrival)?;
        let (arguments, aside) = arguments::split_aside(std::mem::take(&mut arrival.arguments))
            .await
            .map_err(|error| Fault::new(FaultKind::InvalidArguments, error.to_string()))?;
        let mut scope = self.scope_of(std::mem::take(&mut arrival.scope), aside);
        if tool.options.session_required == Some(true) && scope.session.is_none() {
            let wrong = format!("{} needs a session: name one, or pass the argument session_id", tool.name);
            return Err(Fault::new(FaultKind::InvalidArguments, wrong));
        }
        let now = Instant::now();
        let longest = now + tool.options.timeout.unwrap_or(self.settings.timeout);
        let deadline = scope.deadline.map_or(longest, |deadline| deadline.min(longest));
        if tool.options.auth_required == Some(true) {
            self.verify(&tool, &scope, &arrival, deadline).await?;
        }
        let parent = scope.trace.map(|trace| trace.span_id);
        let at = TraceContext::below(scope.trace.as_ref());
        scope.deadline = Some(deadline);
        scope.trace = Some(at);
        Ok((Admitted { tool, arguments, scope, at, parent, deadline, _place: place }, arrival))
    }

    /// Calls meant for an agent that was here before are not for this one.
    fn check_agent(&self, arrival: &Arrival) -> Result<(), Fault> {
        let here = self.caller.ring().agent();
        match &arrival.agent {
            Some(agent) if !here.is_empty() && agent.as_str() != &*here => {
                Err(Fault::new(FaultKind::UnknownTool, format!("{} is not here, only {here}", agent.as_str())))
            }
            _ => Ok(()),
        }
    }

    fn tool(&self, name: &str) -> Result<Arc<ToolDescriptor>, Fault> {
        let tools = self.tools.borrow();
        let tool = tools.iter().find(|tool| *tool.name == *name).cloned();
        tool.ok_or_else(|| {
            let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).take(50).collect();
            Fault::new(FaultKind::UnknownTool, format!("there is no tool {name:?} here; there is {}", names.join(", ")))
        })
    }

    /// What the run inherits: what came along, and where that says nothing what stock callers put into the arguments.
    fn scope_of(&self, mut scope: Scope, aside: Aside) -> Scope {
        scope.session = scope.session.or(aside.session);
        scope.trace =
            scope.trace.or_else(|| TraceContext::from_mesh(aside.trace_id.as_deref()?, aside.parent_span.as_deref()));
        let headers = aside.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in self.settings.propagate.select(headers) {
            if !scope.headers.iter().any(|(known, _)| *known == name) {
                scope.headers.push((name, value));
            }
        }
        scope
    }

    /// Has the credentials of a call checked, which may take as long as the call may.
    async fn verify(
        &self,
        tool: &ToolDescriptor,
        scope: &Scope,
        arrival: &Arrival,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let refused = |why: &str| Fault::new(FaultKind::Forbidden, format!("{} needs credentials: {why}", tool.name));
        let Some(verifier) = &self.settings.verifier else { return Err(refused("nobody here can check them")) };
        let check = AssertUnwindSafe(verifier.verify(tool, &scope.headers, &arrival.origin)).catch_unwind();
        tokio::select! {
            biased;
            checked = check => match checked {
                Ok(checked) => checked.map_err(|why| refused(&why)),
                Err(_) => {
                    tracing::error!(tool = %tool.name, "the check of credentials panicked; this is a defect of the agent");
                    Err(refused("the check of them panicked"))
                }
            },
            () = arrival.cancelled.cancelled() => Err(Fault::new(FaultKind::Cancelled, "the caller gave up")),
            () = sleep_until(deadline) => {
                Err(Fault::new(FaultKind::TimedOut, "the deadline passed while the credentials were checked"))
            }
        }
    }

    async fn run(&self, mut admitted: Admitted, arrival: Arrival) -> Result<Payload, Fault> {
        let cancelled = arrival.cancelled.child_token();
        // Whoever drops us ends the run; what the tool has started elsewhere learns it from the token.
        let _told = cancelled.clone().drop_guard();
        let context = CallContext {
            mesh: self.caller.scoped(admitted.scope.clone()),
            scope: std::mem::take(&mut admitted.scope),
            origin: arrival.origin,
            cancelled: cancelled.clone(),
            outlet: arrival.outlet,
            client: arrival.client,
        };
        let arguments = std::mem::take(&mut admitted.arguments);
        let run = async { self.host.call(&admitted.tool, arguments, context).await.and_then(fitting) };
        self.attend(&admitted, &cancelled, run).await
    }

    /// Follows a run to its end, which comes in time, and tells what came of it.
    async fn attend<T>(
        &self,
        admitted: &Admitted,
        cancelled: &CancellationToken,
        run: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let Admitted { tool, at, parent, deadline, .. } = admitted;
        let _counted = self.meters.running();
        let mut span = Running::begin(self.caller.ring(), SpanKind::Tool, at, *parent, &tool.name);
        span.span().tool = Some(tool.name.clone());
        let run = AssertUnwindSafe(run).catch_unwind();
        let outcome = within(run, cancelled, *deadline).await.unwrap_or_else(|panic| Err(panicked(tool, &*panic)));
        let (ended, note) = match &outcome {
            Ok(_) => (Outcome::Ok, String::new()),
            Err(fault) => (ended_with(fault.kind), fault.message.clone()),
        };
        self.meters.tool(&tool.name, ended, span.elapsed());
        span.end(ended, note);
        outcome
    }
}

type Caught<T> = Result<Result<T, Fault>, Box<dyn std::any::Any + Send>>;

/// What comes of `run` before it is cancelled and before `deadline`. Cut short, it is told, and given a moment.
async fn within<T>(
    run: impl Future<Output = Caught<T>>,
    cancelled: &CancellationToken,
    deadline: Instant,
) -> Caught<T> {
    tokio::pin!(run);
    let fault = tokio::select! {
        biased;
        outcome = &mut run => return outcome,
        () = cancelled.cancelled() => Fault::new(FaultKind::Cancelled, "the caller gave up"),
        () = sleep_until(deadline) => Fault::new(FaultKind::TimedOut, "the deadline passed while the tool ran"),
    };
    cancelled.cancel();
    // What it says now comes too late; whether it panics only matters to the log, which the hook has told.
    let _ = timeout(CLEAN_UP, run).await;
    Ok(Err(fault))
}

fn fitting(payload: Payload) -> Result<Payload, Fault> {
    let (Payload::Value(bytes) | Payload::Content(bytes)) = &payload;
    if bytes.len() <= MAX_PAYLOAD_BYTES {
        return Ok(payload);
    }
    let why = format!("the result of {} bytes is larger than the {MAX_PAYLOAD_BYTES} that can travel", bytes.len());
    Err(Fault::new(FaultKind::TooLarge, why))
}

fn panicked(tool: &ToolDescriptor, panic: &(dyn std::any::Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(tool = %tool.name, panic = text, "a tool panicked; this is a defect of the tool");
    Fault::new(FaultKind::Panicked, format!("the tool panicked: {text}"))
}

/// How a span ends that a fault of this kind ended.
pub(crate) fn ended_with(kind: FaultKind) -> Outcome {
    match kind {
        FaultKind::Cancelled => Outcome::Cancelled,
        FaultKind::TimedOut => Outcome::TimedOut,
        _ => Outcome::Error,
    }
}

impl Arrival {
    /// A call of `tool` with a fresh id, nothing inherited, and nobody who listens.
    pub fn new(tool: impl Into<Arc<str>>, arguments: impl Into<Bytes>, origin: Origin) -> Self {
        Self {
            id: CallId::random(),
            agent: None,
            tool: tool.into(),
            arguments: arguments.into(),
            scope: Scope::default(),
            origin,
            outlet: Outlet::closed(),
            cancelled: CancellationToken::new(),
            client: None,
        }
    }
}
