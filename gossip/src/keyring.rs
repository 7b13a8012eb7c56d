//! Mesh keys: the one that seals what we send, and the others that still open what we receive.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bincode::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

/// The most keys a ring holds: a rotation needs two, eight leave room for a few that went wrong.
pub const MAX_KEYS: usize = 8;

/// The secret that all members of a mesh share. Wiped from memory when dropped; never shown by `Debug`.
#[derive(Clone, Encode, Decode)]
pub struct MeshKey([u8; 32]);

/// Four bytes of a key's hash: the name by which a key may be spoken of in the open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct KeyHash(pub [u8; 4]);

/// The keys a node holds, each under its hash. The first one seals, any of them opens.
#[derive(Clone, Debug)]
pub struct Keyring {
    primary: MeshKey,
    others: Vec<MeshKey>,
}

/// A text that is not a mesh key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mesh key is 32 bytes: 64 hex digits, or 44 characters of base64")]
pub struct NotAMeshKey;

/// A text that does not name a mesh key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mesh key is named by the 8 hex digits of its hash")]
pub struct NotAKeyHash;

/// Why the ring stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Another key has to go first.
    #[error("the keyring already holds {MAX_KEYS} keys: remove one that is no longer used, then install this one")]
    Full,
    /// A different key has the same four bytes of hash, so datagrams could not tell them apart.
    #[error("another key of the ring is called {0} too: make a new key and install that")]
    HashTaken(KeyHash),
    /// Nobody installed this key here.
    #[error("the keyring holds no key {0}: install it first")]
    Unknown(KeyHash),
    /// What we send is sealed with this key.
    #[error("key {0} is in use: use another key first, then remove this one")]
    InUse(KeyHash),
}

