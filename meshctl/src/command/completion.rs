//! `meshctl completion`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell that shall complete.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    ///
    /// # Errors
    /// When the script is no text, which is a mistake of ours.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "meshctl", &mut script);
        output::write(String::from_utf8(script)?);
        Ok(ExitCode::SUCCESS)
    }
}
