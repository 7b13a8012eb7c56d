//! Who provides what somebody needs: candidates best first, and why the others are not among them.

pub mod selector;
pub mod tags;
pub mod version;
