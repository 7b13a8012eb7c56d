//! Has scripts developed by a team of four.
//!
//! ```text
//! meshctl start -d provider --model local
//! meshctl start -d --name dev-team -- target/debug/dev-team --all
//! meshctl call develop_script '{"wish":"A script that greets everybody"}'
//! ```
//!
//! `dev-team intent-agent qa-agent` runs some of them.

use mesh_examples::dev_team::{AGENTS, confined};
use mesh_examples::team;

#[mesh::main]
async fn main() -> mesh::Result {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.next_if(|word| word == confined::WORD).is_some() {
        match confined::become_confined(words)? {}
    }
    team::run(&AGENTS).await
}
