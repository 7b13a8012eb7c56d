//! Why the tools of an agent have the providers they have.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::listing::Wanted;
use super::wire::DependencyInfo;
use super::{AgentQuery, Answer, Asked, Desk, explain, find};

/// All dependencies of one agent, as the node that answers would resolve them in its place.
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Asked(query): Asked<AgentQuery>,
) -> Answer<Vec<DependencyInfo>> {
    let view = desk.gossip.view();
    let owner = find::agent(&view, &query.agent, Wanted::All)?;
    let offers = view.catalog().agent(&owner).and_then(|agent| agent.offers).ok_or_else(find::gone)?;
    let mut shown = Vec::new();
    for tool in &offers.tools {
        for (dep_index, needed) in tool.dependencies.iter().enumerate() {
            let selector = needed.selector.clone().asked_in(&offers.namespace);
            let resolution = desk.resolver.answer(view.catalog(), view.schemas(), &selector);
            shown.push(DependencyInfo {
                function_name: tool.function.to_string(),
                dep_index,
                required: needed.required,
                resolution: explain::explained(&selector, &resolution),
            });
        }
    }
    Ok(Json(shown))
}
