//! `meshctl deps`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use mesh_node::admin::wire::DependencyInfo;

use crate::client::NodeArgs;
use crate::explanation;
use crate::output::{self, say};

/// Shows what agents depend on.
#[derive(Debug, Args)]
pub(crate) struct Deps {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows who provides what an agent depends on, and why those and not others
    Show {
        /// A name or id, or the beginning of one
        agent: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Deps {
    /// Shows it.
    ///
    /// # Errors
    /// When no node answers, or nobody or several are meant.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let What::Show { agent, node, json } = self.what;
        let mut client = node.connect(Duration::from_secs(30)).await?;
        let needed: Vec<DependencyInfo> = client.get("dependencies", &[("agent", &agent)]).await?;
        if json {
            output::json(&needed)?;
            return Ok(ExitCode::SUCCESS);
        }
        if needed.is_empty() {
            say(format_args!("'{agent}' depends on nothing"));
        }
        for dependency in &needed {
            let required = if dependency.required { "required" } else { "optional" };
            let (function, place) = (&dependency.function_name, dependency.dep_index);
            say(format_args!("{function}[{place}]  {}  ({required})", dependency.resolution.selector));
            explanation::tell(&dependency.resolution, "  ");
        }
        Ok(ExitCode::SUCCESS)
    }
}
