//! As much of a registry as two stock agents need to find each other: who registered, and who of them has what.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, head, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The stub; it stops with this handle.
pub(super) struct Registry {
    url: String,
    server: JoinHandle<()>,
}

/// Agents by id, and whether each has heard of the last change.
type Agents = Arc<Mutex<BTreeMap<String, (Value, bool)>>>;

impl Registry {
    /// Serves on a free port of loopback.
    pub(super) async fn start() -> Result<Self> {
        let agents = Agents::default();
        let router = Router::new()
            .route("/heartbeat", post(register))
            .route("/heartbeat/{agent}", head(beat))
            .route("/agents/{agent}", delete(leave))
            .with_state(agents);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, server })
    }

    /// Where agents find it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn register(State(agents): State<Agents>, Json(agent): Json<Value>) -> Json<Value> {
    let mut agents = agents.lock().unwrap_or_else(PoisonError::into_inner);
    let id = agent["agent_id"].as_str().unwrap_or_default().to_owned();
    if !agents.contains_key(&id) {
        agents.values_mut().for_each(|(_, informed)| *informed = false);
    }
    let resolved: Map<String, Value> = tools(&agent)
        .filter_map(|tool| {
            let wanted = tool["dependencies"].as_array()?;
            let found = wanted.iter().map(|it| provider(&agents, &it["capability"])).collect();
            Some((tool["function_name"].as_str()?.to_owned(), Value::Array(found)))
        })
        .collect();
    agents.insert(id.clone(), (agent, true));
    Json(json!({
        "status": "success", "message": "Agent registered via heartbeat", "agent_id": id,
        // Nobody reads it, but it has to be there.
        "timestamp": "2026-01-01T00:00:00Z",
        "dependencies_resolved": resolved, "llm_tools": {}, "llm_providers": {},
    }))
}

async fn beat(State(agents): State<Agents>, Path(agent): Path<String>) -> StatusCode {
    match agents.lock().unwrap_or_else(PoisonError::into_inner).get(&agent) {
        None => StatusCode::GONE,
        Some((_, true)) => StatusCode::OK,
        Some((_, false)) => StatusCode::ACCEPTED,
    }
}

async fn leave(State(agents): State<Agents>, Path(agent): Path<String>) -> StatusCode {
    agents.lock().unwrap_or_else(PoisonError::into_inner).remove(&agent);
    StatusCode::NO_CONTENT
}

fn tools(agent: &Value) -> impl Iterator<Item = &Value> {
    agent["tools"].as_array().into_iter().flatten()
}

/// Who has the capability, in the words of an answer to a heartbeat.
fn provider(agents: &BTreeMap<String, (Value, bool)>, capability: &Value) -> Value {
    let all = agents.values().flat_map(|(agent, _)| tools(agent).map(move |tool| (agent, tool)));
    match all.into_iter().find(|(_, tool)| tool["capability"] == *capability) {
        None => json!({
            "agent_id": "", "endpoint": "", "function_name": "", "capability": capability, "status": "unresolved",
        }),
        Some((agent, tool)) => json!({
            "agent_id": agent["agent_id"], "function_name": tool["function_name"], "capability": capability,
            "endpoint": format!("http://{}:{}", agent["http_host"].as_str().unwrap_or_default(), agent["http_port"]),
            "status": "available", "ttl": 3600, "kwargs": {},
        }),
    }
}
