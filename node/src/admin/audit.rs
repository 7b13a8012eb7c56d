//! How the dependencies of this node's own agents came to have the providers they have: a bounded journal of changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mesh_gossip::resolve::{Resolution, Resolver};
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
    /// The lock is held for one look or one entry.
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    events: VecDeque<AuditEvent>,
    last: BTreeMap<Place, Last>,
}

/// One dependency: agent, function, place among its dependencies.
type Place = (Arc<str>, Arc<str>, usize);

#[derive(Debug)]
struct Last {
    resolution: Arc<Resolution>,
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
    /// Writes down what `view` changes for the agents of its own node.
    pub(super) fn follow(&self, view: &View) {
        let agents = view.catalog().agents().filter(|agent| agent.owner.member == view.me()).take(MAX_AGENTS);
        let mut places = Vec::new();
        for offers in agents.filter_map(|agent| agent.offers) {
            for tool in &offers.tools {
                for (dep_index, needed) in tool.dependencies.iter().enumerate() {
                    let selector = needed.selector.clone().asked_in(&offers.namespace);
                    let resolution = self.resolver.answer(view.catalog(), view.schemas(), &selector);
                    let place: Place = (offers.agent.clone().into(), tool.function.clone(), dep_index);
                    places.push(place.clone());
                    let trace = || AuditTrace {
                        consumer: offers.agent.to_string(),
                        dep_index,
                        spec: explain::spec(&needed.selector),
                        stages: explain::stages(&resolution),
                        chosen: explain::chosen(&resolution),
                        prior_chosen: None,
                    };
                    self.book().note(place, &offers.name, &resolution, trace);
                }
            }
        }
        places.sort();
        self.book().last.retain(|place, _| places.binary_search(place).is_ok());
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

impl Book {
    fn note(&mut self, place: Place, name: &str, resolution: &Arc<Resolution>, trace: impl FnOnce() -> AuditTrace) {
        let last = self.last.get(&place);
        if last.is_some_and(|last| Arc::ptr_eq(&last.resolution, resolution)) {
            return;
        }
        let prior = last.and_then(|last| last.trace.clone());
        let trace = trace();
        let written = if is_news(&trace, prior.as_ref()) {
            self.write(&place, name, &trace, prior.as_ref());
            Some(trace)
        } else {
            prior
        };
        self.last.insert(place, Last { resolution: Arc::clone(resolution), trace: written });
    }

    fn write(&mut self, place: &Place, name: &str, trace: &AuditTrace, prior: Option<&AuditTrace>) {
        let event_type = if trace.chosen.is_some() { "dependency_resolved" } else { "dependency_unresolved" };
        let prior_chosen = prior.and_then(|prior| prior.chosen.as_ref()).map(|chosen| chosen.agent_id.clone());
        let changed = prior_chosen.as_deref() != trace.chosen.as_ref().map(|chosen| chosen.agent_id.as_str());
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(AuditEvent {
            event_type: event_type.into(),
            agent_id: place.0.to_string(),
            agent_name: name.to_owned(),
            function_name: place.1.to_string(),
            timestamp: Timestamp::now(),
            trace: AuditTrace { prior_chosen: prior_chosen.filter(|_| changed), ..trace.clone() },
        });
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
