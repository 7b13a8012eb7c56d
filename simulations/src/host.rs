//! What a world runs: something that is handed one event at a time and says what it wants done.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mesh_gossip::id::MemberId;
use mesh_gossip::moment::Moment;

/// UDP port of every host's gossip socket.
pub const GOSSIP_PORT: u16 = 7_700;

/// UDP port of every host's QUIC endpoint.
pub const QUIC_PORT: u16 = 7_701;

/// One thing that runs on a host: our core, or a baseline to compare it with.
pub trait Host {
    /// What it wants to be called back with.
    type Timer;
    /// What its user may tell it.
    type Command;

    /// The name others know it by.
    fn id(&self) -> MemberId;

    /// Something happened at `now` (its own clock); whatever is to be done goes into `out`.
    fn handle(&mut self, now: Moment, event: Event<'_, Self>, out: &mut Actions<Self::Timer>);

    /// Which kind a datagram of its is, below [`crate::traffic::KINDS`].
    fn kind(_body: &[u8]) -> usize {
        0
    }
}

/// Something that happens to a host.
#[derive(Debug)]
pub enum Event<'a, H: Host + ?Sized> {
    /// It starts.
    Start,
    /// A datagram arrives.
    Datagram {
        /// From which address.
        from: SocketAddr,
        /// Who the seal says sent it.
        sender: MemberId,
        /// What is in it.
        body: &'a [u8],
    },
    /// A timer it asked for has come.
    Timer(H::Timer),
    /// Its user wants something.
    Command(H::Command),
    /// A member asks something over a stream.
    Asked {
        /// Who.
        from: MemberId,
        /// Names the stream; give it back with the answer.
        ask: u64,
        /// What.
        request: &'a [u8],
    },
    /// A question of its own is answered, or failed.
    Answered {
        /// Which.
        ask: u64,
        /// The answer.
        answer: Result<&'a [u8], AskFailure>,
    },
    /// A one-way message arrives over a stream.
    Shipped {
        /// From whom.
        from: MemberId,
        /// The message.
        bytes: &'a [u8],
    },
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskFailure {
    /// No connection, or not to whom it was meant for.
    Unreachable,
    /// Connected, but no complete answer in time.
    NoAnswer,
}

/// What a host wants done. Drained by the world after every event.
#[derive(Debug)]
pub struct Actions<T> {
    /// Datagrams to send.
    pub sends: Vec<(SocketAddr, Vec<u8>)>,
    /// Call-backs, by the host's own clock.
    pub timers: Vec<(Moment, T)>,
    /// Questions to ask over a stream.
    pub asks: Vec<Question>,
    /// Answers to questions of others, by [`Event::Asked::ask`].
    pub replies: Vec<(u64, Vec<u8>)>,
    /// One-way messages over a stream.
    pub ships: Vec<Parcel>,
    /// What its user learns.
    pub news: Vec<News>,
}

impl<T> Default for Actions<T> {
    fn default() -> Self {
        Self {
            sends: Vec::new(),
            timers: Vec::new(),
            asks: Vec::new(),
            replies: Vec::new(),
            ships: Vec::new(),
            news: Vec::new(),
        }
    }
}

/// One question over a stream.
#[derive(Clone, Debug)]
pub struct Question {
    /// Comes back with the answer.
    pub ask: u64,
    /// Whom; the connection proves to be theirs.
    pub member: MemberId,
    /// Their QUIC address.
    pub at: SocketAddr,
    /// What.
    pub request: Vec<u8>,
    /// The most bytes of an answer.
    pub limit: usize,
    /// How long to wait, connecting included.
    pub within: Duration,
}

/// One one-way message over a stream.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// To whom; the connection proves to be theirs.
    pub member: MemberId,
    /// Their QUIC address.
    pub at: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What the user of a host learns. Members are named by the index of their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// What a member is in this host's eyes from now on.
    Member {
        /// Who.
        member: u32,
        /// Which start of it, counted from 0 by the world.
        life: u32,
        /// What.
        standing: Standing,
    },
    /// A record of a member is held in this version, or gone as of this version.
    Record {
        /// Whose.
        member: u32,
        /// Which, as numbered by whoever set it.
        key: u32,
        /// The version.
        version: u64,
    },
    /// Whoever resolves here is given this provider from now on, or no more.
    Provider {
        /// Who provides.
        member: u32,
        /// Whether it is among the best.
        given: bool,
    },
    /// It is part of the mesh.
    Joined,
    /// It found that it had been taken for dead, and said otherwise.
    Refuted,
    /// It refused something.
    Refused,
}

/// What the user of a host may want of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Offer a record under a key, of so many bytes; who sets a key again raises the version.
    Set {
        /// Its key.
        key: u32,
        /// Its version.
        version: u64,
        /// Its size.
        bytes: usize,
    },
    /// Withdraw a record. Counts as its next version.
    Remove {
        /// Its key.
        key: u32,
        /// The version.
        version: u64,
    },
    /// Say goodbye.
    Leave,
}

/// What a host knows of the mesh when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Hosts 0 to `n` − 1, all up and in their first life: the world starts converged.
    Everybody(u32),
    /// Some hosts to ask.
    Seeds(Vec<u32>),
}

/// What a member is in a host's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing speaks against it.
    Alive,
    /// It may be gone.
    Suspect,
    /// It is gone.
    Dead,
    /// It said goodbye.
    Left,
    /// It is not even remembered.
    Unknown,
}

/// The IP address of a host.
pub fn ip(host: u32) -> Ipv4Addr {
    let [_, a, b, c] = host.to_be_bytes();
    Ipv4Addr::new(10, a, b, c)
}

/// The address of a host's gossip socket.
pub fn gossip_address(host: u32) -> SocketAddr {
    (ip(host), GOSSIP_PORT).into()
}

/// The address of a host's QUIC endpoint.
pub fn quic_address(host: u32) -> SocketAddr {
    (ip(host), QUIC_PORT).into()
}

/// Which host lives at an address; `None` when it is none of the world's.
pub fn host_at(address: SocketAddr) -> Option<u32> {
    let SocketAddr::V4(address) = address else { return None };
    let [net, a, b, c] = address.ip().octets();
    (net == 10).then(|| u32::from_be_bytes([0, a, b, c]))
}
