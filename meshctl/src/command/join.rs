//! `meshctl join`: an MCP server that somebody else runs becomes an agent.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::start::Start;
use super::start::wrapped::Remote;

/// Which server, and what `start` may be told besides.
#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The server's MCP endpoint (streamable HTTP).
    #[arg(long)]
    url: String,
    /// What goes with every request to it; `$NAME` in the value is replaced by the variable of the environment. Repeatable.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    #[command(flatten)]
    start: Start,
}

impl Join {
    /// Lets the server join, and stays with it unless `--detach` was given.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        if !self.start.agents.is_empty() || !self.start.command.is_empty() {
            bail!("join is for a server that runs already: start agents and commands with meshctl start");
        }
        self.start.wrapped.remote = Some(Remote { url: self.url, headers: self.header });
        self.start.run().await
    }
}
