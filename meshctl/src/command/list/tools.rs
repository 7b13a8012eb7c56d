//! The tools of all agents, and one of them in full.

use mesh_node::admin::wire::{AgentInfo, ToolDetail, ToolInfo};
use serde::Serialize;
use serde_json::Value;

use crate::client::Client;
use crate::output::{self, Colour, paint, say};
use crate::table::{Cell, Column, Table, or_dash};

#[derive(Serialize)]
struct Row<'a> {
    tool_name: &'a str,
    agent_name: &'a str,
    agent_id: &'a str,
    capability: &'a str,
    description: &'a str,
    version: &'a str,
    tags: String,
    endpoint: &'a str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_schema: Option<&'a Value>,
}

impl<'a> Row<'a> {
    fn new(agent: (&'a str, &'a str, &'a str), tool: &'a ToolInfo) -> Self {
        let (agent_id, agent_name, endpoint) = agent;
        Self {
            tool_name: &tool.function_name,
            agent_name,
            agent_id,
            capability: &tool.capability,
            description: &tool.description,
            version: &tool.version,
            tags: tool.tags.join(","),
            endpoint,
            available: tool.available,
            unavailable_reason: tool.unavailable_reason.as_deref(),
            input_schema: None,
        }
    }
}

/// All tools; those of the framework only when asked for.
pub(super) fn list(agents: &[&AgentInfo], show_framework: bool, json: bool) -> anyhow::Result<()> {
    let tools = agents.iter().flat_map(|agent| {
        let whose = (agent.id.as_str(), agent.name.as_str(), agent.endpoint.as_str());
        agent.tools.iter().map(move |tool| Row::new(whose, tool))
    });
    let mut rows: Vec<Row<'_>> = tools.filter(|row| show_framework || !row.tool_name.starts_with("__mesh_")).collect();
    if json {
        return output::json(&rows);
    }
    rows.sort_by_key(|row| (row.capability, row.tool_name, row.agent_id));
    if rows.is_empty() {
        say("No tools found");
        return Ok(());
    }
    let columns = [("TOOL", 25), ("AGENT", 20), ("CAPABILITY", 20), ("TAGS", 4)];
    let mut table = Table::new(columns.map(|(head, least)| Column::growing(head, least)).into());
    for row in &rows {
        let tags = or_dash(&row.tags);
        let tags = match row.unavailable_reason {
            None => Cell::new(tags),
            Some(_) => Cell::painted(Colour::Red, format!("{tags} unavailable")),
        };
        table.push(vec![Cell::new(row.tool_name), Cell::new(row.agent_id), Cell::new(row.capability), tags]);
    }
    table.lines().iter().for_each(say);
    say(format_args!("\n{} tool(s) found", rows.len()));
    Ok(())
}

/// One tool, named as `[agent:]tool`.
pub(super) async fn detail(client: &mut Client, spec: &str, json: bool) -> anyhow::Result<()> {
    let detail: ToolDetail = match spec.rsplit_once(':') {
        Some((agent, tool)) => client.get("tool", &[("agent", agent), ("tool", tool)]).await?,
        None => client.get("tool", &[("tool", spec)]).await?,
    };
    let whose = (detail.agent_id.as_str(), detail.agent_name.as_str(), detail.endpoint.as_str());
    let row = Row { input_schema: detail.input_schema.as_ref(), ..Row::new(whose, &detail.tool) };
    if json {
        return output::json(&row);
    }
    let availability = match row.unavailable_reason {
        None => paint(Colour::Green, "available"),
        Some(reason) => paint(Colour::Red, format!("unavailable ({reason})")),
    };
    let lines = [
        ("Tool", row.tool_name),
        ("Agent", row.agent_id),
        ("Capability", row.capability),
        ("Availability", &availability),
        ("Description", row.description),
        ("Version", row.version),
        ("Tags", &row.tags.replace(',', ", ")),
    ];
    let told = lines.iter().filter(|(_, value)| !value.is_empty());
    told.for_each(|(name, value)| say(format_args!("{name}: {value}")));
    if let Some(schema) = row.input_schema {
        let schema = serde_json::to_string_pretty(schema)?.replace('\n', "\n  ");
        say(format_args!("\nInput Schema:\n  {schema}"));
    }
    say(format_args!("\nExample:\n  meshctl call {} '<json-args>'", row.tool_name));
    Ok(())
}
