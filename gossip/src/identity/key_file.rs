//! How an ed25519 key is kept in a file: its secret half and, to notice damage, its public half.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::id::PublicKey;

/// More bytes than any file of ours that holds a key.
pub(super) const MAX_BYTES: u64 = 4096;

const TITLE: &str = "mesh ed25519 key 1";

/// A title line, the secret in base64, the public key in base64.
pub(super) fn encode(key: &SigningKey) -> Zeroizing<String> {
    let secret = Zeroizing::new(STANDARD.encode(Zeroizing::new(key.to_bytes())));
    Zeroizing::new(format!("{TITLE}\n{}\n{}\n", *secret, STANDARD.encode(key.verifying_key().to_bytes())))
}

/// The key in such a file, unless the file is damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<SigningKey> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let secret = Zeroizing::new(STANDARD.decode(lines.next()?).ok()?);
    let secret: Zeroizing<[u8; 32]> = Zeroizing::new(secret.as_slice().try_into().ok()?);
    let public = STANDARD.decode(lines.next()?).ok()?;
    let key = SigningKey::from_bytes(&secret);
    (lines.next().is_none() && public == key.verifying_key().to_bytes()).then_some(key)
}

/// The public half of a key.
pub(super) fn public(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}
