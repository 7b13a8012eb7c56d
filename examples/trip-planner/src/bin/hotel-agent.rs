//! The agent `hotel-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["hotel-agent"]).await
}
