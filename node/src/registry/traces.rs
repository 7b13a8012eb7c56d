//! `/trace/…`: what the mesh remembers of a trace, in the shape that the existing system gives it.

pub(super) mod names;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_gossip::{Gossip, View};
use serde_json::json;

use self::names::Names;
use crate::admin::spans::{SpanSearch, parse};
use crate::trace::{CompletedTrace, Whereabouts};

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
        Some(trace) => {
            let names = Names::of(view);
            let known = |agent: &str| Whereabouts { name: names.of_agent(agent), host: names.host_of(agent) };
            CompletedTrace::of(&search.trace(trace).await.spans, known)
        }
        None => None,
    };
    match found {
        Some(trace) => Json(trace).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "trace not found", "trace_id": id}))).into_response(),
    }
}
