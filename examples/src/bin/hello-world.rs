//! Greets people; with the date when somebody knows it.
//!
//! ```text
//! meshctl start -d examples:hello-world
//! meshctl call greet '{"name":"Ada"}'
//! ```
//!
//! Then start `hello-date` beside it, and call again.

use mesh::prelude::*;

#[mesh::main]
async fn main() -> Result {
    mesh_examples::hello::greeter().run().await
}
