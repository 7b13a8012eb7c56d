//! Figures: their names, units and bars, and how they are printed and written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use mesh_simulations::bench::{Bar, Figure};
use mesh_simulations::report::table::aligned;

/// What was measured of one figure.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Its name.
    pub(crate) id: &'static str,
    /// The number.
    pub(crate) value: f64,
    /// From how many samples.
    pub(crate) samples: usize,
    /// What stands behind it: of a ratio both sides, with their unit in the name.
    pub(crate) beside: BTreeMap<&'static str, f64>,
}

impl Measured {
    /// A number with nothing beside it.
    pub(crate) fn plain(id: &'static str, value: f64, samples: usize) -> Self {
        Self { id, value, samples, beside: BTreeMap::new() }
    }

    /// The same, with what stands behind it.
    pub(crate) fn with<const N: usize>(self, beside: [(&'static str, f64); N]) -> Self {
        Self { beside: beside.into_iter().collect(), ..self }
    }
}

impl From<Measured> for Figure {
    fn from(measured: Measured) -> Self {
        let (bar, unit) = bar_of(measured.id);
        let Measured { id, value, samples, beside } = measured;
        Self { id: id.to_owned(), value, unit, bar, samples, peer: beside }
    }
}

/// What a figure should be, and its unit.
fn bar_of(id: &str) -> (Bar, &'static str) {
    match id {
        "call_vs_quic_p50" => (Bar::AtMost(1.3), "x"),
        "call_vs_rmcp_p50" => (Bar::AtMost(0.4), "x"),
        "call_vs_rmcp_rate64" => (Bar::AtLeast(2.5), "x"),
        "call_vs_mcpmesh_p50" => (Bar::AtLeast(200.0), "x"),
        "call_vs_mcpmesh_patched_p50" => (Bar::AtLeast(12.0), "x"),
        "mcp_http_vs_rmcp_rate64" => (Bar::AtLeast(0.9), "x"),
        "spread_pct" => (Bar::AtMost(10.0), "%"),
        "kill_failed" | "stop_failed" | "roll_failed" => (Bar::AtMost(0.0), "calls"),
        "kill_max_ms" => (Bar::AtMost(250.0), "ms"),
        "appear_p99_ms" => (Bar::AtMost(300.0), "ms"),
        "start_ms" => (Bar::AtMost(150.0), "ms"),
        "idle_rss_mb" => (Bar::AtMost(15.0), "MB"),
        "idle_cpu_pct" => (Bar::AtMost(0.3), "%"),
        "hello_binary_mb" => (Bar::AtMost(12.0), "MB"),
        "list_200_ms" => (Bar::AtMost(50.0), "ms"),
        "flash_200_s" => (Bar::AtMost(10.0), "s"),
        _ => (Bar::AtMost(f64::INFINITY), ""),
    }
}

/// Figures as a table, with what stands behind each.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut rows = vec![["id", "value", "bar", "unit", "", "samples", "beside"].map(str::to_owned)];
    for figure in figures {
        let beside: Vec<String> =
            figure.peer.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        rows.push([
            figure.id.clone(),
            number(figure.value),
            match figure.bar {
                Bar::AtMost(bar) => format!("≤ {}", number(bar)),
                Bar::AtLeast(bar) => format!("≥ {}", number(bar)),
            },
            figure.unit.to_owned(),
            if figure.holds() { "ok" } else { "MISSED" }.to_owned(),
            figure.samples.to_string(),
            beside.join(", "),
        ]);
    }
    aligned(&rows)
}

/// Writes the figures as the gossip bench writes its own.
pub(crate) fn write(figures: &[Figure], file: &Path) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(figures)? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "never".to_owned(),
        value if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
