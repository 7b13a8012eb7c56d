//! Real nodes over loopback sockets: what an embedder sees of them.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "nodes/bench.rs"]
mod bench;
#[path = "nodes/meeting.rs"]
mod meeting;
