//! What lets a restarted node tell its old peers at once that their connections are gone.
//!
//! A peer that sends on a connection we know nothing of gets a stateless reset (RFC 9000 §10.3), which it believes only
//! under the key its connection was made with. So that key, and the look of connection ids, must survive a restart.

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator};

use crate::signature::Signer;

const CONNECTION_ID_BYTES: usize = 8;

/// The same for every process on one member key, and known to nobody else: ed25519 signatures are deterministic, and
/// this one is never shown.
pub(super) struct ResetKey([u8; 32]);

impl ResetKey {
    pub(super) fn of(signer: &dyn Signer) -> Self {
        Self(blake3::derive_key("mesh 2026 quic reset key", &signer.sign(b"mesh quic reset key 1").0))
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        signature.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let is_right = <[u8; 32]>::try_from(signature).is_ok_and(|sent| blake3::keyed_hash(&self.0, data) == sent);
        if is_right { Ok(()) } else { Err(CryptoError) }
    }
}

/// Random connection ids that no process can tell from another's, unlike the default ones, which a restarted process
/// would ignore as not its own instead of resetting them.
pub(super) struct PlainConnectionIds;

impl ConnectionIdGenerator for PlainConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        getrandom::fill(&mut id).expect("the system has randomness; TLS could not work without it either");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}
