//! Probes and metrics: open to everybody, and cheap.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_gossip::Gossip;
use serde_json::json;
use tokio::sync::watch;

use crate::health::{HealthCheck, Verdict};
use crate::metrics;
use crate::node::Phase;

/// What the probes look at.
#[derive(Clone)]
pub(crate) struct Probes {
    /// The agent's name.
    pub(crate) name: Arc<str>,
    /// Where the node is in its life.
    pub(crate) phase: watch::Receiver<Phase>,
    /// What the author's check found last.
    pub(crate) verdict: watch::Receiver<Verdict>,
    /// What `/metrics` counts besides the calls.
    pub(crate) gossip: Arc<Gossip>,
    /// Asked by `/startupz`.
    pub(crate) startup: Option<HealthCheck>,
}

/// The probes' routes. `/health` is left to the registry where there is one.
pub(crate) fn router(probes: Probes, is_registry: bool) -> Router {
    let health_of_agent = if is_registry { Router::new() } else { Router::new().route("/health", get(health)) };
    health_of_agent
        .route("/livez", get(|| async { Json(json!({"status": "alive"})) }))
        .route("/ready", get(ready))
        .route("/immediate-status", get(health))
        .route("/startupz", get(startup))
        .route("/metrics", get(exposition))
        .with_state(probes)
}

/// Whether calls may come: there is a view of the mesh, and the node is not leaving.
async fn ready(State(probes): State<Probes>) -> Response {
    let phase = *probes.phase.borrow();
    let status = if phase == Phase::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": phase == Phase::Ready, "phase": phase.word()}))).into_response()
}

/// What the author's check found: 200 only when the agent is healthy.
async fn health(State(probes): State<Probes>) -> Response {
    let verdict = probes.verdict.borrow().clone();
    let (status, errors) = match &verdict {
        Verdict::Healthy => (StatusCode::OK, vec![]),
        Verdict::Degraded(why) | Verdict::Unhealthy(why) => (StatusCode::SERVICE_UNAVAILABLE, vec![why.clone()]),
    };
    (status, Json(json!({"status": verdict.word(), "agent": &*probes.name, "errors": errors}))).into_response()
}

/// Whether the agent has started; while its check fails or there is no view of the mesh, it has not.
async fn startup(State(probes): State<Probes>) -> Response {
    let verdict = match &probes.startup {
        Some(check) => check.run().await,
        None => Verdict::Healthy,
    };
    let joined = !matches!(*probes.phase.borrow(), Phase::Joining);
    let started = joined && verdict == Verdict::Healthy;
    let status = if started { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let why = match verdict {
        Verdict::Healthy if joined => None,
        Verdict::Healthy => Some("no view of the mesh yet".to_owned()),
        Verdict::Degraded(why) | Verdict::Unhealthy(why) => Some(why),
    };
    (status, Json(json!({"started": started, "why": why}))).into_response()
}

/// Prometheus' text format.
async fn exposition(State(probes): State<Probes>) -> Response {
    // A gossip node that has stopped counts nothing any more.
    let gossip = probes.gossip.metrics().await.map(|counted| metrics::text(&counted.samples())).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render() + &gossip).into_response()
}
