//! Knows the date, for `hello-world`. Start it twice: the second is a replica, and either may be killed.
//!
//! ```text
//! meshctl start -d examples:hello-world
//! meshctl start -d --replicas 2 examples:hello-date
//! meshctl call greet '{"name":"Ada"}'
//! meshctl trace --last
//! ```

use mesh::prelude::*;

#[mesh::main]
async fn main() -> Result {
    mesh_examples::hello::calendar().run().await
}
