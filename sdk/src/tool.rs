//! Tools: functions that `#[mesh::tool]` has described.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use mesh_gossip::resolve::version::Version;
use mesh_gossip::schema::canonical::NotCanonical;
use mesh_node::tool::{Fault, JsonObject, ModelUse, Payload, ToolDescriptor};
use schemars::SchemaGenerator;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Argument;
use crate::host::Call;
use crate::llm::LlmDeclaration;
use crate::need::Need;
use crate::returned::{Returned, is_text};
use crate::schema;
use crate::service::Floor;
use crate::state::StateType;

/// A function that is a tool: the type beside it that carries what the mesh is told about it.
///
/// `#[mesh::tool]` makes it; [`Agent::tool`](crate::Agent::tool) takes it. The function itself stays as it was written.
pub trait Tool {
    /// What its author said about it.
    #[doc(hidden)]
    fn definition() -> Definition;
}

/// The body of a tool, with everything injected.
pub(crate) type Body = fn(Call) -> BoxFuture<'static, Result<Payload, Fault>>;

/// A tool as its author described it. Filled in by the code that `#[mesh::tool]` makes.
pub struct Definition {
    pub(crate) descriptor: ToolDescriptor,
    pub(crate) parameters: Vec<&'static str>,
    pub(crate) needs: Vec<Need>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) state: Option<StateType>,
    pub(crate) body: Body,
    pub(crate) llm: Option<LlmDeclaration>,
    schemas: SchemaGenerator,
    properties: JsonObject,
    required: Vec<Value>,
}

impl Definition {
    /// A tool that runs `body`.
    pub fn new(body: Body) -> Self {
        Self {
            descriptor: ToolDescriptor::new(""),
            parameters: Vec::new(),
            needs: Vec::new(),
            floors: Vec::new(),
            state: None,
            body,
            llm: None,
            schemas: schema::reader(),
            properties: JsonObject::new(),
            required: Vec::new(),
        }
    }

