//! Agents: what they offer, put together and started.

mod running;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use futures::FutureExt;
use mesh_gossip::catalog::AgentType;
use mesh_node::call::neighbours::Neighbours;
use mesh_node::config::{ConfigError, NodeConfig};
use mesh_node::health::{HealthCheck, Verdict};
use mesh_node::mcp::surface::Surface;
use mesh_node::node::{Node, Plug, StartError};
use mesh_node::registry::{self, RegistryApi};
use mesh_node::run::Verifier;
use rmcp::ServerHandler;

pub use running::{RunningAgent, run, start};

use crate::error::Result;
use crate::host::{AgentHost, NotHosted};
use crate::inject::{Environment, Home};
use crate::route::{Mesh, Route, RouteDefinition};
use crate::state::AnyState;
use crate::tool::{Definition, Tool};
use crate::verifier::{Check, Credentials};

/// An agent before it runs: a name, and what it offers.
///
/// Whatever is said here can be said otherwise by the file that `MESH_CONFIG` names and by the environment
/// (`MCP_MESH_NAMESPACE`, `MCP_MESH_HTTP_PORT`, `MESH_SEEDS`, …), which has the last word.
#[must_use = "an agent does nothing until it is run"]
pub struct Agent {
    config: NodeConfig,
    tools: Vec<Definition>,
    routes: Vec<RouteDefinition>,
    router: Option<Router>,
    surface: Option<Surface>,
    state: Option<AnyState>,
    second_state: Option<&'static str>,
    health: Option<HealthCheck>,
    startup: Option<HealthCheck>,
    environment: Environment,
    verifier: Option<Arc<dyn Verifier>>,
    registry: Option<RegistryApi>,
}

