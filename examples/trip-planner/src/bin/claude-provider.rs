//! The agent `claude-provider`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["claude-provider"]).await
}
