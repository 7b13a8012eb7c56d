//! The agents of `hello` in one process: their calls to each other never leave it, everybody else sees two agents.
//!
//! ```text
//! meshctl start -d examples:monolith
//! meshctl list
//! meshctl call greet '{"name":"Ada"}'
//! ```

use mesh::prelude::*;
use mesh_examples::hello::{calendar, greeter};

#[mesh::main]
async fn main() -> Result {
    mesh::run([greeter(), calendar()]).await
}
