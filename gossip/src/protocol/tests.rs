//! The protocol among a handful of members: instant network, virtual clock, every packet through the real codec.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bench;
mod crash;
mod join;
mod newer;
mod news;
mod rogue;
mod spread;
mod timers;
