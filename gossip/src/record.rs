//! One thing a member offers: a key, a value and a version, signed by the member.
//!
//! A record names neither its member's key nor its whole life on the wire, because whoever receives one knows both
//! from the member's alive record; the signature covers them all the same. So 100 bytes of value under a key of ten
//! cost some 185 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::id::{Generation, MemberId, MeshId, PublicKey, Session};
use crate::signature::{Signature, Signer, Verifier};
use crate::wire::{self, Malformed};

/// The most bytes of a key.
pub const MAX_KEY_BYTES: usize = 128;

/// The most bytes of a value that a record holds itself. A larger one becomes a blob.
pub const MAX_INLINE_BYTES: usize = 4096;

/// The most bytes of a blob, and so of any value.
pub const MAX_BLOB_BYTES: usize = 1 << 20;

/// The most bytes of an encoded, signed record: life, key, version, value and signature, each at its longest.
pub const MAX_RECORD_BYTES: usize = 4 + (1 + MAX_KEY_BYTES) + 9 + (1 + 3 + MAX_INLINE_BYTES) + SIGNATURE_BYTES;

const SIGNATURE_BYTES: usize = 64;

/// Keyed hashing makes the marks of records a family of their own; anybody may know the key.
const MARK_KEY: &[u8; 32] = b"mesh 2026: mark of a record v1..";

/// What a record is called: 1 to [`MAX_KEY_BYTES`] visible ASCII characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A text that cannot be a record's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's key is 1 to {MAX_KEY_BYTES} visible ASCII characters")]
pub struct NotAKey;

/// What a member says under a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// The value itself, at most [`MAX_INLINE_BYTES`].
    Inline(Bytes),
    /// A value that is fetched by its hash (see [`crate::blob`]).
    Blob {
        /// The blake3 hash of the value.
        hash: [u8; 32],
        /// How long the value is: more than [`MAX_INLINE_BYTES`], at most [`MAX_BLOB_BYTES`].
        bytes: u32,
    },
    /// The key is no longer in use.
    Removed,
}

/// A value of more than [`MAX_BLOB_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value has at most {MAX_BLOB_BYTES} bytes, not {bytes}: split it, or offer where to fetch it")]
pub struct TooLarge {
    /// How long the value is.
    pub bytes: usize,
}

/// Everything a record's signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBody {
    /// Whose record it is.
    pub member: MemberId,
    /// In which start of the member it was made.
    pub generation: Generation,
    /// In which process of that start.
    pub session: Session,
    /// Its key.
    pub key: Key,
    /// One more than the version of the record the member made before, whatever its key; never 0.
    pub version: u64,
    /// Its value.
    pub value: Value,
}

/// A record whose signature has been checked. Keeps the bytes that travel; share it in an [`Arc`].
#[derive(Clone, Debug)]
pub struct Record {
    body: RecordBody,
    mark: u64,
    bytes: Bytes,
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not a record: damaged, too long, or beyond its bounds.
    #[error("the record is malformed")]
    Malformed,
    /// Made in another life of its member than the one known here. Look at the member's newest alive record first.
    #[error("the record is of another generation or session of its member")]
    OtherLife,
    /// Its signature is not its owner's, or was made for another mesh.
    #[error("the record is not signed by its owner")]
    Forged,
}

/// What travels, before the signature. The value comes last, so that it can be found without decoding.
#[derive(Encode, Decode)]
struct Unsigned {
    life: [u8; 4],
    key: String,
    version: u64,
    value: UnsignedValue,
}

#[derive(Encode, Decode)]
enum UnsignedValue {
    Inline(Vec<u8>),
    Blob { hash: [u8; 32], bytes: u32 },
    Removed,
}

impl Key {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let fits = (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(NotAKey) }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    /// The value that stands for `bytes`: the bytes themselves, or the name of the blob they are when they are many.
    /// Of a blob the caller keeps the bytes.
    ///
    /// # Errors
    /// [`TooLarge`] beyond [`MAX_BLOB_BYTES`].
    pub fn of(bytes: Bytes) -> Result<Self, TooLarge> {
        match bytes.len() {
            0..=MAX_INLINE_BYTES => Ok(Self::Inline(bytes)),
            length if length <= MAX_BLOB_BYTES => {
                let length = u32::try_from(length).expect("a blob's length was just bounded");
                Ok(Self::Blob { hash: *blake3::hash(&bytes).as_bytes(), bytes: length })
            }
            length => Err(TooLarge { bytes: length }),
        }
    }

    /// Whether the key is no longer in use.
    pub fn is_removed(&self) -> bool {
        matches!(self, Self::Removed)
    }

    pub(crate) fn is_within_bounds(&self) -> bool {
        match self {
            Self::Inline(bytes) => bytes.len() <= MAX_INLINE_BYTES,
            Self::Blob { bytes, .. } => (MAX_INLINE_BYTES + 1..=MAX_BLOB_BYTES).contains(&(*bytes as usize)),
            Self::Removed => true,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Blob { hash, bytes } => write!(f, "blob {:02x}{:02x}… of {bytes} bytes", hash[0], hash[1]),
            Self::Removed => f.write_str("removed"),
        }
    }
}

