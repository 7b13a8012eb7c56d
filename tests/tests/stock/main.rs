//! Agents written with the stock SDKs, which know nothing of us: meshctl starts them, a seed is their registry. And the stock
//! command line and dashboard.
#![expect(clippy::unwrap_used, reason = "tests")]

mod command_line;
mod dashboard;
mod java;
mod losses;
mod parted;
mod scene;
mod scripts;
mod starting;
mod tls;
mod together;
mod town;
mod vendor;
