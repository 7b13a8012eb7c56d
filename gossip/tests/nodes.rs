//! Real nodes over loopback sockets: what an embedder sees of them.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "nodes/bench.rs"]
mod bench;
#[path = "nodes/catalog.rs"]
mod catalog;
#[path = "nodes/identity.rs"]
mod identity;
#[path = "nodes/large.rs"]
mod large;
#[path = "nodes/meeting.rs"]
mod meeting;
#[path = "nodes/obstacles.rs"]
mod obstacles;
#[path = "nodes/operator.rs"]
mod operator;
#[path = "nodes/sockets.rs"]
mod sockets;
