//! Greets. Try it alone, then start `hello-date` beside it and call it again.

use mesh::prelude::*;

#[mesh::main]
async fn main() -> Result {
    mesh_examples::hello::greeter().run().await
}
