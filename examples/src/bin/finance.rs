//! Reports on accounts with six agents.
//!
//! ```text
//! meshctl start -d provider --model local
//! meshctl start -d --name finance -- target/debug/finance --all
//! meshctl call write_report '{"account":"prudent"}'
//! ```
//!
//! `finance risk-agent market-data-agent` runs some of them.

#[mesh::main]
async fn main() -> mesh::Result {
    mesh_examples::team::run(&mesh_examples::finance::AGENTS).await
}
