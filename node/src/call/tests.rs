//! Calls among real nodes on loopback.

pub(crate) mod bench;
mod course;
mod foreign;
mod process;
mod sessions;
