//! `meshctl wrap`: the agent in front of an MCP server that knows nothing of a mesh. `start` and `join` run it.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use http::{HeaderName, HeaderValue};
use mesh_gossip::resolve::version::Version;
use mesh_node::config::NodeConfig;
use mesh_node::health::{HealthCheck, Verdict};
use mesh_node::mcp::Surface;
use mesh_node::node::{Node, Plug, interrupted};
use mesh_node::registry;
use mesh_node::wrap::{Condition, Server, Wrapped, WrappedServer};

use super::seed::log_to_stderr;

/// The server, and what it is in the mesh.
#[derive(Debug, Args)]
pub(crate) struct Wrap {
    /// The agent's name.
    #[arg(long)]
    name: String,
    /// What all its tools provide. Default: each what it is called.
    #[arg(long, value_name = "NAME")]
    capability: Option<String>,
    /// The tags of all its tools.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Vec<String>,
    /// Where it is, when it runs elsewhere.
    #[arg(long, required_unless_present = "command", conflicts_with = "command")]
    url: Option<String>,
    /// What goes with every request to the URL.
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    header: Vec<String>,
    /// The command that runs it.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Wrap {
    /// Runs until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// When a command does not become an MCP server at its first start; later it is started again. A server at an URL is
    /// waited for as long as it takes.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr()?;
        let config = NodeConfig::new(&self.name).load()?;
        let wrapped = self.wrapped(&config)?;
        let is_ours = matches!(wrapped.server, Server::Command { .. });
        let server = Arc::new(WrappedServer::start(wrapped));
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        if is_ours {
            let started = tokio::select! {
                started = first_answer(&server) => started,
                () = &mut interrupted => Ok(()),
            };
            if let Err(error) = started {
                server.stop().await;
                return Err(error);
            }
        }
        let mut plug = Plug::new(Arc::clone(&server) as _);
        plug.surface = Some(Surface::of(server.rest()));
        plug.health = Some(health(&server));
        plug.registry = Some(registry::api());
        let node = Node::start(config, plug).await.context("the agent does not start")?;
        tracing::info!(agent = node.agent_id().as_str(), "agent is running");
        interrupted.await;
        node.stop().await;
        server.stop().await;
        tracing::info!("agent has stopped");
        Ok(ExitCode::SUCCESS)
    }

    fn wrapped(&self, config: &NodeConfig) -> anyhow::Result<Wrapped> {
        let server = match (&self.url, self.command.split_first()) {
            (Some(url), _) => {
                let headers = self.header.iter().map(|header| read_header(header, |name| env::var(name).ok()));
                Server::Url { url: url.as_str().into(), headers: headers.collect::<anyhow::Result<HashMap<_, _>>>()? }
            }
            (None, Some((program, arguments))) => Server::Command {
                program: program.into(),
                arguments: arguments.iter().map(Into::into).collect(),
                environment: BTreeMap::new(),
                directory: None,
            },
            (None, None) => bail!("there is nothing to wrap: give --url, or a command behind `--`"),
        };
        Ok(Wrapped {
            name: config.name.as_str().into(),
            server,
            capability: self.capability.as_deref().map(Into::into),
            tags: self.tags.iter().map(|tag| tag.as_str().into()).collect(),
            version: Version::new(&config.version),
        })
    }
}

/// Waits until the server answers for the first time.
///
/// # Errors
/// When it does not.
async fn first_answer(server: &WrappedServer) -> anyhow::Result<()> {
    let mut condition = server.condition();
    let decided = condition.wait_for(|condition| *condition != Condition::Starting).await;
    match decided.as_deref() {
        Ok(Condition::Down { why, .. }) => Err(anyhow!("the MCP server {why}")),
        _ => Ok(()),
    }
}

/// While the server is away the agent says so.
fn health(server: &WrappedServer) -> HealthCheck {
    let condition = server.condition();
    HealthCheck::new(move || {
        let verdict = match &*condition.borrow() {
            Condition::Serving => Verdict::Healthy,
            Condition::Starting => Verdict::Unhealthy("the MCP server is being started".to_owned()),
            Condition::Down { why, pause } => Verdict::Unhealthy(format!(
                "the MCP server {why}; it is tried again every {} s or so",
                pause.max(&Duration::from_secs(1)).as_secs()
            )),
        };
        std::future::ready(verdict)
    })
}

/// Reads `Name: value`. Secrets need not be typed: `$NAME` stands for the variable of the environment.
fn read_header(text: &str, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let Some((name, value)) = text.split_once(':') else { bail!("{text:?} is no header: write `Name: value`") };
    let name: HeaderName = name.trim().parse().with_context(|| format!("{name:?} cannot be a header's name"))?;
    let mut expanded = String::new();
    let mut rest = value.trim();
    while let Some((before, after)) = rest.split_once('$') {
        let end = after.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(after.len());
        let (variable_name, behind) = after.split_at(end);
        let value = variable(variable_name);
        let value = value.with_context(|| format!("the header {name} names ${variable_name}, which is not set"))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = behind;
    }
    expanded.push_str(rest);
    let mut value: HeaderValue = expanded.parse().with_context(|| format!("the value of {name} cannot be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::read_header;

    #[test]
    fn headers_take_their_secrets_from_the_environment() {
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let read = |text| read_header(text, variable);
        let (name, value) = read("Authorization: Bearer $TOKEN").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer s3cret"));
        assert!(value.is_sensitive());
        assert_eq!(read("x:$TOKEN-1").unwrap().1, "s3cret-1");
        assert!(read("x: $NOBODY").unwrap_err().to_string().contains("$NOBODY"));
        assert!(read("no header").is_err() && read(": x").is_err() && read("x: a\nb").is_err());
    }
}
