//! The alive record: what a member says about itself, signed. Nothing about a member counts unless this says so.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
use crate::signature::{Signature, Signer, Verifier};
use crate::wire::{self, Malformed};

/// The most bytes an encoded, signed alive record takes. A larger one is refused before anything is allocated.
pub const MAX_ALIVE_BYTES: usize = 480;

/// The most addresses one member may advertise.
pub const MAX_ADDRESSES: usize = 4;

/// The most bytes of a zone's name.
pub const MAX_ZONE_BYTES: usize = 32;

/// The most bytes that a newer version may add to an alive record.
pub const MAX_EXTENSION_BYTES: usize = 64;

/// Where a member can be reached: one IP address and its two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Address {
    /// The IP address, version 4 or 6.
    pub ip: IpAddr,
    /// UDP port of the gossip socket.
    pub gossip_port: u16,
    /// UDP port of the QUIC endpoint.
    pub quic_port: u16,
}

impl Address {
    /// Where gossip datagrams go.
    pub fn gossip(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.gossip_port)
    }

    /// Where QUIC connections go.
    pub fn quic(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.quic_port)
    }
}

/// What a member has to offer, in 8 bytes of hash and two versions: equal summaries hold equal records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Summary {
    /// Records with a lower version are void.
    pub first: u64,
    /// The highest version in use; 0 when the member never had a record.
    pub last: u64,
    /// A hash over the (key, version) pairs of all records, removals included (see [`crate::record`]).
    pub hash: u64,
}

/// Whether a member is there or has said goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Presence {
    /// It takes part.
    Here,
    /// It left of its own will.
    Left,
}

/// Whether a member's key outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum KeyLife {
    /// The key is on disk; the member may come back with a higher generation.
    Kept,
    /// The key dies with the process; the member is forgotten a minute after its death.
    Ephemeral,
}

/// The lowest and the highest protocol version a member speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ProtocolRange {
    /// The lowest version understood.
    pub lowest: u8,
    /// The highest version understood.
    pub highest: u8,
}

/// Everything a member says about itself outside its records.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AliveBody {
    /// The member's key; its id follows from it.
    pub key: PublicKey,
    /// Which start on this key it is.
    pub generation: Generation,
    /// Which process, should two run with one key.
    pub session: Session,
    /// Which re-signing of this record it is.
    pub incarnation: Incarnation,
    /// Where it can be reached, preferred first; at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Address>,
    /// The zone it runs in, at most [`MAX_ZONE_BYTES`]; empty when nobody said.
    pub zone: String,
    /// Which protocol versions it speaks.
    pub protocol: ProtocolRange,
    /// Whether it is there.
    pub presence: Presence,
    /// Whether its key outlives it.
    pub key_life: KeyLife,
    /// What it offers.
    pub summary: Summary,
}

/// Which of two alive records of one member is newer: generation first, then session, then incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Life {
    /// Which start.
    pub generation: Generation,
    /// Which process of that start.
    pub session: Session,
    /// Which re-signing in that process.
    pub incarnation: Incarnation,
}

/// An alive record whose signature has been checked. Cheap to share; keeps the bytes that travel.
///
/// What a newer version has to say besides travels in an extension of at most [`MAX_EXTENSION_BYTES`] between body and
/// signature. It is signed like the body and passed on untouched; this version writes none and reads nothing in it.
#[derive(Clone, Debug)]
pub struct Alive {
    id: MemberId,
    body: AliveBody,
    bytes: Arc<[u8]>,
}

#[derive(Encode, Decode)]
struct Signed {
    body: AliveBody,
    extension: Vec<u8>,
    signature: Signature,
}

/// Why an alive record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliveError {
    /// Not an alive record: damaged, too long, or beyond its bounds.
    #[error("the alive record is malformed")]
    Malformed,
    /// Its signature is not its owner's, or was made for another mesh.
    #[error("the alive record is not signed by its owner")]
    Forged,
}

impl From<Malformed> for AliveError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Alive {
    /// Signs `body` with its owner's key, for one mesh.
    pub fn sign(body: AliveBody, mesh: MeshId, signer: &dyn Signer) -> Self {
        debug_assert_eq!(body.key, signer.public_key());
        let extension = Vec::new();
        let signature = signer.sign(&signed_message(&body, &extension, mesh));
        let id = MemberId::of(&body.key);
        let signed = Signed { body, extension, signature };
        let bytes = wire::encode(&signed).into();
        Self { id, body: signed.body, bytes }
    }

    /// Decodes and checks what somebody sent.
    ///
    /// # Errors
    /// [`AliveError`] says whether the bytes or the signature are wrong. Nothing else about the sender follows from it.
    pub fn verify(bytes: &[u8], mesh: MeshId, verifier: &dyn Verifier) -> Result<Self, AliveError> {
        if bytes.len() > MAX_ALIVE_BYTES {
            return Err(AliveError::Malformed);
        }
        let Signed { body, extension, signature } = wire::decode::<Signed, MAX_ALIVE_BYTES>(bytes)?;
        let within_bounds = body.addresses.len() <= MAX_ADDRESSES
            && body.zone.len() <= MAX_ZONE_BYTES
            && extension.len() <= MAX_EXTENSION_BYTES;
        if !within_bounds {
            return Err(AliveError::Malformed);
        }
        if !verifier.verify(&body.key, &signed_message(&body, &extension, mesh), &signature) {
            return Err(AliveError::Forged);
        }
        Ok(Self { id: MemberId::of(&body.key), body, bytes: bytes.into() })
    }

    /// Whose record some bytes claim to be and which life they claim, with no signature checked: enough to know that
    /// one has heard it all before, and for nothing else.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no alive record.
    pub fn peek(bytes: &[u8]) -> Result<(MemberId, Life), Malformed> {
        let (key, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
        let life = wire::decode_prefix::<Life, MAX_ALIVE_BYTES>(rest)?;
        Ok((MemberId::of(&PublicKey(*key)), life))
    }

    /// Whose record it is.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// What it says.
    pub fn body(&self) -> &AliveBody {
        &self.body
    }

    /// Which life of the member it speaks of.
    pub fn life(&self) -> Life {
        let AliveBody { generation, session, incarnation, .. } = self.body;
        Life { generation, session, incarnation }
    }

    /// The bytes that travel.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// How it stands to another record of the same member.
    pub fn age(&self, other: &Self) -> Ordering {
        self.life().cmp(&other.life())
    }
}

fn signed_message(body: &AliveBody, extension: &[u8], mesh: MeshId) -> Vec<u8> {
    let mut message = b"mesh alive 1".to_vec();
    message.extend_from_slice(&mesh.0);
    message.extend(wire::encode(&(body, extension)));
    message
}
