//! `meshctl wait`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use mesh_node::admin::wire::{AgentInfo, AgentsAnswer};
use tokio::time::{Instant, sleep, timeout_at};

use super::list::is_healthy;
use crate::client::NodeArgs;
use crate::output;

/// How long to wait when nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long between two questions.
const LOOK: Duration = Duration::from_millis(100);

/// What to wait for.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Agents (name or id) and capabilities that have to be there, all of them.
    #[arg(required = true, value_name = "AGENT|CAPABILITY")]
    wanted: Vec<String>,
    /// Say nothing unless something is missing.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    node: NodeArgs,
}

impl Wait {
    /// Returns when all of it can be called, as the node that is asked sees the mesh. The node, too, is waited for.
    ///
    /// # Errors
    /// Names what is missing after `--timeout` (30 s), or why no node could be asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let patience = self.node.timeout.unwrap_or(PATIENCE);
        let deadline = Instant::now() + patience;
        let mut missing = self.wanted.clone();
        let mut failure = None;
        loop {
            match timeout_at(deadline, self.agents()).await {
                Ok(Ok(agents)) => {
                    failure = None;
                    missing = self.wanted.iter().filter(|wanted| !is_there(&agents, wanted)).cloned().collect();
                    if missing.is_empty() {
                        if !self.quiet {
                            output::say(format_args!("{} can be called", self.wanted.join(", ")));
                        }
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Ok(Err(error)) => failure = Some(error),
                Err(_) => {}
            }
            if Instant::now() + LOOK >= deadline {
                break;
            }
            sleep(LOOK).await;
        }
        let missing = format!("not there after {} s: {}", patience.as_secs_f64(), missing.join(", "));
        match failure {
            Some(error) => Err(error).context(missing),
            None => bail!(missing),
        }
    }

    async fn agents(&self) -> anyhow::Result<Vec<AgentInfo>> {
        let mut client = self.node.connect(PATIENCE).await?;
        let answer: AgentsAnswer = client.get("agents", &[]).await?;
        Ok(answer.agents)
    }
}

/// Whether `wanted` names an agent that can be called, or a capability that one provides.
fn is_there(agents: &[AgentInfo], wanted: &str) -> bool {
    agents.iter().filter(|agent| is_healthy(agent)).any(|agent| {
        let provides = agent.tools.iter().any(|tool| tool.available && tool.capability == wanted);
        agent.name == wanted || agent.id == wanted || provides
    })
}
