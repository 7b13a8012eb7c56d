//! Two providers of one capability, told apart by their tags; `tags-asker` asks them.
//!
//! ```text
//! meshctl start -d examples:tags-providers examples:tags-asker
//! meshctl call ask '{"numbers":[1.25,2.5]}'
//! meshctl tools resolve 'sum +fast'
//! ```

use mesh::prelude::*;

/// Adds up quickly, and says so.
#[mesh::tool(capability = "sum", tags = ["fast"], version = "1.4.0", idempotent, read_only)]
fn guess(numbers: Vec<f64>) -> String {
    format!("about {:.0}", numbers.iter().sum::<f64>())
}

/// Adds up precisely.
#[mesh::tool(capability = "sum", tags = ["precise"], version = "2.0.0", idempotent, read_only)]
fn compute(numbers: Vec<f64>) -> String {
    format!("exactly {}", numbers.iter().sum::<f64>())
}

#[mesh::main]
async fn main() -> Result {
    mesh::run([Agent::new("sum-fast").tool::<guess>(), Agent::new("sum-precise").tool::<compute>()]).await
}
