//! What members ask each other over proved streams, and what they answer.
//!
//! A message is a kind byte and a body, so that a node tells a question of a newer node, which it answers with
//! [`Answer::Unsupported`], from damage. Answers carry a second byte that says whether the body is compressed. What
//! follows the fields that this version knows is ignored, in everything but a blob.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::id::{Generation, MemberId, Session};
use crate::record::MAX_BLOB_BYTES;
use crate::wire::{self, Malformed};

/// The most bytes of an encoded question.
pub const MAX_QUESTION_BYTES: usize = 64 << 10;

/// The most members that one question is about.
pub const MAX_WANTS: usize = 1024;

/// The most bytes of an encoded answer, and of an answer's body before compression.
pub const MAX_ANSWER_BYTES: usize = MAX_BLOB_BYTES + (4 << 10);

/// What decoding may allocate. Many short entries take more room in memory than on the wire.
const DECODED_BYTES: usize = 4 * MAX_ANSWER_BYTES;

/// Smaller bodies are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 512;

/// The fastest: what travels most is hashes and signatures, of which a higher level makes no more.
const COMPRESSION_LEVEL: i32 = 1;

/// What one member asks another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whom do you know? Page by page, in order of ids; the first page also holds the operator's orders.
    Members {
        /// The last member of the page before.
        after: Option<MemberId>,
    },
    /// What do these members offer? At most [`MAX_WANTS`].
    Records {
        /// Of whom, and what of them.
        wants: Vec<Want>,
    },
    /// What has this hash?
    Blob {
        /// The blake3 hash of the blob.
        hash: [u8; 32],
    },
}

/// Whose records are asked for, and which: those of this life above a version, or all when the teller knows a newer
/// life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Want {
    /// Whose.
    pub member: MemberId,
    /// The newest generation of it that the asker knows.
    pub generation: Generation,
    /// The session of that generation.
    pub session: Session,
    /// The asker has everything up to this version.
    pub above: u64,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Members the teller knows.
    Members(Members),
    /// Records the teller holds.
    Records(Records),
    /// The blob asked for. Whether it is, its hash tells.
    Blob(Bytes),
    /// The teller does not have it.
    Missing,
    /// The teller is older than the question.
    Unsupported,
}

/// One page of the members that the teller knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Members {
    /// In order of their ids.
    pub members: Vec<ToldMember>,
    /// The operator's signed orders in force.
    pub orders: Vec<Vec<u8>>,
    /// Where the next page begins: after this member. `None` on the last page.
    pub more_after: Option<MemberId>,
}

/// A member as the teller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ToldMember {
    /// Its newest alive record, signed.
    pub alive: Vec<u8>,
    /// What the teller takes it for: hearsay.
    pub repute: Repute,
}

/// What a teller takes a member for. Hearsay, good for choosing whom to probe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Repute {
    /// Nothing speaks against it.
    Alive,
    /// Somebody got no answer from it.
    Suspect,
    /// The teller got none either.
    Dead,
    /// It said goodbye.
    Left,
}

/// What the teller holds of the members asked for, in the order asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Records {
    /// One entry for each member asked for, as far as there was room.
    pub told: Vec<ToldRecords>,
}

/// What the teller holds of one member.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ToldRecords {
    /// Of whom.
    pub member: MemberId,
    /// The member's newest alive record that the teller knows, to judge the records by; empty when it knows none.
    pub alive: Vec<u8>,
    /// Signed records, oldest first.
    pub records: Vec<Vec<u8>>,
    /// The version of the last of them; go on asking above it when there is more.
    pub upto: u64,
    /// Whether the teller holds more of this member than found room.
    pub more: bool,
}

/// Why a question cannot be answered as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// Damaged or beyond its bounds. Drop it.
    #[error("the question is malformed")]
    Malformed,
    /// Of a kind that a newer node knows. Answer [`Answer::Unsupported`].
    #[error("the question is of an unknown kind")]
    Unsupported,
}

impl From<Malformed> for QuestionError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain = 0,
    Zstd = 1,
}

const ASK_MEMBERS: u8 = 1;
const ASK_RECORDS: u8 = 2;
const ASK_BLOB: u8 = 3;

