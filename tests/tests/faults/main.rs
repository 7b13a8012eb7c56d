//! What a mesh of real processes survives, and who stays out of it. The consumer is in this process; whoever suffers is
//! in one of its own, most often `victim`, whose tools do what no tool should.
//!
//! Network and disk faults happen in namespaces, which need the superuser or a kernel that gives them to users.

#![expect(clippy::unwrap_used, reason = "tests")]

mod clock;
mod crashes;
mod disk;
mod doors;
mod endings;
mod links;
mod load;
mod partition;
mod scene;
mod tools;
