//! What can go wrong for a caller, and what it may do about it.

use std::io;
use std::net::SocketAddr;

use super::close::Reset;
use super::stream::Broken;
use crate::id::MemberId;

/// Why there is no endpoint. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is in use, not ours, or of a family the system lacks. Try another one.
    #[error("cannot listen for QUIC on {address}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The limits make no sense, such as an idle time of centuries. Fix them.
    #[error("the limits for QUIC are out of range")]
    Limits,
    /// TLS cannot work with this key. Give up.
    #[error("TLS refuses the member key")]
    Tls(#[source] rustls::Error),
}

/// Why there is no connection to a member. All who waited for one dial get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody answered there in time: the host is down, UDP is blocked, or the address is old. Try another address.
    #[error("nobody answered")]
    NoAnswer,
    /// Nobody listens there, says the system: whoever did is gone. Try another address.
    #[error("nobody listens there")]
    NobodyThere,
    /// Our socket cannot reach addresses like that one. Try another address.
    #[error("the address cannot be reached from this socket")]
    Unreachable,
    /// Somebody else lives there. Try another address.
    #[error("{found} answered instead of the expected member")]
    WrongMember {
        /// Who answered.
        found: MemberId,
    },
    /// What answered speaks another protocol or another version of ours. Give up on the address.
    #[error("what answered does not speak our protocol")]
    OtherProtocol,
    /// The two ends share no mesh key. Give up until the keyring changes.
    #[error("the two ends share no mesh key")]
    WrongKey,
    /// The other end belongs to a mesh of another name. Give up.
    #[error("the other end belongs to a mesh of another name")]
    OtherMesh,
    /// The member has banned us. Give up.
    #[error("the member has banned us")]
    BannedThere,
    /// We have banned the member. Give up.
    #[error("the member is banned")]
    BannedHere,
    /// The address or the id is our own. Give up.
    #[error("that is ourselves")]
    Myself,
    /// The member takes no connections for now. Ask another one, or this one later.
    #[error("the member takes no connections for now")]
    Busy,
    /// We have too many busy connections, or too many dials under way. Try later.
    #[error("too many connections are in use")]
    Full,
    /// The other end closed, or the connection broke, before it was proved. Try again.
    #[error("the connection broke before it was proved")]
    Broken,
    /// Our endpoint is shutting down. Give up.
    #[error("the endpoint is closed")]
    Closed,
}

/// Why a question has no answer, or a shipment no acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no connection; nothing was sent. See [`DialError`] for what to do.
    #[error("no connection: {0}")]
    Dial(#[from] DialError),
    /// Our own message is longer than allowed; nothing was sent. Fix it.
    #[error("the message is longer than {limit} bytes")]
    TooLong {
        /// The most bytes allowed.
        limit: usize,
    },
    /// The answer is longer than the caller allowed. Give up on this question, or allow more.
    #[error("the answer is longer than allowed")]
    AnswerTooLong,
    /// The member has too much to do and has not looked at it. Ask another member, or this one later.
    #[error("the member has too much to do")]
    Busy,
    /// The member has no answer, or does not speak that kind of stream. Ask another member.
    #[error("the member has no answer")]
    Declined,
    /// No answer before the deadline; the member may have acted on it. Ask another member.
    #[error("no answer before the deadline")]
    TimedOut,
    /// The connection was lost; the member may have acted on it. Ask again or another member.
    #[error("the connection was lost")]
    Lost,
}

impl From<Broken> for AskError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLong => Self::AnswerTooLong,
            Broken::Reset(Reset::Busy) => Self::Busy,
            Broken::Reset(Reset::UnknownKind | Reset::Declined | Reset::TooLong) => Self::Declined,
            Broken::Reset(Reset::Late) => Self::TimedOut,
            Broken::Reset(Reset::Cancelled) | Broken::Moved | Broken::Lost => Self::Lost,
        }
    }
}

/// Somebody has registered that kind already, or it is gossip's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("streams of kind {0} have an owner already")]
pub struct KindTaken(pub u8);