/// Why an agent did not start. Nothing was left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Its tools or routes cannot be hosted.
    #[error(transparent)]
    Hosted(#[from] NotHosted),
    /// It was given two states.
    #[error("the agent has a state already, and was given a `{0}` as well; put both into one struct")]
    TwoStates(&'static str),
    /// What it was told is of no use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its node did not start.
    #[error(transparent)]
    Node(#[from] StartError),
}

/// What a health check may say: a [`Verdict`], `true` and `false`, or a `Result` whose error is a reason to be degraded.
pub trait IntoVerdict {
    /// What it means.
    fn into_verdict(self) -> Verdict;
}

impl Agent {
    /// An agent called `name`: letters, digits, `-` and `_`, at most 63. Replicas have the same name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            config: NodeConfig::new(name),
            tools: Vec::new(),
            routes: Vec::new(),
            router: None,
            surface: None,
            state: None,
            second_state: None,
            health: None,
            startup: None,
            environment: |_| None,
            verifier: None,
            registry: None,
        }
    }

    /// Its own version; default `1.0.0`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.config.version = version.into();
        self
    }

    /// What it is for, in words.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.config.description = description.into();
        self
    }

    /// The namespace in which it offers and looks; default `default`. Others do not see it, nor it them.
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.config.namespace = namespace.into();
        self
    }

    /// Something else that it says about itself.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.labels.insert(name.into(), value.into());
        self
    }

    /// Anything else that a node can be told.
    pub fn configure(mut self, change: impl FnOnce(&mut NodeConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// A tool that it offers: `.tool::<greet>()`.
    pub fn tool<T: Tool>(mut self) -> Self {
        self.tools.push(T::definition());
        self
    }

    /// A tool that no function stands for: one whose name or tags are known only when the program runs. Crates that make
    /// agents, as providers of models do, describe it by hand.
    pub fn define(mut self, tool: Definition) -> Self {
        self.tools.push(tool);
        self
    }

    /// A route that it serves: `.route::<plan>()`. An agent with routes and no tools is of type `api`.
    pub fn route<R: Route>(mut self) -> Self {
        self.routes.push(R::definition());
        self
    }

    /// The author's own router: it answers what neither the node nor a route does.
    pub fn router(mut self, router: Router) -> Self {
        self.router = Some(router);
        self
    }

    /// The author's own rmcp handler: its prompts, resources, completion, tasks and tools are served beside these tools.
    pub fn mcp<H: ServerHandler>(mut self, handler: H) -> Self {
        self.surface = Some(Surface::of(handler));
        self
    }

    /// Has its node serve the registry API too, as seeds do, through which agents of the existing system join; unless
    /// `MESH_REGISTRY=false` says otherwise. Programs without it are the smaller for it.
    pub fn registry(mut self) -> Self {
        self.registry = Some(registry::api());
        self.config.registry.enabled.get_or_insert(true);
        self
    }

    /// What its tools and routes share: each that asks for a [`State<T>`](crate::State) is given it.
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        if self.state.is_some() {
            self.second_state = Some(std::any::type_name::<T>());
        }
        self.state = Some(AnyState::new(state));
        self
    }

    /// Says whether it works, about twice a second: `async fn check() -> bool`, or anything else that is [`IntoVerdict`].
    /// While it does not, its tools are out of resolution everywhere.
    pub fn health_check<F, R>(mut self, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output: IntoVerdict> + Send + 'static,
    {
        self.health = Some(verdict_of(check));
        self
    }

    /// Says whether it has started: what `/startupz` answers.
    pub fn startup_check<F, R>(mut self, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output: IntoVerdict> + Send + 'static,
    {
        self.startup = Some(verdict_of(check));
        self
    }

    /// Checks who calls tools that demand it (`#[mesh::tool(auth_required)]`), before anything of them runs; an agent with
    /// such a tool does not start without. What it refuses fails as forbidden, for the reason that its error gives. It may
    /// take as long as the call, and is dropped with it.
    ///
    /// Callers show who they are in the header `authorization`: MCP clients by sending it, agents by
    /// [`Dep::header`](crate::Dep::header), or by handing on what they were shown themselves. It reaches no other tools.
    ///
    /// ```
    /// use mesh::prelude::*;
    /// use mesh::Credentials;
    ///
    /// #[mesh::tool(capability = "payments", auth_required)]
    /// async fn pay(amount: u64) -> String {
    ///     format!("paid {amount}")
    /// }
    ///
    /// async fn check(shown: Credentials) -> Result {
    ///     match shown.bearer() {
    ///         Some("s3cret") => Ok(()),
    ///         _ => Err(Error::forbidden("send a token that was given to you")),
    ///     }
    /// }
    ///
    /// let agent = Agent::new("bank").tool::<pay>().verifier(check);
    /// ```
    pub fn verifier<F, R>(mut self, check: F) -> Self
    where
        F: Fn(Credentials) -> R + Send + Sync + 'static,
        R: Future<Output = Result> + Send + 'static,
    {
        self.verifier = Some(Arc::new(Check(move |shown| check(shown).boxed())));
        self
    }

    /// Runs it until the process is told to end (SIGTERM, Ctrl-C), then lets it leave in order. Dropping the future stops
    /// it at once.
    ///
    /// # Errors
    /// [`AgentError`] when it does not start.
    pub async fn run(self) -> Result {
        run([self]).await
    }

    /// Starts it, and returns once it serves and has a view of the mesh.
    ///
    /// # Errors
    /// [`AgentError`]. Nothing runs then.
    pub async fn start(self) -> Result<RunningAgent, AgentError> {
        let mut agents = start([self]).await?;
        Ok(agents.pop().expect("as many run as were started"))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Starts its node with what the file and the environment say, among `neighbours`.
    pub(crate) async fn launch(mut self, neighbours: Neighbours) -> Result<RunningAgent, AgentError> {
        let told = std::mem::replace(&mut self.config, NodeConfig::new(""));
        self.config = told.load()?;
        self.environment = |name| std::env::var(name).ok();
        self.launch_as_told(neighbours).await
    }

    /// Starts its node as it is configured, whatever the environment says.
    pub(crate) async fn launch_as_told(mut self, neighbours: Neighbours) -> Result<RunningAgent, AgentError> {
        if let Some(second) = self.second_state {
            return Err(AgentError::TwoStates(second));
        }
        if self.tools.is_empty() && !self.routes.is_empty() {
            self.config.agent_type = AgentType::Api;
        }
        let config = self.config;
        let home = Home::new(&config, self.state, self.environment);
        let mesh = Mesh::default();
        let mut router = Router::new();
        let mut routes = Vec::new();
        for route in self.routes {
            routes.push(Arc::new(route.told()?));
            router = route.mount(router, &home, &mesh)?;
        }
        let router = match self.router {
            Some(fallback) => Some(router.fallback_service(fallback)),
            None => (!routes.is_empty()).then_some(router),
        };
        let host = Arc::new(AgentHost::new(self.tools, home.clone())?);
        let plug = Plug {
            surface: self.surface,
            router,
            routes: routes.into(),
            health: self.health,
            startup: self.startup,
            verifier: self.verifier,
            neighbours,
            registry: self.registry,
            ..Plug::new(host)
        };
        let node = Node::start(config, plug).await?;
        // Nobody else sets it.
        let _ = mesh.set(node.caller().clone());
        Ok(RunningAgent::new(node, home))
    }
}

fn verdict_of<F, R>(check: F) -> HealthCheck
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output: IntoVerdict> + Send + 'static,
{
    HealthCheck::new(move || {
        let check = check();
        async move { check.await.into_verdict() }
    })
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Verdict {
        self
    }
}

impl IntoVerdict for bool {
    fn into_verdict(self) -> Verdict {
        if self { Verdict::Healthy } else { Verdict::Unhealthy("its health check says no".into()) }
    }
}

impl<T: IntoVerdict, E: fmt::Display> IntoVerdict for std::result::Result<T, E> {
    fn into_verdict(self) -> Verdict {
        self.map_or_else(|why| Verdict::Degraded(why.to_string()), T::into_verdict)
    }
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Verdict {
        Verdict::Healthy
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {} with {} tools and {} routes", self.name(), self.tools.len(), self.routes.len())
    }
}
