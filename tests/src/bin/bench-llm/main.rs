//! `bench-llm`: the numbers of agents with models, each with its bar.
//!
//! TripPlanner's agents are processes of the program that was built beside this one. Other ends are this binary in another role.

mod agents;
mod bars;
mod cli;
mod demo;
mod failover;
mod loops;
mod planning;
mod streaming;
mod trip;

use anyhow::Result;
use clap::Parser;
use mesh_tests::bench::findings::Findings;

use cli::{Cli, Part, Role};

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    // Two providers of cryptography may be compiled in; HTTP clients take the one of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match &cli.part {
        Some(Part::Role(role)) => play(role).await,
        None => measure(&cli).await,
    }
}

async fn play(role: &Role) -> Result<()> {
    match role {
        Role::Model => agents::provide_model().await,
        Role::Steps => agents::provide_steps().await,
        Role::Asker => agents::ask().await,
        Role::Herald => agents::herald().await,
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let effort = &cli.effort;
    let mut all = Findings::default();
    if effort.wants_any(planning::IDS) {
        all.add("planning", planning::measure(effort).await);
    }
    if effort.wants_any(loops::IDS) {
        all.add("loops", loops::measure(effort).await);
    }
    if effort.wants_any(failover::IDS) {
        all.add("failover", failover::measure(effort).await);
    }
    if effort.wants_any(streaming::IDS) {
        all.add("streaming", streaming::measure(effort).await);
    }
    if effort.wants_any(demo::IDS) {
        all.add("the demo", demo::measure().await);
    }
    all.report(effort, bars::bar_of, &cli.out, cli.json)
}
