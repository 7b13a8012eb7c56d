//! What a stranger is told: that its datagram was not understood, and why. Advice for an error message, no more.
//!
//! A refusal is not sealed, since the two sides share no key. It repeats the session and the counter of what it
//! refuses, so that only who saw the datagram can answer it; and it is shorter than that, so that it amplifies nothing.

use std::fmt;
use std::net::SocketAddr;

use super::limit::{Quota, RateLimit, RateLimits};
use super::{FORMAT_VERSION, HEADER, Header, OVERHEAD, Refused, Sealer};
use crate::id::Session;
use crate::moment::Moment;
use crate::wire::Malformed;

/// The first four bits of a refusal; its own format version follows in the other four.
pub(super) const REFUSAL_MAGIC: u8 = 0xB0;

/// How many bytes a refusal has.
pub const REFUSAL_BYTES: usize = 20;

const _: () = assert!(REFUSAL_BYTES <= HEADER && HEADER < OVERHEAD, "a refusal is no larger than what it answers");

/// Why a stranger's datagram was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Its mesh has the same name, but none of our keys is the one it used.
    WrongKey,
    /// Its mesh has another name.
    OtherMesh,
    /// It speaks another version of the datagram format.
    OtherVersion {
        /// The version that the refusing side speaks.
        theirs: u8,
    },
}

/// A refusal as it travels: `B1`, reason, version spoken, zero, session and counter of the refused datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub advice: Advice,
    /// The session in the header of what was refused.
    pub session: Session,
    /// The counter in the header of what was refused.
    pub counter: u64,
}

/// Answers strangers, seldom: a bounded number a second in all, and few to one address.
pub struct Refuser {
    limit: RateLimit,
}

impl Advice {
    /// What to tell the sender of a datagram that was refused for this reason; most reasons deserve no answer.
    pub const fn about(refused: Refused) -> Option<Self> {
        match refused {
            Refused::UnknownKey => Some(Self::WrongKey),
            Refused::OtherMesh => Some(Self::OtherMesh),
            Refused::OtherVersion { .. } => Some(Self::OtherVersion { theirs: FORMAT_VERSION }),
            _ => None,
        }
    }
}

impl fmt::Display for Advice {
    /// One sentence for who tries to join.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKey => f.write_str("wrong mesh key: the mesh of this name there uses another one"),
            Self::OtherMesh => f.write_str("other mesh name: another mesh answers at this address"),
            Self::OtherVersion { theirs } => {
                write!(f, "other protocol version: {theirs} there, {FORMAT_VERSION} here")
            }
        }
    }
}

impl Refusal {
    /// The bytes that travel.
    pub fn encode(&self) -> [u8; REFUSAL_BYTES] {
        let (reason, version) = match self.advice {
            Advice::WrongKey => (1, FORMAT_VERSION),
            Advice::OtherMesh => (2, FORMAT_VERSION),
            Advice::OtherVersion { theirs } => (3, theirs),
        };
        let mut bytes = [0; REFUSAL_BYTES];
        bytes[..3].copy_from_slice(&[REFUSAL_MAGIC | 1, reason, version]);
        bytes[4..12].copy_from_slice(&self.session.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.counter.to_le_bytes());
        bytes
    }

    /// The refusal that `bytes` stand for. Later versions may be longer; what is here stays where it is.
    ///
    /// # Errors
    /// [`Malformed`] when it is no refusal, or one for a reason that we do not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; REFUSAL_BYTES] = bytes.first_chunk().ok_or(Malformed)?;
        if !Self::is(bytes) {
            return Err(Malformed);
        }
        let advice = match bytes[1] {
            1 => Advice::WrongKey,
            2 => Advice::OtherMesh,
            3 => Advice::OtherVersion { theirs: bytes[2] },
            _ => return Err(Malformed),
        };
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Ok(Self { advice, session: Session(number(4)), counter: number(12) })
    }

    /// Whether a datagram is a refusal rather than something sealed. Look here before opening.
    pub fn is(datagram: &[u8]) -> bool {
        datagram.first().is_some_and(|first| first & 0xF0 == REFUSAL_MAGIC)
    }

    /// Whether it refuses something that `sealer` sent of late. Anything else was made up, or comes too late to matter.
    pub fn answers(&self, sealer: &Sealer) -> bool {
        sealer.sent_lately(self.session, self.counter)
    }
}

impl Refuser {
    /// `seed` is random; it keeps strangers from choosing whose allowance they share.
    pub fn new(seed: u64) -> Self {
        let one = Quota { per_second: 1, burst: 3 };
        Self {
            limit: RateLimit::new(
                RateLimits { member: one, stranger: one, strangers: Quota { per_second: 50, burst: 50 } },
                seed,
            ),
        }
    }

    /// The answer to a datagram that was refused, if it deserves one and not too many were sent of late. Send it back
    /// to where the datagram came from, and forget about it.
    pub fn answer(
        &mut self,
        now: Moment,
        from: SocketAddr,
        refused: Refused,
        datagram: &[u8],
    ) -> Option<[u8; REFUSAL_BYTES]> {
        let advice = Advice::about(refused)?;
        let header = Header::read(datagram)?;

        self.limit
            .allow(now, from, 1)
            .then(|| Refusal { advice, session: header.session, counter: header.counter }.encode())
    }
}
