//! `/admin/…` as the existing system has it: unsigned, for whoever may use the registry at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::Registry;
use super::parameters::Parameters;

#[derive(Clone)]
struct Desk {
    registry: Registry,
    /// Whether no jobs are handed out any more.
    is_draining: Arc<AtomicBool>,
}

pub(super) fn router(registry: Registry) -> Router {
    Router::new()
        .route("/admin/entities", get(entities))
        .route("/admin/rotate", post(rotate))
        .route("/admin/drain", get(drain_state).post(drain).delete(resume))
        .with_state(Desk { registry, is_draining: Arc::default() })
}

/// Nobody is an entity here: who may register is decided by who may reach this port.
async fn entities() -> Response {
    Json(json!({"entities": []})).into_response()
}

/// Makes agents register again: all of them, or those of one entity, of which there are none.
async fn rotate(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let query = Parameters::of(query.as_deref());
    let (entity, agents, message) = match query.text("entity_id") {
        Some(entity) => (entity, Some(BTreeSet::new()), format!("Rotation triggered for entity '{entity}'")),
        None => ("", None, "Rotation triggered for all agents".to_owned()),
    };
    match desk.registry.rotate(agents).await {
        Ok(affected) => {
            Json(json!({"message": message, "affected_agents": affected, "entity_id": entity})).into_response()
        }
        Err(unavailable) => unavailable.into_response(),
    }
}

async fn drain_state(State(desk): State<Desk>) -> Response {
    desk.state()
}

async fn drain(State(desk): State<Desk>) -> Response {
    desk.is_draining.store(true, Ordering::Relaxed);
    desk.state()
}

async fn resume(State(desk): State<Desk>) -> Response {
    desk.is_draining.store(false, Ordering::Relaxed);
    desk.state()
}

impl Desk {
    /// Without jobs there are none that anybody has claimed.
    fn state(&self) -> Response {
        Json(json!({"draining": self.is_draining.load(Ordering::Relaxed), "live_claims": 0})).into_response()
    }
}
