//! What came of the parts of a bench.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mesh_simulations::bench::{Figure, table, write};

use super::effort::Effort;
use super::figure::{Bars, Measured};

/// What came of the parts so far. One that cannot be measured does not keep the others from it.
#[derive(Debug, Default)]
pub struct Findings {
    measured: Vec<Measured>,
    failed: Vec<&'static str>,
}

impl Findings {
    /// What came of `part`; if nothing did, standard error says why.
    pub fn add(&mut self, part: &'static str, outcome: Result<Vec<Measured>>) {
        match outcome {
            Ok(measured) => self.measured.extend(measured),
            Err(why) => {
                eprintln!("{part}: {why:#}");
                self.failed.push(part);
            }
        }
    }

    /// Writes what was wanted to `out`, and prints it: as a table, or as JSON and nothing else.
    ///
    /// # Errors
    /// When it cannot be written, or a part could not be measured.
    pub fn report(mut self, effort: &Effort, bars: Bars, out: &Path, json: bool) -> Result<()> {
        self.measured.retain(|it| effort.wants(it.id));
        let figures: Vec<Figure> = self.measured.into_iter().map(|it| it.against(bars)).collect();
        let text = write(&figures, out).with_context(|| format!("cannot write {}", out.display()))?;
        if json {
            print!("{text}")
        } else {
            print!("{}", table(&figures))
        }
        ensure!(self.failed.is_empty(), "not measured: {}", self.failed.join(", "));
        Ok(())
    }
}
