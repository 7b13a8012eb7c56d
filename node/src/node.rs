//! A running agent, assembled: from a checked configuration to parts, in the order in which they need each other.

mod gossiping;
mod life;
mod parts;
mod publish;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use mesh_gossip::Gossip;
use mesh_gossip::catalog::{AgentId, NotAnAgentId};
use mesh_gossip::gossip::SpawnError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::life::{Phase, interrupted};
use crate::call::Caller;
use crate::call::neighbours::Neighbours;
use crate::call::quic::serve::Server;
use crate::config::{ConfigError, NodeConfig};
use crate::health::{HealthCheck, Verdict};
use crate::http::listener::{BoundedListener, ListenError};
use crate::http::{self, probes::Probes};
use crate::mcp::{Endpoint, Surface};
use crate::offers::NotOffered;
use crate::registry::RegistryApi;
use crate::run::{Runner, Verifier};
use crate::runtime_file::{RuntimeFile, process_started};
use crate::tls::{Door, Tls, TlsError};
use crate::tool::{ToolHost, Tools};
use crate::trace::Ring;

/// What an agent plugs into its node.
pub struct Plug {
    /// Its tools.
    pub host: Arc<dyn ToolHost>,
    /// What its author's own rmcp handler adds to them, if there is one.
    pub surface: Option<Surface>,
    /// Its own HTTP routes: they answer whatever the node does not.
    pub router: Option<Router>,
    /// What the mesh is told of these routes: consumers with dependencies, named `METHOD:/path`, that nobody calls.
    pub routes: Tools,
    /// Says again and again whether it works.
    pub health: Option<HealthCheck>,
    /// Says whether it has started.
    pub startup: Option<HealthCheck>,
    /// Checks the credentials of calls to tools that require some.
    pub verifier: Option<Arc<dyn Verifier>>,
    /// The other nodes of this process.
    pub neighbours: Neighbours,
    /// What serves the registry API, on nodes that are told to.
    pub registry: Option<RegistryApi>,
}

impl Plug {
    /// Tools and nothing else.
    pub fn new(host: Arc<dyn ToolHost>) -> Self {
        Self {
            host,
            surface: None,
            router: None,
            routes: Tools::from([]),
            health: None,
            startup: None,
            verifier: None,
            neighbours: Neighbours::default(),
            registry: None,
        }
    }
}

/// A running node. Dropping it stops it at once and without a goodbye, as a crash would; [`Node::stop`] stops in order.
pub struct Node {
    config: Arc<NodeConfig>,
    gossip: Arc<Gossip>,
    caller: Caller,
    runner: Runner,
    server: Server,
    phase: watch::Sender<Phase>,
    agent: watch::Receiver<AgentId>,
    withdraw: CancellationToken,
    http: Option<Http>,
    file: Option<(PathBuf, RuntimeFile)>,
    /// Dropped last, it ends them all.
    tasks: Tasks,
}

/// The HTTP side of a running node.
struct Http {
    /// Where others reach it.
    url: String,
    /// Where this machine reaches it.
    local: SocketAddr,
    /// Takes no more connections, and ends each after its request.
    close: CancellationToken,
    /// Fires when the last connection has ended.
    closed: CancellationToken,
    /// Their MCP sessions would last as long as their clients like.
    endpoints: Vec<Endpoint>,
}

/// Every task of a node; dropped, it ends them.
struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

