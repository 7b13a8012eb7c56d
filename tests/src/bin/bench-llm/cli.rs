//! The command line and nothing else.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mesh_tests::bench::effort::Effort;

/// The numbers of agents with models: TripPlanner's plans, the loop beside one that is written by hand, failover.
///
/// A missed bar is a finding, not a failure: the table says so and the exit code stays 0.
#[derive(Debug, Parser)]
#[command(name = "bench-llm", version)]
pub(crate) struct Cli {
    /// What to measure
    #[command(flatten)]
    pub(crate) effort: Effort,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "target/bench/llm.json")]
    pub(crate) out: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// What this process is, when another bench started it
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What a process of the bench may be.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// One of the processes at the other end
    #[command(subcommand, hide = true)]
    Role(Role),
}

/// The processes at the other end.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// A provider whose model wants ten calls, one after the other, and takes no time
    Model,
    /// The tool that it wants
    Steps,
    /// An agent with a loop, which it times
    Asker,
    /// A provider whose words say when they were said
    Herald,
}
