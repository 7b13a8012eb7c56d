//! What browsers talk to: a page, and an HTTP API in front of the planner.

use axum::Json;
use axum::response::{Html, IntoResponse};
use mesh::llm::{LlmStream, Piece};
use mesh::{SESSION_HEADER, prelude::*};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where it listens unless told otherwise; where that is taken, at a free port.
const PORT: u16 = 8080;

/// What is wanted.
#[derive(Debug, Deserialize)]
pub struct Trip {
    destination: String,
    dates: String,
    budget: String,
    #[serde(default)]
    message: String,
}

/// Plans a trip.
#[mesh::route(POST, "/plan")]
async fn plan(
    #[dep("trip_planning")] planner: Dep<String>,
    session: Session,
    Json(trip): Json<Trip>,
) -> Result<impl IntoResponse> {
    let result = planner.session(&session).call(trip.arguments(&session)).await?;
    let answer = json!({ "result": result, "session_id": session.key() });
    Ok(([(SESSION_HEADER, session.key().to_owned())], Json(answer)))
}

/// The same, word by word, as server-sent events.
#[mesh::route(POST, "/plan/stream")]
async fn plan_stream(
    #[dep("trip_planning_stream")] planner: Dep<Piece>,
    session: Session,
    Json(trip): Json<Trip>,
) -> Result<impl IntoResponse> {
    let words = planner.session(&session).stream(trip.arguments(&session))?;
    Ok(([(SESSION_HEADER, session.key().to_owned())], LlmStream::new(words)))
}

/// The page.
#[mesh::route(GET, "/")]
async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

impl Trip {
    fn arguments(self, session: &Session) -> Value {
        let Self { destination, dates, budget, message } = self;
        args! { destination, dates, budget, message, session_id: session.key() }
    }
}

/// The agent.
pub fn agent() -> Agent {
    Agent::new("gateway")
        .description("Plans trips over HTTP")
        .configure(|config| config.http.listen.set_port(PORT))
        .route::<plan>()
        .route::<plan_stream>()
        .route::<page>()
}
