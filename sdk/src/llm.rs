//! Models as dependencies.

pub mod wire;
