//! What a sealed datagram holds: one message, then rumours.
//!
//! ```text
//! message kind u8 │ length u16 │ body │ { length u16 │ rumour kind u8 │ body }*
//! ```
//!
//! Lengths are little endian, bodies are [`crate::wire`] encodings. An older member lives among newer ones: whatever has
//! an unknown kind is skipped by its length (a rumour is then not passed on either), and what follows the fields of a
//! body that this version knows is ignored. Signed bytes, and messages of the courier, are what they are to the end.

use std::net::SocketAddr;

use bincode::{Decode, Encode};

use crate::alive::{Life, MAX_ALIVE_BYTES};
use crate::id::{Incarnation, MemberId};
use crate::signature::Signature;
use crate::wire::{self, Malformed};

/// The most bytes one datagram's seal may hold: what remains of 1,200 bytes.
pub const MAX_BODY: usize = crate::seal::MAX_BODY;

/// The most bytes of one rumour's body.
pub const MAX_RUMOUR: usize = 1_024;

/// Bytes that a rumour adds to its body.
pub const RUMOUR_OVERHEAD: usize = 3;

/// What members say to each other in datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Nothing but rumours.
    Gossip,
    /// Are you there?
    Ping(Ping),
    /// I am.
    Ack(Ack),
    /// Ask another member for me whether it is there (SWIM's ping-req).
    AskFor(AskFor),
    /// The member you asked me about answered me; here is its word.
    Relayed(Relayed),
    /// The member you asked me about has not answered me, but I am here (Lifeguard's nack).
    Nack {
        /// The nonce of the [`AskFor`].
        nonce: u64,
    },
    /// You pinged somebody else; I live at this address.
    NotMe {
        /// The nonce of the [`Ping`].
        nonce: u64,
    },
    /// A newcomer introduces itself.
    Hello(Hello),
    /// The answer to a [`Hello`].
    Welcome(Welcome),
    /// A message of the courier's, opaque here.
    Courier(Vec<u8>),
}

/// A direct question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ping {
    /// Who is meant.
    pub target: MemberId,
    /// Comes back in the answer; nobody else can know it.
    pub nonce: u64,
    /// The sender's view in eight bytes (see [`crate::roster::Roster::digest`]).
    pub digest: u64,
    /// On whose behalf, under which nonce: the answer must then be signed.
    pub behalf: Option<(MemberId, u64)>,
    /// What the sender holds against the target: suspect or dead at this incarnation of its present session.
    pub doubt: Option<Incarnation>,
}

/// The answer to a [`Ping`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The nonce of the ping.
    pub nonce: u64,
    /// The answerer's view in eight bytes.
    pub digest: u64,
    /// The answerer's signature for whoever asked through another.
    pub word: Option<Signature>,
}

/// A question to be passed on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AskFor {
    /// Who is meant.
    pub target: MemberId,
    /// The asker's nonce for this way of asking.
    pub nonce: u64,
}

/// An answer passed on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Relayed {
    /// The asker's nonce.
    pub nonce: u64,
    /// The target's signature over that nonce and the asker's id.
    pub word: Signature,
}

/// A newcomer's introduction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Comes back in the answer.
    pub nonce: u64,
    /// The newcomer's signed alive record.
    pub alive: Vec<u8>,
    /// How many live members the newcomer already knows: more than one, and two islands meet.
    pub members: u32,
    /// Zeros, so that no answer is larger than the question.
    pub padding: Vec<u8>,
}

/// The answer to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The nonce of the hello.
    pub nonce: u64,
    /// The answerer's signed alive record.
    pub alive: Vec<u8>,
    /// Where the hello came from, as the answerer sees it.
    pub observed: SocketAddr,
}

/// What spreads from member to member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rumour {
    /// A signed alive record.
    Alive(Vec<u8>),
    /// A member did not answer.
    Suspect(Accusation),
    /// A member did not answer a whole confirm round.
    Dead(Accusation),
    /// A signed record of a member's.
    Record {
        /// Whose.
        member: MemberId,
        /// What [`crate::record::Record::verify`] takes.
        bytes: Vec<u8>,
    },
    /// The sender holds all records and blobs of a member up to a version that does not fit a datagram: pull it.
    Holding(Holding),
    /// A signed order of the operator.
    Order(Vec<u8>),
}

/// Who accuses whom, at which life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Accusation {
    /// The accused.
    pub member: MemberId,
    /// The life it is accused in. An accusation of any other life is void.
    pub life: Life,
    /// Who accuses; a claim, used only to tell confirmations apart.
    pub accuser: MemberId,
}

/// Who holds what of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Holding {
    /// Whose records.
    pub member: MemberId,
    /// Up to which version.
    pub version: u64,
}

const GOSSIP: u8 = 0;
const PING: u8 = 1;
const ACK: u8 = 2;
const ASK_FOR: u8 = 3;
const RELAYED: u8 = 4;
const NACK: u8 = 5;
const NOT_ME: u8 = 6;
const HELLO: u8 = 7;
const WELCOME: u8 = 8;
const COURIER: u8 = 9;

const ALIVE: u8 = 1;
const SUSPECT: u8 = 2;
const DEAD: u8 = 3;
const RECORD: u8 = 4;
const HOLDING: u8 = 5;
const ORDER: u8 = 6;

