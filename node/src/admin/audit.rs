//! How the dependencies of this node's own agents came to have the providers they have: a bounded journal of changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mesh_gossip::catalog::{AgentId, Offers};
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::{Query, Resolution, Resolver};
use mesh_gossip::{MemberId, View};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::guard::Refused;
use super::listing::Wanted;
use super::observer::AUDIT_TOPIC;
use super::timestamp::Timestamp;
use super::wire::{AuditEvent, AuditTrace};
use super::{Answer, Asked, Desk, explain, find};
use crate::call::question::Questions;

/// The most changes that are kept; older ones go.
const MAX_EVENTS: usize = 1024;

/// The most changes in one answer.
const MAX_ANSWER: usize = 500;

/// How long another node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What changed, newest last.
#[derive(Debug, Default)]
pub(super) struct Journal {
    resolver: Resolver,
    /// The lock is held for one look or one answer.
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    events: VecDeque<AuditEvent>,
    followed: BTreeMap<AgentId, Followed>,
    /// The state of the catalog that was looked at last, unless schemas were missing then.
    epoch: Option<u64>,
}

/// An agent of this node.
#[derive(Debug)]
struct Followed {
    offers: Arc<Offers>,
    needs: Vec<Need>,
}

/// One dependency.
#[derive(Debug)]
struct Need {
    function: Arc<str>,
    /// Its place among the dependencies of its tool.
    index: usize,
    selector: Selector,
    query: Arc<Query>,
    resolution: Option<Arc<Resolution>>,
    /// What was last written about it; nothing while nothing was worth it.
    trace: Option<AuditTrace>,
}

/// Which changes are wanted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditQuery {
    agent: String,
    #[serde(default)]
    function: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// The most agents of one node that are followed: a seed speaks for thousands, whose changes its registry's history tells.
const MAX_AGENTS: usize = 256;

impl Journal {
    /// Writes down what `view` changes for the agents of its own node. Costs next to nothing where that is nothing.
    pub(super) fn follow(&self, view: &View) {
        let mut book = self.book();
        let epoch = Some(view.catalog().epoch());
        if book.epoch == epoch {
            return;
        }
        let mut before = std::mem::take(&mut book.followed);
        let mut is_pending = false;
        let agents = view.catalog().agents().filter(|agent| agent.owner.member == view.me()).take(MAX_AGENTS);
        for (agent, offers) in agents.filter_map(|agent| Some((&agent.owner.agent, agent.offers?))) {
            let mut followed = match before.remove(agent) {
                Some(known) if Arc::ptr_eq(&known.offers, offers) => known,
                known => self.begin(offers, known),
            };
            for need in &mut followed.needs {
                let resolution = need.query.answer(view.catalog(), view.schemas());
                is_pending |= !resolution.pending_schemas().is_empty();
                book.events.extend(need.note(offers, resolution, agent.belongs_to(&view.me())));
            }
            book.followed.insert(agent.clone(), followed);
        }
        let surplus = book.events.len().saturating_sub(MAX_EVENTS);
        book.events.drain(..surplus);
        book.epoch = epoch.filter(|_| !is_pending);
    }

    /// Follows what `offers` depend on, which offered something else until now, if anything.
    fn begin(&self, offers: &Arc<Offers>, before: Option<Followed>) -> Followed {
        let mut before = before.map(|before| before.needs).unwrap_or_default();
        let all = offers.tools.iter().flat_map(|tool| tool.dependencies.iter().enumerate().map(move |it| (tool, it)));
        let needs = all.map(|(tool, (index, needed))| {
            let is_it = |need: &Need| need.function == tool.function && need.index == index;
            let known = before.iter().position(is_it).map(|at| before.swap_remove(at));
            let (resolution, trace) = known.map_or((None, None), |known| (known.resolution, known.trace));
            let query = self.resolver.query(&needed.selector.clone().asked_in(&offers.namespace));
            Need { function: tool.function.clone(), index, selector: needed.selector.clone(), query, resolution, trace }
        });
        Followed { needs: needs.collect(), offers: Arc::clone(offers) }
    }

