//! The envelope of every datagram: who claims to send it in clear, the rest readable for holders of the mesh key only.
//!
//! | bytes | in clear |
//! |---|---|
//! | 1 | `A` in the upper four bits, format version in the lower four |
//! | 4 | the first bytes of the [`MeshId`] |
//! | 4 | the [`KeyHash`] of the key it is sealed with |
//! | 16 | sender ([`MemberId`]) |
//! | 8 | session, little endian |
//! | 8 | counter, little endian |
//!
//! then the body under ChaCha20-Poly1305 (RFC 8439), with these 41 bytes as associated data, and its tag of 16 bytes.
//! The layout of the clear part is the same in every version of the format. The key is derived (HKDF-SHA256, RFC 5869)
//! from the mesh key for one mesh, sender and session; the nonce is the counter. A session is drawn at random by every
//! start, a counter is used once in it, so no nonce is ever used twice under one key, though all share the mesh key.
//!
//! The seal proves that the sender holds the mesh key, and nothing else: a member can claim to be another one.

mod flow;
mod limit;
mod refusal;

use std::net::SocketAddr;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use self::flow::{Flow, FlowName, Flows};
pub use self::limit::{MAX_KNOWN, Quota, RateLimit, RateLimits};
pub use self::refusal::{Advice, REFUSAL_BYTES, Refusal, Refuser};
use crate::id::{MemberId, MeshId, Session};
use crate::keyring::{KeyHash, Keyring, MeshKey};

/// The most bytes of a datagram, small enough for every path of the internet.
pub const MAX_DATAGRAM: usize = 1_200;

/// What the envelope adds to a body, in bytes.
pub const OVERHEAD: usize = HEADER + TAG;

/// The most bytes of a body.
pub const MAX_BODY: usize = MAX_DATAGRAM - OVERHEAD;

/// The version of the format described here.
pub const FORMAT_VERSION: u8 = 1;

const MAGIC: u8 = 0xA0;
const HEADER: usize = 41;
const TAG: usize = 16;

/// A counter this far behind our own is not ours of late, whoever says so.
const LATELY: u64 = 10_000;

/// Seals what one session of one member sends. There must be only one for a session, which is why it cannot be cloned:
/// a second one would use the same counters, and so the same nonces, again.
pub struct Sealer {
    mesh: MeshId,
    sender: MemberId,
    session: Session,
    /// None when all were used.
    next_counter: Option<u64>,
    key: KeyHash,
    cipher: ChaCha20Poly1305,
}

/// Opens what others send, and refuses what it has opened already. Memory is bounded; see [`Opener::open`].
pub struct Opener {
    mesh: MeshId,
    keys: Vec<OpeningKey>,
    flows: Flows,
}

/// What was in a datagram. That it comes from `sender` is a claim of somebody who holds the mesh key. It may even be one
/// of our own that came back: by a seed address that is ours, or by somebody who reflects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who is said to have sent it.
    pub sender: MemberId,
    /// In which session.
    pub session: Session,
    /// Which datagram of that session it is.
    pub counter: u64,
    /// What it says.
    pub body: Vec<u8>,
}

/// A body of more than [`MAX_BODY`] bytes: split it, or send it over QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body of {bytes} bytes does not fit into a datagram, {MAX_BODY} are allowed")]
pub struct TooLong {
    /// How many bytes it has.
    pub bytes: usize,
}

/// Why a datagram was dropped. A value to count, not an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Shorter than any datagram of ours.
    #[error("datagram too short")]
    Short,
    /// Longer than [`MAX_DATAGRAM`].
    #[error("datagram too long")]
    Oversized,
    /// Not of this protocol at all.
    #[error("not a datagram of this protocol")]
    Foreign,
    /// Sealed by a version of the format that we do not speak.
    #[error("datagram of format version {theirs}, this side speaks {FORMAT_VERSION}")]
    OtherVersion {
        /// The version it was sealed by.
        theirs: u8,
    },
    /// Meant for a mesh of another name.
    #[error("datagram of a mesh of another name")]
    OtherMesh,
    /// Sealed with a key that is not in our ring.
    #[error("datagram under a mesh key that is not in the ring")]
    UnknownKey,
    /// Damaged, or forged by somebody without the key.
    #[error("datagram damaged or forged")]
    BadSeal,
    /// Opened before.
    #[error("datagram received twice")]
    Duplicate,
}

