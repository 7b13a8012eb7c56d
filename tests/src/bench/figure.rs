//! What was measured of a figure, until its bar is put beside it.

use std::collections::BTreeMap;

use mesh_simulations::bench::{Bar, Figure};

/// What a bench's figures should be, and their units, by their ids.
pub type Bars = fn(&str) -> (Bar, &'static str);

/// What was measured of one figure.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub id: &'static str,
    /// The number.
    pub value: f64,
    /// From how many samples.
    pub samples: usize,
    /// What stands behind it: of a ratio both sides, with their unit in the name.
    pub beside: BTreeMap<&'static str, f64>,
}

impl Measured {
    /// A number with nothing beside it.
    pub fn plain(id: &'static str, value: f64, samples: usize) -> Self {
        Self { id, value, samples, beside: BTreeMap::new() }
    }

    /// The same, with what stands behind it.
    #[must_use]
    pub fn with<const N: usize>(self, beside: [(&'static str, f64); N]) -> Self {
        Self { beside: beside.into_iter().collect(), ..self }
    }

    /// The figure that this is.
    pub fn against(self, bars: Bars) -> Figure {
        let (bar, unit) = bars(self.id);
        let Self { id, value, samples, beside } = self;
        Figure { id: id.to_owned(), value, unit, bar, samples, peer: beside }
    }
}
