//! `meshctl list`.

mod report;
mod schemas;
mod services;
mod show;
mod tools;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use mesh_node::admin::wire::{AgentInfo, AgentsAnswer};

pub(crate) use self::show::{kind, runtime};

use crate::client::{Client, NoNode, NodeArgs};
use crate::home::Home;
use crate::output;
use crate::{duration, local};

/// How long the node may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(2);

/// Lists agents, or what they offer.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    node: NodeArgs,
    /// Only agents with this in their id, in any case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show what each agent offers and depends on
    #[arg(short, long)]
    verbose: bool,
    /// Leave out the columns DEPS and CAPS
    #[arg(long)]
    no_deps: bool,
    /// Also show how many tools there are, and the capabilities
    #[arg(long)]
    wide: bool,
    /// Only agents that were there within this time (30s, 5m, 2h)
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    since: Option<Duration>,
    /// Also show agents that are down
    #[arg(long)]
    all: bool,
    /// List tools instead of agents, or show one: `--tools=[agent:]tool`
    #[arg(short, long, value_name = "TOOL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    tools: Option<String>,
    /// Also list tools that the framework itself adds (__mesh_…)
    #[arg(long)]
    show_framework: bool,
    /// List services, whose capabilities are named service.method
    #[arg(long, conflicts_with = "tools")]
    services: bool,
    /// List the canonical schemas of tools
    #[arg(long, conflicts_with_all = ["tools", "services"])]
    schemas: bool,
    /// The most schemas to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Show it again every two seconds, until interrupted
    #[arg(short, long)]
    watch: bool,
}

impl List {
    /// Lists.
    ///
    /// # Errors
    /// When the node refuses. That no node answers is an answer.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if !self.watch {
            return self.once().await.map(|()| ExitCode::SUCCESS);
        }
        loop {
            if io::stdout().is_terminal() {
                output::write("\x1b[2J\x1b[H");
            }
            self.once().await?;
            tokio::select! {
                () = tokio::time::sleep(WATCH) => {}
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.context("cannot wait for an interrupt")?;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }

    async fn once(&self) -> anyhow::Result<()> {
        let mut client = match self.node.connect(TIMEOUT).await {
            Ok(client) => client,
            Err(error) if error.is::<NoNode>() => return self.nobody(),
            Err(error) => return Err(error),
        };
        if self.schemas {
            return schemas::show(&mut client, self.limit, self.json).await;
        }
        let mut answer: AgentsAnswer = client.get("agents", &[("all", "true")]).await?;
        local::complete(&Home::of_user()?, &mut answer.agents);
        if let Some(spec) = &self.tools {
            return self.tools(&mut client, &answer, spec).await;
        }
        if self.services {
            return services::show(&self.chosen(&answer), self.json);
        }
        if self.json {
            return report::print(client.base(), &answer, &self.chosen(&answer));
        }
        show::print(client.base(), &answer, &self.chosen(&answer), self);
        Ok(())
    }

    /// No node runs: that is worth telling, and no failure.
    fn nobody(&self) -> anyhow::Result<()> {
        if !self.json {
            output::say("Registry: not running");
            return Ok(());
        }
        if self.schemas {
            return schemas::print_none();
        }
        if self.services {
            return services::show(&[], true);
        }
        match self.tools {
            Some(_) => tools::list(&[], false, true),
            None => report::print_nobody(),
        }
    }

    async fn tools(&self, client: &mut Client, answer: &AgentsAnswer, spec: &str) -> anyhow::Result<()> {
        let agents = self.chosen(answer);
        if spec.is_empty() {
            return tools::list(&agents, self.show_framework, self.json);
        }
        tools::detail(client, spec, self.json).await
    }

    /// The agents that are to be shown, in order of their ids.
    fn chosen<'a>(&self, answer: &'a AgentsAnswer) -> Vec<&'a AgentInfo> {
        let filter = self.filter.as_deref().unwrap_or_default().to_lowercase();
        let now = answer.node.now;
        let is_recent = |agent: &AgentInfo| {
            self.since.is_none_or(|since| {
                agent.last_heartbeat.is_some_and(|seen| u128::from(now.since(seen)) <= since.as_millis())
            })
        };
        let agents = answer.agents.iter();
        let agents = agents.filter(|agent| (self.all || is_healthy(agent)) && is_recent(agent));
        agents.filter(|agent| agent.id.to_lowercase().contains(&filter)).collect()
    }
}

/// Whether an agent can be called.
pub(crate) fn is_healthy(agent: &AgentInfo) -> bool {
    matches!(agent.status.as_str(), "healthy" | "degraded")
}
