//! The tools of all agents: listed, found by name, called.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_gossip::catalog;
use rmcp::model::Tool;
use serde_json::Value;

use super::Inner;
use super::directory::Directory;
use super::names::{Names, Thing};
use super::shelf::{Items, List};
use crate::call::CallError;
use crate::tool::{Fault, FaultKind, JsonObject, ToolDescriptor};

/// All tools there are at one moment.
pub(super) struct Toolbox {
    directory: Arc<Directory>,
    /// Those that the mesh knows: they are called as every tool is.
    offered: Names,
    /// Those that only their agents' own MCP servers know.
    further: Names,
    described: BTreeMap<Arc<str>, Items>,
}

/// How to call a tool.
pub(super) enum Way {
    /// As every tool of the mesh is called.
    Call(Thing),
    /// By asking the agent's own MCP server.
    Ask(Thing),
}

impl Toolbox {
    /// What the mesh offers now, and what the agents say about it.
    pub(super) async fn open(inner: &Inner) -> Self {
        let directory = inner.directory();
        let described: BTreeMap<_, _> =
            inner.shelf.all(&inner.wire, &directory, List::Tools).await.into_iter().collect();
        let offered: Names = offered(&directory).collect();
        let known = |agent: &Arc<str>, name: &str| {
            directory.agents.get(agent).is_some_and(|agent| agent.tools.contains_key(name))
        };
        let further = described.iter().flat_map(|(agent, items)| {
            let names = items.iter().filter_map(|item| item.get("name")?.as_str());
            let unknown = names.filter(move |name| !known(agent, name));
            unknown.map(|name| Thing { agent: Arc::clone(agent), name: name.into() })
        });
        let further = further.collect();
        Self { directory, offered, further, described }
    }

    /// All of them, as clients are shown them.
    pub(super) fn list(&self) -> Vec<Tool> {
        let offered = offered(&self.directory).filter_map(|thing| {
            let tool = self.described(&thing).or_else(|| self.undescribed(&thing))?;
            Some(named(tool, self.offered.shown(&thing)))
        });
        let further = self.further.iter().filter_map(|thing| {
            let shown = match self.offered.find(&thing.name) {
                Err(others) if others.is_empty() => self.further.shown(thing),
                _ => thing.full(),
            };
            Some(named(self.described(thing)?, shown))
        });
        let mut tools: Vec<Tool> = offered.chain(further).collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools
    }

    /// Which tool is called `name`.
    ///
    /// # Errors
    /// In words, why none is.
    pub(super) fn find(&self, name: &str) -> Result<Way, String> {
        let missing = match find_offered(&self.directory, &self.offered, name) {
            Ok(thing) => return Ok(Way::Call(thing)),
            Err(missing) => missing,
        };
        match self.further.find(name) {
            Ok(thing) => Ok(Way::Ask(thing)),
            Err(others) if others.is_empty() => Err(missing),
            Err(others) => Err(format!("several agents have a tool {name:?}: call one of {}", others.join(", "))),
        }
    }

    /// The tool as its agent describes it.
    fn described(&self, thing: &Thing) -> Option<Tool> {
        item(self.described.get(&thing.agent)?, &thing.name)
    }

    /// The tool as its offer alone describes it.
    fn undescribed(&self, thing: &Thing) -> Option<Tool> {
        let agent = self.directory.agents.get(&thing.agent)?;
        let (_, tool) = agent.available().find(|(name, _)| **name == thing.name)?;
        Some(of_offer(tool))
    }
}

/// Which offered tool is called `name`, whatever agents' own servers have besides.
///
/// # Errors
/// In words, why none is.
pub(super) fn find_offered(directory: &Directory, offered: &Names, name: &str) -> Result<Thing, String> {
    let others = match offered.find(name) {
        Ok(thing) => return Ok(thing),
        Err(others) => others,
    };
    if !others.is_empty() {
        return Err(format!("several agents have a tool {name:?}: call one of {}", others.join(", ")));
    }
    // One that is withdrawn is not listed; who calls it by its full name hears why it does not work.
    let full = name.split_once('.');
    let withdrawn =
        full.filter(|(agent, tool)| directory.agents.get(*agent).is_some_and(|a| a.tools.contains_key(*tool)));
    match withdrawn {
        Some((agent, tool)) => Ok(Thing { agent: agent.into(), name: tool.into() }),
        None => Err(format!("unknown tool: {name}")),
    }
}

/// Every tool that can be called now.
pub(super) fn offered(directory: &Directory) -> impl Iterator<Item = Thing> {
    directory.agents.iter().flat_map(|(agent, entry)| {
        entry.available().map(|(name, _)| Thing { agent: Arc::clone(agent), name: Arc::clone(name) })
    })
}

/// The tool of that name among what an agent said.
fn item(items: &[Value], name: &str) -> Option<Tool> {
    let item = items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))?;
    serde_json::from_value(item.clone()).ok()
}

fn named(mut tool: Tool, name: String) -> Tool {
    tool.name = name.into();
    tool
}

fn of_offer(tool: &catalog::Tool) -> Tool {
    let anything = JsonObject::from_iter([("type".to_owned(), Value::from("object"))]);
    Tool::new(tool.function.to_string(), tool.description.clone(), anything)
}

/// What has to be known of a tool to show its results: whether it promises something else than an object.
pub(super) fn descriptor(inner: &Inner, thing: &Thing) -> ToolDescriptor {
    let mut descriptor = ToolDescriptor::new(Arc::clone(&thing.name));
    let tool = inner.shelf.last(&thing.agent, List::Tools).and_then(|items| item(&items, &thing.name));
    if let Some(schema) = tool.and_then(|tool| tool.output_schema) {
        let is_wrapped = schema.get("x-fastmcp-wrap-result") == Some(&Value::Bool(true));
        let inner = schema.get("properties").and_then(|properties| properties.get("result")?.as_object());
        descriptor.output_schema = Some(match inner {
            Some(inner) if is_wrapped => Arc::new(inner.clone()),
            _ => schema,
        });
    }
    descriptor
}

/// A call without a result, as a fault that can be shown.
pub(super) fn fault(error: CallError) -> Fault {
    let kind = match &error {
        CallError::Fault { fault, .. } => return fault.clone(),
        CallError::Unresolved { .. } | CallError::Unreachable { .. } => FaultKind::DependencyUnavailable,
        CallError::TimedOut { .. } => FaultKind::TimedOut,
        CallError::TooLarge { .. } => FaultKind::TooLarge,
        CallError::Invalid(_) | CallError::SeveralTools { .. } => FaultKind::InvalidArguments,
        CallError::NoCredentials { .. } => FaultKind::Forbidden,
        CallError::Overloaded(_) => FaultKind::Overloaded,
        CallError::MayHaveRun { .. } => FaultKind::Lost,
    };
    Fault::new(kind, error.to_string())
}
