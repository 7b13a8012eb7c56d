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
    /// Shows how the dependencies of an agent came to have the providers they have.
    Audit(command::audit::Audit),
    /// Calls a tool and prints what it gives back.
    Call(Box<command::call::Call>),
    /// Prints a script that completes meshctl's commands in a shell.
    Completion(command::completion::Completion),
    /// Shows and changes the settings of this home.
    Config(command::config::Config),
    /// Shows what the answers of models took: tokens and money.
    Costs(command::costs::Costs),
    /// Shows what agents depend on, and why they have the providers they have.
    Deps(command::deps::Deps),
    /// Has the whole mesh forget a member that is gone, or keeps one out.
    ForceLeave(command::force_leave::ForceLeave),
    /// Makes the keys of a mesh, or takes those of an invitation.
    Init(command::init::Init),
    /// Prints the line with which a second machine joins. It holds the mesh key.
    Invite(command::invite::Invite),
    /// Lets an MCP server that runs elsewhere join the mesh as an agent.
    Join(Box<command::join::Join>),
    /// Lists and turns the keys of the mesh.
    Key(command::key::Key),
    /// Lists agents, or what they offer.
    List(Box<command::list::List>),
    /// Shows what a process wrote.
    Logs(command::logs::Logs),
    /// Shows the documents, offline.
    Man(command::man::Man),
    /// Lists members as the node that is asked sees them.
    Members(command::members::Members),
    /// Serves the mesh as one MCP server over standard input and output, for clients that start a command.
    Mcp(command::mcp::Mcp),
    /// Is a model of an LLM vendor as an agent.
    #[command(hide = true)]
    Provider(command::provider::Provider),
    /// Pauses, resumes and shows the registry of a seed.
    Registry(command::registry::Registry),
    /// Compares schemas that tools publish.
    Schema(command::schema::Schema),
    /// Runs a seed: a node at a well-known address, which newcomers ask first. `start` brings one up by itself.
    Seed(command::seed::Seed),
    /// Starts agents, and a seed when none answers.
    Start(Box<command::start::Start>),
    /// Shows agents in detail.
    Status(command::status::Status),
    /// Stops what was started, and returns when it is gone.
    Stop(command::stop::Stop),
    /// Shows who would be asked for a capability, and why.
    Tools(command::tools::Tools),
    /// Shows what belongs to one call, all over the mesh.
    Trace(command::trace::Trace),
    /// Waits until agents or capabilities can be called.
    Wait(command::wait::Wait),
    /// Replaces an agent whose sources change.
    #[command(hide = true)]
    WatchSources(command::watch_sources::WatchSources),
    /// Is the agent in front of an MCP server.
    #[command(hide = true)]
    Wrap(command::wrap::Wrap),
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
            Self::Mcp(_) | Self::Provider(_) | Self::Seed(_) | Self::Wrap(_) => Threads::Many,
            _ => Threads::One,
        }
    }

    /// Does it. The code is what the process leaves with.
    ///
    /// # Errors
    /// Whatever went wrong, in words that say what to do; the process leaves with 1 then.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Audit(command) => command.run().await,
            Self::Call(command) => command.run().await,
            Self::Completion(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Costs(command) => command.run().await,
            Self::Deps(command) => command.run().await,
            Self::ForceLeave(command) => command.run().await,
            Self::Init(command) => command.run(),
            Self::Invite(command) => command.run(),
            Self::Join(command) => command.run().await,
            Self::Key(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Logs(command) => command.run().await,
            Self::Man(command) => command.run(),
            Self::Members(command) => command.run().await,
            Self::Mcp(command) => command.run().await,
            Self::Provider(command) => command.run().await,
            Self::Registry(command) => command.run().await,
            Self::Schema(command) => command.run().await,
            Self::Seed(command) => command.run().await,
            Self::Start(command) => command.run().await,
            Self::Status(command) => command.run().await,
            Self::Stop(command) => command.run().await,
            Self::Tools(command) => command.run().await,
            Self::Trace(command) => command.run().await,
            Self::Wait(command) => command.run().await,
            Self::WatchSources(command) => command.run().await,
            Self::Wrap(command) => command.run().await,
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
