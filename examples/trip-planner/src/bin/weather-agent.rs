//! The agent `weather-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["weather-agent"]).await
}
