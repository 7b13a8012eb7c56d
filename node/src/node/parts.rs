//! The parts of a node that call and are called, put together in the order in which they need each other.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::routing::MethodRouter;
use axum::{Router, middleware};
use http::{Request, Response};
use mesh_gossip::catalog::AgentId;
use mesh_gossip::{Gossip, MemberId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Plug, StartError, Tasks};
use crate::admin::spans::SpanSearch;
use crate::admin::{self, About, AdminState, Observer};
use crate::call::exchange;
use crate::call::question::{Desk, Questions};
use crate::call::quic::serve::{ServeLimits, Server, serve};
use crate::call::{CallSettings, Caller};
use crate::config::{Access, HttpConfig, NodeConfig, PortTaken};
use crate::health::Verdict;
use crate::http::listener::BoundedListener;
use crate::mcp::access::{AccessRules, guard};
use crate::mcp::{Endpoint, Gateway, Own, Relay, Surface};
use crate::open_files;
use crate::propagation::Propagation;
use crate::registry::{Beside, RegistryApi, Served};
use crate::run::{RunSettings, Runner};
use crate::tls::{Clients, Door, Tls};
use crate::tool::ToolHost;
use crate::trace::Ring;

/// How long connecting to an agent that speaks HTTP only may take.
const CONNECT: Duration = Duration::from_millis(500);

/// How many exchanges wait to be answered.
const EXCHANGES_WAITING: usize = 256;

/// What calls and is called.
pub(super) struct Calling {
    pub(super) caller: Caller,
    pub(super) runner: Runner,
    pub(super) server: Server,
}

/// TLS as the configuration has it, for a node that others reach at `place`.
///
/// # Errors
/// [`StartError::Tls`] names the file that is of no use.
pub(super) async fn tls(config: &Arc<NodeConfig>, place: Option<String>) -> Result<Tls, StartError> {
    let config = Arc::clone(config);
    let prepared = tokio::task::spawn_blocking(move || {
        let host = place.as_deref().and_then(|place| place.rsplit_once(':')).map(|(host, _)| host);
        Tls::prepare(&config, host)
    });
    Ok(prepared.await.expect("reading files does not panic, and is not cancelled")?)
}

/// The way to others, the runner of our tools, and the server of calls that other nodes bring.
pub(super) async fn calling(
    config: &NodeConfig,
    gossip: &Arc<Gossip>,
    ring: &Ring,
    clients: Clients,
    plug: &Plug,
) -> Result<Calling, StartError> {
    let settings = CallSettings {
        namespace: Arc::clone(&config.namespace),
        timeout: config.calls.timeout,
        settle: config.calls.settle,
        propagate: propagation(config),
        clients,
        ..CallSettings::default()
    };
    let caller = Caller::new(Arc::clone(gossip), settings, ring.clone(), plug.neighbours.clone());
    let settings = RunSettings {
        most: config.calls.max_running,
        timeout: config.calls.timeout,
        propagate: propagation(config),
        verifier: plug.verifier.clone(),
    };
    let runner = Runner::new(Arc::clone(&plug.host), caller.clone(), settings);
    plug.neighbours.join(gossip, &runner);
    let limits = ServeLimits { calls: config.calls.max_running, ..ServeLimits::default() };
    let server = serve(gossip, Arc::new(runner.clone()), limits).await?;
    Ok(Calling { caller, runner, server })
}

/// The agent's MCP server.
/// Clients are shown the tools of `host` and whatever else the author's handler serves itself.
pub(super) fn endpoint(
    config: &NodeConfig,
    runner: &Runner,
    host: &dyn ToolHost,
    surface: Option<&Surface>,
) -> Endpoint {
    let calls = Arc::new(runner.clone());
    let (name, version, description) = (config.name.as_str(), config.version.as_str(), config.description.as_str());
    let own = Own::new(name, version, description, host, calls, propagation(config));
    surface.cloned().unwrap_or_default().endpoint(own)
}

/// What this node's MCP server says to other nodes. Members may do whatever this agent's clients may.
struct Relayed(Endpoint);

#[async_trait]
impl exchange::Answer for Relayed {
    async fn answer(&self, _: MemberId, request: Request<Body>) -> Response<Body> {
        self.0.serve(request).await
    }
}

/// Answers other nodes that pass MCP requests on to this one.
///
/// # Errors
/// [`StartError::Calls`] when somebody does already.
pub(super) async fn relayed(
    gossip: &Gossip,
    endpoint: Endpoint,
) -> Result<impl Future<Output = ()> + Send + use<>, StartError> {
    let streams = gossip.register(exchange::KIND, EXCHANGES_WAITING).await?;
    Ok(exchange::serve(Arc::new(Relayed(endpoint)), streams))
}

/// The whole mesh as one MCP server, where that is wanted.
pub(super) fn gateway(config: &NodeConfig, caller: &Caller, own: &Endpoint, tasks: &Tasks) -> Option<Endpoint> {
    if !config.http.is_gateway(config.role) {
        return None;
    }
    let gateway = Gateway::new(caller.clone(), Arc::new(Relayed(own.clone())), propagation(config));
    tasks.spawn(gateway.clone().watch());
    Some(Endpoint::new(move || gateway.session(), None))
}

