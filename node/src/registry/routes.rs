//! The HTTP side: requests to questions, answers to responses, as clients of the existing system know them.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, head, post};
use axum::{Json, Router};
use http_body::Body as _;
use mesh_gossip::catalog::AgentId;
use serde::Serialize;
use serde_json::json;

use super::answer::Answer;
use super::forward::forward;
use super::keeper::{Beat, Refused, Registered};
use super::listing::AgentInfo;
use super::profile::BadProfile;
use super::registration::{Registration, Surface};
use super::{Asker, Registry, Unavailable};
use crate::admin::timestamp::Timestamp;
use crate::health::Verdict;
use crate::tls::Visitor;

/// The most bytes of a registration: what one agent may offer, and as much again for what is not kept.
const MAX_BODY_BYTES: usize = 4 << 20;

/// How long a registration may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// How another seed is told that a heartbeat came over TLS, with a certificate that is trusted.
const OVER_TLS: &str = "/heartbeat?tls";

/// What this service is called, as scripts look for it.
const SERVICE: &str = "mcp-mesh-registry";

/// The registry's own routes.
pub(super) fn router(registry: Registry) -> Router {
    Router::new()
        .route("/", get(banner))
        .route("/health", get(health).head(health_head))
        .route("/heartbeat", post(register))
        .route("/heartbeat/{agent_id}", head(beat))
        .route("/agents", get(agents))
        .route("/agents/{agent_id}", delete(withdraw))
        .with_state(registry)
}

/// Those that pages ask for, too.
pub(super) fn shown(registry: Registry) -> Router {
    Router::new().route("/health", get(health).head(health_head)).route("/agents", get(agents)).with_state(registry)
}

/// What other members may ask.
pub(super) fn for_members(registry: Registry) -> Router {
    Router::new()
        .route("/heartbeat", post(register))
        .route("/heartbeat/{agent_id}", head(beat))
        .route("/agents/{agent_id}", delete(withdraw))
        .route("/doubt/{agent_id}", post(doubt))
        .with_state(registry)
}

impl Registry {
    /// Whether `request` came over TLS with a certificate that is trusted, to this seed or the one that passed it on.
    fn is_trusted(&self, request: &Request) -> bool {
        let is_passed_on = self.asker == Asker::Seed && request.uri() == OVER_TLS;
        is_passed_on || request.extensions().get::<Visitor>() == Some(&Visitor::Trusted)
    }
}

/// An error as clients of the registry know it.
pub(super) fn error(status: StatusCode, message: impl Into<String>) -> Response {
    let body = json!({"error": message.into(), "timestamp": Timestamp::now()});
    (status, Json(body)).into_response()
}

/// Nobody answers, as the existing system says it.
pub(super) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found").into_response()
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        error(StatusCode::SERVICE_UNAVAILABLE, self.to_string())
    }
}

async fn banner(State(registry): State<Registry>) -> Response {
    let status = if registry.verdict() == Verdict::Healthy { "running" } else { "degraded" };
    let endpoints = ["/health", "/heartbeat", "/agents"];
    Json(json!({"service": SERVICE, "version": registry.version(), "status": status, "endpoints": endpoints}))
        .into_response()
}

/// Truthful: not 200 while the node's own check fails or the node has stopped.
async fn health(State(registry): State<Registry>) -> Response {
    let verdict = registry.verdict();
    let (status, errors) = match &verdict {
        Verdict::Healthy => (StatusCode::OK, vec![]),
        Verdict::Degraded(why) | Verdict::Unhealthy(why) => (StatusCode::SERVICE_UNAVAILABLE, vec![why.clone()]),
    };
    let body = json!({
        "status": verdict.word(),
        "version": registry.version(),
        "uptime_seconds": registry.uptime().as_secs(),
        "timestamp": Timestamp::now(),
        "service": SERVICE,
        "agent": registry.name(),
        "errors": errors,
    });
    (status, Json(body)).into_response()
}

async fn health_head(State(registry): State<Registry>) -> Response {
    let verdict = registry.verdict();
    let status = if verdict == Verdict::Healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-health-status", verdict.word().to_owned()),
        ("x-service-version", registry.version().to_owned()),
        ("x-uptime-seconds", registry.uptime().as_secs().to_string()),
    ];
    (status, headers).into_response()
}

