//! Signatures that cost next to nothing: bound to key and message like real ones, counted, and forgeable by anybody
//! who reads this. For worlds only.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use mesh_gossip::id::PublicKey;
use mesh_gossip::signature::{Signature, Signer, Verifier};

use crate::dice::mix;

/// Checks all signatures of one world and counts what real ones would have cost.
#[derive(Debug, Default)]
pub struct Notary {
    signed: AtomicU64,
    verified: AtomicU64,
}

impl Notary {
    /// One that has done nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The signer of one key of a host; every restart with another key has a number of its own.
    pub fn signer(self: &Arc<Self>, seed: u64, host: u32, number: u32) -> Arc<dyn Signer> {
        let mut key = [0; 32];
        let base = mix(seed, (u64::from(number) << 32) | u64::from(host));
        for (chunk, place) in key.chunks_mut(8).zip(0..) {
            chunk.copy_from_slice(&mix(base, place).to_le_bytes());
        }
        Arc::new(Pen { key: PublicKey(key), notary: Arc::clone(self) })
    }

    /// How many signatures were made.
    pub fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }

    /// How many were checked.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }
}

struct Pen {
    key: PublicKey,
    notary: Arc<Notary>,
}

impl Signer for Pen {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.notary.signed.fetch_add(1, Ordering::Relaxed);
        stamp(&self.key, message)
    }
}

impl Verifier for Notary {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        self.verified.fetch_add(1, Ordering::Relaxed);
        stamp(key, message) == *signature
    }
}

fn stamp(key: &PublicKey, message: &[u8]) -> Signature {
    let mut hasher = FixedState::with_seed(0x006e_6f74_6172_7900).build_hasher();
    hasher.write(&key.0);
    hasher.write(message);
    let hash = hasher.finish();
    let mut bytes = [0; 64];
    for (chunk, place) in bytes.chunks_mut(8).zip(0..) {
        // Eight unlike words: signatures do not compress, and these must not either.
        chunk.copy_from_slice(&mix(hash, place).to_le_bytes());
    }
    Signature(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_its_key_and_message_only() {
        let notary = Notary::new();
        let (one, two) = (notary.signer(1, 7, 0), notary.signer(1, 7, 1));
        let signature = one.sign(b"message");
        assert!(notary.verify(&one.public_key(), b"message", &signature));
        assert!(!notary.verify(&one.public_key(), b"massage", &signature));
        assert!(!notary.verify(&two.public_key(), b"message", &signature));
        assert_eq!((notary.signed(), notary.verified()), (1, 3));
    }
}
