//! Thirteen agents that plan a trip: five with tools, two that provide models, a planner with a committee of three
//! specialists, one that remembers what was said, and a gateway for browsers.
//!
//! `cargo run -p mesh-trip-planner --bin trip-planner -- --all` runs all of them in one process; each has a program of
//! its own besides.

pub mod adventure;
pub mod budget;
pub mod flights;
pub mod gateway;
pub mod history;
pub mod hotels;
pub mod logistics;
pub mod planner;
pub mod preferences;
pub mod providers;
pub mod sights;
pub mod weather;

use mesh::prelude::*;

/// Makes an agent.
type Make = fn() -> Result<Agent>;

/// The agents, by name.
pub const AGENTS: [(&str, Make); 13] = [
    ("flight-agent", || Ok(flights::agent())),
    ("hotel-agent", || Ok(hotels::agent())),
    ("weather-agent", || Ok(weather::agent())),
    ("poi-agent", || Ok(sights::agent())),
    ("user-prefs-agent", || Ok(preferences::agent())),
    ("claude-provider", providers::claude),
    ("planner-agent", || Ok(planner::agent())),
    ("openai-provider", providers::openai),
    ("chat-history-agent", history::agent),
    ("budget-analyst", || Ok(budget::agent())),
    ("adventure-advisor", || Ok(adventure::agent())),
    ("logistics-planner", || Ok(logistics::agent())),
    ("gateway", || Ok(gateway::agent())),
];

/// Runs the agents of these names in one process until it is told to end.
///
/// # Errors
/// When there is no such agent, or one does not start.
pub async fn run<'a>(names: impl IntoIterator<Item = &'a str>) -> Result {
    let agents: Result<Vec<Agent>> = names.into_iter().map(named).collect();
    mesh::run(agents?).await
}

fn named(name: &str) -> Result<Agent> {
    match AGENTS.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => make(),
        None => {
            let known: Vec<&str> = AGENTS.iter().map(|(known, _)| *known).collect();
            Err(Error::new(format!("there is no agent {name:?}; there are {}", known.join(", "))))
        }
    }
}