/// What a registration is answered.
#[derive(Serialize)]
struct RegistrationAnswer<'a> {
    agent_id: &'a str,
    status: &'static str,
    timestamp: Timestamp,
    message: String,
    #[serde(flatten)]
    answer: &'a Answer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    surfaces: Vec<SurfaceAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Where a surface is reached by those outside.
#[derive(Clone, Debug, Serialize)]
pub struct SurfaceAnswer {
    /// Where, below the agent's address.
    pub path: String,
    /// The skill.
    pub skill_id: String,
    /// Where everybody reaches it, when that is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Where its card is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_card_url: Option<String>,
}

impl SurfaceAnswer {
    /// How `surface` is shown where everything is published below `prefix`.
    pub fn new(surface: &Surface, prefix: Option<&str>) -> Self {
        let path = surface.path.clone().unwrap_or_default();
        let public_url = prefix.map(|prefix| {
            let slash = if path.starts_with('/') { "" } else { "/" };
            format!("{}{slash}{path}", prefix.trim_end_matches('/'))
        });
        let agent_card_url = public_url.as_ref().map(|url| format!("{url}/.well-known/agent.json"));
        Self { path, skill_id: surface.skill_id.clone().unwrap_or_default(), public_url, agent_card_url }
    }
}

async fn register(State(registry): State<Registry>, request: Request) -> Response {
    let is_over_tls = registry.is_trusted(&request);
    let body = match body_of(request.into_body(), MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut told: Registration = match serde_json::from_slice(&body) {
        Ok(told) => told,
        Err(why) => return error(StatusCode::BAD_REQUEST, format!("Invalid JSON payload: {why}")),
    };
    told.is_over_tls = is_over_tls;
    let (id, is_light) = (told.agent_id.clone().unwrap_or_default(), told.tools.is_none());
    match registry.register(told).await {
        Ok(Ok(registered)) => registered_response(&registry, registered, is_light),
        Ok(Err(Refused::Elsewhere(seed))) => {
            let path = if is_over_tls { OVER_TLS } else { "/heartbeat" };
            passed_on(forward(registry.gossip(), seed, Method::POST, path, body.into()).await)
        }
        Ok(Err(refused)) => refusal(&id, &refused),
        Err(unavailable) => unavailable.into_response(),
    }
}

fn registered_response(registry: &Registry, registered: Registered, is_light: bool) -> Response {
    let Registered { entry, answered, is_new, warnings } = registered;
    let message = match (is_new, is_light) {
        (true, _) => "Agent registered via heartbeat",
        (false, true) => "Heartbeat updated successfully",
        (false, false) => "Agent updated via heartbeat",
    };
    let prefix = registry.config().public_url_prefix.as_deref();
    let answer = RegistrationAnswer {
        agent_id: entry.profile.agent.as_str(),
        status: "success",
        timestamp: Timestamp::now(),
        message: message.to_owned(),
        answer: &answered.answer,
        surfaces: entry.profile.surfaces.iter().map(|surface| SurfaceAnswer::new(surface, prefix)).collect(),
        warnings,
    };
    Json(answer).into_response()
}

/// What cannot be read is an error of HTTP; what is refused is not, because clients look at the body.
fn refusal(id: &str, refused: &Refused) -> Response {
    if let Refused::Profile(BadProfile::NoId | BadProfile::Timestamp(_)) = refused {
        return error(StatusCode::BAD_REQUEST, refused.to_string());
    }
    let nothing = Answer::default();
    let answer = RegistrationAnswer {
        agent_id: id,
        status: "error",
        timestamp: Timestamp::now(),
        message: refused.to_string(),
        answer: &nothing,
        surfaces: Vec::new(),
        warnings: Vec::new(),
    };
    Json(answer).into_response()
}

async fn beat(State(registry): State<Registry>, Path(id): Path<String>) -> Response {
    let Ok(agent) = id.parse::<AgentId>() else { return StatusCode::GONE.into_response() };
    match registry.beat(agent).await {
        Ok(Beat::Renewed) => StatusCode::OK.into_response(),
        Ok(Beat::Changed) => StatusCode::ACCEPTED.into_response(),
        Ok(Beat::Unknown) => StatusCode::GONE.into_response(),
        Ok(Beat::Elsewhere(seed)) => {
            let path = format!("/heartbeat/{id}");
            passed_on(forward(registry.gossip(), seed, Method::HEAD, &path, Body::empty()).await)
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// An agent that nobody knows is as gone as one that says goodbye.
async fn withdraw(State(registry): State<Registry>, Path(id): Path<String>) -> Response {
    let Ok(agent) = id.parse::<AgentId>() else { return StatusCode::NO_CONTENT.into_response() };
    match registry.withdraw(agent).await {
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Ok(Some(seed)) => {
            let path = format!("/agents/{id}");
            passed_on(forward(registry.gossip(), seed, Method::DELETE, &path, Body::empty()).await)
        }
        Err(unavailable) => unavailable.into_response(),
    }
}

async fn doubt(State(registry): State<Registry>, Path(id): Path<String>) -> Response {
    let Ok(agent) = id.parse::<AgentId>() else { return StatusCode::NOT_FOUND.into_response() };
    match registry.doubt(agent).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(unavailable) => unavailable.into_response(),
    }
}

/// The answer of another seed, or that it gives none.
fn passed_on(answer: Result<Response, Unavailable>) -> Response {
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Which agents are wanted.
#[derive(Debug, Default)]
struct Wanted {
    status: Option<String>,
    namespace: Option<String>,
    agent_type: Option<String>,
    capabilities: BTreeSet<String>,
    fuzzy: bool,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (key, value) in query_pairs(query) {
            match key.as_str() {
                "status" => wanted.status = Some(value),
                "namespace" => wanted.namespace = Some(value),
                "type" => wanted.agent_type = Some(value),
                "capabilities" => drop(wanted.capabilities.insert(value)),
                "fuzzy" => {
                    wanted.fuzzy = flag(&value).ok_or_else(|| format!("fuzzy: {value:?} is neither true nor false"))?;
                }
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn includes(&self, agent: &AgentInfo) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let provides = |wanted: &String| {
            agent.capabilities.iter().any(|capability| match self.fuzzy {
                true => capability.name.to_lowercase().contains(&wanted.to_lowercase()),
                false => capability.name == *wanted,
            })
        };
        is(&self.status, agent.status)
            && is(&self.namespace, &agent.namespace)
            && is(&self.agent_type, &agent.agent_type)
            && (self.capabilities.is_empty() || self.capabilities.iter().any(provides))
    }
}

async fn agents(State(registry): State<Registry>, RawQuery(query): RawQuery) -> Response {
    let wanted = match Wanted::read(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(why) => return error(StatusCode::BAD_REQUEST, format!("Invalid query parameters: {why}")),
    };
    match registry.agents().await {
        Ok(mut agents) => {
            agents.retain(|agent| wanted.includes(agent));
            let count = agents.len();
            json_body(&AgentsAnswer { agents, count, timestamp: Timestamp::now() })
        }
        Err(unavailable) => unavailable.into_response(),
    }
}

#[derive(Serialize)]
struct AgentsAnswer {
    agents: Vec<AgentInfo>,
    count: usize,
    timestamp: Timestamp,
}

fn json_body(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            ([(header::CONTENT_TYPE, json)], bytes).into_response()
        }
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()),
    }
}

/// The pairs of a query, decoded.
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://query/?{query}"));
    url.map(|url| url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
        .unwrap_or_default()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole body of at most `limit` bytes, if it arrives in time.
pub(super) async fn body_of(body: Body, limit: usize) -> Result<Bytes, Response> {
    let too_long = || error(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes"));
    // What is announced as too long is not waited for.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > limit) {
        return Err(too_long());
    }
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(why)) if is_too_long(&why) => Err(too_long()),
        Ok(Err(why)) => Err(error(StatusCode::BAD_REQUEST, format!("the body cannot be read: {why}"))),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {BODY_WITHIN:?}"))),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