/// Why a node did not start. Nothing was left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is of no use.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Gossip did not start.
    #[error(transparent)]
    Gossip(#[from] SpawnError),
    /// HTTP could not listen.
    #[error(transparent)]
    Http(#[from] ListenError),
    /// TLS was asked for and cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The agent's tools cannot be offered.
    #[error(transparent)]
    Offers(#[from] NotOffered),
    /// A tool demands credentials that nobody here can check.
    #[error("the tool {0:?} demands credentials (auth_required): give its agent a verifier, which checks them")]
    NoVerifier(Arc<str>),
    /// The agent's name makes no id.
    #[error("the agent's name makes no id: {0}")]
    Id(#[from] NotAnAgentId),
    /// It is told to serve the registry API, and its program has none.
    #[error(
        "this program holds no registry API to serve (MESH_REGISTRY, `[registry] enabled`): make the agent with \
         `Agent::registry()` (a node with `Plug::registry`), or let a seed serve it: `meshctl seed`"
    )]
    NoRegistry,
    /// The registry has nowhere to keep its events.
    #[error(transparent)]
    Store(#[from] crate::registry::StoreError),
    /// Somebody else in this process has what the node needs.
    #[error("calls cannot be served: {0}")]
    Calls(#[from] mesh_gossip::gossip::RegisterError),
}

/// How long the withdrawal of our offers may take to reach everybody before calls are refused.
const WITHDRAWAL: Duration = Duration::from_millis(300);

/// The part of a stop that is kept for saying goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

impl Node {
    /// Starts a node on the current tokio runtime: takes an identity, opens the sockets, offers the agent's tools. It
    /// serves when this returns, and is [`Phase::Ready`] once it has a view of the mesh; see [`Node::ready`]. Dropping the
    /// future starts nothing.
    ///
    /// # Errors
    /// [`StartError`] says what to change. Nothing runs then.
    pub async fn start(config: NodeConfig, mut plug: Plug) -> Result<Self, StartError> {
        crate::metrics::install();
        // Fails where the program has chosen its cryptography already; that choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.check()?;
        if config.serves_registry() && plug.registry.is_none() {
            return Err(StartError::NoRegistry);
        }
        let tasks = Tasks::new();
        let listener = match config.http.enabled {
            true => Some(BoundedListener::bind(&config.http, tasks.end.clone()).await?),
            false => None,
        };
        let gossip = Arc::new(Gossip::spawn(gossiping::config(&config)).await?);
        let config = Arc::new(config);
        tasks.spawn(crate::metrics::keep_small());
        let phase = watch::Sender::new(Phase::Joining);
        let (agent, agents) = watch::channel(publish::agent_id(&config, &gossip.me())?);
        let withdraw = CancellationToken::new();
        let verdict = follow_health(plug.health.clone(), &config, &tasks).await;
        let place = listener.as_ref().map(|at| http::authority(at.address(), config.http.host.as_deref()));
        let Tls { door, clients, files } = parts::tls(&config, place.clone()).await?;
        let url = place.map(|place| format!("{}://{place}", http::scheme(config.tls.mode)));
        tasks.spawn(files.follow());

        if let Some(tool) = plug.host.tools().borrow().iter().find(|tool| tool.options.auth_required == Some(true))
            && plug.verifier.is_none()
        {
            return Err(StartError::NoVerifier(Arc::clone(&tool.name)));
        }
        let own = Arc::clone(&plug.host);
        if let Some(surface) = &plug.surface {
            plug.host = surface.join(&config.name, Arc::clone(&own)).await;
        }
        let ring = Ring::default();
        ring.belongs_to(agents.borrow().as_str());
        tasks.spawn(ring.clone().follow(agents.clone()));
        let publisher = publish::Publisher {
            config: Arc::clone(&config),
            gossip: Arc::clone(&gossip),
            http_url: url.clone(),
            host: Arc::clone(&plug.host),
            routes: plug.routes.clone(),
            verdict: verdict.clone(),
            agent,
            withdraw: withdraw.clone(),
            told: Default::default(),
        };
        publisher.check()?;

        let parts::Calling { caller, runner, server } = parts::calling(&config, &gossip, &ring, clients, &plug).await?;
        let endpoint = parts::endpoint(&config, &runner, &*own, plug.surface.as_ref());
        tasks.spawn(parts::relayed(&gossip, endpoint.clone()).await?);
        // Calls are taken by now, so nobody is told of tools that cannot be called yet.
        tasks.spawn(publisher.run());
        let gateway = parts::gateway(&config, &caller, &endpoint, &tasks);
        let (admin, search, answers) =
            parts::administration(&config, &caller, &plug.host, agents.clone(), url.clone()).await?;
        tasks.spawn(answers);
        let registry = parts::registry(&config, plug.registry, &caller, &verdict, search, &tasks).await?;
        if let Some(registry) = &registry {
            parts::admin_port(&config, registry, door.clone(), &tasks).await?;
        }
        let http = listener.zip(url).map(|(listener, url)| {
            let phase = phase.subscribe();
            let (name, startup) = (config.name.as_str().into(), plug.startup.clone());
            let probes = Probes { name, phase, verdict, gossip: Arc::clone(&gossip), startup };
            let rules = parts::access(&config, &url, &config.http.access);
            let mcp = parts::mcp(&rules, &caller, &endpoint, gateway.as_ref());
            let registry = registry.map(|registry| parts::registry_routes(registry, &config, &url, &rules));
            let (author, tls) = (plug.router.clone(), door.as_ref().map(|door| door.mode()));
            let router = http::router(http::Parts { probes, mcp, admin, registry, author, tls });
            let endpoints = std::iter::once(endpoint).chain(gateway).collect();
            Http::serve(listener, door, url, router, endpoints, &tasks)
        });
        tasks.spawn(become_ready(Arc::clone(&gossip), phase.clone(), gossiping::is_alone_fine(&config)));
        let mut node =
            Self { config, gossip, caller, runner, server, phase, agent: agents, withdraw, http, file: None, tasks };
        node.file = node.write_file();
        node.tasks.spawn(gossiping::look_around(Arc::clone(&node.gossip), Arc::clone(&node.config)));
        Ok(node)
    }

    /// The agent's id. It changes when another process turns out to have our key.
    pub fn agent_id(&self) -> AgentId {
        self.agent.borrow().clone()
    }

    /// What it was told when it started.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// The gossip beneath.
    pub fn gossip(&self) -> &Arc<Gossip> {
        &self.gossip
    }

    /// The way to all tools of the mesh.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What runs the agent's own tools.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Where others reach its HTTP, as `http://host:port`, or `https` over TLS; `None` when it serves none.
    pub fn http_url(&self) -> Option<&str> {
        self.http.as_ref().map(|http| http.url.as_str())
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until it has a view of the mesh, so that what is absent from it is absent from the mesh. Dropping the future
    /// changes nothing.
    pub async fn ready(&self) {
        life::reached(&mut self.phase.subscribe(), Phase::Ready).await;
    }

    /// Stops in order, within the configured bound: the offers are withdrawn, calls that are under way are finished while
    /// new ones go elsewhere, the mesh is told goodbye. Dropping the future stops at once.
    pub async fn stop(mut self) {
        let deadline = Instant::now() + self.config.drain;
        self.phase.send_replace(Phase::Draining);
        self.withdraw.cancel();
        tokio::time::sleep(WITHDRAWAL.min(self.config.drain / 4)).await;
        // Clients of MCP sessions hear that the server closes; what they have under way is finished.
        let patience = deadline.saturating_duration_since(Instant::now() + GOODBYE);
        let (_, running) = tokio::join!(self.server.drain(patience), self.runner.drain(Instant::now() + patience));
        if running > 0 {
            tracing::warn!(running, "calls were cut short: they did not end within the time for a stop");
        }
        if let Some(http) = &self.http {
            http.endpoints.iter().for_each(Endpoint::close);
            http.close.cancel();
            // What is being answered by then is answered, within the bound.
            if timeout_at(deadline, http.closed.cancelled()).await.is_err() {
                tracing::warn!("HTTP answers were cut short: they did not end within the time for a stop");
            }
        }
        if let Some((home, file)) = self.file.take() {
            file.remove(&home);
        }
        // The rest of the mesh finds out by itself when this fails.
        let _ = timeout_at(deadline.max(Instant::now() + GOODBYE), self.gossip.leave()).await;
        self.phase.send_replace(Phase::Stopped);
    }

    /// Tells this machine that the node runs. Without a home there is nobody to tell.
    fn write_file(&self) -> Option<(PathBuf, RuntimeFile)> {
        let home = self.config.mesh.home.clone()?;
        let pid = std::process::id();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let file = RuntimeFile {
            agent_id: self.agent_id().as_str().to_owned(),
            name: self.config.name.clone(),
            role: self.config.role.word().to_owned(),
            pid,
            pid_started: process_started(pid).unwrap_or_default(),
            http_url: self.http.as_ref().map(|http| format!("{}://{}", http::scheme(self.config.tls.mode), http.local)),
            gossip: *self.gossip.local_addresses().first()?,
            mesh: self.config.mesh.name.clone(),
            started: now.as_secs(),
        };
        match file.write(&home) {
            Ok(()) => Some((home, file)),
            Err(why) => {
                tracing::warn!(%why, home = %home.display(), "meshctl will not find this node by itself");
                None
            }
        }
    }
}

/// Keeps asking the author's check; without one the agent is healthy as long as it runs. What the check says at the start
/// is known before anybody is told of the agent.
async fn follow_health(check: Option<HealthCheck>, config: &NodeConfig, tasks: &Tasks) -> watch::Receiver<Verdict> {
    let (told, verdict) = watch::channel(Verdict::Healthy);
    match check {
        Some(check) => {
            told.send_replace(check.run().await);
            tasks.spawn(check.follow(config.health_interval, told));
        }
        None => tasks.spawn(async move { told.closed().await }),
    }
    verdict
}

async fn become_ready(gossip: Arc<Gossip>, phase: watch::Sender<Phase>, is_alone_fine: bool) {
    life::first_view(&gossip, is_alone_fine).await;
    phase.send_if_modified(|now| {
        let joins = *now == Phase::Joining;
        if joins {
            *now = Phase::Ready;
        }
        joins
    });
}

impl Http {
    fn serve(
        listener: BoundedListener,
        door: Option<Arc<Door>>,
        url: String,
        router: Router,
        endpoints: Vec<Endpoint>,
        tasks: &Tasks,
    ) -> Self {
        let local = http::nearby(listener.address());
        let close = CancellationToken::new();
        let closed = CancellationToken::new();
        let over = closed.clone().drop_guard();
        let served = http::serve::serve(listener, door, router, close.clone());
        tasks.spawn(async move {
            let _over = over;
            served.await;
        });
        Self { url, local, close, closed, endpoints }
    }
}

impl Tasks {
    fn new() -> Self {
        Self { tracker: TaskTracker::new(), end: CancellationToken::new() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = end.cancelled() => {}
            }
        });
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node of {} ({})", self.agent_id().as_str(), self.phase().word())
    }
}
