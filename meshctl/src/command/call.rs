//! `meshctl call`.

mod arguments;
mod direct;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{ArgAction, Args};
use mesh_node::admin::wire::{CallFailed, CallQuery, CallUpdate, FrameKind, Served, ToolDetail};
use serde::Deserialize;

use self::arguments::ArgumentArgs;
use crate::client::{Client, NodeArgs};
use crate::indent::{Layout, lay_out};
use crate::output::{note, remark, say};

/// How long a call may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What `--fail` makes of a tool's error.
const TOOL_FAILED: u8 = 3;

/// Calls a tool and prints what it gives back.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The tool or capability, behind its agent where several have it: `[agent:]tool`
    tool: String,
    #[command(flatten)]
    arguments: ArgumentArgs,
    #[command(flatten)]
    node: NodeArgs,
    /// Send this header along, as "Name: value"; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The session that the call belongs to: one replica serves all of it
    #[arg(long, value_name = "KEY")]
    session: Option<String>,
    /// Print the id of the call's trace to standard error
    #[arg(long)]
    trace: bool,
    /// Print chunks as they come, each on a line, before the result
    #[arg(long)]
    stream: bool,
    /// Leave with 3 when the tool answers with an error
    #[arg(long)]
    fail: bool,
    /// Print the result without blanks
    #[arg(long)]
    raw: bool,
    /// Indent the result
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    pretty: bool,
    /// Call the agent's own HTTP endpoint rather than through the node
    #[arg(long)]
    direct: bool,
    /// With =false the same as --direct, as the existing command line spells it
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    use_proxy: bool,
    /// Call the MCP server at this URL (/mcp is added), asking no node
    #[arg(long, value_name = "URL", conflicts_with = "direct")]
    agent_url: Option<String>,
    /// Not applicable: see the error
    #[arg(long, hide = true)]
    ingress_domain: Option<String>,
    /// Not applicable: see the error
    #[arg(long, hide = true)]
    ingress_url: Option<String>,
}

/// What came back: the text of a tool result, and the trace it belongs to.
struct Outcome {
    result: String,
    trace_id: String,
}

#[derive(Deserialize)]
struct MaybeError {
    #[serde(default, rename = "isError")]
    is_error: bool,
}

