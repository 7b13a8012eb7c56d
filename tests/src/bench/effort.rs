//! How much a bench measures.

use clap::Args;

/// How much to measure.
#[derive(Clone, Debug, Args)]
pub struct Effort {
    /// Only figures whose id begins with one of these
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// A tenth of the calls and events: to see whether it works
    #[arg(long)]
    pub quick: bool,
}

impl Effort {
    /// Whether the figure called `id` is wanted.
    pub fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| id.starts_with(only.as_str()))
    }

    /// Whether one of the figures called `ids` is wanted.
    pub fn wants_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.wants(id))
    }

    /// `full` of something, or a tenth of it, at least `least`.
    pub fn amount(&self, full: usize, least: usize) -> usize {
        if self.quick { (full / 10).max(least) } else { full }
    }
}