struct OpeningKey {
    hash: KeyHash,
    source: SubkeySource,
}

/// A mesh key made ready for one mesh: the pseudo-random key of HKDF's first half.
struct SubkeySource(Zeroizing<[u8; 32]>);

/// The clear part of a datagram.
struct Header {
    version: u8,
    mesh: [u8; 4],
    key: KeyHash,
    sender: MemberId,
    session: Session,
    counter: u64,
}

impl Sealer {
    /// Seals with the ring's first key in the name of `sender`. No other sealer may ever have been made for `session`,
    /// so draw it at random for each.
    pub fn new(mesh: MeshId, sender: MemberId, session: Session, ring: &Keyring) -> Self {
        let cipher = SubkeySource::new(mesh, ring.primary()).cipher(sender, session);
        Self { mesh, sender, session, next_counter: Some(0), key: ring.primary().hash(), cipher }
    }

    /// Seals with the first key of `ring` from now on. Counters go on, so returning to an earlier key is safe.
    pub fn rekey(&mut self, ring: &Keyring) {
        self.key = ring.primary().hash();
        self.cipher = SubkeySource::new(self.mesh, ring.primary()).cipher(self.sender, self.session);
    }

    /// The datagram that carries `body`.
    ///
    /// # Errors
    /// [`TooLong`] when it would exceed [`MAX_DATAGRAM`]; nothing is used up.
    pub fn seal(&mut self, body: &[u8]) -> Result<Vec<u8>, TooLong> {
        let mut datagram = Vec::new();
        self.seal_into(body, &mut datagram)?;
        Ok(datagram)
    }

    /// Like [`Sealer::seal`], but into a buffer that can be used again. What was in it is lost.
    ///
    /// # Errors
    /// [`TooLong`] when the datagram would exceed [`MAX_DATAGRAM`]; the buffer is empty then.
    pub fn seal_into(&mut self, body: &[u8], datagram: &mut Vec<u8>) -> Result<(), TooLong> {
        datagram.clear();
        if body.len() > MAX_BODY {
            return Err(TooLong { bytes: body.len() });
        }
        let counter = self.next_counter.expect("a million datagrams a second last for 500,000 years");
        self.next_counter = counter.checked_add(1);
        let header = Header {
            version: FORMAT_VERSION,
            mesh: short(self.mesh),
            key: self.key,
            sender: self.sender,
            session: self.session,
            counter,
        };
        let header = header.bytes();
        datagram.reserve(OVERHEAD + body.len());
        datagram.extend_from_slice(&header);
        datagram.extend_from_slice(body);
        let sealed = (&mut datagram[HEADER..]).into();
        let tag = self.cipher.encrypt_inout_detached(&nonce(counter), &header, sealed).expect("far below 256 GB");
        datagram.extend_from_slice(&tag);
        Ok(())
    }

    /// Leaves out all counters below `counter`; never goes back. Honest members have no use for it, tests of what others
    /// might send do.
    pub fn skip_to(&mut self, counter: u64) {
        self.next_counter = self.next_counter.map(|next| next.max(counter));
    }

    /// The session it seals for.
    pub const fn session(&self) -> Session {
        self.session
    }

    /// Whether `counter` is one that this session used not long ago.
    fn sent_lately(&self, session: Session, counter: u64) -> bool {
        let next = self.next_counter.unwrap_or(u64::MAX);
        session == self.session && counter < next && next - counter <= LATELY
    }
}

impl Opener {
    /// Opens datagrams of `mesh` under any key of `ring`.
    pub fn new(mesh: MeshId, ring: &Keyring) -> Self {
        let mut opener = Self { mesh, keys: Vec::new(), flows: Flows::new() };
        opener.rekey(ring);
        opener
    }

    /// Opens under the keys of `ring`, and no others, from now on. What was seen under keys that stay is not forgotten.
    pub fn rekey(&mut self, ring: &Keyring) {
        self.keys =
            ring.keys().map(|key| OpeningKey { hash: key.hash(), source: SubkeySource::new(self.mesh, key) }).collect();
        self.flows.retain_keys(&ring.list());
    }

