//! The registry API as programs plug it into their nodes. Nothing else of a node names what is behind it, so the linker drops
//! all of it from programs whose nodes never serve it.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any};
use futures::FutureExt;
use futures::future::{BoxFuture, join3};
use tokio::sync::watch;

use super::{Registry, Service, routes};
use crate::admin::spans::SpanSearch;
use crate::call::Caller;
use crate::config::NodeConfig;
use crate::health::Verdict;
use crate::node::StartError;

/// The registry API: what serves it, on a node that it is plugged into ([`Plug::registry`](crate::node::Plug::registry))
/// and that is told to ([`RegistryConfig::enabled`](crate::config::RegistryConfig::enabled)).
#[derive(Clone, Copy)]
pub struct RegistryApi(fn(Beside) -> BoxFuture<'static, Result<Served, StartError>>);

/// The parts of a node that the registry stands on.
pub(crate) struct Beside {
    pub(crate) config: Arc<NodeConfig>,
    pub(crate) caller: Caller,
    pub(crate) verdict: watch::Receiver<Verdict>,
    pub(crate) search: SpanSearch,
}

/// What is to be served. Whoever may reach the routes may use them.
pub(crate) struct Served {
    /// All but those of the administration.
    pub(crate) routes: Router,
    /// Those of the administration.
    pub(crate) administration: Router,
    /// What is said where nobody answers, as the existing system says it.
    pub(crate) otherwise: MethodRouter,
    /// Does all the work there is.
    pub(crate) work: BoxFuture<'static, ()>,
}

/// The registry API, to be plugged into nodes.
pub fn api() -> RegistryApi {
    RegistryApi(|beside| open(beside).boxed())
}

impl RegistryApi {
    /// Opens it on one node.
    ///
    /// # Errors
    /// [`StartError::Store`]; [`StartError::Calls`] when another node of this process has the same gossip.
    pub(crate) async fn open(self, beside: Beside) -> Result<Served, StartError> {
        (self.0)(beside).await
    }
}

async fn open(beside: Beside) -> Result<Served, StartError> {
    let Beside { config, caller, verdict, search } = beside;
    let (registry, keeping) = Registry::new(&config, &caller, verdict);
    caller.tells(registry.clone());
    let answering = registry.serve_members().await?;
    let (service, remembering) = Service::open(&config, registry, &caller.settings().clients, search).await?;
    Ok(Served {
        routes: service.router(),
        administration: service.administration(),
        otherwise: any(routes::not_found),
        work: join3(keeping, answering, remembering).map(drop).boxed(),
    })
}
