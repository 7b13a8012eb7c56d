//! `/events` and `/schemas`: what the seed remembers, as clients of the existing system read it.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_gossip::Gossip;
use serde::Serialize;

use super::history::History;
use super::parameters::Parameters;
use super::routes::error;
use super::store::{Event, EventFilter, EventType, Schema, StoreError};
use crate::admin::audit::AuditQuery;
use crate::call::question::Questions;
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};

/// The most events of one answer, and how many there are when nobody says.
const MAX_EVENTS: usize = 500;
const EVENTS: usize = 50;

/// The same of schemas.
const MAX_SCHEMAS: usize = 1_000;
const SCHEMAS: usize = 100;

#[derive(Serialize)]
struct EventsAnswer {
    events: Vec<Event>,
    count: usize,
}

#[derive(Serialize)]
struct SchemasAnswer {
    schemas: Vec<Schema>,
    count: usize,
}

/// What answers about events know.
#[derive(Clone)]
struct Desk {
    history: History,
    gossip: Arc<Gossip>,
    questions: Questions,
}

pub(super) fn router(history: History, gossip: Arc<Gossip>, questions: Questions) -> Router {
    let events =
        Router::new().route("/events", get(events)).with_state(Desk { history: history.clone(), gossip, questions });
    Router::new()
        .route("/schemas", get(schemas))
        .route("/schemas/{hash}", get(schema))
        .with_state(history)
        .merge(events)
}

/// The newest events that `filter` lets through, and how many they are.
pub(super) async fn newest(history: &History, filter: EventFilter) -> Response {
    match history.store().events(filter).await {
        Ok(events) => Json(EventsAnswer { count: events.len(), events }).into_response(),
        Err(why) => why.into_response(),
    }
}

/// There are no events of that kind; that is no mistake.
pub(super) struct NoSuchKind;

/// The kind of that name, if one is named.
pub(super) fn kind(name: Option<&str>) -> Result<Option<EventType>, NoSuchKind> {
    name.map(|name| EventType::named(name).ok_or(NoSuchKind)).transpose()
}

impl IntoResponse for NoSuchKind {
    fn into_response(self) -> Response {
        Json(EventsAnswer { events: Vec::new(), count: 0 }).into_response()
    }
}

async fn events(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let query = Parameters::of(query.as_deref());
    let limit = match query.number("limit", 1..=MAX_EVENTS, EVENTS) {
        Ok(limit) => limit,
        Err(bad) => return bad.into_response(),
    };
    let event_type = match kind(query.text("type")) {
        Ok(event_type) => event_type,
        Err(none) => return none.into_response(),
    };
    let text = |name| query.text(name).map(str::to_owned);
    let (agent_id, function_name) = (text("agent_id"), text("function_name"));
    let filter = EventFilter { event_type, agent_id, function_name, limit };
    let told = desk.told_elsewhere(&filter).await;
    if told.is_empty() {
        return newest(&desk.history, filter).await;
    }
    match desk.history.store().events(filter).await {
        Ok(mut events) => {
            events.extend(told);
            events.sort_by_key(|event| std::cmp::Reverse(event.timestamp));
            events.truncate(limit);
            Json(EventsAnswer { count: events.len(), events }).into_response()
        }
        Err(why) => why.into_response(),
    }
}

impl Desk {
    /// How the dependencies of an agent on a node of our own came to resolve: that node alone knows.
    async fn told_elsewhere(&self, filter: &EventFilter) -> Vec<Event> {
        let Some(agent) = &filter.agent_id else { return Vec::new() };
        let view = self.gossip.view();
        let found = view.catalog().agents().find(|entry| {
            let transport = entry.offers.and_then(|offers| offers.labels.get(TRANSPORT_LABEL));
            entry.owner.agent.as_str() == agent && transport.is_some_and(|transport| transport == TRANSPORT_MESH)
        });
        let is_wanted = filter
            .event_type
            .is_none_or(|kind| matches!(kind, EventType::DependencyResolved | EventType::DependencyUnresolved));
        let Some(owner) = found.map(|entry| entry.owner).filter(|_| is_wanted) else { return Vec::new() };
        let query = AuditQuery::of(agent, filter.function_name.as_deref(), filter.limit);
        let told: Vec<Event> = match query.ask(&self.questions, owner.member).await {
            // Both are the same in JSON.
            Ok(told) => serde_json::to_value(told).and_then(serde_json::from_value).unwrap_or_default(),
            Err(why) => {
                tracing::debug!(%agent, %why, "its node does not tell how its dependencies came to resolve");
                Vec::new()
            }
        };
        told.into_iter().filter(|event| filter.event_type.is_none_or(|kind| kind == event.event_type)).collect()
    }
}

async fn schemas(State(history): State<History>, RawQuery(query): RawQuery) -> Response {
    let limit = match Parameters::of(query.as_deref()).number("limit", 1..=MAX_SCHEMAS, SCHEMAS) {
        Ok(limit) => limit,
        Err(bad) => return bad.into_response(),
    };
    match history.store().schemas(limit).await {
        Ok(schemas) => Json(SchemasAnswer { count: schemas.len(), schemas }).into_response(),
        Err(why) => why.into_response(),
    }
}

async fn schema(State(history): State<History>, Path(hash): Path<String>) -> Response {
    match history.store().schema(hash.clone()).await {
        Ok(Some(schema)) => Json(schema).into_response(),
        Ok(None) => error(StatusCode::NOT_FOUND, format!("schema not found: {hash}")),
        Err(why) => why.into_response(),
    }
}

impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        error(StatusCode::INTERNAL_SERVER_ERROR, self.to_string())
    }
}
