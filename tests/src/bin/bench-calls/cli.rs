//! The command line and nothing else.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mesh_tests::bench::effort::Effort;

/// The numbers of calls between agents, beside those of their peers, measured in the same run.
///
/// A missed bar is a finding, not a failure: the table says so and the exit code stays 0.
#[derive(Debug, Parser)]
#[command(name = "bench-calls", version)]
pub(crate) struct Cli {
    /// What to measure
    #[command(flatten)]
    pub(crate) effort: Effort,
    /// How many agents the crowd of `flash_200_s` and `list_200_ms` has, in place of 200
    #[arg(long, value_name = "COUNT")]
    pub(crate) crowd: Option<usize>,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "target/bench/calls.json")]
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
    /// Answers bare QUIC streams with the note that came
    Quic,
    /// The same tool on a plain rmcp server
    Rmcp,
    /// An agent with all tools of the bench
    Provider,
    /// An agent that says when it sees so many agents
    Onlooker {
        /// How many, itself included
        count: usize,
    },
}
