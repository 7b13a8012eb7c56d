//! `/jobs…`: this seed keeps no jobs, and says so to whoever asks.

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

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

async fn unavailable() -> Response {
    let why = "jobs are not kept by this seed: call the tool directly, without `task`, or run its jobs at a registry \
               that keeps them";
    error(StatusCode::SERVICE_UNAVAILABLE, why)
}
