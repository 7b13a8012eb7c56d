//! The agent `logistics-planner`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["logistics-planner"]).await
}