    /// The newest changes first.
    pub(super) fn answer(&self, query: &AuditQuery) -> Vec<AuditEvent> {
        let function = query.function.as_deref();
        let is_meant = |event: &&AuditEvent| {
            event.agent_id == query.agent && function.is_none_or(|function| event.function_name == function)
        };
        let limit = query.limit.unwrap_or(MAX_ANSWER).min(MAX_ANSWER);
        self.book().events.iter().rev().filter(is_meant).take(limit).cloned().collect()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Need {
    /// What is to be written when it resolves like that. Of an agent that this node merely speaks for, which may be one of
    /// thousands, only another choice.
    fn note(&mut self, offers: &Offers, resolution: Arc<Resolution>, is_own: bool) -> Option<AuditEvent> {
        if self.resolution.as_ref().is_some_and(|last| Arc::ptr_eq(last, &resolution)) {
            return None;
        }
        let chosen = explain::chosen(&resolution);
        let is_same = self.trace.as_ref().is_some_and(|prior| prior.chosen == chosen);
        if is_same && !is_own {
            self.resolution = Some(resolution);
            return None;
        }
        let trace = AuditTrace {
            consumer: offers.agent.to_string(),
            dep_index: self.index,
            spec: explain::spec(&self.selector),
            stages: explain::stages(&resolution),
            chosen,
            prior_chosen: None,
        };
        self.resolution = Some(resolution);
        let event = is_news(&trace, self.trace.as_ref()).then(|| self.event(offers, &trace))?;
        self.trace = Some(trace);
        Some(event)
    }

    fn event(&self, offers: &Offers, trace: &AuditTrace) -> AuditEvent {
        let event_type = if trace.chosen.is_some() { "dependency_resolved" } else { "dependency_unresolved" };
        let prior = self.trace.as_ref().and_then(|prior| prior.chosen.as_ref());
        let prior_chosen = prior.map(|chosen| chosen.agent_id.clone());
        let changed = prior_chosen.as_deref() != trace.chosen.as_ref().map(|chosen| chosen.agent_id.as_str());
        AuditEvent {
            event_type: event_type.into(),
            agent_id: trace.consumer.clone(),
            agent_name: offers.name.to_string(),
            function_name: self.function.to_string(),
            timestamp: Timestamp::now(),
            trace: AuditTrace { prior_chosen: prior_chosen.filter(|_| changed), ..trace.clone() },
        }
    }
}

/// Whether it is worth a line: another choice, or other reasons among several candidates.
fn is_news(trace: &AuditTrace, prior: Option<&AuditTrace>) -> bool {
    let Some(prior) = prior else { return true };
    if trace.chosen != prior.chosen {
        return true;
    }
    let contested = trace.stages.iter().any(|stage| stage.kept.len() + stage.evicted.len() >= 2);
    let evicted = trace.stages.iter().any(|stage| !stage.evicted.is_empty());
    trace.stages != prior.stages && (contested || (trace.chosen.is_none() && evicted))
}

/// The journal of one agent, told by its own node.
pub(super) async fn show(State(desk): State<Arc<Desk>>, Asked(query): Asked<AuditQuery>) -> Answer<Vec<AuditEvent>> {
    let owner = find::agent(&desk.gossip.view(), &query.agent, Wanted::All)?;
    let query = AuditQuery { agent: owner.agent.to_string(), ..query };
    if owner.member == desk.gossip.me() {
        return Ok(Json(desk.observer.journal.answer(&query)));
    }
    let told = query.ask(&desk.questions, owner.member).await.map_err(|why| {
        let message = format!("{} alone knows how its dependencies came to resolve, and {why}", owner.agent);
        Refused::new(StatusCode::BAD_GATEWAY, "no_answer", message)
    });
    told.map(Json)
}

impl AuditQuery {
    /// The newest `limit` changes of `agent`, of one of its functions if that is given.
    pub(crate) fn of(agent: &str, function: Option<&str>, limit: usize) -> Self {
        Self { agent: agent.to_owned(), function: function.map(str::to_owned), limit: Some(limit) }
    }

    /// Asks the node of the agent, for three seconds at most.
    ///
    /// # Errors
    /// What it is that went wrong, in words.
    pub(crate) async fn ask(&self, questions: &Questions, member: MemberId) -> Result<Vec<AuditEvent>, String> {
        let question = serde_json::to_vec(self).expect("texts can be written");
        let asked = questions.ask(member, AUDIT_TOPIC, question.into(), Instant::now() + PATIENCE).await;
        let answer = asked.map_err(|error| format!("cannot be asked: {error}"))?;
        serde_json::from_slice(&answer).map_err(|error| format!("its answer makes no sense: {error}"))
    }
}
