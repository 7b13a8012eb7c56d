//! The tools of one agent, as its node runs them: arguments checked, dependencies looked up, then the body.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use mesh_node::context::CallContext;
use mesh_node::tool::{Fault, FaultKind, Payload, ToolDescriptor, ToolHost, Tools};
use tokio::sync::watch;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::inject::{Home, Slots};
use crate::llm::{BadLlm, Llm, LlmSettings, Parts};
use crate::need::Bound;
use crate::returned::Returned;
use crate::service::Floor;
use crate::tool::{Body, Definition};

/// Why an agent's tools cannot be hosted. Its author has to change them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotHosted {
    /// Two tools have one name.
    #[error("two tools are called `{0}`; give one of them another `name`")]
    NameTaken(Arc<str>),
    /// A tool or route asks for a state that the agent does not have.
    #[error("`{who}` asks for `State<{wanted}>`, but the agent's state is {found}; give it to `Agent::state`")]
    NoState {
        /// The tool or route.
        who: String,
        /// What it asks for.
        wanted: &'static str,
        /// What there is.
        found: String,
    },
    /// A type that a dependency expects cannot be published as a schema.
    #[error("`{who}`: the type that a dependency expects cannot be published: {why}")]
    Schema {
        /// The tool or route.
        who: String,
        /// Why not.
        why: String,
    },
    /// A tool cannot use a model as it was told to.
    #[error(transparent)]
    Llm(#[from] BadLlm),
}

/// The tools of one agent.
pub(crate) struct AgentHost {
    home: Home,
    tools: watch::Sender<Tools>,
    hosted: BTreeMap<Arc<str>, Hosted>,
}

struct Hosted {
    parameters: Arc<[&'static str]>,
    needs: Arc<[Bound]>,
    floors: Vec<Floor>,
    body: Body,
    llm: Option<Arc<LlmSettings>>,
}

/// One call with everything that is injected into the body.
pub struct Call {
    tool: Arc<str>,
    parameters: Arc<[&'static str]>,
    arguments: Bytes,
    context: CallContext,
    slots: Slots,
    llm: Option<Arc<LlmSettings>>,
}

impl AgentHost {
    pub(crate) fn new(definitions: Vec<Definition>, home: Home) -> Result<Self, NotHosted> {
        let mut hosted = BTreeMap::new();
        let mut tools = Vec::new();
        for definition in definitions {
            let name = definition.descriptor.name.clone();
            let definition =
                definition.finish().map_err(|why| NotHosted::Schema { who: name.to_string(), why: why.to_string() })?;
            home.check_state(&name, definition.state)?;
            let needs = home.bind(&name, &definition.needs)?;
            let Definition { parameters, floors, body, descriptor, llm, .. } = definition;
            let llm = llm.map(|llm| llm.finish(&name, &descriptor.input_schema, &home.environment)).transpose()?;
            let hosts = Hosted { parameters: parameters.into(), needs, floors, body, llm: llm.map(Arc::new) };
            if hosted.insert(name.clone(), hosts).is_some() {
                return Err(NotHosted::NameTaken(name));
            }
            tools.push(Arc::new(descriptor));
        }
        Ok(Self { home, tools: watch::Sender::new(tools.into()), hosted })
    }
}

#[async_trait]
impl ToolHost for AgentHost {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.tools.subscribe()
    }

    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        let Some(hosted) = self.hosted.get(&tool.name) else {
            return Err(Fault::new(FaultKind::UnknownTool, format!("there is no tool `{}`", tool.name)));
        };
        let slots = Slots {
            needs: hosted.needs.clone(),
            caller: context.mesh.clone(),
            scope: context.scope.clone(),
            home: self.home.clone(),
        };
        slots.check(&hosted.floors)?;
        let (parameters, llm) = (hosted.parameters.clone(), hosted.llm.clone());
        let call = Call { tool: tool.name.clone(), parameters, arguments, context, slots, llm };
        (hosted.body)(call).await
    }
}

impl Call {
    /// What `read` makes of the arguments.
    ///
    /// # Errors
    /// A [`Fault`] when they do not fit.
    pub fn arguments<T>(&self, read: impl FnOnce(&Arguments<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        read(&Arguments::split(&self.tool, &self.parameters, &self.arguments)?)
    }

    /// The model whose provider is the dependency at `place`.
    pub fn llm<T>(&self, place: usize) -> Llm<T> {
        let settings = self.llm.clone().expect("whoever is given a model has declared how it is used");
        Llm::new(Parts {
            agent: self.slots.home.agent.clone(),
            tool: self.tool.clone(),
            settings,
            descriptions: self.slots.home.descriptions.clone(),
            bound: self.slots.needs[place].clone(),
            resolver: self.slots.home.resolver.clone(),
            caller: self.slots.caller.clone(),
            scope: self.slots.scope.clone(),
            arguments: self.arguments.clone(),
        })
    }

    /// The same, if anybody provides it now.
    pub fn optional_llm<T>(&self, place: usize) -> Option<Llm<T>> {
        self.slots.has(place).then(|| self.llm(place))
    }

    /// The dependencies and the state.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the body may know about its call.
    pub fn context(&self) -> Context {
        Context::new(self.tool.clone(), self.context.clone(), self.slots.home.clone())
    }

    /// The result of the body as it travels.
    ///
    /// # Errors
    /// A [`Fault`] when it cannot.
    pub fn finish<T: Returned>(self, result: T) -> BoxFuture<'static, Result<Payload, Fault>> {
        result.payload(self.context.outlet)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call of {}", self.tool)
    }
}
