//! `meshctl costs`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use mesh_node::admin::wire::{AgentsAnswer, CallFailed, CallQuery, FrameKind};
use mesh_providers::{COSTS_CAPABILITY, Line, Sum};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{Client, NodeArgs};
use crate::duration;
use crate::output::{self, note, say};
use crate::table::{Cell, Column, Side, Table};

/// How long one provider may take to tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows what the answers of models took: tokens and money, by the agent that asked and the model that answered.
#[derive(Debug, Args)]
pub(crate) struct Costs {
    /// Only what this agent asked for
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only models whose name has this in it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only the last so long, such as 24h
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    last: Option<Duration>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of all providers together.
#[derive(Debug, Default, Serialize)]
struct Report {
    lines: Vec<Line>,
    total: Sum,
    /// The providers that were asked, with the day of their prices.
    providers: BTreeMap<String, String>,
    /// Those that did not answer, and why.
    silent: BTreeMap<String, String>,
}

/// The part of a tool's result that is read here.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "structuredContent")]
    costs: mesh_providers::Costs,
}

impl Costs {
    /// Shows it.
    ///
    /// # Errors
    /// When no node answers.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.node.connect(Duration::from_secs(30)).await?;
        let listed: AgentsAnswer = client.get("agents", &[("all", "true")]).await?;
        let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
        let mut report = Report::default();
        for agent in &listed.agents {
            let Some(tool) = agent.tools.iter().find(|tool| tool.capability == COSTS_CAPABILITY) else { continue };
            match self.ask(&mut client, &agent.id, &tool.function_name).await {
                Ok(costs) => {
                    report.providers.insert(agent.id.clone(), costs.prices_as_of);
                    for line in costs.lines.into_iter().filter(|line| self.is_wanted(line)) {
                        report.total.add(&line.sum);
                        sums.entry((line.agent, line.model)).or_default().add(&line.sum);
                    }
                }
                Err(why) => drop(report.silent.insert(agent.id.clone(), format!("{why:#}"))),
            }
        }
        report.lines = sums.into_iter().map(|((agent, model), sum)| Line { agent, model, sum }).collect();
        match self.json {
            true => output::json(&report)?,
            false => show(&report),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn is_wanted(&self, line: &Line) -> bool {
        self.agent.as_ref().is_none_or(|agent| line.agent == *agent || line.agent.starts_with(&format!("{agent}-")))
            && self.model.as_ref().is_none_or(|model| line.model.contains(model.as_str()))
    }

    async fn ask(&self, client: &mut Client, agent: &str, tool: &str) -> anyhow::Result<mesh_providers::Costs> {
        let query = CallQuery {
            tool: tool.to_owned(),
            agent: Some(agent.to_owned()),
            timeout_ms: u64::try_from(PATIENCE.as_millis()).ok(),
            trace: None,
            session: None,
            headers: BTreeMap::new(),
            updates: false,
        };
        let mut body = serde_json::to_vec(&query)?;
        body.push(b'\n');
        let arguments = self.last.map_or_else(|| json!({}), |last| json!({ "last_seconds": last.as_secs() }));
        body.extend(arguments.to_string().into_bytes());
        let answered = tokio::time::timeout(PATIENCE + Duration::from_secs(1), result(client, body));
        answered.await.map_err(|_| anyhow!("did not answer within {PATIENCE:?}"))?
    }
}

async fn result(client: &mut Client, body: Vec<u8>) -> anyhow::Result<mesh_providers::Costs> {
    let mut frames = client.post_framed("call", body).await?;
    while let Some((kind, body)) = frames.next().await? {
        match kind {
            FrameKind::Result => {
                let told: Told = serde_json::from_slice(&body).context("it is of another version than this meshctl")?;
                return Ok(told.costs);
            }
            FrameKind::Failed => bail!("{}", serde_json::from_slice::<CallFailed>(&body)?.message),
            FrameKind::Update | FrameKind::Served => {}
        }
    }
    bail!("the node broke off")
}

fn show(report: &Report) {
    match (report.lines.is_empty(), report.providers.is_empty()) {
        (_, true) if report.silent.is_empty() => say("No providers of models run in this mesh."),
        (true, _) => say("No model has answered anything yet."),
        _ => table_of(report).lines().iter().for_each(say),
    }
    if report.total.unpriced > 0 {
        say(format_args!(
            "\n{} answers came from models without a price: name a file with prices in MESH_LLM_PRICES for their providers.",
            report.total.unpriced
        ));
    }
    for (agent, why) in &report.silent {
        note(format_args!("{agent} was not heard: {why}"));
    }
}

fn table_of(report: &Report) -> Table {
    let number = |head| Column::fixed(head, 10, Side::Right);
    let mut table = Table::new(vec![
        Column::growing("AGENT", 16),
        Column::growing("MODEL", 24),
        number("CALLS"),
        number("INPUT"),
        number("CACHED"),
        number("OUTPUT"),
        number("USD"),
    ]);
    let total = Line { agent: "total".into(), model: String::new(), sum: report.total };
    for Line { agent, model, sum } in report.lines.iter().chain([&total]) {
        let counts = [sum.calls, sum.prompt_tokens, sum.cached_tokens, sum.completion_tokens];
        let mut row = vec![Cell::new(agent.as_str()), Cell::new(model.as_str())];
        row.extend(counts.map(|count| Cell::new(count.to_string())));
        row.push(Cell::new(format!("{:.4}", sum.cost_usd)));
        table.push(row);
    }
    table
}
