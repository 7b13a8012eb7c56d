//! The agent `chat-history-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["chat-history-agent"]).await
}
