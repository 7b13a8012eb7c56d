//! Nonces for one request each: made without remembering them, remembered only once a holder of the mesh key used one.
//!
//! A nonce is when it was made (milliseconds since the node began, 8 bytes, big endian), 8 random bytes, and half a MAC
//! over both under a secret of this process. So no clock but our own has to be right, whoever asks for nonces costs no
//! memory, and what was used has to be remembered for [`GOOD_FOR`] only.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::signing::Nonce;

/// How long a nonce may be used after it was made.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(30);

/// The most used nonces that are remembered: two thousand signed requests a second.
const MAX_USED: usize = 65_536;

/// Why a nonce is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Another node made it, or this one before it was started again.
    Foreign,
    /// It is too old.
    Stale,
    /// It was used.
    Used,
    /// Too many were used of late.
    Busy,
}

/// Makes and judges nonces.
pub(super) struct Challenges {
    secret: [u8; 32],
    began: Instant,
    /// The lock is held for one look.
    used: Mutex<BTreeSet<[u8; 16]>>,
}

impl Challenges {
    pub(super) fn new() -> Self {
        Self { secret: random(), began: Instant::now(), used: Mutex::default() }
    }

    pub(super) fn make(&self) -> Nonce {
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&self.now().to_be_bytes());
        stamp[8..].copy_from_slice(&random::<8>());
        self.complete(stamp)
    }

    /// Whether it is one of ours and young enough. Costs no memory.
    pub(super) fn check(&self, nonce: &Nonce) -> Result<(), Rejected> {
        let stamp = stamp_of(nonce);
        // Both sides as hashes, which compare in constant time.
        if blake3::Hash::from_bytes(self.complete(stamp).0) != blake3::Hash::from_bytes(nonce.0) {
            return Err(Rejected::Foreign);
        }
        if made(&stamp) < self.oldest() { Err(Rejected::Stale) } else { Ok(()) }
    }

    /// Uses it up. Only for requests that are signed.
    pub(super) fn spend(&self, nonce: &Nonce) -> Result<(), Rejected> {
        self.check(nonce)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut oldest = [0; 16];
        oldest[..8].copy_from_slice(&self.oldest().to_be_bytes());
        *used = used.split_off(&oldest);
        if used.len() >= MAX_USED {
            return Err(Rejected::Busy);
        }
        if used.insert(stamp_of(nonce)) { Ok(()) } else { Err(Rejected::Used) }
    }

    fn complete(&self, stamp: [u8; 16]) -> Nonce {
        let mut nonce = [0; 32];
        nonce[..16].copy_from_slice(&stamp);
        nonce[16..].copy_from_slice(&blake3::keyed_hash(&self.secret, &stamp).as_bytes()[..16]);
        Nonce(nonce)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn oldest(&self) -> u64 {
        self.now().saturating_sub(u64::try_from(GOOD_FOR.as_millis()).unwrap_or(u64::MAX))
    }
}

fn stamp_of(nonce: &Nonce) -> [u8; 16] {
    let mut stamp = [0; 16];
    stamp.copy_from_slice(&nonce.0[..16]);
    stamp
}

fn made(stamp: &[u8; 16]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&stamp[..8]);
    u64::from_be_bytes(bytes)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Challenges, Duration, GOOD_FOR, Nonce, Rejected};

    #[tokio::test(start_paused = true)]
    async fn a_nonce_is_good_once_and_for_a_while() {
        let challenges = Challenges::new();
        let (one, other) = (challenges.make(), challenges.make());
        assert_ne!(one, other);
        challenges.spend(&one).unwrap();
        assert_eq!(challenges.spend(&one), Err(Rejected::Used));
        tokio::time::advance(GOOD_FOR + Duration::from_millis(1)).await;
        assert_eq!(challenges.spend(&one), Err(Rejected::Stale));
        assert_eq!(challenges.spend(&other), Err(Rejected::Stale));
        challenges.spend(&challenges.make()).unwrap();
        assert_eq!(challenges.used.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nonces_of_others_and_forged_ones_are_refused() {
        let challenges = Challenges::new();
        assert_eq!(challenges.spend(&Challenges::new().make()), Err(Rejected::Foreign));
        let mut later = challenges.make().0;
        later[0] = 1;
        assert_eq!(challenges.spend(&Nonce(later)), Err(Rejected::Foreign));
        assert!(challenges.used.lock().unwrap().is_empty());
    }
}
