//! `/trace/…`: what the mesh remembers of a trace, in the shape that the existing system gives it.

pub(super) mod tree;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_gossip::{Gossip, View};
use serde::Serialize;
use serde_json::json;

use self::tree::{Names, Tree};
use crate::admin::spans::{SpanSearch, parse};
use crate::admin::timestamp::Timestamp;
use crate::trace::{Outcome, Span};

/// A trace. Its keys are written as the existing system writes them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CompletedTrace {
    #[serde(rename = "TraceID")]
    trace_id: String,
    spans: Vec<TraceSpan>,
    start_time: Timestamp,
    end_time: Timestamp,
    /// Nanoseconds.
    duration: u64,
    success: bool,
    span_count: usize,
    agent_count: usize,
    agents: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TraceSpan {
    #[serde(rename = "TraceID")]
    trace_id: String,
    #[serde(rename = "SpanID")]
    span_id: String,
    parent_span: Option<String>,
    agent_name: String,
    #[serde(rename = "AgentID")]
    agent_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    operation: String,
    start_time: Timestamp,
    end_time: Timestamp,
    #[serde(rename = "DurationMS")]
    duration_ms: u64,
    success: bool,
    error_message: Option<String>,
    capability: Option<String>,
    target_agent: Option<String>,
    runtime: &'static str,
}

pub(super) fn router(search: SpanSearch, gossip: Arc<Gossip>) -> Router {
    Router::new()
        .route("/trace/status", get(status))
        .route("/trace/info", get(status))
        .route("/trace/stats", get(stats))
        .route("/trace/{id}", get(trace))
        .with_state((search, gossip))
}

async fn trace(State((search, gossip)): State<(SpanSearch, Arc<Gossip>)>, Path(id): Path<String>) -> Response {
    one(&search, &gossip.view(), &id).await
}

/// Tracing is always on: nodes remember their spans, and nothing is exported from here.
async fn status() -> Response {
    let config = json!({
        "enabled": true, "redis_url": "", "stream_name": "", "consumer_group": "", "consumer_name": "", "batch_size": 0,
        "block_timeout": 0, "trace_timeout": 0, "trace_retention": 0, "exporter_type": "mesh",
        "pretty_console_output": false, "enable_stats": false,
    });
    let consumer = json!({
        "enabled": false, "running": false, "connection_state": "not_needed", "consuming": false, "stream_name": "",
        "consumer_group": "", "consumer_name": "", "retry_count": 0,
    });
    let body = json!({
        "enabled": true, "exporter_type": "mesh", "config": config, "stream_through_mode": false, "consumer": consumer,
    });
    Json(body).into_response()
}

async fn stats() -> Response {
    let reason = "statistics collection not enabled";
    Json(json!({"enabled": true, "stats_available": false, "reason": reason})).into_response()
}

/// One trace, as all members together remember it.
pub(super) async fn one(search: &SpanSearch, view: &View, id: &str) -> Response {
    let found = match parse(id) {
        Some(trace) => completed(&search.trace(trace).await.spans, view),
        None => None,
    };
    match found {
        Some(trace) => Json(trace).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "trace not found", "trace_id": id}))).into_response(),
    }
}

/// The trace of which these are all spans; `None` when there are none.
fn completed(spans: &[Span], view: &View) -> Option<CompletedTrace> {
    let names = Names::of(view);
    let tree = Tree::of(spans);
    let (first, start) = (spans.first()?, spans.iter().map(|span| span.start).min()?);
    let end = spans.iter().map(|span| span.start.saturating_add(span.duration)).max()?;
    let agents: BTreeSet<String> = spans.iter().map(|span| names.of_agent(&span.agent)).collect();
    let written = spans.iter().map(|span| TraceSpan {
        trace_id: format!("{:032x}", span.trace),
        span_id: format!("{:016x}", span.span),
        parent_span: span.parent.map(|parent| format!("{parent:016x}")),
        agent_name: names.of_agent(&span.agent),
        agent_id: span.agent.to_string(),
        ip_address: names.host_of(&span.agent),
        operation: tree.operation(span),
        start_time: moment(span.start),
        end_time: moment(span.start.saturating_add(span.duration)),
        duration_ms: span.duration / 1000,
        success: span.outcome == Outcome::Ok,
        error_message: (span.outcome != Outcome::Ok).then(|| tree::what_went_wrong(span)),
        capability: tree.capability(span),
        target_agent: span.peer.as_deref().map(|peer| names.of_agent(peer)),
        runtime: "rust",
    });
    Some(CompletedTrace {
        trace_id: format!("{:032x}", first.trace),
        spans: written.collect(),
        start_time: moment(start),
        end_time: moment(end),
        duration: end.saturating_sub(start).saturating_mul(1000),
        success: tree.is_success(),
        span_count: spans.len(),
        agent_count: agents.len(),
        agents: agents.into_iter().collect(),
    })
}

pub(super) fn moment(microseconds: u64) -> Timestamp {
    Timestamp(microseconds / 1000)
}