impl MeshKey {
    /// A key from its bytes, which have to be random.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret in base64, as it stands in files and in `MESH_KEY`.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0))
    }

    /// The key's public name.
    pub fn hash(&self) -> KeyHash {
        let hash = blake3::derive_key("mesh 2026 mesh key hash", &self.0);
        KeyHash([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl Drop for MeshKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for MeshKey {
    /// Compares hashes of the keys, so that the time it takes tells nothing about them.
    fn eq(&self, other: &Self) -> bool {
        blake3::hash(&self.0) == blake3::hash(&other.0)
    }
}

impl Eq for MeshKey {}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mesh key {}", self.hash())
    }
}

impl FromStr for MeshKey {
    type Err = NotAMeshKey;

    /// Reads hex or base64 (either alphabet, padded or not); white space around it is ignored.
    fn from_str(text: &str) -> Result<Self, NotAMeshKey> {
        let text = text.trim();
        let bytes = match text.len() {
            64 => hex_bytes(text),
            _ => [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|code| code.decode(text).ok()),
        };
        let bytes = Zeroizing::new(bytes.ok_or(NotAMeshKey)?);
        bytes.as_slice().try_into().map(Self).map_err(|_| NotAMeshKey)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for KeyHash {
    type Err = NotAKeyHash;

    fn from_str(text: &str) -> Result<Self, NotAKeyHash> {
        let bytes = hex_bytes(text).ok_or(NotAKeyHash)?;
        bytes.try_into().map(Self).map_err(|_| NotAKeyHash)
    }
}

impl Keyring {
    /// A ring of one key.
    pub const fn new(primary: MeshKey) -> Self {
        Self { primary, others: Vec::new() }
    }

    /// The key that seals.
    pub const fn primary(&self) -> &MeshKey {
        &self.primary
    }

    /// All keys, the one that seals first, then in the order in which they came.
    pub fn keys(&self) -> impl Iterator<Item = &MeshKey> {
        std::iter::once(&self.primary).chain(&self.others)
    }

    /// The public names of all keys, the one that seals first.
    pub fn list(&self) -> Vec<KeyHash> {
        self.keys().map(MeshKey::hash).collect()
    }

    /// Adds a key that opens but does not seal yet. Adding a key again changes nothing.
    ///
    /// # Errors
    /// [`KeyringError::Full`] and [`KeyringError::HashTaken`]; both say what to do.
    pub fn install(&mut self, key: MeshKey) -> Result<(), KeyringError> {
        let hash = key.hash();
        if let Some(held) = self.keys().find(|held| held.hash() == hash) {
            return if *held == key { Ok(()) } else { Err(KeyringError::HashTaken(hash)) };
        }
        if self.others.len() + 1 >= MAX_KEYS {
            return Err(KeyringError::Full);
        }
        self.others.push(key);
        Ok(())
    }

    /// Seals with the key called `hash` from now on; the key used so far goes on opening.
    ///
    /// # Errors
    /// [`KeyringError::Unknown`] when the key was never installed.
    pub fn use_key(&mut self, hash: KeyHash) -> Result<(), KeyringError> {
        if self.primary.hash() == hash {
            return Ok(());
        }
        let at = self.position(hash).ok_or(KeyringError::Unknown(hash))?;
        std::mem::swap(&mut self.primary, &mut self.others[at]);
        Ok(())
    }

    /// Forgets the key called `hash`: what is sealed with it is no longer understood.
    ///
    /// # Errors
    /// [`KeyringError::InUse`] for the key that seals, [`KeyringError::Unknown`] for one that is not there.
    pub fn remove(&mut self, hash: KeyHash) -> Result<(), KeyringError> {
        if self.primary.hash() == hash {
            return Err(KeyringError::InUse(hash));
        }
        let at = self.position(hash).ok_or(KeyringError::Unknown(hash))?;
        self.others.remove(at);
        Ok(())
    }

    fn position(&self, hash: KeyHash) -> Option<usize> {
        self.others.iter().position(|key| key.hash() == hash)
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.contains('+') {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{KeyHash, Keyring, KeyringError, MAX_KEYS, MeshKey};

    fn key(byte: u8) -> MeshKey {
        MeshKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_key_survives_its_text_forms() {
        let key: MeshKey = MeshKey::from_bytes(std::array::from_fn(|i| u8::try_from(i * 8 + 7).unwrap()));
        let hex: String = key.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
        let base64 = key.to_text();
        for text in [hex.as_str(), &base64, base64.trim_end_matches('='), &format!(" {}\n", &*base64)] {
            assert_eq!(text.parse::<MeshKey>().unwrap(), key, "{text}");
        }
        for text in ["", "secret", &base64[1..], &hex[1..], &format!("{hex}00"), &"é".repeat(32), &"+1".repeat(32)] {
            text.parse::<MeshKey>().unwrap_err();
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let shown = format!("{:?} {:?}", key(0xab), Keyring::new(key(0xab)));
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }

    const GOLDEN_HASH: &str = "1f35ceed";

    #[test]
    fn the_name_of_a_key_is_part_of_the_format() {
        assert_eq!(key(7).hash().to_string(), GOLDEN_HASH);
        assert_eq!(GOLDEN_HASH.parse(), Ok(key(7).hash()));
        assert!("0123456".parse::<KeyHash>().is_err());
    }

    #[test]
    fn a_rotation_is_install_use_remove() {
        let (old, new) = (key(1), key(2));
        let mut ring = Keyring::new(old.clone());
        assert_eq!(ring.use_key(new.hash()), Err(KeyringError::Unknown(new.hash())));
        ring.install(new.clone()).unwrap();
        ring.install(new.clone()).unwrap();
        assert_eq!(ring.list(), [old.hash(), new.hash()]);
        ring.use_key(new.hash()).unwrap();
        assert_eq!(ring.primary(), &new);
        assert_eq!(ring.remove(new.hash()), Err(KeyringError::InUse(new.hash())));
        ring.remove(old.hash()).unwrap();
        assert_eq!(ring.list(), [new.hash()]);
        assert_eq!(ring.remove(old.hash()), Err(KeyringError::Unknown(old.hash())));
    }

    #[test]
    fn a_full_ring_says_so_and_keeps_what_it_has() {
        let mut ring = Keyring::new(key(0));
        for byte in 1..u8::try_from(MAX_KEYS).unwrap() {
            ring.install(key(byte)).unwrap();
        }
        assert_eq!(ring.install(key(99)), Err(KeyringError::Full));
        ring.install(key(3)).unwrap();
        assert_eq!(ring.list().len(), MAX_KEYS);
    }
}
