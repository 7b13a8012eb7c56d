//! `meshctl registry`: pausing what a seed's registry hands out.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::client::{NodeArgs, OpenClient};
use crate::duration;
use crate::output::{self, say};

/// Where the state is.
const PATH: &str = "/admin/drain";

/// Pauses, resumes and shows the registry of a seed.
#[derive(Debug, Args)]
pub(crate) struct Registry {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Hands out no more jobs; those that are being worked on go on.
    Drain {
        #[command(flatten)]
        node: NodeArgs,
        /// Return when nothing is being worked on any more
        #[arg(long)]
        wait: bool,
        /// How long to wait; 0 is without end
        #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration::parse)]
        wait_timeout: Duration,
        /// How often to look
        #[arg(long, value_name = "TIME", default_value = "2", value_parser = duration::parse)]
        poll_interval: Duration,
    },
    /// Hands out jobs again.
    Resume {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Shows which of both it does.
    Status {
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct State {
    draining: bool,
    live_claims: u64,
}

impl Registry {
    /// Does it.
    ///
    /// # Errors
    /// When no registry answers, or it does not drain in time.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Drain { node, wait, wait_timeout, poll_interval } => {
                let client = node.open()?;
                let state: State = client.ask(reqwest::Method::POST, PATH).await?;
                say(format_args!("Registry draining — new job claims paused\n  Live claims: {}", state.live_claims));
                if wait {
                    drained(&client, wait_timeout, poll_interval).await?;
                    say("Drained");
                }
            }
            Action::Resume { node } => {
                let state: State = node.open()?.ask(reqwest::Method::DELETE, PATH).await?;
                say(format_args!("Registry resumed — job dispatch active\n  Live claims: {}", state.live_claims));
            }
            Action::Status { node, json } => {
                let state: State = node.open()?.ask(reqwest::Method::GET, PATH).await?;
                if json {
                    output::json(&state)?;
                } else {
                    show(&state);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(state: &State) {
    let words = if state.draining { "DRAINING (new claims paused)" } else { "active (normal dispatch)" };
    say(format_args!("Registry:    {words}\nLive claims: {}", state.live_claims));
}

/// Waits until nothing is being worked on.
async fn drained(client: &OpenClient, bound: Duration, look: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let state: State = client.ask(reqwest::Method::GET, PATH).await?;
        if !state.draining {
            bail!("somebody has the registry hand out jobs again: it does not drain any more");
        }
        if state.live_claims == 0 {
            return Ok(());
        }
        if !bound.is_zero() && begun.elapsed() >= bound {
            bail!(
                "{} jobs are still being worked on after {bound:?}; the registry goes on draining",
                state.live_claims
            );
        }
        sleep(look.max(Duration::from_millis(50))).await;
    }
}
