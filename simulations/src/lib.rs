//! Thousands of gossip cores in one thread: a virtual clock, a seeded network, faults, measurements.
//!
//! The same seed and script give the same history to the last byte, whatever else runs beside it.

pub mod baseline;
pub mod bench;
pub mod dice;
pub mod entropy;
pub mod execute;
pub mod host;
pub mod ledger;
pub mod mesh;
pub mod network;
pub mod notary;
pub mod outcome;
pub mod report;
pub mod run;
pub mod scenario;
pub mod stream;
pub mod traffic;
pub mod world;
