//! Service views: several capabilities behind one typed facade, which `#[mesh::service]` makes of a trait.

use crate::inject::Slots;
use crate::need::Need;

/// A view of several capabilities. `#[mesh::service]` makes a struct of a trait, with a dependency for each method.
pub trait Service: Sized {
    /// How many capabilities it has.
    const COUNT: usize;

    /// How many of its capabilities have to be there for the view to be of use.
    const MIN_AVAILABLE: usize;

    /// What its methods depend on, in their order.
    #[doc(hidden)]
    fn needs() -> Vec<Need>;

    /// The view of one call, whose dependencies begin at `first`.
    #[doc(hidden)]
    fn of(slots: &Slots, first: usize) -> Self;
}

/// How much of a view has to be there.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) view: &'static str,
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) least: usize,
}

impl Floor {
    /// That of the view `S`, called `view`, whose dependencies begin at `first`.
    pub(crate) fn of<S: Service>(view: &'static str, first: usize) -> Self {
        Self { view, first, count: S::COUNT, least: S::MIN_AVAILABLE }
    }
}

/// A method of a view was called whose capability nobody provides now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dependency_unavailable: nobody provides {0} now")]
pub struct Absent(pub &'static str);