    /// What is in a datagram that came from `from`.
    ///
    /// The last 512 datagrams of each sender's session from one address are remembered, and refused when they come
    /// again. Nothing else is: whatever counter a datagram claims, no later one is refused because of it. At most 4,096
    /// such flows are remembered, and only after something under a key of ours was opened in them.
    ///
    /// # Errors
    /// [`Refused`] says why the datagram is to be dropped. [`Refuser`] knows whether its sender should be told.
    pub fn open(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<Opened, Refused> {
        let header = self.check(datagram)?;
        let hash = header.key;
        let key = self.keys.iter().find(|key| key.hash == hash).ok_or(Refused::UnknownKey)?;
        let Header { sender, session, counter, .. } = header;
        let (clear, rest) = datagram.split_at(HEADER);
        let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or(Refused::Short)?;
        let seal = u64::from_le_bytes(std::array::from_fn(|i| tag[i]));
        let decrypt = |cipher: &ChaCha20Poly1305| {
            let mut body = sealed.to_vec();
            cipher
                .decrypt_inout_detached(&nonce(counter), clear, body.as_mut_slice().into(), &Tag::from(*tag))
                .map_err(|_| Refused::BadSeal)?;
            Ok(body)
        };
        let name = FlowName { key: hash, sender, session, from };
        let body = if let Some(flow) = self.flows.get(&name) {
            if flow.has_seen(seal) {
                return Err(Refused::Duplicate);
            }
            let body = decrypt(flow.cipher())?;
            flow.accept(seal);
            body
        } else {
            let mut flow = Flow::new(key.source.cipher(sender, session));
            let body = decrypt(flow.cipher())?;
            flow.accept(seal);
            self.flows.insert(name, flow);
            body
        };
        Ok(Opened { sender, session, counter, body })
    }

    fn check(&self, datagram: &[u8]) -> Result<Header, Refused> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Refused::Oversized);
        }
        if datagram.first().is_some_and(|first| first & 0xF0 != MAGIC) {
            return Err(Refused::Foreign);
        }
        let header = Header::read(datagram).filter(|_| datagram.len() >= OVERHEAD).ok_or(Refused::Short)?;
        if header.version != FORMAT_VERSION {
            return Err(Refused::OtherVersion { theirs: header.version });
        }
        if header.mesh != short(self.mesh) {
            return Err(Refused::OtherMesh);
        }
        Ok(header)
    }
}

impl Refused {
    /// One word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Oversized => "oversized",
            Self::Foreign => "foreign",
            Self::OtherVersion { .. } => "other_version",
            Self::OtherMesh => "other_mesh",
            Self::UnknownKey => "unknown_key",
            Self::BadSeal => "bad_seal",
            Self::Duplicate => "duplicate",
        }
    }
}

impl SubkeySource {
    fn new(mesh: MeshId, key: &MeshKey) -> Self {
        let (extracted, _) = Hkdf::<Sha256>::extract(Some(&mesh.0), key.as_bytes());
        Self(Zeroizing::new(extracted.into()))
    }

    fn cipher(&self, sender: MemberId, session: Session) -> ChaCha20Poly1305 {
        let info: [&[u8]; 3] = [b"mesh seal 1", sender.as_bytes(), &session.0.to_le_bytes()];
        let mut subkey = Zeroizing::new([0; 32]);
        let expander = Hkdf::<Sha256>::from_prk(self.0.as_slice()).expect("as long as a hash");
        expander.expand_multi_info(&info, subkey.as_mut_slice()).expect("HKDF gives up to 8,160 bytes");
        ChaCha20Poly1305::new((&*subkey).into())
    }
}

impl Header {
    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = MAGIC | self.version;
        bytes[1..5].copy_from_slice(&self.mesh);
        bytes[5..9].copy_from_slice(&self.key.0);
        bytes[9..25].copy_from_slice(self.sender.as_bytes());
        bytes[25..33].copy_from_slice(&self.session.0.to_le_bytes());
        bytes[33..].copy_from_slice(&self.counter.to_le_bytes());
        bytes
    }

    /// The header of a datagram that has room for one and is ours.
    fn read(datagram: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = datagram.first_chunk()?;
        if bytes[0] & 0xF0 != MAGIC {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Some(Self {
            version: bytes[0] & 0x0F,
            mesh: std::array::from_fn(|i| bytes[1 + i]),
            key: KeyHash(std::array::from_fn(|i| bytes[5 + i])),
            sender: MemberId::from_bytes(std::array::from_fn(|i| bytes[9 + i])),
            session: Session(number(25)),
            counter: number(33),
        })
    }
}

fn short(mesh: MeshId) -> [u8; 4] {
    std::array::from_fn(|i| mesh.0[i])
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce.into()
}
