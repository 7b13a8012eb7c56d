//! Several of the agents in one process: `trip-planner --all`, or `trip-planner flight-agent hotel-agent`.

use mesh::Error;
use trip_planner::AGENTS;

#[mesh::main]
async fn main() -> mesh::Result {
    let said: Vec<String> = std::env::args().skip(1).collect();
    match said.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Err(Error::new("say which agents to run: --all, or their names")),
        ["--all"] => trip_planner::run(AGENTS.map(|(name, _)| name)).await,
        names => trip_planner::run(names.iter().copied()).await,
    }
}
