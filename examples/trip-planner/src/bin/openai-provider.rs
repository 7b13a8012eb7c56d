//! The agent `openai-provider`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["openai-provider"]).await
}
