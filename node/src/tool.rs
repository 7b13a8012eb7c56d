//! What an agent plugs into its node: tools, described and callable.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::catalog::Dependency;
use mesh_gossip::resolve::llm::ToolFilter;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::resolve::version::Version;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::call::options::CallOptions;
use crate::context::CallContext;

/// A JSON object, as schemas are.
pub type JsonObject = Map<String, Value>;

/// The tools of an agent at one moment.
pub type Tools = Arc<[Arc<ToolDescriptor>]>;

/// Whatever has tools: an agent of the SDK, an rmcp handler, a wrapped MCP server.
///
/// The node lists the tools to the mesh and to MCP clients, and runs calls through its [`crate::run::Runner`], which has
/// taken care of deadlines, duplicates, panics and spans before [`ToolHost::call`] sees anything.
#[async_trait]
pub trait ToolHost: Send + Sync + 'static {
    /// The tools, now and whenever they change.
    fn tools(&self) -> watch::Receiver<Tools>;

    /// Runs one tool. `arguments` is the text of a JSON object, unchecked. Dropping the future is how a call ends whose
    /// caller is gone; [`CallContext::cancelled`] says so beforehand to whoever wants to clean up.
    ///
    /// # Errors
    /// [`Fault`], which travels to the caller as it is.
    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault>;
}

/// One tool, as its author describes it.
#[derive(Clone, Debug)]
pub struct ToolDescriptor {
    /// The name by which it is called: 1 to 128 of `A-Za-z0-9_.-`, unique in its agent.
    pub name: Arc<str>,
    /// What it provides; `None` is called by name only.
    pub capability: Option<Arc<str>>,
    /// The version of what it provides.
    pub version: Version,
    /// Its tags.
    pub tags: Vec<Arc<str>>,
    /// A name for people.
    pub title: Option<String>,
    /// What it does, in words.
    pub description: String,
    /// The JSON Schema of its arguments: of an object.
    pub input_schema: Arc<JsonObject>,
    /// The JSON Schema of its result, if it promises one.
    pub output_schema: Option<Arc<JsonObject>>,
    /// What MCP clients are told about its manners.
    pub annotations: Annotations,
    /// What it advertises about how it wants to be called.
    pub options: CallOptions,
    /// What it depends on, in the order of its parameters.
    pub dependencies: Vec<Dependency>,
    /// The JSON Schemas that its dependencies are expected to match: the mesh needs them to compare.
    pub expected_schemas: Vec<Arc<JsonObject>>,
    /// Whether it may ask the MCP client that calls it something, so that it has to be reached by MCP's own means where
    /// there is such a client.
    pub asks_client: bool,
    /// What else consumers are told, verbatim.
    pub kwargs: BTreeMap<String, Value>,
    /// Who runs its model, when it has one, and which tools the model is shown.
    pub model: Option<ModelUse>,
}

/// How a tool uses a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelUse {
    /// Who runs it.
    pub provider: Selector,
    /// Which tools it is shown.
    pub filter: ToolFilter,
}

/// The hints of MCP's tool annotations; `None` says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// What it changes may be lost.
    pub destructive: Option<bool>,
    /// Calling it twice with the same arguments is as calling it once.
    pub idempotent: Option<bool>,
    /// It deals with a world outside of its agent.
    pub open_world: Option<bool>,
}

/// What a tool gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The text of a JSON value of any kind. To MCP clients one that is no object is shown as `{"result": value}`.
    Value(Bytes),
    /// The text of an MCP `CallToolResult`, for what a value cannot express (images, links, several contents).
    Content(Bytes),
}

/// Why a tool gave nothing back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What the caller may do.
    pub kind: FaultKind,
    /// What happened, for people.
    pub message: String,
    /// The text of a JSON value with more about it.
    pub data: Option<Bytes>,
}

/// Kinds of [`Fault`], by what the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The arguments do not fit the tool. Fix them.
    InvalidArguments,
    /// The agent has no such tool. Ask another one.
    UnknownTool,
    /// Something that the tool requires is not there. Ask another provider, or later.
    DependencyUnavailable,
    /// The tool itself failed. Repeating may help or not; only the author knows.
    Failed,
    /// The tool panicked; a defect of the agent.
    Panicked,
    /// The caller may not call it.
    Forbidden,
    /// The agent has too much to do; the call did not run. Ask another one, or later.
    Overloaded,
    /// The agent is leaving; the call did not run. Ask another one.
    Draining,
    /// The deadline passed while it ran.
    TimedOut,
    /// The caller gave up.
    Cancelled,
    /// The result is larger than can travel.
    TooLarge,
    /// What ran the tool was lost before it answered, as an MCP server behind an agent may be. The tool may have run:
    /// only what is idempotent may be called again.
    Lost,
}

impl Fault {
    /// A fault without data.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), data: None }
    }
}

impl FaultKind {
    /// Whether the tool surely did not run, so that the same call may go elsewhere.
    pub fn did_not_run(self) -> bool {
        matches!(self, Self::UnknownTool | Self::DependencyUnavailable | Self::Overloaded | Self::Draining)
    }
}

impl ToolDescriptor {
    /// A tool called `name` that takes whatever it is given and says nothing else about itself.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let anything = [("type".to_owned(), Value::from("object"))].into_iter().collect();
        Self {
            name: name.into(),
            capability: None,
            version: Version::default(),
            tags: Vec::new(),
            title: None,
            description: String::new(),
            input_schema: Arc::new(anything),
            output_schema: None,
            annotations: Annotations::default(),
            options: CallOptions::default(),
            dependencies: Vec::new(),
            expected_schemas: Vec::new(),
            asks_client: false,
            kwargs: BTreeMap::new(),
            model: None,
        }
    }

    /// Whether a call whose fate is unknown may be repeated: its author said so, or MCP's hints do.
    pub fn is_repeatable(&self) -> bool {
        let hints = self.annotations;
        self.options.idempotent.unwrap_or(hints.idempotent == Some(true) || hints.read_only == Some(true))
    }
}
