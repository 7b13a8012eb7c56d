//! The codes by which one end tells the other why it closes a connection or abandons a stream.

use quinn::VarInt;

/// Why a connection is closed, or was never begun. Also what refusals are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Close {
    /// The node shuts down.
    Shutdown = 0,
    /// The peer's proof was made with none of our mesh keys.
    WrongKey = 1,
    /// The peer means a mesh of another name.
    OtherMesh = 2,
    /// The peer sent something else than a proof.
    BadProof = 3,
    /// The peer took too long to finish its handshake or to prove itself.
    Late = 4,
    /// The peer's member id is banned.
    Banned = 5,
    /// The peer shows our own key.
    Myself = 6,
    /// There are too many connections, all busy, or too many unproved ones.
    Busy = 7,
    /// Another connection of the same pair stays.
    Replaced = 8,
    /// The connection was the longest idle one when another was needed.
    Idle = 9,
    /// Nothing came back on the connection for as long as somebody was willing to wait.
    Silent = 10,
    /// TLS failed: another protocol, no key, or not the key's owner.
    Handshake = 11,
}

impl Close {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 12] = [
        Self::Shutdown,
        Self::WrongKey,
        Self::OtherMesh,
        Self::BadProof,
        Self::Late,
        Self::Banned,
        Self::Myself,
        Self::Busy,
        Self::Replaced,
        Self::Idle,
        Self::Silent,
        Self::Handshake,
    ];

    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    pub(super) fn from_code(code: VarInt) -> Option<Self> {
        let index = usize::try_from(code.into_inner()).ok()?;
        Self::ALL.get(index).copied()
    }
}

/// Why a stream is abandoned before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Reset {
    /// Whoever wanted the stream does not any more.
    Cancelled = 0,
    /// Nobody here speaks streams of that kind.
    UnknownKind = 1,
    /// The queue for such streams is full.
    Busy = 2,
    /// What was sent is longer than allowed.
    TooLong = 3,
    /// It took too long.
    Late = 4,
    /// There is no answer to that question.
    Declined = 5,
}

impl Reset {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 6] =
        [Self::Cancelled, Self::UnknownKind, Self::Busy, Self::TooLong, Self::Late, Self::Declined];

    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    pub(super) fn from_code(code: VarInt) -> Self {
        let index = usize::try_from(code.into_inner()).unwrap_or(usize::MAX);
        Self::ALL.get(index).copied().unwrap_or(Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_place_in_the_list_so_that_it_reads_back() {
        for (index, close) in Close::ALL.into_iter().enumerate() {
            assert_eq!((close as usize, Close::from_code(close.code())), (index, Some(close)));
        }
        for (index, reset) in Reset::ALL.into_iter().enumerate() {
            assert_eq!((reset as usize, Reset::from_code(reset.code())), (index, reset));
        }
        assert_eq!(Close::from_code(VarInt::MAX), None);
    }
}
