//! `meshctl trace`.

mod tree;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use mesh_node::admin::wire::TraceAnswer;
use mesh_node::trace::{CompletedTrace, Whereabouts, name_in};

use crate::client::NodeArgs;
use crate::{duration, output};

/// Shows what belongs to one call, all over the mesh.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The trace: 32 hex digits
    #[arg(required_unless_present = "last", conflicts_with = "last")]
    trace_id: Option<String>,
    /// The trace of the call that ended last
    #[arg(long)]
    last: bool,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also show calls and attempts between the tools
    #[arg(long)]
    show_internal: bool,
    /// How often to look again while there is nothing
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
    /// How long to wait in between
    #[arg(long, value_name = "TIME", default_value = "2", value_parser = duration::parse)]
    retry_delay: Duration,
}

impl Trace {
    /// Shows it.
    ///
    /// # Errors
    /// When no node answers, or nobody remembers the trace.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.node.connect(Duration::from_secs(30)).await?;
        let query: Vec<(&str, &str)> = self.trace_id.iter().map(|id| ("id", id.as_str())).collect();
        let mut tries = 0;
        let (answer, trace) = loop {
            let answer: TraceAnswer = client.get("trace", &query).await?;
            if let Some(trace) = completed(&answer) {
                break (answer, trace);
            }
            if tries >= self.retries {
                return Err(not_found(&answer));
            }
            tries += 1;
            output::remark(format_args!("Trace not yet available, retrying ({tries}/{})...", self.retries));
            tokio::time::sleep(self.retry_delay).await;
        };
        if self.json {
            output::json(&trace)?;
        } else {
            tree::print(&answer, &trace, self.show_internal);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn not_found(answer: &TraceAnswer) -> anyhow::Error {
    let mut why = format!(
        "trace '{}' not found.\n\nEach node remembers its latest spans only, and none that it had before it was started \
         again.\n`meshctl call --trace` prints the id of a call's trace; `meshctl trace --last` shows the latest one.",
        answer.trace_id
    );
    if !answer.silent.is_empty() {
        why += &format!("\n{} live member(s) did not answer and may know more.", answer.silent.len());
    }
    anyhow!(why)
}

/// The answer as the existing command line writes it. Where agents are is not known here, and their names are in their ids.
fn completed(answer: &TraceAnswer) -> Option<CompletedTrace> {
    let known = |agent: &str| Whereabouts { name: name_in(agent).to_owned(), host: String::new() };
    CompletedTrace::of(&answer.spans, known)
}
