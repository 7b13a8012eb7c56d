//! A foreign server's tools as ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::Tool;

use super::Wrapped;
use crate::tool::{Annotations, ToolDescriptor, Tools};

/// The longest name that MCP allows a tool.
const NAME_BYTES: usize = 128;

/// The tools, and what the server calls those whose names the mesh cannot carry.
pub(super) type Described = (Tools, BTreeMap<Arc<str>, String>);

/// Describes `tools` as the mesh is to see them. Of several with one name the first counts.
pub(super) fn describe(wrapped: &Wrapped, tools: &[Tool]) -> Described {
    let mut described: BTreeMap<Arc<str>, Arc<ToolDescriptor>> = BTreeMap::new();
    let mut originals = BTreeMap::new();
    for tool in tools {
        let name: Arc<str> = carried(&tool.name).into();
        if described.contains_key(&name) {
            tracing::warn!(agent = %wrapped.name, tool = %tool.name, "the server has several tools of this name: the first counts");
            continue;
        }
        if *name != *tool.name {
            tracing::warn!(agent = %wrapped.name, tool = %tool.name, "the tool is called {name} in the mesh");
            originals.insert(Arc::clone(&name), tool.name.to_string());
        }
        described.insert(Arc::clone(&name), Arc::new(descriptor(wrapped, name, tool)));
    }
    (described.into_values().collect(), originals)
}

fn descriptor(wrapped: &Wrapped, name: Arc<str>, tool: &Tool) -> ToolDescriptor {
    let hints = tool.annotations.as_ref();
    ToolDescriptor {
        capability: Some(wrapped.capability.clone().unwrap_or_else(|| Arc::clone(&name))),
        version: wrapped.version.clone(),
        tags: wrapped.tags.clone(),
        title: tool.title.clone().or_else(|| hints.and_then(|hints| hints.title.clone())),
        description: tool.description.as_deref().unwrap_or_default().to_owned(),
        input_schema: Arc::clone(&tool.input_schema),
        output_schema: tool.output_schema.clone(),
        annotations: hints.map_or_else(Annotations::default, |hints| Annotations {
            read_only: hints.read_only_hint,
            destructive: hints.destructive_hint,
            idempotent: hints.idempotent_hint,
            open_world: hints.open_world_hint,
        }),
        asks_client: true,
        ..ToolDescriptor::new(name)
    }
}

/// The name with everything replaced that MCP does not allow in it.
fn carried(name: &str) -> String {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    let mut carried: String = name.chars().map(|char| if fits(char) { char } else { '_' }).take(NAME_BYTES).collect();
    if carried.is_empty() {
        carried.push('_');
    }
    carried
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::JsonObject;

    fn wrapped(capability: Option<&str>) -> Wrapped {
        Wrapped {
            name: "files".into(),
            server: super::super::Server::Url { url: "http://localhost/mcp".into(), headers: Default::default() },
            capability: capability.map(Into::into),
            tags: vec!["local".into()],
            version: Default::default(),
        }
    }

    #[test]
    fn names_that_the_mesh_cannot_carry_are_replaced_and_remembered() {
        let tools =
            ["read/file", "read file", "näher", "", "fine.one-2"].map(|name| Tool::new(name, "", JsonObject::new()));
        let (described, originals) = describe(&wrapped(None), &tools);
        let names: Vec<&str> = described.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["_", "fine.one-2", "n_her", "read_file"]);
        assert_eq!(originals.get("read_file").map(String::as_str), Some("read/file"), "the first of two counts");
        assert!(!originals.contains_key("fine.one-2"));
        assert!(carried(&"x".repeat(500)).len() == NAME_BYTES);
    }

    #[test]
    fn tools_provide_the_given_capability_or_each_its_own() {
        let tools = [Tool::new("read", "Reads.", JsonObject::new())];
        let one = |capability| describe(&wrapped(capability), &tools).0[0].capability.clone();
        assert_eq!(one(Some("files")).as_deref(), Some("files"));
        assert_eq!(one(None).as_deref(), Some("read"));
    }
}
