//! Checks signatures, each only once.

use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::VerifyingKey;

use crate::id::PublicKey;
use crate::signature::{Signature, Verifier};

const SETS: usize = 16 * 1024;
const WAYS: usize = 4;

/// Checks ed25519 signatures strictly, and remembers those that held: the same record reaches a node many times, and
/// every node of a process. Make one for the process and share it (`Arc`).
///
/// The memory is 1 MiB, for up to 65,536 signatures; later ones displace earlier ones, of which nothing is lost but 50
/// microseconds at their next check. Nothing waits for a lock.
pub struct Ed25519Verifier {
    /// Secret, so that nobody can look for two messages with one fingerprint.
    secret: [u8; 32],
    sets: Box<[[Fingerprint; WAYS]]>,
}

/// 128 bits of a keyed hash over key, signature and message. Its halves are written apart: a reader may meet halves of
/// two fingerprints, which together are nobody's but by a chance of one in 2^64.
#[derive(Default)]
struct Fingerprint(AtomicU64, AtomicU64);

impl Ed25519Verifier {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self { secret: super::random(), sets: (0..SETS).map(|_| Default::default()).collect() }
    }

    fn fingerprint(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> (u64, u64) {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(&key.0).update(&signature.0).update(message);
        let hash = hasher.finalize();
        let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[at + i]));
        // Zero is what an empty place holds.
        (half(0).max(1), half(8))
    }
}

impl Default for Ed25519Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Ed25519Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ed25519Verifier")
    }
}

impl Verifier for Ed25519Verifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let (first, second) = self.fingerprint(key, message, signature);
        let set = &self.sets[usize::try_from(first % SETS as u64).expect("a small number")];
        if set.iter().any(|held| held.0.load(Ordering::Relaxed) == first && held.1.load(Ordering::Relaxed) == second) {
            return true;
        }
        let holds = VerifyingKey::from_bytes(&key.0)
            .and_then(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)))
            .is_ok();
        // Only what holds is remembered, or forgeries would push out the genuine for nothing.
        if holds {
            let way = &set[usize::try_from(second % WAYS as u64).expect("a small number")];
            way.0.store(first, Ordering::Relaxed);
            way.1.store(second, Ordering::Relaxed);
        }
        holds
    }
}
