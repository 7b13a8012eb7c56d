//! Gives work to the replicas of `failover-worker`, which says how to start both, and tells who did how much of it.

use std::collections::BTreeMap;

use mesh::prelude::*;

/// Has numbers squared, and counts what each process did.
#[mesh::tool(capability = "squares")]
async fn squares(
    /// How many.
    #[default(100)]
    count: u32,
    #[dep("square", retry_count = 3, timeout = "5s")] square: Dep<(i64, u32)>,
) -> Result<BTreeMap<String, u32>> {
    let mut done = BTreeMap::new();
    for number in 0..count.min(100_000) {
        let (_, process) = square.call(args! { number }).await?;
        *done.entry(format!("process {process}")).or_default() += 1;
    }
    Ok(done)
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("failover-boss").tool::<squares>().run().await
}
