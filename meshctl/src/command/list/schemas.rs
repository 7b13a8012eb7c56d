//! The canonical schemas that tools publish.

use mesh_node::admin::wire::SchemasAnswer;

use crate::client::Client;
use crate::output::{self, say};
use crate::table::{Cell, Column, Side, Table};

/// How much of a schema is shown.
const PREVIEW: usize = 60;

/// Prints at most `limit`.
pub(super) async fn show(client: &mut Client, limit: usize, json: bool) -> anyhow::Result<()> {
    let answer: SchemasAnswer = client.get("schemas", &[("limit", &limit.to_string())]).await?;
    if json {
        return output::json(&answer);
    }
    say(format_args!("Canonical schema entries ({} shown)\n", answer.count));
    let mut table = Table::new(vec![
        Column::fixed("HASH", 20, Side::Left),
        Column::fixed("ORIGIN", 12, Side::Left),
        Column::fixed("CREATED", 20, Side::Left),
        Column::fixed("CANONICAL_PREVIEW", PREVIEW, Side::Left),
    ]);
    for entry in &answer.schemas {
        let text = entry.canonical.to_string();
        let preview: String = text.chars().take(PREVIEW).collect();
        let created = entry.created_at.to_string();
        let created = created.get(..19).unwrap_or_default().replace('T', " ");
        table.push([short(&entry.hash), entry.runtime_origin.clone(), created, preview].map(Cell::new).into());
    }
    table.lines().iter().for_each(say);
    Ok(())
}

/// Prints that there are none, as JSON.
pub(super) fn print_none() -> anyhow::Result<()> {
    output::json(&SchemasAnswer { schemas: Vec::new(), count: 0 })
}

/// `sha256:`, five digits, and the last five.
fn short(hash: &str) -> String {
    let Some((begin, end)) = hash.split_at_checked(12).zip(hash.len().checked_sub(5)) else { return hash.to_owned() };
    format!("{}…{}", begin.0, hash.get(end..).unwrap_or_default())
}
