//! The agent `adventure-advisor`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["adventure-advisor"]).await
}