/// What other nodes may ask, what meshctl asks, and where spans are asked for. The future answers other nodes.
pub(super) async fn administration(
    config: &NodeConfig,
    caller: &Caller,
    host: &Arc<dyn ToolHost>,
    agent: watch::Receiver<AgentId>,
    url: Option<String>,
) -> Result<(Router, SpanSearch, impl Future<Output = ()> + Send + use<>), StartError> {
    let (gossip, caller) = (Arc::clone(caller.gossip()), caller.clone());
    let observer = Observer::new(&gossip);
    let desk = observer.answer_at(Desk::default(), Arc::clone(host), &caller);
    let questions = Questions::new(Arc::clone(&gossip), desk);
    let answers = questions.serve().await?;
    let about = About {
        agent,
        name: config.name.clone(),
        role: config.role.word().to_owned(),
        mesh: config.mesh.name.clone(),
        url,
    };
    let search = SpanSearch::new(Arc::clone(&gossip), questions.clone());
    let router = admin::router(AdminState { gossip, caller, questions, observer, about });
    Ok((router, search, answers))
}

/// The rules on who may call, when those beyond loopback may do what `access` says.
pub(super) fn access(config: &NodeConfig, url: &str, access: &Access) -> Arc<AccessRules> {
    let advertised = url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    let names = advertised.iter().map(|name| name.trim_start_matches('[').trim_end_matches(']'));
    let origins = config.http.allowed_origins.iter().map(String::as_str);
    Arc::new(AccessRules::new(access, names, origins))
}

/// Everything MCP, behind the rules on who may call: the agent's own server, and where that is wanted the whole mesh, and
/// any agent of it.
pub(super) fn mcp(rules: &Arc<AccessRules>, caller: &Caller, own: &Endpoint, gateway: Option<&Endpoint>) -> Router {
    let mut router = own.at("/mcp");
    if let Some(gateway) = gateway {
        let any_agent = Relay::new(Arc::clone(caller.gossip()), own.clone(), http_client(&caller.settings().clients));
        router = router.merge(gateway.at("/mesh/mcp")).merge(any_agent.router());
    }
    router.layer(middleware::from_fn_with_state(Arc::clone(rules), guard))
}

/// The registry, where the node is told to serve it.
///
/// # Errors
/// [`StartError::NoRegistry`]; those of opening it.
pub(super) async fn registry(
    config: &Arc<NodeConfig>,
    api: Option<RegistryApi>,
    caller: &Caller,
    verdict: &watch::Receiver<Verdict>,
    search: SpanSearch,
    tasks: &Tasks,
) -> Result<Option<Served>, StartError> {
    if !config.serves_registry() {
        return Ok(None);
    }
    open_files::allow_most();
    let beside = Beside { config: Arc::clone(config), caller: caller.clone(), verdict: verdict.clone(), search };
    let mut served = api.ok_or(StartError::NoRegistry)?.open(beside).await?;
    tasks.spawn(std::mem::replace(&mut served.work, Box::pin(std::future::ready(()))));
    Ok(Some(served))
}

/// Its routes under the same rules as MCP, and what is said where nobody answers. The administration is for this machine
/// only, unless it has a port of its own.
pub(super) fn registry_routes(
    served: Served,
    config: &NodeConfig,
    url: &str,
    rules: &Arc<AccessRules>,
) -> (Router, MethodRouter) {
    let routes = served.routes.layer(middleware::from_fn_with_state(Arc::clone(rules), guard));
    if config.registry.admin_port.is_some() {
        return (routes, served.otherwise);
    }
    let near = Arc::new(AccessRules::clone(&access(config, url, &Access::Loopback)).without_certificates());
    let administration = served.administration.layer(middleware::from_fn_with_state(near, guard));
    (routes.merge(administration), served.otherwise)
}

/// Serves the administration of the registry on a port of its own, where that is wanted: to whoever reaches it.
///
/// # Errors
/// [`StartError::Http`] when the port is taken.
pub(super) async fn admin_port(
    config: &NodeConfig,
    served: &Served,
    door: Option<Arc<Door>>,
    tasks: &Tasks,
) -> Result<(), StartError> {
    let Some(port) = config.registry.admin_port else { return Ok(()) };
    let listen = SocketAddr::new(config.http.listen.ip(), port);
    let at = HttpConfig { listen, port_taken: PortTaken::Refuse, ..config.http.clone() };
    let listener = BoundedListener::bind(&at, tasks.end.clone()).await?;
    let router = served.administration.clone().fallback_service(served.otherwise.clone());
    let router = crate::http::guarded(router, door.as_ref().map(|door| door.mode()));
    tasks.spawn(crate::http::serve::serve(listener, door, router, CancellationToken::new()));
    Ok(())
}

/// For agents that speak HTTP only.
fn http_client(clients: &Clients) -> reqwest::Client {
    let client = clients.builder().connect_timeout(CONNECT).build();
    client.expect("a client that needs nothing of the system can be built")
}

fn propagation(config: &NodeConfig) -> Propagation {
    Propagation::new(config.calls.propagate.iter().map(String::as_str))
}
