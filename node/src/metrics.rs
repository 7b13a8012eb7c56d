//! The metrics of this process, as Prometheus reads them. Nodes of one process share them.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use mesh_gossip::gossip::metrics::Sample;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;

/// How often what was measured is put into its bucket. Until then every single value is kept.
const UPKEEP: Duration = Duration::from_secs(5);

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

/// Keeps the collection small while nobody reads it. Never ends.
pub(crate) async fn keep_small() {
    let mut ticks = interval(UPKEEP);
    loop {
        ticks.tick().await;
        if let Some(Some(handle)) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
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

/// What gossip counts, as text of the same kind.
pub(crate) fn text(samples: &[Sample]) -> String {
    // All samples of a name have to stand together.
    let mut samples = samples.to_vec();
    samples.sort_by_key(|sample| sample.name);
    let mut text = String::new();
    let mut last = "";
    for Sample { name, label, value } in samples {
        if name != last {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
            last = name;
        }
        let _ = match label {
            Some((label, of)) => writeln!(text, "{name}{{{label}=\"{of}\"}} {value}"),
            None => writeln!(text, "{name} {value}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Sample, text};

    #[test]
    fn a_type_is_told_once_for_all_samples_of_a_name() {
        let sample = |name, label, value| Sample { name, label, value };
        let samples = [
            sample("mesh_members", Some(("state", "alive")), 2.0),
            sample("mesh_deaths_total", None, 1.5),
            sample("mesh_members", Some(("state", "dead")), 0.0),
        ];
        let lines = [
            "# TYPE mesh_deaths_total counter",
            "mesh_deaths_total 1.5",
            "# TYPE mesh_members gauge",
            "mesh_members{state=\"alive\"} 2",
            "mesh_members{state=\"dead\"} 0",
            "",
        ];
        assert_eq!(text(&samples), lines.join("\n"));
    }
}
