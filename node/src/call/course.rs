//! The course of one call: from what is wanted to a result, or to an error that says what was tried.

use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::{AgentId, Owner, Tool};
use mesh_gossip::gossip::JoinState;
use mesh_gossip::resolve::Query;
use mesh_gossip::resolve::selector::DEFAULT_NAMESPACE;
use tokio::time::{Instant, sleep, timeout_at};

use super::attempt::{Attempt, Failed, Way};
use super::breaker::{self, Failure};
use super::choose::{Eyes, Field};
use super::options::CallOptions;
use super::quic::attempt::Silence;
use super::{CallError, Inner, Reply, Request, Target};
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope, SessionKey};
use crate::run::{CallId, arguments, ended_with};
use crate::session::Seat;
use crate::tool::{Fault, FaultKind, Payload};
use crate::trace::{Outcome, Running, SpanKind, TraceContext, random};

/// How often a call that may be repeated is repeated when nobody says how often.
const REPEATS: u32 = 2;

/// How often all that will do are tried: once more after the first time, for a provider that is just starting again.
const ROUNDS: u32 = 2;

/// How long before the second round.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);

/// How often it is looked whether the mesh was found, while a call waits for that.
const SETTLE_LOOK: Duration = Duration::from_millis(50);

/// How long after that the first records may take to arrive.
const FIRST_RECORDS: Duration = Duration::from_millis(500);

/// The header by which a caller shows who it is.
const AUTHORIZATION: &str = "authorization";

/// One call under way.
pub(super) struct Course<'a> {
    inner: &'a Inner,
    request: Request,
    outlet: Outlet,
    id: CallId,
    begun: Instant,
    at: TraceContext,
    session: Option<SessionKey>,
    /// In this round.
    tried: Vec<Owner>,
    rounds: u32,
    attempts: u32,
    /// Attempts that followed on one that may have run, or has failed.
    repeats: u32,
    log: Vec<String>,
    /// Who was lost, and may have run it.
    lost: Option<AgentId>,
    /// What the last one that could be reached said.
    refused: Option<(AgentId, Fault)>,
}

/// What was chosen, and how it wants to be called.
struct Plan {
    owner: Owner,
    attempt: Attempt,
    options: CallOptions,
    /// What its session is bound to; nothing without a session.
    seat: Option<Seat>,
    is_bound: bool,
}

