//! The agent `planner-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["planner-agent"]).await
}