impl Record {
    /// The version that some bytes claim, with no signature checked: enough to know that one has it already, and for
    /// nothing else.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no record.
    pub fn peek(bytes: &[u8]) -> Result<u64, Malformed> {
        // The life's tag, then the key after its length, which is below the first length of two bytes.
        let key_bytes = usize::from(*bytes.get(4).ok_or(Malformed)?);
        wire::decode_prefix::<u64, MAX_RECORD_BYTES>(bytes.get(5 + key_bytes..).ok_or(Malformed)?)
    }

    /// Signs `body` with its member's key, for one mesh.
    pub fn sign(body: RecordBody, mesh: MeshId, signer: &dyn Signer) -> Self {
        debug_assert_eq!(body.member, MemberId::of(&signer.public_key()));
        debug_assert!(body.version > 0 && body.value.is_within_bounds());
        let value = match &body.value {
            Value::Inline(bytes) => UnsignedValue::Inline(bytes.to_vec()),
            Value::Blob { hash, bytes } => UnsignedValue::Blob { hash: *hash, bytes: *bytes },
            Value::Removed => UnsignedValue::Removed,
        };
        let key = body.key.as_str().to_owned();
        let mut bytes = wire::encode(&Unsigned { life: life_tag(body.session), key, version: body.version, value });
        let message = signed_message(body.member, (body.generation, body.session), mesh, &bytes);
        bytes.extend_from_slice(&signer.sign(&message).0);
        Self::of(body, bytes.into())
    }

    /// Decodes and checks what somebody sent as a record of the owner of `key`, of whom `life` is the generation and
    /// session that its newest alive record speaks of.
    ///
    /// # Errors
    /// [`RecordError`] says whether the bytes, the life or the signature are wrong. Nothing about the sender follows.
    pub fn verify(
        bytes: &[u8],
        key: &PublicKey,
        life: (Generation, Session),
        mesh: MeshId,
        verifier: &dyn Verifier,
    ) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::Malformed);
        }
        let (unsigned, signature) = bytes.split_last_chunk().ok_or(RecordError::Malformed)?;
        let Unsigned { life: tag, key: name, version, value } =
            wire::decode::<Unsigned, MAX_RECORD_BYTES>(unsigned).map_err(|Malformed| RecordError::Malformed)?;
        let name = name.parse().map_err(|NotAKey| RecordError::Malformed)?;
        let shared = Bytes::copy_from_slice(bytes);
        let value = match value {
            // A slice of the record's own bytes, so that a value is in memory once.
            UnsignedValue::Inline(value) => Value::Inline(shared.slice(unsigned.len() - value.len()..unsigned.len())),
            UnsignedValue::Blob { hash, bytes } => Value::Blob { hash, bytes },
            UnsignedValue::Removed => Value::Removed,
        };
        if version == 0 || !value.is_within_bounds() {
            return Err(RecordError::Malformed);
        }
        if tag != life_tag(life.1) {
            return Err(RecordError::OtherLife);
        }
        let member = MemberId::of(key);
        if !verifier.verify(key, &signed_message(member, life, mesh, unsigned), &Signature(*signature)) {
            return Err(RecordError::Forged);
        }
        let (generation, session) = life;
        Ok(Self::of(RecordBody { member, generation, session, key: name, version, value }, shared))
    }

    fn of(body: RecordBody, bytes: Bytes) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(MARK_KEY);
        hasher.update(&body.version.to_le_bytes());
        hasher.update(body.key.as_str().as_bytes());
        let mut mark = [0; 8];
        hasher.finalize_xof().fill(&mut mark);
        Self { body, mark: u64::from_le_bytes(mark), bytes }
    }

    /// Everything it says.
    pub fn body(&self) -> &RecordBody {
        &self.body
    }

    /// Whose record it is.
    pub fn member(&self) -> MemberId {
        self.body.member
    }

    /// In which generation and session of its member it was made.
    pub fn life(&self) -> (Generation, Session) {
        (self.body.generation, self.body.session)
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.body.key
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.body.version
    }

    /// Its value.
    pub fn value(&self) -> &Value {
        &self.body.value
    }

    /// Eight bytes of a hash of its key and version: what a summary's hash is the sum of.
    ///
    /// The sum (wrapping, order does not matter) tells whether two tables hold the same records. It need only hold
    /// against accident: versions are signed by the owner, and so is the sum that others compare with. A member that
    /// crafts keys whose marks add up alike deceives about its own records only.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// The bytes that travel, at most [`MAX_RECORD_BYTES`].
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Half a session: enough to tell a record of another life from a forgery. The signature covers the whole.
fn life_tag(session: Session) -> [u8; 4] {
    let [a, b, c, d, ..] = session.0.to_le_bytes();
    [a, b, c, d]
}

fn signed_message(member: MemberId, life: (Generation, Session), mesh: MeshId, unsigned: &[u8]) -> Vec<u8> {
    let mut message = b"mesh record 1".to_vec();
    message.extend_from_slice(&mesh.0);
    message.extend_from_slice(member.as_bytes());
    message.extend_from_slice(&life.0.0.to_le_bytes());
    message.extend_from_slice(&life.1.0.to_le_bytes());
    message.extend_from_slice(unsigned);
    message
}

#[cfg(test)]
pub(crate) mod tests;
