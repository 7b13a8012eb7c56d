//! `meshctl tools`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use mesh_node::admin::wire::Explained;

use crate::client::NodeArgs;
use crate::explanation;
use crate::output::{self, say};

/// Finds tools.
#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows who would be asked for a capability, and why not the others
    Resolve {
        /// A capability and wishes, as in 'weather api +fast -old @">=1.2" in=prod'
        selector: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Show what each stage kept and dropped
        #[arg(long)]
        explain: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Tools {
    /// Shows it. Leaves with 1 when nobody provides it.
    ///
    /// # Errors
    /// When no node answers, or the selector makes no sense.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let What::Resolve { selector, node, explain, json } = self.what;
        let mut client = node.connect(Duration::from_secs(30)).await?;
        let explained: Explained = client.get("resolve", &[("selector", &selector)]).await?;
        if json {
            output::json(&explained)?;
        } else {
            say(&explained.selector);
            if explain {
                explanation::stages(&explained.stages);
            }
            explanation::tell(&explained, "  ");
        }
        Ok(if explained.candidates.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
