//! `/api/…`: what the pages of the existing system's dashboard ask for, from the view, the history and the spans of the
//! mesh. Pages that are given this origin need no other server.

mod activity;
mod picture;
mod streams;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use self::activity::Activity;
use self::picture::TraceBrief;
use self::usage::Usage;
use super::history::History;
use super::parameters::{BadParameter, Parameters};
use super::routes::{self, error};
use super::store::EventFilter;
use super::{Registry, archive, jobs, traces};
use crate::admin::spans::SpanSearch;
use crate::tls::Visitor;

/// How many pages watch at a time; further ones are told to come later.
const MAX_WATCHERS: usize = 64;

/// How many past events a page is told when it begins to watch.
const BACKFILL: usize = 50;

/// The most rows of one table.
const MAX_ROWS: usize = 100;
const ROWS: usize = 20;

#[derive(Clone)]
struct Desk {
    registry: Registry,
    history: History,
    search: SpanSearch,
    activity: Activity,
    places: Arc<Semaphore>,
    began: Instant,
}

pub(super) fn router(registry: Registry, history: History, search: SpanSearch) -> Router {
    let activity = Activity::new(Arc::clone(registry.gossip()), search.clone());
    let same = routes::shown(registry.clone()).merge(jobs::shown());
    let places = Arc::new(Semaphore::new(MAX_WATCHERS));
    let desk = Desk { registry, history, search, activity, places, began: Instant::now() };
    Router::new()
        .route("/api/schemas", get(schemas))
        .route("/api/schemas/{hash}/usage", get(schema_usage))
        .route("/api/events", get(events))
        .route("/api/events/history", get(past_events))
        .route("/api/trace/recent", get(recent))
        .route("/api/trace/list", get(list))
        .route("/api/trace/search", get(found))
        .route("/api/trace/edge-stats", get(edge_stats))
        .route("/api/trace/agent-stats", get(agent_stats))
        .route("/api/trace/model-stats", get(model_stats))
        .route("/api/trace/traffic", get(traffic))
        .route("/api/trace/{id}", get(one_trace))
        .route("/api/traces/live", get(live_traces))
        .route("/api/ui-health", get(ui_health))
        .route("/api/{*rest}", any(not_found))
        .with_state(desk)
        .nest("/api", same)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": "API endpoint not found"}))).into_response()
}

