//! `/a2a/agents`: what agents show over the agent-to-agent protocol.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use mesh_gossip::catalog::{AgentId, AgentType};
use mesh_gossip::record::Key;
use mesh_gossip::{Gossip, MemberId};
use serde_json::json;

use super::Registry;
use super::lease::{self, Lease};
use super::routes::SurfaceAnswer;

pub(super) fn router(registry: Registry) -> Router {
    Router::new().route("/a2a/agents", get(surfaces)).with_state(registry)
}

/// The surfaces of all agents of that kind in the mesh, however they fare.
async fn surfaces(State(registry): State<Registry>) -> Response {
    let prefix = registry.config().public_url_prefix.as_deref();
    let leases = leases(registry.gossip()).await;
    let of_a2a = leases.values().map(|lease| &lease.profile).filter(|profile| profile.agent_type == AgentType::A2a);
    let surfaces: Vec<SurfaceAnswer> =
        of_a2a.flat_map(|profile| &profile.surfaces).map(|surface| SurfaceAnswer::new(surface, prefix)).collect();
    Json(json!({"surfaces": surfaces})).into_response()
}

/// What all seeds say of the agents of that kind that they speak for; of two seeds the one with the newer lease.
async fn leases(gossip: &Gossip) -> BTreeMap<AgentId, Lease> {
    let view = gossip.view();
    let of_a2a =
        view.catalog().agents().filter(|agent| agent.offers.is_some_and(|offers| offers.agent_type == AgentType::A2a));
    let keys: Vec<(MemberId, AgentId, Key)> = of_a2a
        .filter_map(|agent| Some((agent.owner.member, agent.owner.agent.clone(), lease::key(&agent.owner.agent).ok()?)))
        .collect();
    let mut leases: BTreeMap<AgentId, Lease> = BTreeMap::new();
    for (member, agent, key) in keys {
        let Ok(Some(value)) = gossip.value(member, key).await else { continue };
        let Ok(lease) = Lease::decode(&value) else { continue };
        if leases.get(&agent).is_none_or(|other| other.number < lease.number) {
            leases.insert(agent, lease);
        }
    }
    leases
}