impl<'a> Course<'a> {
    pub(super) async fn begin(inner: &'a Inner, request: Request, outlet: Outlet) -> Self {
        let begun = Instant::now();
        let session = match request.session.clone() {
            Some(session) => Some(session),
            None => arguments::session_aside(request.arguments.clone()).await,
        };
        Self {
            inner,
            at: TraceContext::below(request.scope.trace.as_ref()),
            session: session.or_else(|| request.scope.session.clone()),
            request,
            outlet,
            id: CallId::random(),
            begun,
            tried: Vec::new(),
            rounds: 1,
            attempts: 0,
            repeats: 0,
            log: Vec::new(),
            lost: None,
            refused: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<Reply, CallError> {
        let inner = self.inner;
        let parent = self.request.scope.trace.map(|trace| trace.span_id);
        let mut span = Running::begin(&inner.ring, SpanKind::Call, &self.at, parent, &self.name());
        let served = self.serve().await;
        span.span().attempts = self.attempts;
        match served {
            Ok((payload, agent)) => {
                span.span().peer = Some(agent.clone().into());
                inner.meters.call(Outcome::Ok, span.elapsed());
                span.end(Outcome::Ok, self.log.join("; "));
                Ok(Reply { payload, agent, attempts: self.attempts, trace: self.at })
            }
            Err(error) => {
                inner.meters.call(error.outcome(), span.elapsed());
                span.end(error.outcome(), error.to_string());
                Err(error)
            }
        }
    }

    async fn serve(&mut self) -> Result<(Payload, AgentId), CallError> {
        let bytes = self.request.arguments.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(CallError::TooLarge { what: "arguments", bytes, limit: MAX_PAYLOAD_BYTES });
        }
        loop {
            let field = self.field().await?;
            let Some((at, seat, is_bound)) = self.choose(&field).await else {
                self.next_round().await?;
                continue;
            };
            let mut plan = self.plan(&field, at)?;
            (plan.seat, plan.is_bound) = (seat, is_bound);
            match self.attempt(&mut plan).await {
                Ok(payload) => return Ok((payload, plan.owner.agent)),
                Err(failed) => self.consider(&plan, failed)?,
            }
        }
    }

    /// All who will do now. Right after the start of the node, while the mesh has not been found, it is waited for them.
    async fn field(&self) -> Result<Field, CallError> {
        let mut field = self.look();
        if !field.is_empty() || self.attempts > 0 {
            return Ok(field);
        }
        let settled = self.inner.started + self.inner.settings.settle;
        let mut until = self.request.scope.deadline.map_or(settled, |deadline| deadline.min(settled));
        let mut is_joined = self.is_joined();
        if is_joined {
            until = self.begun;
        }
        let mut views = self.inner.gossip.watch();
        loop {
            let now = Instant::now();
            if now >= until {
                return Err(self.unresolved(&field));
            }
            // Whichever comes first: a view with somebody new, or a look at whether there is a mesh by now.
            let _ = timeout_at(now + SETTLE_LOOK, views.changed()).await;
            if !is_joined && self.is_joined() {
                is_joined = true;
                until = until.min(Instant::now() + FIRST_RECORDS);
            }
            field = self.look();
            if !field.is_empty() {
                return Ok(field);
            }
        }
    }

    fn is_joined(&self) -> bool {
        self.inner.gossip.join_state() == JoinState::Joined
    }

    fn look(&self) -> Field {
        let view = self.inner.gossip.view();
        let namespace = &self.inner.settings.namespace;
        match &self.request.target {
            Target::Capability(query) => Field::Offers(self.at_home(query).answer(view.catalog(), view.schemas())),
            Target::Agent(name) => Field::agents(&view, namespace, name),
            Target::Exactly(owner) => Field::exactly(&view, owner),
        }
    }

    /// The query, asked in our namespace.
    fn at_home(&self, query: &Arc<Query>) -> Arc<Query> {
        let namespace = &self.inner.settings.namespace;
        // What names no namespace is looked up in the default one anyway.
        if !query.selector().namespace.is_own() || **namespace == *DEFAULT_NAMESPACE {
            return Arc::clone(query);
        }
        self.inner.resolver.query(&query.selector().clone().asked_in(namespace))
    }

    /// Who gets the next attempt, which seat its session has, and whether it has that already.
    async fn choose(&self, field: &Field) -> Option<(usize, Option<Seat>, bool)> {
        let lines = &self.inner.lines;
        let eyes = Eyes {
            peers: &self.inner.peers,
            is_silent: &|member| lines.is_silent(member),
            now: Instant::now(),
            random: random(),
        };
        let Some(session) = &self.session else {
            return field.choose(&eyes, &self.tried, None).map(|at| (at, None, false));
        };
        for name in field.names() {
            let seat = Seat { session: session.clone(), name };
            let bound = self.inner.settings.bindings.bound(&seat).await.filter(|owner| !self.tried.contains(owner));
            if let Some(at) = bound.and_then(|owner| field.find(&owner)) {
                return Some((at, Some(seat), true));
            }
        }
        let at = field.choose(&eyes, &self.tried, Some(session))?;
        let seat = Seat { session: session.clone(), name: field.offers(at).name.clone() };
        Some((at, Some(seat), false))
    }

    fn plan(&self, field: &Field, at: usize) -> Result<Plan, CallError> {
        let owner = field.owner(at);
        let offers = field.offers(at);
        let by_name = |name: &Arc<str>| offers.tools.iter().find(|tool| tool.function == *name);
        let (tool, offered): (Arc<str>, Option<&Tool>) = match (&self.request.tool, field.tool(at)) {
            (Some(name), _) => (name.clone(), by_name(name)),
            (None, Some(_)) if field.is_ambiguous(at) => {
                let tools = field.tools_of(at).iter().map(ToString::to_string).collect();
                return Err(CallError::SeveralTools { agent: owner.agent, wanted: self.wanted(), tools });
            }
            (None, Some(tool)) => (tool.function.clone(), Some(tool)),
            (None, None) => {
                let tools = offers.tools.iter().map(|tool| tool.function.to_string()).collect();
                return Err(CallError::SeveralTools { agent: owner.agent, wanted: self.wanted(), tools });
            }
        };
        let (advertised, ignored) = offered.map(|tool| CallOptions::from_kwargs(&tool.kwargs)).unwrap_or_default();
        for ignored in ignored {
            tracing::debug!(agent = owner.agent.as_str(), %tool, %ignored, "an offer says something odd");
        }
        let options = advertised.tightened(&self.request.options);
        self.check(&options, &tool)?;
        let deadline = self.begun + options.timeout.unwrap_or(self.inner.settings.timeout);
        let deadline = self.request.scope.deadline.map_or(deadline, |outer| outer.min(deadline));
        let scope = Scope {
            deadline: Some(deadline),
            trace: Some(self.at.child()),
            trace_state: self.request.scope.trace_state.clone(),
            session: self.session.clone(),
            headers: self.headers(&options),
        };
        let is_repeatable = options.idempotent == Some(true);
        // Who is silent may only be slow: with nobody else to ask it is waited for.
        let may_go_on = is_repeatable && field.has_other(at, &self.tried, |member| self.inner.lines.is_silent(member));
        let attempt = Attempt {
            id: self.id,
            number: self.attempts + 1,
            owner: owner.clone(),
            offers: Arc::clone(offers),
            tool,
            arguments: match (&self.request.tailor, offered) {
                (Some(tailor), Some(offered)) => tailor(offered),
                _ => self.request.arguments.clone(),
            },
            scope,
            deadline,
            is_repeatable,
            silence: if may_go_on { Silence::Ends } else { Silence::Endures },
            outlet: self.outlet.clone(),
        };
        Ok(Plan { owner, attempt, options, seat: None, is_bound: false })
    }

    /// What the tool demands of its callers.
    fn check(&self, options: &CallOptions, tool: &str) -> Result<(), CallError> {
        if options.session_required == Some(true) && self.session.is_none() {
            let wrong = format!("{tool} needs a session: name one, or pass the argument session_id");
            return Err(CallError::Invalid(wrong));
        }
        let shows_who = self.request.scope.headers.iter().any(|(name, _)| **name == *AUTHORIZATION)
            || options.custom_headers.contains_key(AUTHORIZATION);
        if options.auth_required == Some(true) && !shows_who {
            return Err(CallError::NoCredentials { tool: tool.into() });
        }
        Ok(())
    }

    fn headers(&self, options: &CallOptions) -> crate::context::Headers {
        let passing = self.request.scope.headers.iter().filter(|(name, _)| {
            self.inner.settings.propagate.lets_through(name)
                || **name == *AUTHORIZATION && options.auth_required == Some(true)
        });
        let mut headers: crate::context::Headers = passing.cloned().collect();
        for (name, value) in &options.custom_headers {
            headers.retain(|(known, _)| **known != **name);
            headers.push((name.as_str().into(), value.as_str().into()));
        }
        headers
    }

    async fn attempt(&mut self, plan: &mut Plan) -> Result<Payload, Failed> {
        self.attempts += 1;
        let inner = self.inner;
        let begun = Instant::now();
        if begun >= plan.attempt.deadline {
            return Err(Failed::TimedOut);
        }
        let way = plan.attempt.way(inner);
        let at = plan.attempt.scope.trace.unwrap_or(self.at);
        let name: Arc<str> = plan.owner.agent.clone().into();
        let mut span = Running::begin(&inner.ring, SpanKind::Attempt, &at, Some(self.at.span_id), &name);
        span.span().peer = Some(name);
        span.span().tool = Some(plan.attempt.tool.clone());
        let in_flight = inner.peers.enter(inner.peers.get(&plan.owner), begun);
        let outcome = plan.attempt.make(inner, &way).await;
        let now = Instant::now();
        let (ended, note) = match &outcome {
            Ok(_) => (Outcome::Ok, String::new()),
            Err(Failed::Fault(fault)) => (ended_with(fault.kind), fault.message.clone()),
            Err(Failed::TimedOut) => (Outcome::TimedOut, String::new()),
            Err(failed) => (Outcome::Error, failed.why()),
        };
        match &outcome {
            Err(Failed::Fault(fault)) => match breaker::rest_asked(fault) {
                Some(rest) => in_flight.wants_rest(now, rest),
                None => in_flight.answered(now),
            },
            Ok(_) => in_flight.answered(now),
            Err(Failed::NotReceived { failure: Some(failure), .. }) => {
                if *failure == Failure::Lost && matches!(way, Way::Http(_)) {
                    inner.doubts.tell(&plan.owner);
                }
                in_flight.failed(now, *failure);
            }
            Err(Failed::Lost { .. } | Failed::LostInAnswer { .. }) => in_flight.failed(now, Failure::Lost),
            Err(_) => {}
        }
        inner.meters.attempt(&way, ended);
        span.end(ended, note);
        if let (Ok(_), Some(seat), false) = (&outcome, plan.seat.take(), plan.is_bound) {
            inner.settings.bindings.bind(seat, plan.owner.clone()).await;
        }
        outcome
    }

    /// Whether there is to be another attempt after one that failed; otherwise how the call ends.
    fn consider(&mut self, plan: &Plan, failed: Failed) -> Result<(), CallError> {
        let agent = plan.owner.agent.clone();
        self.log.push(format!("{}: {}", agent.as_str(), failed.why()));
        self.tried.push(plan.owner.clone());
        let is_repeatable = plan.attempt.is_repeatable;
        match failed {
            Failed::NotReceived { .. } => {}
            Failed::Lost { .. } if is_repeatable && self.may_repeat(plan.options.retry_count.unwrap_or(REPEATS)) => {
                self.lost = Some(agent);
            }
            Failed::Lost { .. } | Failed::LostInAnswer { .. } => {
                self.lost = Some(agent);
                return Err(self.exhausted());
            }
            Failed::TimedOut => return Err(CallError::TimedOut { after: self.begun.elapsed() }),
            Failed::TooLarge { what, bytes, limit } => return Err(CallError::TooLarge { what, bytes, limit }),
            // Whose clock was faster makes no difference.
            Failed::Fault(fault) if fault.kind == FaultKind::TimedOut => {
                return Err(CallError::TimedOut { after: self.begun.elapsed() });
            }
            // Who has the session has its state: nobody else can stand in because it is busy.
            Failed::Fault(fault) if fault.kind == FaultKind::Overloaded && plan.is_bound => {
                return Err(CallError::Fault { agent, fault });
            }
            Failed::Fault(fault) if fault.kind.did_not_run() => self.refused = Some((agent, fault)),
            Failed::Fault(fault) => {
                let failed = matches!(fault.kind, FaultKind::Failed | FaultKind::Panicked);
                // Nobody but the author knows whether a tool that failed may do better the next time.
                let retries = plan.options.retry_count.unwrap_or(0);
                // What was passed on of its answer would be said twice.
                let is_unheard = !self.outlet.was_used();
                if !(failed && is_repeatable && is_unheard && self.may_repeat(retries)) {
                    return Err(CallError::Fault { agent, fault });
                }
                self.refused = Some((agent, fault));
            }
        }
        let now = Instant::now();
        if now >= plan.attempt.deadline {
            return Err(CallError::TimedOut { after: self.begun.elapsed() });
        }
        if self.inner.budget.spend(now) {
            return Ok(());
        }
        self.log.push("too many calls of this node are being repeated already".to_owned());
        Err(self.exhausted())
    }

    fn may_repeat(&mut self, most: u32) -> bool {
        self.repeats += 1;
        self.repeats <= most
    }

    /// All were tried. A provider that nobody could reach may be about to come back, and one that lacks what it requires
    /// may be about to hear of it, as we have already: they are tried once more.
    async fn next_round(&mut self) -> Result<(), CallError> {
        let deadline = self.request.scope.deadline;
        let is_in_time = deadline.is_none_or(|deadline| Instant::now() + BETWEEN_ROUNDS < deadline);
        let is_final = |(_, fault): &(AgentId, Fault)| fault.kind != FaultKind::DependencyUnavailable;
        let is_refused = self.refused.as_ref().is_some_and(is_final);
        if self.tried.is_empty() || is_refused || self.rounds >= ROUNDS || !is_in_time {
            return Err(self.exhausted());
        }
        self.rounds += 1;
        self.tried.clear();
        sleep(BETWEEN_ROUNDS).await;
        Ok(())
    }

    fn exhausted(&mut self) -> CallError {
        match (self.lost.take(), self.refused.take()) {
            (Some(agent), _) => CallError::MayHaveRun { agent, why: self.log.join("; ") },
            (None, Some((agent, fault))) => CallError::Fault { agent, fault },
            (None, None) => CallError::Unreachable { wanted: self.wanted(), why: self.log.join("; ") },
        }
    }

    fn unresolved(&self, field: &Field) -> CallError {
        let mut why = match field {
            Field::Offers(resolution) => {
                let evictions = resolution.explanation.evictions();
                let sentences: Vec<String> = evictions.iter().take(20).map(ToString::to_string).collect();
                if sentences.is_empty() { "nobody offers it".to_owned() } else { sentences.join("; ") }
            }
            Field::Agents(_) => "no such agent is there".to_owned(),
        };
        let is_alone = self.inner.gossip.view().live().nth(1).is_none();
        if let JoinState::Seeking(obstacle) = self.inner.gossip.join_state()
            && is_alone
        {
            why = format!("{why}; and this node is not part of the mesh yet: {obstacle}");
        }
        CallError::Unresolved { wanted: self.wanted(), why }
    }

    /// What is wanted, in full.
    fn wanted(&self) -> String {
        match &self.request.target {
            Target::Capability(query) => query.selector().to_string(),
            Target::Agent(name) => name.to_string(),
            Target::Exactly(owner) => owner.agent.as_str().to_owned(),
        }
    }

    /// What is wanted, for a span.
    fn name(&self) -> Arc<str> {
        match &self.request.target {
            Target::Capability(query) => query.selector().capability.clone(),
            Target::Agent(name) => name.clone(),
            Target::Exactly(owner) => owner.agent.clone().into(),
        }
    }
}
