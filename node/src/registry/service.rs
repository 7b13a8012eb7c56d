//! What a seed serves besides registrations: its history, the way to agents, traces, administration, the dashboard.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::history::History;
use super::proxy::Proxy;
use super::store::{Bounds, Store, StoreError};
use super::{Registry, administration, archive, dashboard, jobs, openapi, routes, surfaces, traces};
use crate::admin::spans::SpanSearch;
use crate::config::{NodeConfig, RegistryConfig};
use crate::propagation::Propagation;
use crate::tls::Clients;

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

/// A duration as scripts look for it in the log: `500ms`, `1.5s`, `5s`, `1m0s`, `1h0m0s`.
pub(super) fn as_go_writes(duration: Duration) -> String {
    let (hours, minutes) = (duration.as_secs() / 3_600, duration.as_secs() / 60 % 60);
    // Below a minute both write the same.
    let rest = duration - Duration::from_secs(duration.as_secs() / 60 * 60);
    let rest = if rest.is_zero() { "0s".to_owned() } else { format!("{}s", rest.as_secs_f64()) };
    match (hours, minutes) {
        (0, 0) => format!("{duration:?}"),
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}

impl Service {
    /// Opens the store and begins to write history. The future is all the work there is.
    ///
    /// # Errors
    /// [`StoreError`] when not even a store in memory can be had.
    pub(crate) async fn open(
        node: &NodeConfig,
        registry: Registry,
        clients: &Clients,
        search: SpanSearch,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let config = &node.registry;
        if config.sweep_interval != RegistryConfig::default().sweep_interval {
            tracing::info!("[sweep] using MCP_MESH_SWEEP_INTERVAL={}", as_go_writes(config.sweep_interval));
        }
        let at_home = || node.mesh.home.as_ref().map(|home| home.join(STORE));
        let path = config.store.clone().or_else(at_home);
        let bounds = Bounds { events: config.max_events, retention: config.retention, ..Bounds::default() };
        let (store, writing) = Store::open(path.as_deref(), bounds).await?;
        let history = History::new(store);
        let told = registry.events().subscribe();
        let keeping = history.clone().keep(registry.clone(), told);
        let propagation = Propagation::new(node.calls.propagate.iter().map(String::as_str));
        let proxy = Proxy::new(Arc::clone(registry.gossip()), propagation, config.proxy_timeout, clients);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::as_go_writes;

    #[test]
    fn durations_are_written_as_scripts_look_for_them() {
        let written = [500, 1_500, 5_000, 60_000, 61_500, 3_600_000].map(Duration::from_millis).map(as_go_writes);
        assert_eq!(written, ["500ms", "1.5s", "5s", "1m0s", "1m1.5s", "1h0m0s"]);
    }
}