impl Call {
    /// Calls.
    ///
    /// # Errors
    /// When no result arrives.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.ingress_domain.is_some() || self.ingress_url.is_some() {
            bail!(
                "--ingress-domain and --ingress-url have no meaning here: any node reaches all agents, so one address is \
                 enough. Name it with --node, or call one server with --agent-url and -H 'Host: …'"
            );
        }
        let outcome = match &self.agent_url {
            Some(url) => {
                let arguments = self.arguments.text(None).await?;
                self.direct(url, self.function(), arguments).await?
            }
            None => self.through_the_mesh().await?,
        };
        if self.trace {
            note(format_args!("\nTrace ID: {}\nView trace: meshctl trace {}", outcome.trace_id, outcome.trace_id));
        }
        let layout = if self.raw || !self.pretty { Layout::Compact } else { Layout::Indented };
        say(lay_out(&outcome.result, layout));
        let is_error = serde_json::from_str(&outcome.result).is_ok_and(|result: MaybeError| result.is_error);
        Ok(if self.fail && is_error { ExitCode::from(TOOL_FAILED) } else { ExitCode::SUCCESS })
    }

    async fn through_the_mesh(&self) -> anyhow::Result<Outcome> {
        let mut client = self.node.connect(TIMEOUT).await?;
        let direct = self.direct || !self.use_proxy;
        let detail: Option<ToolDetail> = match direct || self.arguments.needs_schema() {
            true => Some(self.detail(&mut client).await?),
            false => None,
        };
        let schema = detail.as_ref().and_then(|detail| detail.input_schema.as_ref());
        let arguments = self.arguments.text(schema).await?;
        match detail.filter(|_| direct) {
            Some(detail) => self.direct(&detail.endpoint, &detail.tool.function_name, arguments).await,
            None => self.relayed(&mut client, arguments).await,
        }
    }

    async fn detail(&self, client: &mut Client) -> anyhow::Result<ToolDetail> {
        let mut query = vec![("tool", self.function())];
        query.extend(self.agent().map(|agent| ("agent", agent)));
        client.get("tool", &query).await.map_err(|error| error.context("failed to find agent"))
    }

    /// Has the node call.
    async fn relayed(&self, client: &mut Client, arguments: String) -> anyhow::Result<Outcome> {
        let timeout = self.timeout();
        let query = CallQuery {
            tool: self.function().to_owned(),
            agent: self.agent().map(str::to_owned),
            timeout_ms: u64::try_from(timeout.as_millis()).ok(),
            trace: None,
            session: self.session.clone(),
            headers: self.headers.iter().cloned().collect::<BTreeMap<_, _>>(),
            updates: self.stream || io::stderr().is_terminal(),
        };
        let mut body = serde_json::to_vec(&query)?;
        body.push(b'\n');
        body.extend(arguments.into_bytes());
        // The node ends the call when its time is over, and says so; it gets a moment to do so.
        let answered = tokio::time::timeout(timeout + Duration::from_secs(5), self.follow(client, body));
        answered.await.map_err(|_| anyhow!("MCP call failed: no result after {timeout:?}"))?
    }

    async fn follow(&self, client: &mut Client, body: Vec<u8>) -> anyhow::Result<Outcome> {
        let frames = client.post_framed("call", body).await;
        let mut frames = frames.map_err(|error| error.context("failed to find agent"))?;
        let mut trace_id = String::new();
        while let Some((kind, body)) = frames.next().await? {
            match kind {
                FrameKind::Update => self.update(&serde_json::from_slice(&body)?),
                FrameKind::Served => trace_id = serde_json::from_slice::<Served>(&body)?.trace_id,
                FrameKind::Result => return Ok(Outcome { result: String::from_utf8(body.into())?, trace_id }),
                FrameKind::Failed => {
                    let failed: CallFailed = serde_json::from_slice(&body)?;
                    if let Some(trace) = failed.trace_id.filter(|_| self.trace) {
                        note(format_args!("\nTrace ID: {trace}\nView trace: meshctl trace {trace}"));
                    }
                    bail!("MCP call failed: {}", failed.message);
                }
            }
        }
        bail!("MCP call failed: the node broke off before there was a result")
    }

    fn update(&self, update: &CallUpdate) {
        match update {
            CallUpdate::Chunk { text } if self.stream => say(lay_out(text, Layout::Compact)),
            CallUpdate::Chunk { .. } => {}
            CallUpdate::Progress { progress, total, message } => {
                let total = total.map(|total| format!("/{total}")).unwrap_or_default();
                remark(format_args!("{progress}{total} {}", message.as_deref().unwrap_or_default()));
            }
            CallUpdate::Log { level, text } => remark(format_args!("{level}: {text}")),
        }
    }

    /// Calls an MCP server itself.
    async fn direct(&self, url: &str, tool: &str, arguments: String) -> anyhow::Result<Outcome> {
        if self.session.is_some() || self.stream {
            bail!("--session and --stream need the node in between: leave out --direct, --use-proxy and --agent-url");
        }
        let trace_id = direct::trace_id()?;
        let trace = self.trace.then_some(trace_id.as_str());
        let result = direct::call(url, tool, &arguments, &self.headers, trace, self.timeout()).await?;
        Ok(Outcome { result, trace_id })
    }

    fn timeout(&self) -> Duration {
        self.node.timeout.unwrap_or(TIMEOUT)
    }

    fn agent(&self) -> Option<&str> {
        self.tool.split_once(':').map(|(agent, _)| agent).filter(|agent| !agent.is_empty())
    }

    fn function(&self) -> &str {
        self.tool.split_once(':').map_or(&self.tool, |(_, tool)| tool)
    }
}

/// A header as curl takes it.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write `Name: value`")?;
    let name = http_name(name.trim()).ok_or_else(|| format!("{name:?} is no name of a header"))?;
    Ok((name, value.trim().to_owned()))
}

fn http_name(name: &str) -> Option<String> {
    reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok().map(|name| name.as_str().to_owned())
}
