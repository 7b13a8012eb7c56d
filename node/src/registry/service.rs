//! What a seed serves besides registrations: its history, the way to agents, traces, administration, the dashboard.

use std::future::Future;
use std::sync::Arc;

use axum::Router;

use super::history::History;
use super::proxy::Proxy;
use super::store::{Bounds, Store, StoreError};
use super::{Registry, administration, archive, dashboard, jobs, openapi, routes, surfaces, traces};
use crate::admin::spans::SpanSearch;
use crate::config::{NodeConfig, RegistryConfig};
use crate::propagation::Propagation;

/// Where in a home directory a seed keeps its events.
const STORE: &str = "registry/events.redb";

/// The registry of a node with everything around it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    registry: Registry,
    history: History,
    proxy: Proxy,
    search: SpanSearch,
}

impl Service {
    /// Opens the store and begins to write history. The future is all the work there is.
    ///
    /// # Errors
    /// [`StoreError`] when not even a store in memory can be had.
    pub(crate) async fn open(
        node: &NodeConfig,
        registry: Registry,
        search: SpanSearch,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let config = &node.registry;
        if config.sweep_interval != RegistryConfig::default().sweep_interval {
            tracing::info!("[sweep] using MCP_MESH_SWEEP_INTERVAL={:?}", config.sweep_interval);
        }
        let at_home = || node.mesh.home.as_ref().map(|home| home.join(STORE));
        let path = config.store.clone().or_else(at_home);
        let bounds = Bounds { events: config.max_events, retention: config.retention, ..Bounds::default() };
        let (store, writing) = Store::open(path.as_deref(), bounds).await?;
        let history = History::new(store);
        let told = registry.events().subscribe();
        let keeping = history.clone().keep(registry.clone(), told);
        let propagation = Propagation::new(node.calls.propagate.iter().map(String::as_str));
        let proxy = Proxy::new(Arc::clone(registry.gossip()), propagation, config.proxy_timeout);
        let work = async move {
            futures::future::join(writing, keeping).await;
        };
        Ok((Self { registry, history, proxy, search }, work))
    }

    /// All routes but those of the administration.
    pub(crate) fn router(&self) -> Router {
        let dashboard = dashboard::router(self.registry.clone(), self.history.clone(), self.search.clone());
        routes::router(self.registry.clone())
            .merge(archive::router(
                self.history.clone(),
                Arc::clone(self.registry.gossip()),
                self.search.questions().clone(),
            ))
            .merge(surfaces::router(self.registry.clone()))
            .merge(traces::router(self.search.clone(), Arc::clone(self.registry.gossip())))
            .merge(self.proxy.clone().router())
            .merge(jobs::router())
            .merge(openapi::router())
            .merge(dashboard)
    }

    /// The routes of the administration, which ask for no signature: whoever may reach them may use them.
    pub(crate) fn administration(&self) -> Router {
        administration::router(self.registry.clone())
    }
}
