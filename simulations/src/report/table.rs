//! Outcomes as a table for a terminal.

use std::fmt::Write;

use crate::outcome::{Outcome, Times};

/// One line a run, then what did not hold and how to see it again.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![
        [
            "scenario",
            "seed",
            "members",
            "crash p99",
            "news p99",
            "join p99",
            "false deaths",
            "B/s",
            "agreed",
            "verdict",
        ]
        .map(str::to_owned),
    ];
    for outcome in outcomes {
        let name = if outcome.breed == "mesh" {
            outcome.scenario.clone()
        } else {
            format!("{} ({})", outcome.scenario, outcome.breed)
        };
        let held = outcome.verdicts.iter().filter(|verdict| verdict.holds).count();
        rows.push([
            name,
            outcome.seed.to_string(),
            outcome.members.to_string(),
            time(&outcome.crashes),
            time(&outcome.news),
            time(&outcome.joins),
            outcome.false_deaths.to_string(),
            format!("{:.0}", outcome.mean_bytes_per_second()),
            outcome.agreed_since_s.map_or_else(|| "no".to_owned(), |since| format!("{since:.1} s")),
            if outcome.holds() { "holds".to_owned() } else { format!("{held} of {}", outcome.verdicts.len()) },
        ]);
    }
    let mut text = aligned(&rows);
    for outcome in outcomes.iter().filter(|outcome| !outcome.holds()) {
        for verdict in outcome.verdicts.iter().filter(|verdict| !verdict.holds) {
            let _ = writeln!(
                text,
                "\n{} with seed {}: expected that {}; found: {}",
                outcome.scenario, outcome.seed, verdict.expected, verdict.found
            );
        }
    }
    text
}

/// Rows with their columns aligned: the first to the left, the others to the right.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn time(times: &Times) -> String {
    match times.quantile(0.99) {
        None => "–".to_owned(),
        Some(millis) if millis.is_finite() => format!("{millis:.0} ms"),
        Some(_) => "not all".to_owned(),
    }
}