/// Writes one packet: the message first, then as many rumours as fit.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts a packet with its message.
    pub fn new(message: &Message) -> Self {
        let (kind, body) = match message {
            Message::Gossip => (GOSSIP, Vec::new()),
            Message::Ping(ping) => (PING, wire::encode(ping)),
            Message::Ack(ack) => (ACK, wire::encode(ack)),
            Message::AskFor(ask) => (ASK_FOR, wire::encode(ask)),
            Message::Relayed(relayed) => (RELAYED, wire::encode(relayed)),
            Message::Nack { nonce } => (NACK, wire::encode(nonce)),
            Message::NotMe { nonce } => (NOT_ME, wire::encode(nonce)),
            Message::Hello(hello) => (HELLO, wire::encode(hello)),
            Message::Welcome(welcome) => (WELCOME, wire::encode(welcome)),
            Message::Courier(bytes) => (COURIER, bytes.clone()),
        };
        let mut bytes = Vec::with_capacity(3 + body.len());
        bytes.push(kind);
        push_length(&mut bytes, body.len());
        bytes.extend(body);
        Self { bytes }
    }

    /// How many bytes are left for rumours, their overhead included.
    pub fn room(&self) -> usize {
        MAX_BODY.saturating_sub(self.bytes.len())
    }

    /// Adds an encoded rumour (see [`Rumour::encode`]); says whether it fitted.
    pub fn push(&mut self, rumour: &[u8]) -> bool {
        if rumour.len() + 2 > self.room() {
            return false;
        }
        push_length(&mut self.bytes, rumour.len());
        self.bytes.extend_from_slice(rumour);
        true
    }

    /// The finished packet.
    ///
    /// # Panics
    /// When the message alone was larger than a datagram, which is a mistake of the caller's.
    pub fn finish(self) -> Vec<u8> {
        assert!(self.bytes.len() <= MAX_BODY, "no datagram of ours exceeds its bound");
        self.bytes
    }
}

fn push_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u16::try_from(length).expect("parts of a packet are far smaller than 64 KiB");
    bytes.extend_from_slice(&length.to_le_bytes());
}

/// A packet being read: its message, and an iterator over its rumours.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The message; `None` when its kind is unknown, which is no mistake.
    pub message: Option<Message>,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads the message and leaves the rumours for [`Iterator::next`].
    ///
    /// # Errors
    /// [`Malformed`] when the message is damaged or cut.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&kind, rest) = bytes.split_first().ok_or(Malformed)?;
        let (body, rest) = split_part(rest)?;
        let message = match kind {
            GOSSIP => Some(Message::Gossip),
            PING => Some(Message::Ping(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            ACK => Some(Message::Ack(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            ASK_FOR => Some(Message::AskFor(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            RELAYED => Some(Message::Relayed(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            NACK => Some(Message::Nack { nonce: wire::decode_prefix::<_, MAX_BODY>(body)? }),
            NOT_ME => Some(Message::NotMe { nonce: wire::decode_prefix::<_, MAX_BODY>(body)? }),
            HELLO => Some(Message::Hello(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            WELCOME => Some(Message::Welcome(wire::decode_prefix::<_, MAX_BODY>(body)?)),
            COURIER => Some(Message::Courier(body.to_vec())),
            _ => None,
        };
        Ok(Self { message, rest })
    }
}

impl Iterator for Reader<'_> {
    /// A rumour; `Ok(None)` is one of an unknown kind.
    type Item = Result<Option<Rumour>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match split_part(self.rest) {
            Ok((part, rest)) => {
                self.rest = rest;
                Some(Rumour::decode(part))
            }
            Err(malformed) => {
                self.rest = &[];
                Some(Err(malformed))
            }
        }
    }
}

fn split_part(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (length, rest) = bytes.split_at_checked(2).ok_or(Malformed)?;
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    rest.split_at_checked(length).ok_or(Malformed)
}

impl Rumour {
    /// The rumour's kind and body, as [`Writer::push`] takes them.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Alive(bytes) => (ALIVE, bytes.clone()),
            Self::Suspect(accusation) => (SUSPECT, wire::encode(accusation)),
            Self::Dead(accusation) => (DEAD, wire::encode(accusation)),
            Self::Record { member, bytes } => (RECORD, [member.as_bytes(), bytes.as_slice()].concat()),
            Self::Holding(holding) => (HOLDING, wire::encode(holding)),
            Self::Order(bytes) => (ORDER, bytes.clone()),
        };
        let mut bytes = Vec::with_capacity(1 + body.len());
        bytes.push(kind);
        bytes.extend(body);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let (&kind, body) = bytes.split_first().ok_or(Malformed)?;
        Ok(Some(match kind {
            ALIVE if body.len() <= MAX_ALIVE_BYTES => Self::Alive(body.to_vec()),
            SUSPECT => Self::Suspect(wire::decode_prefix::<_, 128>(body)?),
            DEAD => Self::Dead(wire::decode_prefix::<_, 128>(body)?),
            RECORD if body.len() <= MAX_RUMOUR => {
                let (member, bytes) = body.split_first_chunk().ok_or(Malformed)?;
                Self::Record { member: MemberId::from_bytes(*member), bytes: bytes.to_vec() }
            }
            HOLDING => Self::Holding(wire::decode_prefix::<_, 64>(body)?),
            ORDER if body.len() <= MAX_RUMOUR => Self::Order(body.to_vec()),
            ALIVE | RECORD | ORDER => return Err(Malformed),
            _ => return Ok(None),
        }))
    }
}
