//! `bench-registry`: how a seed's registry API stands thousands of agents that beat as stock agents do, and what callers of
//! real stock agents notice when one is killed.
//!
//! The seed is `meshctl seed` from the folder of this binary, a process of its own; the synthetic agents are tasks of this one.

mod agents;
mod bars;
mod crowd;
mod seed;
mod stock;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;
use mesh_node::node::interrupted;
use mesh_tests::bench::effort::Effort;
use mesh_tests::bench::findings::Findings;

/// The numbers of a seed's registry API: under synthetic agents that beat as stock agents do, and with real ones.
///
/// A missed bar is a finding, not a failure: the table says so and the exit code stays 0.
#[derive(Debug, Parser)]
#[command(name = "bench-registry", version)]
struct Cli {
    /// What to measure
    #[command(flatten)]
    effort: Effort,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "target/bench/registry.json")]
    out: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    // Two providers of cryptography may be compiled in; HTTP clients take the one of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Whoever ends the bench ends the processes that it started, too.
    tokio::select! {
        done = measure(&cli) => done,
        () = interrupted() => bail!("interrupted"),
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let effort = &cli.effort;
    let mut all = Findings::default();
    if effort.wants_any(crowd::SOME_IDS) {
        all.add("500 agents", crowd::some(effort).await);
    }
    if effort.wants_any(crowd::MANY_IDS) {
        all.add("2,000 agents", crowd::many(effort).await);
    }
    if effort.wants_any(stock::KILL_IDS) {
        all.add("stock providers that are killed", stock::kill(effort).await);
    }
    if effort.wants_any(stock::REWIRE_IDS) {
        all.add("a stock consumer", stock::rewire(effort).await);
    }
    all.report(effort, bars::bar_of, &cli.out, cli.json)
}
