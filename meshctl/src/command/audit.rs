//! `meshctl audit`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args};
use mesh_node::admin::wire::{AgentInfo, AuditEvent, AuditTrace};
use serde::Serialize;

use crate::client::{Client, NodeArgs};
use crate::explanation;
use crate::output::{self, Colour, paint, say};
use crate::table::{Cell, Column, Table};

/// How wide the line under the title is.
const RULE: usize = 80;

/// Shows how the dependencies of an agent came to have the providers they have.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// A name or id, or the beginning of one
    agent: String,
    #[command(flatten)]
    node: NodeArgs,
    /// The most changes to show, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Only the dependency at this place of its tool, from 0; -1 is all
    #[arg(long, value_name = "PLACE", default_value_t = -1, allow_negative_numbers = true)]
    dep: i64,
    /// Show what each stage kept and dropped
    #[arg(long)]
    explain: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only dependencies of this tool
    #[arg(long, value_name = "TOOL", default_value = "")]
    function: String,
    /// Also show when nobody provided it
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    include_unresolved: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    events: Vec<Told<'a>>,
    count: usize,
}

/// An event, with its trace under two names, as scripts know it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    event: &'a AuditEvent,
    trace: &'a AuditTrace,
}

impl Audit {
    /// Shows it.
    ///
    /// # Errors
    /// When no node answers, nobody or several are meant, or the agent's own node cannot be asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut client = self.node.connect(Duration::from_secs(30)).await?;
        let mut query = vec![("agent", self.agent.as_str())];
        if !self.function.is_empty() {
            query.push(("function", &self.function));
        }
        let mut events: Vec<AuditEvent> = client.get("audit", &query).await?;
        let is_wanted = |event: &AuditEvent| {
            let place = i64::try_from(event.trace.dep_index).unwrap_or(i64::MAX);
            (self.dep < 0 || place == self.dep) && (self.include_unresolved || event.trace.chosen.is_some())
        };
        events.retain(is_wanted);
        events.truncate(self.limit.into());
        if self.json {
            let told = events.iter().map(|event| Told { event, trace: &event.trace });
            output::json(&Report { count: events.len(), events: told.collect() })?;
        } else if events.is_empty() {
            let id = self.id(&mut client).await;
            say(format_args!("No dependency-resolution audit events for {id}"));
            say("  An agent's own node writes them down since it was started, and keeps the latest.");
            say("  An agent without dependencies has none.");
        } else if self.explain {
            title(&events, &format!(" ({} shown)", events.len()));
            events.iter().for_each(explain);
        } else {
            title(&events, "");
            table(&events);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn id(&self, client: &mut Client) -> String {
        let agent: anyhow::Result<AgentInfo> = client.get("agent", &[("agent", &self.agent)]).await;
        agent.map_or_else(|_| self.agent.clone(), |agent| agent.id)
    }
}

fn moment(event: &AuditEvent) -> String {
    format!("{}Z", event.timestamp.to_string().get(..19).unwrap_or_default())
}

fn title(events: &[AuditEvent], shown: &str) {
    if let Some(event) = events.first() {
        say(format_args!("Audit events for {}{shown}\n{}", event.agent_id, "=".repeat(RULE)));
    }
}

fn table(events: &[AuditEvent]) {
    let heads = [("TIMESTAMP", 22), ("DEP", 5), ("FUNCTION", 22), ("CHOSEN", 22), ("CANDIDATES", 12), ("CHANGE", 8)];
    let mut table = Table::new(heads.map(|(head, width)| Column::growing(head, width)).into());
    for event in events {
        let trace = &event.trace;
        let chosen = match &trace.chosen {
            Some(chosen) => Cell::new(&chosen.agent_id),
            None => Cell::painted(Colour::Red, "(unresolved)"),
        };
        let first = trace.stages.first().map_or(0, |stage| stage.kept.len() + stage.evicted.len());
        let last = trace.stages.last().map_or(0, |stage| stage.kept.len());
        let change = match (&trace.prior_chosen, &trace.chosen) {
            (Some(prior), Some(_)) => format!("(was {prior})"),
            (Some(prior), None) => format!("(lost: {prior})"),
            (None, _) => String::new(),
        };
        table.push(vec![
            Cell::new(moment(event)),
            Cell::new(format!("[{}]", trace.dep_index)),
            Cell::new(&event.function_name),
            chosen,
            Cell::new(format!("{first} → {last}")),
            Cell::new(change),
        ]);
    }
    table.lines().iter().for_each(say);
}

fn explain(event: &AuditEvent) {
    let (trace, spec) = (&event.trace, &event.trace.spec);
    let (function, capability) = (&event.function_name, &spec.capability);
    say(format_args!("{}  dep[{}]  capability={capability}  function={function}", moment(event), trace.dep_index));
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    say(format_args!("  spec: tags={}  version={}", or_dash(&spec.tags.join(",")), or_dash(&spec.version_constraint)));
    explanation::stages(&trace.stages);
    match &trace.chosen {
        Some(chosen) => say(format_args!(
            "  └─ {} chosen: {}  endpoint={}  function={}",
            paint(Colour::Green, "✓"),
            chosen.agent_id,
            chosen.endpoint,
            chosen.function_name
        )),
        None => say(format_args!("  └─ {} no resolution", paint(Colour::Red, "✗"))),
    }
    if let Some(prior) = &trace.prior_chosen {
        say(format_args!("     prior_chosen: {prior}"));
    }
    say("");
}
