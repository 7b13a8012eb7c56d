//! `meshctl watch-sources`: the process that `start -d -w` leaves behind. Not for people.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::io::AsyncReadExt;

use crate::home::Home;
use crate::launch::Launch;
use crate::watch;

/// It takes no arguments: what to watch comes in on standard input.
#[derive(Debug, Args)]
pub(crate) struct WatchSources {}

impl WatchSources {
    /// Watches until the agent is stopped.
    ///
    /// # Errors
    /// When what comes in is not what `start` writes, or files cannot be watched.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut launch = Vec::new();
        tokio::io::stdin().read_to_end(&mut launch).await.context("cannot read what to watch")?;
        let launch: Launch =
            serde_json::from_slice(&launch).context("this is started by `meshctl start -d -w` only")?;
        watch::keep(&Home::of_user()?, &launch).await?;
        Ok(ExitCode::SUCCESS)
    }
}
