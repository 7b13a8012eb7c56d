//! `meshctl trace`.

mod tree;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use mesh_node::admin::timestamp::Timestamp;
use mesh_node::admin::wire::TraceAnswer;
use mesh_node::trace::{Outcome, Span, SpanKind};
use serde::Serialize;

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

/// A trace as scripts of the existing command line read it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Completed {
    #[serde(rename = "TraceID")]
    trace_id: String,
    spans: Vec<CompletedSpan>,
    start_time: Timestamp,
    end_time: Timestamp,
    /// In nanoseconds.
    duration: u64,
    success: bool,
    span_count: usize,
    agent_count: usize,
    agents: BTreeSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CompletedSpan {
    #[serde(rename = "TraceID")]
    trace_id: String,
    #[serde(rename = "SpanID")]
    span_id: String,
    parent_span: Option<String>,
    agent_name: String,
    #[serde(rename = "AgentID")]
    agent_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    operation: String,
    start_time: Timestamp,
    end_time: Timestamp,
    #[serde(rename = "DurationMS")]
    duration_ms: u64,
    success: bool,
    error_message: Option<String>,
    capability: Option<String>,
    target_agent: Option<String>,
    runtime: &'static str,
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
        let answer = loop {
            let answer: TraceAnswer = client.get("trace", &query).await?;
            if !answer.spans.is_empty() {
                break answer;
            }
            if tries >= self.retries {
                return Err(not_found(&answer));
            }
            tries += 1;
            output::remark(format_args!("Trace not yet available, retrying ({tries}/{})...", self.retries));
            tokio::time::sleep(self.retry_delay).await;
        };
        if self.json {
            output::json(&completed(&answer))?;
        } else {
            tree::print(&answer, self.show_internal);
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

fn completed(answer: &TraceAnswer) -> Completed {
    let start = answer.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let end = answer.spans.iter().map(|span| span.start.saturating_add(span.duration)).max().unwrap_or_default();
    let agents: BTreeSet<String> = answer.spans.iter().map(|span| name_of(&span.agent).to_owned()).collect();
    Completed {
        trace_id: answer.trace_id.clone(),
        spans: answer.spans.iter().map(completed_span).collect(),
        start_time: Timestamp(start / 1000),
        end_time: Timestamp(end / 1000),
        duration: end.saturating_sub(start).saturating_mul(1000),
        success: tree::is_success(&answer.spans),
        span_count: answer.spans.len(),
        agent_count: agents.len(),
        agents,
    }
}

fn completed_span(span: &Span) -> CompletedSpan {
    CompletedSpan {
        trace_id: format!("{:032x}", span.trace),
        span_id: format!("{:016x}", span.span),
        parent_span: span.parent.map(|parent| format!("{parent:016x}")),
        agent_name: name_of(&span.agent).to_owned(),
        agent_id: span.agent.to_string(),
        ip_address: String::new(),
        operation: operation(span),
        start_time: Timestamp(span.start / 1000),
        end_time: Timestamp(span.start.saturating_add(span.duration) / 1000),
        duration_ms: span.duration / 1000,
        success: span.outcome == Outcome::Ok,
        error_message: (span.outcome != Outcome::Ok).then(|| span.note.clone()),
        capability: (!matches!(span.kind, SpanKind::Tool | SpanKind::Route)).then(|| span.name.to_string()),
        target_agent: span.peer.as_deref().map(str::to_owned),
        runtime: "rust",
    }
}

/// What a span is called: tools by their name, what is in between as the existing system calls it.
fn operation(span: &Span) -> String {
    match span.kind {
        SpanKind::Tool | SpanKind::Route => span.name.to_string(),
        SpanKind::Call => format!("proxy_call_wrapper {}", span.name),
        SpanKind::Attempt => format!("_internal_attempt {}", span.name),
        SpanKind::Model | SpanKind::Loop => format!("llm {}", span.name),
    }
}

/// The name in an agent's id.
fn name_of(agent: &str) -> &str {
    agent.rsplit_once('-').map_or(agent, |(name, _)| name)
}
