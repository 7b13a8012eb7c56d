//! The metrics of this process, as Prometheus reads them. Nodes of one process share them.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to collect. Where the program has installed a recorder of its own, that one keeps everything.
pub(crate) fn install() {
    HANDLE.get_or_init(|| {
        let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let builder = PrometheusBuilder::new().set_buckets(&buckets).expect("the buckets are not empty");
        let installed = builder.install_recorder();
        if installed.is_err() {
            tracing::info!("another recorder of metrics is installed: /metrics stays empty");
        }
        installed.ok()
    });
}

/// The metrics as text; empty where somebody else collects them.
pub(crate) fn render() -> String {
    match HANDLE.get() {
        Some(Some(handle)) => {
            handle.run_upkeep();
            handle.render()
        }
        _ => String::new(),
    }
}
