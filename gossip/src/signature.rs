//! Signatures as the core sees them: somebody signs, somebody checks.
//!
//! The core never touches a private key. A node plugs in ed25519 (see [`crate::identity`]); a simulation plugs in
//! something that costs nothing and accounts for the bytes.

use bincode::{Decode, Encode};

use crate::id::PublicKey;

/// An ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "signature {:02x}{:02x}…", self.0[0], self.0[1])
    }
}

/// Signs with one member's key.
pub trait Signer: Send + Sync {
    /// The public half of the key.
    fn public_key(&self) -> PublicKey;
    /// The signature over `message`.
    fn sign(&self, message: &[u8]) -> Signature;
}

/// Checks signatures.
pub trait Verifier: Send + Sync {
    /// Whether `signature` was made over `message` by the owner of `key`. Strict: a small-order key, a non-canonical
    /// signature or a damaged one is `false`.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}
