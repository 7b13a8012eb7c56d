//! `/jobs…`: this seed keeps no jobs, and says so to whoever asks.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::routes::error;

pub(super) fn router() -> Router {
    Router::new()
        .route("/jobs", get(unavailable).post(unavailable))
        .route("/jobs/batch", post(unavailable))
        .route("/jobs/claim", post(unavailable))
        .route("/jobs/{id}", get(unavailable))
        .route("/jobs/{id}/release", post(unavailable))
        .route("/jobs/{id}/cancel", post(unavailable))
        .route("/jobs/{id}/reclaim", post(unavailable))
        .route("/jobs/{id}/events", get(unavailable).post(unavailable))
}

/// What pages ask for. They take a refusal for a registry that is not there; and that there are no jobs is true.
pub(super) fn shown() -> Router {
    Router::new().route("/jobs", get(none)).route("/jobs/{id}", get(unavailable))
}

async fn none() -> Json<Value> {
    Json(json!({"jobs": [], "next_cursor": null}))
}

async fn unavailable() -> Response {
    let why = "jobs are not kept by this seed: call the tool directly, without `task`, or run its jobs at a registry \
               that keeps them";
    error(StatusCode::SERVICE_UNAVAILABLE, why)
}
