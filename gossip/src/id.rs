//! Names of members, and the numbers that order the lives of one member.

use std::fmt;

use bincode::{Decode, Encode};

/// An ed25519 public key: what a member *is*. Everything a member says about itself is signed with the private half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PublicKey(pub [u8; 32]);

/// Sixteen bytes of the hash of a member's public key: the name others know it by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MemberId([u8; 16]);

/// Which start of a member this is: higher with every start on the same key, persisted, never decreasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Generation(pub u64);

/// Eight random bytes drawn at every start; they tell two processes with a copied key apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Session(pub u64);

/// How often a member has re-signed its alive record in this session. Only the member itself raises it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Incarnation(pub u64);

/// The hash of a mesh's name. Signatures and keys are bound to it, so nothing said in one mesh counts in another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MeshId(pub [u8; 16]);

impl MemberId {
    /// The id that belongs to `key`.
    pub fn of(key: &PublicKey) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("mesh 2026 member id", &key.0)[..16]);
        Self(id)
    }

    /// An id from its bytes, as they stand on the wire. Whether a key for it exists is another question.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they stand on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first eight hex digits: enough for logs and for the end of an agent's id.
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }
}

impl MeshId {
    /// The id of the mesh called `name`.
    pub fn of(name: &str) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("mesh 2026 mesh name", name.as_bytes())[..16]);
        Self(id)
    }
}

impl Incarnation {
    /// The next one; stays at the top rather than wrapping.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key of {}", MemberId::of(self).short())
    }
}

impl fmt::Debug for MeshId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0[..4]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text that is not a member id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a member id is 32 hex digits")]
pub struct NotAMemberId;

impl std::str::FromStr for MemberId {
    type Err = NotAMemberId;

    fn from_str(text: &str) -> Result<Self, NotAMemberId> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(NotAMemberId);
        }
        let mut id = [0; 16];
        for (i, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| NotAMemberId)?;
        }
        Ok(Self(id))
    }
}
