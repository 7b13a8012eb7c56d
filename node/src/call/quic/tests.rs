//! Calls between two real nodes over loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bench;
mod faults;
mod hostile;
mod plain;
