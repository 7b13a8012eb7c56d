//! What meshctl asks a mesh of real processes, as scripts and people see it: exit codes, and what is on which stream.

#![expect(clippy::unwrap_used, reason = "tests")]

mod calls;
mod choices;
mod listings;
mod scene;
mod upkeep;
