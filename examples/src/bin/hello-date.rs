//! Knows the date. Start it twice: the second is a replica, and either may be killed.

use mesh::prelude::*;

#[mesh::main]
async fn main() -> Result {
    mesh_examples::hello::calendar().run().await
}
