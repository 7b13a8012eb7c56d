//! Agents written with the stock Python SDK, which know nothing of us: meshctl starts them, a seed is their registry.
#![expect(clippy::unwrap_used, reason = "tests")]

mod losses;
mod scene;
mod starting;
mod together;
mod town;
mod vendor;
