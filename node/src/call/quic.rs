//! Calls between our own nodes: one QUIC stream each, on the connection that gossip shares.
//!
//! * A *call stream* (kind [`CALLS`]): the caller sends an [`envelope`] and the arguments and finishes its half. The
//!   callee sends [`frame`]s: updates, then the outcome, and finishes. A caller that gives up stops the stream.
//! * A *pulse stream* (kind [`PULSES`]), while calls are under way: the caller sends a byte now and then, the callee
//!   sends it back. A callee that was killed says nothing, and its silence is noticed long before gossip is sure.
//!
//! [`lines::Lines`] is the caller's end, [`serve::serve`] the callee's.

pub mod attempt;
pub mod envelope;
pub mod frame;
pub mod lines;
pub mod serve;

mod intake;
mod pulse;
mod receipts;

#[cfg(test)]
mod tests;

use std::time::Duration;

use mesh_gossip::transport::quic::Reset;
use quinn::VarInt;

/// The kind of streams that are calls.
pub const CALLS: u8 = 16;

/// The kind of streams over which callers find out whether a member still answers.
pub const PULSES: u8 = 18;

/// How long it may take to get a stream to a member, connecting included.
pub const CONNECT_BUDGET: Duration = Duration::from_millis(500);

fn code_of(reset: Reset) -> VarInt {
    VarInt::from_u32(reset as u32)
}

/// From this size on a message waits while smaller ones go.
const BULK_BYTES: usize = 64 << 10;

/// Lets small messages on the same connection pass a message of `bytes`.
fn yield_way(send: &quinn::SendStream, bytes: usize) {
    if bytes >= BULK_BYTES {
        // Fails only for a stream that has ended already.
        let _ = send.set_priority(-1);
    }
}
