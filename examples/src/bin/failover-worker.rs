//! Does something small. Of several replicas kill whichever you like while `failover-boss` gives them work.
//!
//! ```text
//! meshctl start -d --replicas 3 examples:failover-worker
//! meshctl start -d examples:failover-boss
//! meshctl call squares '{"count":100000}' &
//! kill -9 <pid>
//! ```

use mesh::prelude::*;

/// Squares a number, and says which process did it.
#[mesh::tool(capability = "square", idempotent)]
async fn square(number: i64) -> Result<(i64, u32)> {
    let square = number.checked_mul(number).ok_or_else(|| Error::invalid_argument("the number is too large"))?;
    Ok((square, std::process::id()))
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("failover-worker").tool::<square>().run().await
}
