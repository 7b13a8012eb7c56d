//! Checks signatures, each only once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use ed25519_dalek::VerifyingKey;

use crate::id::PublicKey;
use crate::signature::{Signature, Verifier};

/// Sets of the tables, each of which is made once an eighth of the one before is full.
const SETS: [usize; 5] = [64, 256, 1024, 4 * 1024, 16 * 1024];
const WAYS: usize = 4;

/// How many keys are kept unpacked.
const KEYS: usize = 16;

/// Checks ed25519 signatures strictly, and remembers those that held: the same record reaches a node many times, and
/// every node of a process. Make one for the process and share it (`Arc`).
///
/// The memory is 8 KiB, and grows to 1.4 MiB for up to 65,536 signatures; later ones displace earlier ones, of which nothing is lost but 50
/// microseconds at their next check. Nothing waits for a lock.
pub struct Ed25519Verifier {
    /// Secret, so that nobody can look for two messages with one fingerprint.
    secret: [u8; 32],
    tables: [OnceLock<Table>; SETS.len()],
    /// How many fingerprints were written.
    written: AtomicUsize,
    /// Keys used of late, unpacked: the records of one member come together, and unpacking is a tenth of a check.
    keys: Mutex<[Option<VerifyingKey>; KEYS]>,
}

type Table = Box<[[Fingerprint; WAYS]]>;

/// 128 bits of a keyed hash over key, signature and message. Its halves are written apart: a reader may meet halves of
/// two fingerprints, which together are nobody's but by a chance of one in 2^64.
#[derive(Default)]
struct Fingerprint(AtomicU64, AtomicU64);

impl Ed25519Verifier {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self {
            secret: super::random(),
            tables: Default::default(),
            written: AtomicUsize::new(0),
            keys: Mutex::default(),
        }
    }

    /// The key unpacked; whoever finds the kept ones in use unpacks it for itself.
    fn unpacked(&self, key: &PublicKey) -> Option<VerifyingKey> {
        let at = usize::from(key.0[0]) % KEYS;
        let kept = self.keys.try_lock().ok().and_then(|keys| keys[at]);
        if let Some(kept) = kept.filter(|kept| *kept.as_bytes() == key.0) {
            return Some(kept);
        }
        let unpacked = VerifyingKey::from_bytes(&key.0).ok()?;
        if let Ok(mut keys) = self.keys.try_lock() {
            keys[at] = Some(unpacked);
        }
        Some(unpacked)
    }

    /// The table that is filled now.
    fn table(&self) -> &Table {
        let written = self.written.fetch_add(1, Ordering::Relaxed);
        let level = SETS.iter().position(|sets| written < sets * WAYS / 8).unwrap_or(SETS.len() - 1);
        self.tables[level].get_or_init(|| (0..SETS[level]).map(|_| Default::default()).collect())
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

/// Where in a table a fingerprint is, whose first half this is.
fn set(table: &Table, first: u64) -> &[Fingerprint; WAYS] {
    &table[usize::try_from(first % table.len() as u64).expect("a small number")]
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
        let is_it =
            |held: &Fingerprint| held.0.load(Ordering::Relaxed) == first && held.1.load(Ordering::Relaxed) == second;
        if self.tables.iter().filter_map(OnceLock::get).any(|table| set(table, first).iter().any(is_it)) {
            return true;
        }
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let holds = self.unpacked(key).is_some_and(|key| key.verify_strict(message, &signature).is_ok());
        // Only what holds is remembered, or forgeries would push out the genuine for nothing.
        if holds {
            let way = &set(self.table(), first)[usize::try_from(second % WAYS as u64).expect("a small number")];
            way.0.store(first, Ordering::Relaxed);
            way.1.store(second, Ordering::Relaxed);
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    #[test]
    fn a_key_that_is_kept_is_not_taken_for_another_in_its_place() {
        let verifier = Ed25519Verifier::new();
        // More keys than there are places, each several times.
        let keys: Vec<SigningKey> = (0..3 * KEYS).map(|number| SigningKey::from_bytes(&[number as u8; 32])).collect();
        for message in [b"one", b"two"] {
            for (key, other) in keys.iter().zip(keys.iter().cycle().skip(1)) {
                let public = |key: &SigningKey| PublicKey(key.verifying_key().to_bytes());
                let signature = Signature(key.sign(message).to_bytes());
                assert!(verifier.verify(&public(key), message, &signature));
                assert!(!verifier.verify(&public(other), message, &signature));
            }
        }
    }

    #[test]
    fn what_was_checked_is_remembered_as_the_tables_grow_and_what_was_forged_never_holds() {
        let verifier = Ed25519Verifier::new();
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = PublicKey(key.verifying_key().to_bytes());
        let signed: Vec<([u8; 4], Signature)> = (0..300_u32)
            .map(|number| {
                let message = number.to_le_bytes();
                (message, Signature(key.sign(&message).to_bytes()))
            })
            .collect();
        for (message, signature) in &signed {
            assert!(verifier.verify(&public, message, signature));
            assert!(!verifier.verify(&public, b"another", signature));
        }
        assert_eq!(verifier.tables.iter().filter(|table| table.get().is_some()).count(), 3);
        let written = verifier.written.load(Ordering::Relaxed);
        let again = signed.iter().filter(|(message, signature)| verifier.verify(&public, message, signature)).count();
        assert_eq!((again, written), (signed.len(), signed.len()));
        let forgotten = verifier.written.load(Ordering::Relaxed) - written;
        assert!(forgotten < signed.len() / 10, "{forgotten} were checked again");
    }
}
