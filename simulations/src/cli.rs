//! The command line and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  simulations run partition-heal                      one run with seed 1, as a table
  simulations run partition-heal --seeds 20 --json    twenty runs, as JSON
  simulations run churn --html churn.html             one run, as a page to look at
  simulations run my.toml --seed 7 --members 500      a scenario of your own
  simulations run all --seeds 3 --out target/reports  the whole library
  simulations check my.toml                           say what is wrong with it

Exit codes: 0 everything expected held; 1 something did not; 2 wrong arguments or a scenario with a mistake.";

/// Thousands of gossip cores under a virtual clock and a seeded network.
///
/// The same scenario and seed give the same report to the last byte.
#[derive(Debug, Parser)]
#[command(name = "simulations", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario and say whether what it expects holds
    Run(Run),
    /// Measure the numbers of the project and write them to target/bench/gossip.json
    Bench(Bench),
    /// List the scenarios that are shipped
    List,
    /// Check a scenario without running it
    Check {
        /// A TOML file, or the name of a shipped scenario
        scenario: String,
    },
}

/// How to run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// The name of a shipped scenario, `all` of them, or a TOML file
    pub(crate) scenario: String,
    /// The seed of the first run
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many runs, each with the next seed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) seeds: u64,
    /// Another number of members than the scenario's
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    pub(crate) members: Option<u32>,
    /// What runs on the hosts
    #[arg(long, value_enum, default_value_t = Peer::Mesh)]
    pub(crate) peer: Peer,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write report.json and report.html into this folder, which is made if need be
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only figures whose id begins with one of these, such as news_p99_ms or crash_p99_ms@200
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// A tenth of the events with one seed: to see whether it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// How many worlds run side by side
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "target/bench/gossip.json")]
    pub(crate) out: PathBuf,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What may run on the hosts of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Our own core
    Mesh,
    /// Our own core as plain SWIM: no Lifeguard, no confirm round
    Plain,
    /// foca with its LAN preset
    Foca,
    /// chitchat alone
    Chitchat,
}
