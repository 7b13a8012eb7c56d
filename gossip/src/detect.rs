//! Failure detection: SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2017), and two rules of
//! our own: whoever accuses of death has asked in a confirm round, and whoever hears of a death asks the accused itself.
//!
//! The parts are plain values; [`crate::protocol`] joins them.

mod awareness;
mod inquiry;
mod suspicion;

pub use awareness::Awareness;
pub use inquiry::{Inquiry, Purpose, Stage};
pub use suspicion::{Evidence, Suspicion};
