//! What goes into the protocol and what comes out: the whole boundary between the core and the world.
//!
//! The core neither waits nor sends. Its driver (the runtime of a node, or a simulation) hands it one [`Input`] at a
//! time with the present [`Moment`], and afterwards drains the [`Effects`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::alive::{Address, Alive};
use crate::id::MemberId;
use crate::moment::Moment;
use crate::order::SignedOrder;
use crate::record::Record;
use crate::reject::Reject;
use crate::timer::Timer;

/// Something happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram was opened: its seal was good, its sender is a claim.
    Datagram {
        /// The address it came from.
        from: SocketAddr,
        /// Who claims to have sent it.
        sender: MemberId,
        /// What the seal held.
        body: &'a [u8],
    },
    /// A timer that the core scheduled has come.
    Timer(Timer),
    /// A member asks something over a proved stream; answer with [`Effects::replies`].
    Asked {
        /// Who asks. Proved by the connection.
        from: MemberId,
        /// Names the open stream.
        ask: AskId,
        /// The encoded request.
        request: &'a [u8],
    },
    /// The answer to an [`Ask`] of ours, or why there is none.
    Answered {
        /// Which ask.
        ask: AskId,
        /// The encoded answer.
        answer: Result<&'a [u8], AskFailed>,
    },
    /// The courier brought alive records, already verified.
    Learnt(&'a [Arc<Alive>]),
    /// The courier wants these bytes brought to a member.
    Carry {
        /// To whom.
        to: MemberId,
        /// A message of the courier's.
        bytes: Vec<u8>,
    },
    /// A large courier message arrived over a proved stream.
    Shipped {
        /// From whom.
        from: MemberId,
        /// The message.
        bytes: &'a [u8],
    },
    /// Where seeds live, as last resolved; empty when there are none. Replaces what was given before. Nobody counts as
    /// the first of a mesh before this was said.
    Seeds(&'a [SocketAddr]),
    /// The mesh keys changed hands or the socket is new: say hello again wherever we are not joined.
    Rejoin,
    /// A command of the node's own user.
    Command(Command),
}

/// What the node's own user wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Say goodbye. The core tells the mesh at once, and goes on answering until it is dropped.
    Leave,
    /// Carry out and spread an order of the operator, already verified.
    Obey(Arc<SignedOrder>),
    /// Advertise other addresses from now on.
    Advertise(Vec<Address>),
}

/// Names one question of ours, or one open stream of theirs. Never reused by its giver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Why a question has no answer. The core tries another member in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskFailed {
    /// No connection, or none that proved itself.
    Unreachable,
    /// Connected, but no complete answer within the deadline.
    NoAnswer,
}

/// Everything the core wants done since the last drain, in order of its wishing. Reusable: drain it and pass it again.
#[derive(Debug, Default)]
pub struct Effects {
    /// Datagrams to seal and send, each at most [`crate::packet::MAX_BODY`] bytes.
    pub sends: Vec<Send>,
    /// When to call back. The core ignores timers that are out of date, so nothing is ever cancelled.
    pub timers: Vec<(Moment, Timer)>,
    /// Questions to ask over a proved stream.
    pub asks: Vec<Ask>,
    /// Answers to [`Input::Asked`].
    pub replies: Vec<(AskId, Vec<u8>)>,
    /// One-way messages that are too large for a datagram, for a proved stream.
    pub ships: Vec<Ship>,
    /// What the courier is to do.
    pub courier: Vec<ForCourier>,
    /// What the node's user is told.
    pub notices: Vec<Notice>,
    /// Input that was refused, by reason.
    pub rejects: Vec<Reject>,
}

/// One datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Where to.
    pub to: SocketAddr,
    /// What to seal.
    pub body: Vec<u8>,
}

/// One question for a member, to be asked over a proved stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Comes back with the answer.
    pub ask: AskId,
    /// Whom to ask; the connection must prove to be theirs.
    pub member: MemberId,
    /// The QUIC address.
    pub at: SocketAddr,
    /// The encoded request.
    pub request: Vec<u8>,
    /// The most bytes of an answer.
    pub limit: usize,
    /// How long to wait, connecting included.
    pub within: Duration,
}

/// A large one-way message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ship {
    /// To whom; the connection must prove to be theirs.
    pub member: MemberId,
    /// The QUIC address.
    pub at: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Work for the courier (see [`crate::courier`]).
#[derive(Clone, Debug)]
pub enum ForCourier {
    /// Hold this alive record, ours or a member's; it is newer than what was put before.
    Put(Arc<Alive>),
    /// This member is no longer one of us.
    Remove(MemberId),
    /// Compare notes with this member.
    Exchange(MemberId),
    /// A message of the courier of `from` arrived.
    Received {
        /// Who sent it.
        from: MemberId,
        /// The message.
        bytes: Vec<u8>,
    },
}

/// What a member is in our eyes, in order of decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Nothing speaks against it.
    Alive,
    /// It did not answer somebody; its records still count, last.
    Suspect,
    /// It did not answer us either.
    Dead,
    /// It said goodbye.
    Left,
}

/// News for the node's user.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A member came, changed its alive record, or changed its standing.
    Member {
        /// Its newest alive record.
        alive: Arc<Alive>,
        /// What it is in our eyes now.
        standing: Standing,
    },
    /// A member is forgotten: dead for long, or forced out.
    Forgotten(MemberId),
    /// Records of a member changed; a removal is a change like any other. A blob that has not arrived yet is followed by
    /// [`Notice::BlobArrived`].
    Records {
        /// Whose (our own included).
        member: MemberId,
        /// What changed, oldest first.
        changed: Vec<Arc<Record>>,
    },
    /// A blob that some record of a member's names is here.
    BlobArrived {
        /// Whose record names it.
        member: MemberId,
        /// Its hash.
        hash: [u8; 32],
    },
    /// These records are void, and nothing has come in their place.
    RecordsDropped {
        /// Whose.
        member: MemberId,
        /// What is void.
        dropped: Vec<Arc<Record>>,
    },
    /// All records of a member are void: it restarted or is gone.
    RecordsVoid(MemberId),
    /// Our own alive record was re-signed.
    Myself(Arc<Alive>),
    /// We are part of the mesh: somebody answered our hello and the first view of the mesh is complete.
    Joined {
        /// How many members we know, ourselves included.
        members: usize,
    },
    /// Another process runs with our key, and it wins: take another key and start over.
    Superseded {
        /// The other process's alive record.
        by: Arc<Alive>,
    },
    /// A seed's answer shows us under this address.
    Observed {
        /// Our address as the other side sees it.
        address: SocketAddr,
        /// Who saw it.
        by: MemberId,
    },
    /// An order of the operator is in force; the runtime changes keys and bans accordingly.
    Ordered(Arc<SignedOrder>),
    /// Nobody we asked to join has answered for this long.
    StillAlone {
        /// Since when we have been trying.
        trying: Duration,
    },
}
