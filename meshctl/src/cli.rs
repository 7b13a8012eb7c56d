//! The commands as they are typed.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command;

/// Starts, watches and calls the agents of a mesh.
#[derive(Debug, Parser)]
#[command(name = "meshctl", version, max_term_width = 100, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked of meshctl: one line a command, its arguments and its `run` in `command/<name>.rs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints a script that completes meshctl's commands in a shell.
    Completion(command::completion::Completion),
}

/// How many threads a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// It asks and prints.
    One,
    /// It runs a node.
    Many,
}

impl Command {
    /// How many threads it needs.
    pub(crate) const fn threads(&self) -> Threads {
        match self {
            Self::Completion(_) => Threads::One,
        }
    }

    /// Does it. The code is what the process leaves with.
    ///
    /// # Errors
    /// Whatever went wrong, in words that say what to do; the process leaves with 1 then.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Completion(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }
}
