//! When the core wants to be called back.

use crate::id::MemberId;

/// A wish to be called back. Timers are never cancelled: each names what it is about, and the core ignores one whose
/// subject is gone or has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Probe the next member.
    Probe,
    /// A stage of the inquiry with this nonce is over.
    Inquiry(u64),
    /// The suspicion of this member has lasted long enough, unless its epoch has changed.
    Suspicion(MemberId, u32),
    /// Push fresh rumours.
    Push,
    /// Somebody we asked on another's behalf, under this nonce, should have answered.
    Relay(u64),
    /// Ask for what is missing.
    Pull,
    /// Say hello to seeds that are not live members.
    Seeds,
    /// Try a dead member again.
    Reunion,
    /// Forget what is old.
    Housekeeping,
    /// Consider an exchange of the courier.
    Courier,
}
