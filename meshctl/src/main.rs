//! The command line of the mesh.

mod age;
mod book;
mod bystander;
mod cargo;
mod cli;
mod client;
mod command;
mod duration;
mod ending;
mod environment;
mod explanation;
mod follow;
mod home;
mod indent;
mod invitation;
mod launch;
mod lifecycle;
mod local;
mod log_file;
mod operator;
mod output;
mod process;
mod progress;
mod project;
mod ready;
mod registry;
mod seed;
mod settings;
mod source;
mod suggest;
mod table;
mod timestamp;
mod watch;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Threads};

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    // A usage error prints itself and leaves with 2; `--help` and `--version` leave with 0.
    let cli = Cli::parse();
    // Fails only when another provider was installed before, and nothing ran before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut runtime = match cli.command.threads() {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().context("cannot start the async runtime")?;
    let code = runtime.block_on(cli.command.run());
    // A blocking read of standard input or a name lookup that hangs must not keep the process.
    runtime.shutdown_background();
    code
}