    /// The name by which it is called.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.descriptor.name = name.into();
        self
    }

    /// What it provides.
    #[must_use]
    pub fn capability(mut self, capability: &str) -> Self {
        self.descriptor.capability = Some(capability.into());
        self
    }

    /// The version of what it provides.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.descriptor.version = Version::new(version);
        self
    }

    /// A tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.descriptor.tags.push(tag.into());
        self
    }

    /// Something else that consumers are told, verbatim.
    #[must_use]
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.descriptor.kwargs.insert(name.into(), value.into());
        self
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.descriptor.title = Some(title.into());
        self
    }

    /// What it does, in words.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.descriptor.description = description.into();
        self
    }

    /// Whether calling it twice is as calling it once.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.descriptor.annotations.idempotent = Some(idempotent);
        self.descriptor.options.idempotent = Some(idempotent);
        self
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.descriptor.annotations.read_only = Some(read_only);
        self
    }

    /// Whether what it changes may be lost.
    #[must_use]
    pub fn destructive(mut self, destructive: bool) -> Self {
        self.descriptor.annotations.destructive = Some(destructive);
        self
    }

    /// Whether it deals with the world outside.
    #[must_use]
    pub fn open_world(mut self, open_world: bool) -> Self {
        self.descriptor.annotations.open_world = Some(open_world);
        self
    }

    /// It may ask whoever calls it something.
    #[must_use]
    pub fn asks_client(mut self) -> Self {
        self.descriptor.asks_client = true;
        self
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.descriptor.options.timeout = Some(timeout);
        self
    }

    /// How often a call may be repeated after a failure.
    #[must_use]
    pub fn retry_count(mut self, count: u32) -> Self {
        self.descriptor.options.retry_count = Some(count);
        self
    }

    /// Whether calls without a session key are refused.
    #[must_use]
    pub fn session_required(mut self, required: bool) -> Self {
        self.descriptor.options.session_required = Some(required);
        self
    }

    /// Whether calls without credentials are refused.
    #[must_use]
    pub fn auth_required(mut self, required: bool) -> Self {
        self.descriptor.options.auth_required = Some(required);
        self
    }

    /// A header that goes with every call.
    #[must_use]
    pub fn custom_header(mut self, name: &str, value: &str) -> Self {
        self.descriptor.options.custom_headers.insert(name.into(), value.into());
        self
    }

    /// A parameter without which it cannot be called.
    #[must_use]
    pub fn required<T: Argument>(mut self, name: &'static str, description: &str) -> Self {
        self.required.push(Value::from(name));
        self.parameter::<T>(name, description)
    }

    /// A parameter with a default.
    #[must_use]
    pub fn defaulted<T: Argument + Serialize>(self, name: &'static str, description: &str, default: fn() -> T) -> Self {
        let mut definition = self.parameter::<T>(name, description);
        if let (Some(Value::Object(schema)), Ok(default)) =
            (definition.properties.get_mut(name), serde_json::to_value(default()))
        {
            schema.insert("default".into(), default);
        }
        definition
    }

    /// A parameter that may be absent.
    #[must_use]
    pub fn optional<T: Argument>(self, name: &'static str, description: &str) -> Self {
        self.parameter::<Option<T>>(name, description)
    }

    /// What it depends on next.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// What the service view called `name` needs, next.
    #[must_use]
    pub fn service<S: crate::service::Service>(mut self, name: &'static str) -> Self {
        self.floors.push(Floor::of::<S>(name, self.needs.len()));
        self.needs.extend(S::needs());
        self
    }

    /// The model that it uses, which `provider` runs.
    #[must_use]
    pub fn llm(mut self, provider: Need, declaration: LlmDeclaration) -> Self {
        self.descriptor.model = Some(ModelUse { provider: provider.selector(), filter: declaration.filter.clone() });
        self.llm = Some(declaration);
        self.need(provider)
    }

    /// The state that it asks for.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self) -> Self {
        self.state = Some(StateType::of::<T>());
        self
    }

    /// What it returns.
    #[must_use]
    pub fn returns<T: Returned>(mut self) -> Self {
        let schema = T::schema();
        if T::streams() {
            self.descriptor.options.streaming = Some(true);
            let kind = if schema.as_ref().is_some_and(is_text) { "text" } else { "json" };
            self.descriptor.kwargs.insert("stream_type".into(), kind.into());
        }
        self.descriptor.output_schema = schema.filter(|schema| !schema.is_empty()).map(Arc::new);
        self
    }

    /// The descriptor, complete.
    pub(crate) fn finish(mut self) -> Result<Self, NotCanonical> {
        let mut schema = JsonObject::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), std::mem::take(&mut self.properties).into());
        if !self.required.is_empty() {
            schema.insert("required".into(), std::mem::take(&mut self.required).into());
        }
        schema.insert("additionalProperties".into(), false.into());
        let definitions = self.schemas.take_definitions(true);
        if !definitions.is_empty() {
            schema.insert("$defs".into(), definitions.into());
        }
        let mut schema = schemars::Schema::from(schema);
        schemars::transform::Transform::transform(&mut schema::PlainNumbers, &mut schema);
        self.descriptor.input_schema = Arc::new(schema::object(schema));
        for need in &self.needs {
            let (dependency, body) = need.declared()?;
            self.descriptor.dependencies.push(dependency);
            self.descriptor.expected_schemas.extend(body);
        }
        Ok(self)
    }

    fn parameter<T: Argument>(mut self, name: &'static str, description: &str) -> Self {
        let mut schema = schema::object(self.schemas.subschema_for::<T>());
        if !description.is_empty() {
            schema.insert("description".into(), description.into());
        }
        self.parameters.push(name);
        self.properties.insert(name.into(), schema.into());
        self
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tool {}", self.descriptor.name)
    }
}
