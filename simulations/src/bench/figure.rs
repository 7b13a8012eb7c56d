//! Figures: their names, their bars, and how samples become one number.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

use serde::Serialize;

use super::Sample;
use crate::outcome::{mean, quantile};
use crate::report::table::aligned;

/// Names a figure: what, and among how many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    /// How many members; 0 when that says nothing.
    pub(crate) members: u32,
    /// What.
    pub(crate) what: &'static str,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if self.members > 0 { write!(f, "@{}", self.members) } else { Ok(()) }
    }
}

/// One measured number.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its name, with `@members`.
    pub id: String,
    /// The number; `null` in JSON when some event never came to its end.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be: at most this, or at least for those whose bar is a floor.
    pub bar: Bar,
    /// From how many samples.
    pub samples: usize,
    /// What stands beside it: the same of peers in the same world, or both sides of a ratio.
    pub peer: BTreeMap<&'static str, f64>,
}

/// What a number should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Figure {
    /// Whether it is what it should be.
    pub fn holds(&self) -> bool {
        match self.bar {
            Bar::AtMost(bar) => self.value <= bar,
            Bar::AtLeast(bar) => self.value >= bar,
        }
    }
}

/// One number of many samples: the 99th percentile of times, the sum of counts, the average of rates, the extremes.
pub(super) fn reduce(samples: &[Sample]) -> f64 {
    let values = |pick: fn(&Sample) -> Option<f64>| samples.iter().filter_map(pick).collect::<Vec<f64>>();
    let mut times = values(|sample| if let Sample::Time(it) = sample { Some(*it) } else { None });
    if !times.is_empty() {
        times.sort_by(f64::total_cmp);
        return quantile(&times, times.len(), 0.99).unwrap_or(f64::INFINITY);
    }
    let rates = values(|sample| if let Sample::Rate(it) = sample { Some(*it) } else { None });
    if !rates.is_empty() {
        return mean(&rates);
    }
    let worst = values(|sample| if let Sample::Worst(it) = sample { Some(*it) } else { None });
    if !worst.is_empty() {
        return worst.into_iter().fold(f64::MIN, f64::max);
    }
    let least = values(|sample| if let Sample::Least(it) = sample { Some(*it) } else { None });
    if !least.is_empty() {
        return least.into_iter().fold(f64::MAX, f64::min);
    }
    values(|sample| if let Sample::Count(it) = sample { Some(*it) } else { None }).into_iter().sum()
}

/// What a figure should be, and its unit.
pub(super) fn bar_of(id: Id) -> (Bar, &'static str) {
    let by_size = |small: f64, middle: f64, large: f64| match id.members {
        0..=50 => small,
        51..=200 => middle,
        _ => large,
    };
    let most = |small, middle, large, unit| (Bar::AtMost(by_size(small, middle, large)), unit);
    match id.what {
        "news_p99_ms" => most(250.0, 350.0, 500.0, "ms"),
        "news_loss10_p99_ms" => most(400.0, 500.0, 800.0, "ms"),
        "news_4k_p99_ms" => most(500.0, 800.0, 1_500.0, "ms"),
        "news_64k_p99_ms" => most(1_000.0, 1_500.0, 3_000.0, "ms"),
        "repair_p99_ms" => most(3_000.0, 5_000.0, 10_000.0, "ms"),
        "crash_p99_ms" => most(2_500.0, 2_500.0, 3_000.0, "ms"),
        "mass_crash_s" => most(4.0, 5.0, 8.0, "s"),
        "leave_p99_ms" => most(200.0, 300.0, 500.0, "ms"),
        "false_deaths_loss10" | "false_deaths_stall" => (Bar::AtMost(0.0), "deaths"),
        "heal_p99_ms" => most(3_000.0, 3_000.0, 5_000.0, "ms"),
        "bytes_per_s" => most(4_096.0, 6_144.0, 12_288.0, "B/s"),
        "join_p99_ms" => most(500.0, 1_000.0, 2_000.0, "ms"),
        "join_full_p99_ms" => most(1_000.0, 2_000.0, 4_000.0, "ms"),
        "loss30_falsely_dead_ms" => (Bar::AtMost(10_000.0), "ms"),
        "loss30_wrong_at_end" => (Bar::AtMost(0.0), "pairs"),
        "sim_speed_x" => (Bar::AtLeast(1.0), "x"),
        "lifeguard_plain_false_deaths" => (Bar::AtLeast(500.0), "deaths"),
        "lifeguard_false_deaths" => (Bar::AtMost(10.0), "deaths"),
        "restart_states" => (Bar::AtMost(3.0), "states"),
        "resolve_hot_p99_ns" => (Bar::AtMost(1_000.0), "ns"),
        "resolve_cold_p99_ns" => (Bar::AtMost(50_000.0), "ns"),
        _ => (Bar::AtMost(f64::INFINITY), ""),
    }
}

/// Figures as a table, with what stands beside each.
pub fn table(figures: &[Figure]) -> String {
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

/// Writes figures to `file`, whose folder is made when it is missing: the JSON that it then holds.
///
/// # Errors
/// What the operating system says.
pub fn write(figures: &[Figure], file: &Path) -> io::Result<String> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(figures)? + "\n";
    fs::write(file, &text)?;
    Ok(text)
}

fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "never".to_owned(),
        value if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
