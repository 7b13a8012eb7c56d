//! The agent `flight-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["flight-agent"]).await
}
