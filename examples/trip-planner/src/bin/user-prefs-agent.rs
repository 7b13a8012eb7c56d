//! The agent `user-prefs-agent`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["user-prefs-agent"]).await
}
