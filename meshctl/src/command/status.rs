//! `meshctl status`.

mod models;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mesh_node::admin::timestamp::Timestamp;
use mesh_node::admin::wire::{AgentInfo, AgentsAnswer, NodeInfo};

use super::list::{is_healthy, kind, runtime};
use crate::client::NodeArgs;
use crate::home::Home;
use crate::output::{self, Colour, paint, say};
use crate::table::{Cell, Column, Table, or_dash};
use crate::{age, local};

/// How wide the lines between agents are.
const RULE: usize = 80;

/// Shows agents in detail.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// A name or id, or the beginning of one; without it all healthy agents
    agent: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Nothing: everything is shown anyway, as with the existing command line
    #[arg(short, long)]
    verbose: bool,
}

impl Status {
    /// Shows them.
    ///
    /// # Errors
    /// When no node answers, or nobody or several are meant.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.node.connect(Duration::from_secs(30)).await?;
        let home = Home::of_user()?;
        if let Some(agent) = &self.agent {
            let node: NodeInfo = client.get("node", &[]).await?;
            let mut found: [AgentInfo; 1] = [client.get("agent", &[("agent", agent)]).await?];
            local::complete(&home, &mut found);
            if self.json {
                output::json(&found[0])?;
            } else {
                detail(&found[0], node.now);
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut answer: AgentsAnswer = client.get("agents", &[]).await?;
        local::complete(&home, &mut answer.agents);
        if self.json {
            output::json(&answer.agents)?;
        } else if answer.agents.is_empty() {
            say("No healthy agents found");
        } else {
            say(format_args!("Found {} healthy agent(s):\n", answer.agents.len()));
            for (place, agent) in answer.agents.iter().enumerate() {
                if place > 0 {
                    say(format_args!("\n{}\n", "=".repeat(RULE)));
                }
                detail(agent, answer.node.now);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn detail(agent: &AgentInfo, now: Timestamp) {
    say(format_args!("Agent Details: {}\n{}", agent.id, "=".repeat(RULE)));
    let line = |name: &str, value: String| say(format_args!("{:<20}: {value}", name));
    let time = |moment: Timestamp| moment.to_string().get(..19).unwrap_or_default().replace('T', " ");
    line("Name", agent.name.clone());
    line("Type", kind(agent).into());
    line("Runtime", runtime(agent));
    line("Status", paint(if is_healthy(agent) { Colour::Green } else { Colour::Red }, &agent.status));
    if !agent.note.is_empty() {
        line("Note", agent.note.clone());
    }
    line("Endpoint", agent.endpoint.clone());
    line("Version", agent.version.clone());
    line("Dependencies", format!("{}/{}", agent.dependencies_resolved, agent.dependencies_total));
    if let Some(seen) = agent.last_heartbeat {
        line("Last Seen", format!("{} ({} ago)", time(seen), age::short(now.since(seen))));
    }
    line("Created", time(agent.created_at));
    line("Updated", time(agent.updated_at));
    line("PID", agent.pid.map_or_else(|| "-".into(), |pid| pid.to_string()));
    line("File Path", agent.file_path.clone().unwrap_or_else(|| "-".into()));
    line("Start Time", agent.start_time.map_or_else(|| "-".into(), time));
    section(
        "Capabilities",
        &[("CAPABILITY", 25), ("MCP TOOL", 30), ("VERSION", 10), ("TAGS", 15)],
        capabilities(agent),
    );
    let filters = [("CAPABILITY", 25), ("FILTER MODE", 15), ("FILTER CAPABILITY", 20), ("FILTER TAGS", 20)];
    section("LLM Tool Filters", &filters, models::filters(&agent.tools));
    let heads = [("FUNCTION", 20), ("FILTER", 20), ("MCP TOOL", 25), ("ENDPOINT", 35)];
    section("LLM Tool Resolutions", &heads, models::bound(&agent.llm_tool_resolutions, "filter_capability"));
    let providers = [("CAPABILITY", 25), ("PROVIDER CAPABILITY", 25), ("PROVIDER TAGS", 15), ("PROVIDER VER", 15)];
    section("LLM Providers", &providers, models::providers(&agent.tools));
    let heads = [("FUNCTION", 20), ("REQUIRED CAP", 20), ("MCP TOOL", 25), ("ENDPOINT", 35)];
    section("LLM Provider Resolutions", &heads, models::bound(&agent.llm_provider_resolutions, "required_capability"));
    section("Dependencies", &[("DEPENDENCY", 30), ("MCP TOOL", 30), ("ENDPOINT", 40)], dependencies(agent));
}

fn capabilities(agent: &AgentInfo) -> Vec<Vec<Cell>> {
    let tools = agent.tools.iter().map(|tool| {
        let name = match &tool.unavailable_reason {
            None => Cell::new(&tool.name),
            Some(reason) => Cell::painted(Colour::Red, format!("{} ({reason})", tool.name)),
        };
        vec![name, Cell::new(&tool.function_name), Cell::new(&tool.version), Cell::new(or_dash(&tool.tags.join(",")))]
    });
    tools.collect()
}

fn dependencies(agent: &AgentInfo) -> Vec<Vec<Cell>> {
    let needed = agent.dependency_resolutions.iter().map(|needed| {
        if needed.provider_agent_id.is_empty() {
            return [&needed.capability, "NOT FOUND", "-"].map(|text| Cell::painted(Colour::Red, text)).into();
        }
        [&needed.capability, &needed.mcp_tool, &needed.endpoint].map(Cell::new).into()
    });
    needed.collect()
}

fn section(title: &str, heads: &[(&'static str, usize)], rows: Vec<Vec<Cell>>) {
    if rows.is_empty() {
        return;
    }
    say(format_args!("\n{title} ({}):", rows.len()));
    let mut table = Table::new(heads.iter().map(|(head, width)| Column::growing(head, *width)).collect());
    rows.into_iter().for_each(|row| table.push(row));
    table.lines().iter().for_each(say);
}
