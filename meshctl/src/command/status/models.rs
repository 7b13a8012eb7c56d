//! What an agent's models are shown, and who runs them.

use mesh_node::admin::wire::ToolInfo;
use serde_json::Value;

use crate::output::Colour;
use crate::table::{Cell, or_dash};

/// A row for each thing that a tool's filter asks for.
pub(super) fn filters(tools: &[ToolInfo]) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for tool in tools {
        let Some(told) = &tool.llm_filter else { continue };
        let mode = text(&told["filter_mode"]);
        for wanted in told["filter"].as_array().into_iter().flatten() {
            // A capability may be asked for by its name alone.
            let capability = if wanted.is_string() { text(wanted) } else { text(&wanted["capability"]) };
            rows.push([&*tool.name, &mode, &capability, &text(&wanted["tags"])].map(cell).into());
        }
    }
    rows
}

/// A row for each tool whose model somebody else runs.
pub(super) fn providers(tools: &[ToolInfo]) -> Vec<Vec<Cell>> {
    let told = tools.iter().filter_map(|tool| Some((tool, tool.llm_provider.as_ref()?)));
    let row = |(tool, told): (&ToolInfo, &Value)| {
        let [capability, tags, version] = ["capability", "tags", "version"].map(|name| text(&told[name]));
        [&*tool.name, &capability, &tags, &version].map(cell).into()
    };
    told.map(row).collect()
}

/// A row for each of these resolutions; what was asked for is called `wanted` in them.
pub(super) fn bound(resolutions: &[Value], wanted: &str) -> Vec<Vec<Cell>> {
    let row = |row: &Value| {
        let [function, wanted, tool, endpoint] =
            ["function_name", wanted, "mcp_tool", "endpoint"].map(|name| text(&row[name]));
        match tool.is_empty() {
            true => {
                [&*function, &wanted, "NOT FOUND", "-"].map(|text| Cell::painted(Colour::Red, or_dash(text))).into()
            }
            false => [&*function, &wanted, &tool, &endpoint].map(cell).into(),
        }
    };
    resolutions.iter().map(row).collect()
}

fn cell(text: &str) -> Cell {
    Cell::new(or_dash(text))
}

/// A text, or several by comma; nothing when there is none.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use mesh_node::admin::wire::ToolInfo;
    use serde_json::json;

    use super::{bound, filters, providers};
    use crate::output::Colour;
    use crate::table::Cell;

    #[test]
    fn what_models_need_is_told_in_rows() {
        let filter = json!({"filter_mode": "all", "filter": ["sum", {"capability": "date", "tags": ["a", "+b"]}]});
        let provider = json!({"capability": "llm", "tags": ["stock"]});
        let tool = ToolInfo {
            name: "chat".into(),
            llm_filter: Some(filter),
            llm_provider: Some(provider),
            ..ToolInfo::default()
        };
        let tools = [tool];
        let row = |texts: [&str; 4]| texts.map(Cell::new).to_vec();
        assert_eq!(filters(&tools), [row(["chat", "all", "sum", "-"]), row(["chat", "all", "date", "a,+b"])]);
        assert_eq!(providers(&tools), [row(["chat", "llm", "stock", "-"])]);
        let told =
            [json!({"function_name": "f", "mcp_tool": "t", "endpoint": "http://x"}), json!({"function_name": "f"})];
        let found = bound(&told, "filter_capability");
        assert_eq!(found[0], row(["f", "-", "t", "http://x"]));
        assert_eq!(found[1][2], Cell::painted(Colour::Red, "NOT FOUND"));
    }
}
