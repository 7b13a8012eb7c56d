//! The agent `poi-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["poi-agent"]).await
}