async fn ui_health(State(desk): State<Desk>, visitor: Option<Extension<Visitor>>, headers: HeaderMap) -> Response {
    let scheme = if visitor.is_some() { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let body = json!({
        "status": "healthy", "service": "mcp-mesh-ui", "uptime_secs": desk.began.elapsed().as_secs(),
        "registry_url": format!("{scheme}://{host}"), "version": env!("CARGO_PKG_VERSION"),
        "events_lost": desk.history.store().lost(),
    });
    Json(body).into_response()
}

async fn schemas(State(desk): State<Desk>) -> Response {
    let schemas = match desk.history.store().schemas(1_000).await {
        Ok(schemas) => schemas,
        Err(why) => return why.into_response(),
    };
    let usage = Usage::of(&desk.registry.gossip().view());
    let rows: Vec<_> = schemas.into_iter().map(|schema| usage.row(schema)).collect();
    Json(json!({"count": rows.len(), "schemas": rows})).into_response()
}

async fn schema_usage(State(desk): State<Desk>, Path(hash): Path<String>) -> Response {
    match desk.history.store().schema(hash.clone()).await {
        Ok(Some(schema)) => Json(Usage::of(&desk.registry.gossip().view()).full(schema)).into_response(),
        Ok(None) => error(StatusCode::NOT_FOUND, format!("schema not found: {hash}")),
        Err(why) => why.into_response(),
    }
}

async fn past_events(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let query = Parameters::of(query.as_deref());
    match query.number("limit", 1..=200, 50) {
        Ok(limit) => {
            let event_type = match archive::kind(query.text("event_type")) {
                Ok(event_type) => event_type,
                Err(none) => return none.into_response(),
            };
            archive::newest(&desk.history, EventFilter { event_type, limit, ..EventFilter::default() }).await
        }
        Err(bad) => bad.into_response(),
    }
}

async fn events(State(desk): State<Desk>) -> Response {
    let Some(place) = desk.place() else { return full() };
    // What happens while the past is read is told as it comes, and by then perhaps twice; pages know both as one.
    let live = desk.history.watch();
    let past = desk.history.store().events(EventFilter { limit: BACKFILL, ..EventFilter::default() }).await;
    let agents = desk.registry.agents().await.map_or(0, |agents| agents.len());
    match past {
        Ok(past) => streams::events(agents, &past, live, desk.activity, place),
        Err(why) => why.into_response(),
    }
}

async fn live_traces(State(desk): State<Desk>) -> Response {
    match desk.place() {
        Some(place) => streams::traces(desk.activity, place),
        None => full(),
    }
}

async fn one_trace(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    traces::one(&desk.search, &desk.registry.gossip().view(), &id).await
}

async fn recent(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let limit = match rows(query.as_deref()) {
        Ok(limit) => limit,
        Err(bad) => return bad.into_response(),
    };
    let mut traces = desk.activity.picture(None).await.traces;
    traces.truncate(limit);
    Json(json!({"enabled": true, "count": traces.len(), "traces": traces, "limit": limit})).into_response()
}

async fn list(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let query = Parameters::of(query.as_deref());
    let (limit, offset) = match (query.number("limit", 1..=MAX_ROWS, ROWS), query.number("offset", 0..=usize::MAX, 0)) {
        (Ok(limit), Ok(offset)) => (limit, offset),
        (Err(bad), _) | (_, Err(bad)) => return bad.into_response(),
    };
    let all = desk.activity.picture(None).await.traces;
    let total = all.len();
    let traces: Vec<TraceBrief> = all.into_iter().skip(offset).take(limit).collect();
    let page = json!({
        "enabled": true, "count": traces.len(), "total": total, "traces": traces, "limit": limit, "offset": offset,
    });
    Json(page).into_response()
}

async fn found(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let query = Parameters::of(query.as_deref());
    let number = |name| query.number(name, 0..=usize::MAX, 0);
    let (limit, least, most) =
        match (query.number("limit", 1..=MAX_ROWS, ROWS), number("min_duration_ms"), number("max_duration_ms")) {
            (Ok(limit), Ok(least), Ok(most)) => (limit, least, most),
            (Err(bad), ..) | (_, Err(bad), _) | (.., Err(bad)) => return bad.into_response(),
        };
    let moments = [query.text("start_time"), query.text("end_time")].map(|text| text.map(str::parse));
    let [from, until] = match moments {
        [Some(Err(_)), _] | [_, Some(Err(_))] => {
            return error(StatusCode::BAD_REQUEST, "start_time and end_time are written as 2026-11-21T06:37:31Z");
        }
        moments => moments.map(|moment| moment.and_then(Result::ok)),
    };
    let is_wanted = |trace: &TraceBrief| {
        let took = usize::try_from(trace.duration_ms).unwrap_or(usize::MAX);
        query.text("parent_span_id").is_none_or(|wanted| trace.parents.contains(wanted))
            && query.text("agent_name").is_none_or(|wanted| trace.agents.iter().any(|name| name == wanted))
            && query
                .text("operation")
                .is_none_or(|wanted| trace.root_operation == wanted || trace.operations.contains(wanted))
            && query.text("success").is_none_or(|wanted| (wanted == "true") == trace.success)
            && from.is_none_or(|from| trace.start_time >= from)
            && until.is_none_or(|until| trace.start_time <= until)
            && took >= least
            && (most == 0 || took <= most)
    };
    let mut traces = desk.activity.picture(None).await.traces;
    traces.retain(is_wanted);
    traces.truncate(limit);
    Json(json!({"enabled": true, "count": traces.len(), "traces": traces, "limit": limit})).into_response()
}

async fn edge_stats(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let limit = match rows(query.as_deref()) {
        Ok(limit) => limit,
        Err(bad) => return bad.into_response(),
    };
    let mut edges = desk.activity.picture(None).await.edges;
    let edge_count = edges.len();
    edges.truncate(limit);
    let body = json!({"enabled": true, "count": edges.len(), "edges": edges, "edge_count": edge_count});
    Json(body).into_response()
}

async fn agent_stats(State(desk): State<Desk>) -> Response {
    let agents = desk.activity.picture(None).await.agents;
    Json(json!({"enabled": true, "count": agents.len(), "agents": agents})).into_response()
}

async fn model_stats(State(desk): State<Desk>) -> Response {
    let models = desk.activity.picture(None).await.models;
    Json(json!({"enabled": true, "count": models.len(), "models": models})).into_response()
}

async fn traffic(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let limit = match rows(query.as_deref()) {
        Ok(limit) => limit,
        Err(bad) => return bad.into_response(),
    };
    let query = Parameters::of(query.as_deref());
    let name = query.text("window").unwrap_or("all");
    let window = match name {
        "all" => None,
        "1h" => Some(Duration::from_secs(3_600)),
        "1d" => Some(Duration::from_secs(86_400)),
        _ => return error(StatusCode::BAD_REQUEST, "window is one of all, 1h, 1d"),
    };
    let picture = desk.activity.picture(window).await;
    let (total_calls, total_errors) = picture.calls();
    let mut body = json!({
        "enabled": true, "window": name, "total_calls": total_calls, "total_errors": total_errors,
        "edge_stats": picture.edges.into_iter().take(limit).collect::<Vec<_>>(),
        "agent_stats": picture.agents, "model_stats": picture.models,
    });
    if picture.is_cut {
        body["truncated"] = Value::Bool(true);
    }
    Json(body).into_response()
}

fn rows(query: Option<&str>) -> Result<usize, BadParameter> {
    Parameters::of(query).number("limit", 1..=MAX_ROWS, ROWS)
}

fn full() -> Response {
    let why = format!("{MAX_WATCHERS} pages watch already, which is all that may: close one, or ask another seed");
    error(StatusCode::SERVICE_UNAVAILABLE, why)
}

impl Desk {
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}