const TELL_MEMBERS: u8 = 1;
const TELL_RECORDS: u8 = 2;
const TELL_BLOB: u8 = 3;
const TELL_MISSING: u8 = 4;
const TELL_UNSUPPORTED: u8 = 5;

impl Question {
    /// The bytes that travel.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Members { after } => (ASK_MEMBERS, wire::encode(after)),
            Self::Records { wants } => (ASK_RECORDS, wire::encode(wants)),
            Self::Blob { hash } => (ASK_BLOB, hash.to_vec()),
        };
        [&[kind], &body[..]].concat()
    }

    /// Decodes what somebody asks.
    ///
    /// # Errors
    /// [`QuestionError`] says whether to answer that the kind is unknown or to drop it.
    pub fn decode(bytes: &[u8]) -> Result<Self, QuestionError> {
        let (kind, body) = bytes.split_first().ok_or(QuestionError::Malformed)?;
        if bytes.len() > MAX_QUESTION_BYTES {
            return Err(QuestionError::Malformed);
        }
        match *kind {
            ASK_MEMBERS => Ok(Self::Members { after: wire::decode_prefix::<_, MAX_QUESTION_BYTES>(body)? }),
            ASK_RECORDS => {
                let wants: Vec<Want> = wire::decode_prefix::<_, MAX_QUESTION_BYTES>(body)?;
                if wants.len() > MAX_WANTS { Err(QuestionError::Malformed) } else { Ok(Self::Records { wants }) }
            }
            ASK_BLOB => Ok(Self::Blob { hash: *body.first_chunk().ok_or(QuestionError::Malformed)? }),
            _ => Err(QuestionError::Unsupported),
        }
    }
}

impl Answer {
    /// The bytes that travel, compressed where that pays.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Members(members) => (TELL_MEMBERS, wire::encode(members)),
            Self::Records(records) => (TELL_RECORDS, wire::encode(records)),
            Self::Blob(bytes) => return packed(TELL_BLOB, bytes),
            Self::Missing => (TELL_MISSING, Vec::new()),
            Self::Unsupported => (TELL_UNSUPPORTED, Vec::new()),
        };
        packed(kind, &body)
    }

    /// Decodes what a teller says. Whether the signatures in it are good is for the caller to check.
    ///
    /// # Errors
    /// [`Malformed`] when it is damaged, beyond its bounds, or unpacks to more than [`MAX_ANSWER_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let [kind, packing, body @ ..] = bytes else { return Err(Malformed) };
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(Malformed);
        }
        let unpacked;
        let body = if *packing == Packing::Plain as u8 {
            body
        } else if *packing == Packing::Zstd as u8 {
            unpacked = unpack(body)?;
            &unpacked
        } else {
            return Err(Malformed);
        };
        match *kind {
            TELL_MEMBERS => Ok(Self::Members(wire::decode_prefix::<_, DECODED_BYTES>(body)?)),
            TELL_RECORDS => Ok(Self::Records(wire::decode_prefix::<_, DECODED_BYTES>(body)?)),
            TELL_BLOB if body.len() <= MAX_BLOB_BYTES => Ok(Self::Blob(Bytes::copy_from_slice(body))),
            TELL_MISSING => Ok(Self::Missing),
            TELL_UNSUPPORTED => Ok(Self::Unsupported),
            _ => Err(Malformed),
        }
    }
}

fn packed(kind: u8, body: &[u8]) -> Vec<u8> {
    let small = (body.len() >= COMPRESS_FROM_BYTES)
        .then(|| zstd::bulk::compress(body, COMPRESSION_LEVEL).ok())
        .flatten()
        .filter(|small| small.len() < body.len() / 8 * 7);
    match small {
        Some(small) => [&[kind, Packing::Zstd as u8], &small[..]].concat(),
        None => [&[kind, Packing::Plain as u8], body].concat(),
    }
}

/// A frame claims its size up front, so nothing is allocated for one that claims too much.
fn unpack(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(Some(size)) if size <= MAX_ANSWER_BYTES as u64 => {
            let size = usize::try_from(size).map_err(|_| Malformed)?;
            zstd::bulk::decompress(body, size).map_err(|_| Malformed)
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests;
