//! What meshctl asks a node: a signed HTTP API under `/mesh/admin/v1`.
//!
//! Every request is signed under a mesh key, from loopback too, and every answer is; see [`signing`]. Whoever holds the
//! key may ask any node about the whole mesh. What changes the mesh (forcing members out, turning keys) needs an order
//! signed by the operator besides.

mod adopted;
pub(crate) mod audit;
mod call;
mod challenge;
mod dependencies;
mod describe;
pub(crate) mod explain;
mod find;
pub mod frames;
mod guard;
mod listing;
mod observer;
mod orders;
mod sightings;
pub mod signing;
pub(crate) mod spans;
pub mod timestamp;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use mesh_gossip::catalog::AgentId;
use mesh_gossip::gossip::JoinState;
use mesh_gossip::resolve::Resolver;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::{Gossip, View};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use self::challenge::Challenges;
use self::guard::{Guard, Refused};
use self::listing::{Listing, Wanted};
pub use self::observer::Observer;
use self::timestamp::Timestamp;
use self::wire::{AgentInfo, AgentsAnswer, Explained, MembersAnswer, NodeInfo, PREFIX};
use crate::call::Caller;
use crate::call::question::Questions;
use crate::context::MAX_PAYLOAD_BYTES;

/// The most bytes of a request, other than a call.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The most bytes of a call: its arguments, and a line about it.
const MAX_CALL_BYTES: usize = MAX_PAYLOAD_BYTES + MAX_BODY_BYTES;

/// How long the body of a signed request may take to arrive.
const UPLOAD_TIME: Duration = Duration::from_secs(60);

/// What the administration of a node knows and uses.
pub struct AdminState {
    /// The mesh.
    pub gossip: Arc<Gossip>,
    /// The way to its tools.
    pub caller: Caller,
    /// The way to other nodes.
    pub questions: Questions,
    /// What was seen so far. Its answers belong at the desk of `questions`.
    pub observer: Observer,
    /// The node itself.
    pub about: About,
}

/// What a node tells of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Its agent, which changes when another process turns out to have the node's key.
    pub agent: watch::Receiver<AgentId>,
    /// The name of its agent.
    pub name: String,
    /// `agent` or `seed`.
    pub role: String,
    /// The name of its mesh.
    pub mesh: String,
    /// Where its HTTP is, as `http://host:port`.
    pub url: Option<String>,
}

/// What all handlers share.
struct Desk {
    gossip: Arc<Gossip>,
    caller: Caller,
    questions: Questions,
    observer: Observer,
    about: About,
    started: Timestamp,
    resolver: Resolver,
}

type Answer<T> = Result<Json<T>, Refused>;

/// The routes of the administration, to be merged into the node's.
pub fn router(state: AdminState) -> Router {
    let guard = Guard { challenges: Arc::new(Challenges::new()), gossip: Arc::clone(&state.gossip) };
    let desk = Arc::new(Desk::open(state));
    let path = |rest: &str| format!("{PREFIX}/{rest}");
    let signed = Router::new()
        .route(&path("node"), get(node))
        .route(&path("members"), get(members))
        .route(&path("agents"), get(agents))
        .route(&path("agent"), get(agent))
        .route(&path("resolve"), get(resolve))
        .route(&path("dependencies"), get(dependencies::show))
        .route(&path("tool"), get(describe::tool))
        .route(&path("schemas"), get(describe::schemas))
        .route(&path("audit"), get(audit::show))
        .route(&path("call"), post(call::serve))
        .route(&path("trace"), get(spans::show))
        .route(&path("ground"), get(orders::ground))
        .route(&path("orders"), post(orders::obey))
        .route(&path("{*rest}"), axum::routing::any(unknown))
        .with_state(desk)
        .route_layer(middleware::from_fn_with_state(guard.clone(), guard::signed));
    let open = Router::new().route(&path("challenge"), get(guard::challenge)).with_state(guard);
    signed.merge(open).layer(middleware::from_fn(guard::no_browser))
}

