//! The agent `budget-analyst`, alone.

#[mesh::main]
async fn main() -> mesh::Result {
    trip_planner::run(["budget-analyst"]).await
}
