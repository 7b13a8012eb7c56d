//! The agent `gateway`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["gateway"]).await
}