impl Desk {
    fn open(state: AdminState) -> Self {
        let AdminState { gossip, caller, questions, observer, about } = state;
        Self { gossip, caller, questions, observer, about, started: Timestamp::now(), resolver: Resolver::new() }
    }

    fn listing<'a>(&'a self, view: &'a View) -> Listing<'a> {
        Listing::new(view, &self.resolver, &self.observer.sightings)
    }

    fn info(&self, view: &View) -> NodeInfo {
        // Those whom it shall ask first may be away while others have found it.
        let is_alone = view.live().nth(1).is_none();
        let obstacle = match self.gossip.join_state() {
            JoinState::Seeking(obstacle) if is_alone => Some(obstacle.to_string()),
            JoinState::Seeking(_) | JoinState::Joined => None,
        };
        NodeInfo {
            agent_id: self.about.agent.borrow().to_string(),
            name: self.about.name.clone(),
            role: self.about.role.clone(),
            member: view.me().to_string(),
            mesh: self.about.mesh.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url: self.about.url.clone(),
            gossip: self.gossip.local_addresses().to_vec(),
            joined: obstacle.is_none(),
            obstacle,
            live: view.live().count(),
            started: self.started,
            now: Timestamp::now(),
        }
    }
}

/// What stands behind the `?`, told in JSON when it makes no sense.
struct Asked<T>(T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Desk>> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refused> {
        let asked = Query::try_from_uri(&parts.uri).map_err(|error| Refused::bad_request(error.body_text()))?;
        Ok(Self(asked.0))
    }
}

/// Who is meant by `agent`.
#[derive(Debug, Deserialize)]
struct AgentQuery {
    agent: String,
}

#[derive(Debug, Deserialize)]
struct AgentsQuery {
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Deserialize)]
struct SelectorQuery {
    selector: String,
}

async fn node(State(desk): State<Arc<Desk>>) -> Json<NodeInfo> {
    Json(desk.info(&desk.gossip.view()))
}

async fn members(State(desk): State<Arc<Desk>>) -> Json<MembersAnswer> {
    let view = desk.gossip.view();
    Json(MembersAnswer { node: desk.info(&view), members: desk.listing(&view).members() })
}

async fn agents(State(desk): State<Arc<Desk>>, Asked(query): Asked<AgentsQuery>) -> Json<AgentsAnswer> {
    let view = desk.gossip.view();
    let wanted = if query.all { Wanted::All } else { Wanted::Healthy };
    let mut agents = desk.listing(&view).agents(wanted);
    adopted::complete(&desk.questions, &view, &mut agents).await;
    Json(AgentsAnswer { node: desk.info(&view), agents })
}

async fn agent(State(desk): State<Arc<Desk>>, Asked(query): Asked<AgentQuery>) -> Answer<AgentInfo> {
    let view = desk.gossip.view();
    let found = find::agent(&view, &query.agent, Wanted::Healthy)?;
    let agent = view.catalog().agent(&found).and_then(|entry| desk.listing(&view).agent(&entry));
    let mut agent = agent.ok_or_else(find::gone)?;
    if let Some(adopted) = adopted::one(&desk.questions, &found).await {
        adopted.put_into(&mut agent);
    }
    Ok(Json(agent))
}

async fn resolve(State(desk): State<Arc<Desk>>, Asked(query): Asked<SelectorQuery>) -> Answer<Explained> {
    let selector: Selector = query.selector.parse().map_err(|error| Refused::bad_request(format!("{error}")))?;
    let view = desk.gossip.view();
    let resolution = mesh_gossip::resolve::resolve(view.catalog(), view.schemas(), &selector);
    Ok(Json(explain::explained(&selector, &resolution)))
}

async fn unknown() -> Refused {
    let message = "this node does not know that question: it is of another version than the meshctl that asks";
    Refused::new(StatusCode::NOT_FOUND, "unknown_question", message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
