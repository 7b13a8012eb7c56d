//! What the core's packets ride on: datagrams over UDP, everything larger over QUIC between proved members.
//!
//! * [`udp`]: the gossip socket, which never waits to send.
//! * [`quic`]: one connection per pair of members, opened when needed, closed when idle. Both ends show the keys they
//!   are known by (TLS 1.3, raw public keys) and then prove that they hold a key of the mesh; see [`proof`].

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "owns the sockets and the waits for them")]

pub mod counters;
pub mod proof;
pub mod quic;
pub mod stream;
pub mod udp;

mod accept;
mod close;
mod config;
mod dial;
mod endpoint;
mod error;
mod link;
mod pool;
mod reset;
mod socket;
mod tls;

#[cfg(test)]
mod tests;
