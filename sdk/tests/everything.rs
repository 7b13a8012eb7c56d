//! All that tools, routes and services may be, in one file that the compiler has to accept without a warning.
#![deny(warnings)]

use mesh::Stream;
use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Trip {
    to: String,
}

struct Shelf {
    greeting: String,
}

/// Greets someone.
///
/// In two paragraphs.
#[mesh::tool(
    capability = "greeting",
    tags = ["hello"],
    version = "1.0.0",
    title = "Greets",
    idempotent,
    read_only,
    destructive = false,
    open_world = false,
    timeout = "5s",
    retry_count = 2,
    custom_headers = [("x-tenant", "a")],
)]
async fn greet(
    /// Who to greet.
    name: String,
    #[default("Hello")] salutation: String,
    #[default(3)] times: u32,
    nick: Option<String>,
    context: Context,
    state: State<Shelf>,
) -> Result<String> {
    let name = nick.unwrap_or(name);
    Ok(format!("{} {salutation} {name} {times} {}", state.greeting, context.tool()))
}

/// Depends in all ways.
#[mesh::tool]
async fn depend(
    #[dep("date_service", tags = ["+fast", "-old", ["python", "+rust"]], version = ">=1 <3", namespace = "prod",
        schema = subset, timeout = "500ms", retry_count = 1, idempotent)]
    date: Option<Dep<Trip>>,
    #[service] travel: Travel,
    #[dep("translation", schema = strict)] translation: Dep<String>,
) -> Result<String> {
    let to = match date {
        Some(date) => date.call(()).await?.to,
        None => "nowhere".to_owned(),
    };
    let flights = travel.flights("here".to_owned(), to).await?;
    let hotels = travel.hotels().await?;
    let said = translation.call(args! { text: "hello", times: 2 }).await?;
    Ok(format!("{said} {} {}", flights.len(), hotels.len()))
}

/// Its own type is the argument.
#[mesh::tool(name = "trips.keep")]
async fn keep(trip: Trip) -> Trip {
    trip
}

/// A function that computes need not wait.
#[mesh::tool]
pub fn twice(number: i64) -> i64 {
    number * 2
}

/// Says nothing back, and fails with any error.
#[mesh::tool]
async fn parse(text: String) -> std::result::Result<(), std::num::ParseIntError> {
    text.parse::<i32>().map(drop)
}

#[mesh::tool]
async fn picture() -> Content {
    Content::text("a point").image([0_u8], "image/png")
}

#[mesh::tool]
async fn count(to: u32) -> impl futures::Stream<Item = u32> {
    futures::stream::iter(0..to)
}

#[mesh::tool]
async fn words() -> Result<Stream<String>> {
    Ok(Stream::produce(|pieces| async move {
        pieces.send("one".to_owned()).await?;
        Ok(())
    }))
}

/// Everything for a trip.
#[mesh::service(min_available = 1)]
trait Travel {
    /// Finds flights.
    #[selector("travel.flights", tags = ["+fast"])]
    async fn flights(&self, from: String, to: String) -> Result<Vec<String>>;
    /// Finds hotels.
    #[selector("travel.hotels", required)]
    async fn hotels(&self) -> Result<Vec<Trip>>;
}

#[mesh::route(POST, "/plan")]
async fn plan(
    #[dep("trip_planning")] planner: Dep<Trip>,
    state: State<Shelf>,
    session: Session,
    axum::Json(trip): axum::Json<Trip>,
) -> Result<axum::Json<Trip>> {
    Ok(axum::Json(planner.session(session).header("x-greeting", &state.greeting).call(&trip).await?))
}

#[mesh::route(GET, "/ticks")]
async fn ticks() -> Stream<u32> {
    Stream::new(futures::stream::iter([1, 2]))
}

#[test]
fn an_agent_may_have_all_of_it() {
    let agent = Agent::new("everything")
        .state(Shelf { greeting: "hi".into() })
        .tool::<greet>()
        .tool::<depend>()
        .tool::<keep>()
        .tool::<twice>()
        .tool::<parse>()
        .tool::<picture>()
        .tool::<count>()
        .tool::<words>()
        .route::<plan>()
        .route::<ticks>();
    assert_eq!(format!("{agent:?}"), "agent everything with 8 tools and 2 routes");
}
