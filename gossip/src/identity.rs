//! Who this process is: a key in a slot on disk, the generation of this start, and its session.
//!
//! Everything here blocks on the disk for a moment; call it before the runtime starts or where blocking is allowed.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "keeps keys and generations on disk")]

pub(crate) mod file;
mod key_file;
pub mod mesh_key;
pub mod operator;
mod slot;
mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use tracing::warn;
use zeroize::Zeroizing;

pub use self::slot::MAX_SLOTS;
use self::slot::Slot;
pub use self::verifier::Ed25519Verifier;
use crate::alive::KeyLife;
use crate::id::{Generation, MemberId, PublicKey, Session};
use crate::signature::{Signature, Signer};

/// A member's key and the numbers of this start. Holds the slot's lock: dropping it lets another process continue
/// this identity.
pub struct Identity {
    key: SigningKey,
    generation: Generation,
    session: Session,
    slot: Option<Slot>,
}

/// Why there is no identity on disk. [`Identity::ephemeral`] is always possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The agent's name cannot name a directory.
    #[error(
        "{name:?} cannot be the name of an agent: use letters, digits, `-`, `_` and `.`, at most 128, not first a `.`"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// All slots are in use.
    #[error("all {MAX_SLOTS} slots under {} are in use: name another state directory", path.display())]
    NoFreeSlot {
        /// The directory of the agent.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot use {}: {source}; name another state directory, or run with an ephemeral key", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Identity {
    /// Takes the first free slot of the agent and continues the identity in it with a higher generation, or begins
    /// one. A damaged file in the slot is set aside with a warning.
    ///
    /// # Errors
    /// [`IdentityError`]; each says what to do.
    pub fn acquire(state_dir: &Path, agent: &str) -> Result<Self, IdentityError> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if agent.is_empty() || agent.len() > 128 || agent.starts_with('.') || !agent.bytes().all(fine) {
            return Err(IdentityError::BadName { name: agent.to_owned() });
        }
        Self::in_slot(Slot::acquire(state_dir.join(agent), 0)?)
    }

    /// An identity that dies with the process, for when there is no disk.
    pub fn ephemeral() -> Self {
        Self {
            key: SigningKey::from_bytes(&random()),
            generation: Generation(unix_ms()),
            session: session(),
            slot: None,
        }
    }

    /// An identity of its own for a process that found another one with the same key: the next free slot. The slot
    /// left behind is not used again on this disk, or the two would meet again at the next start.
    ///
    /// # Errors
    /// [`IdentityError`]; this identity stays as it was then.
    pub fn next_slot(&self) -> Result<Self, IdentityError> {
        let Some(slot) = &self.slot else {
            return Ok(Self::ephemeral());
        };
        let next = Self::in_slot(slot.leave_to_other()?)?;
        warn!(
            left = %self.id(), slot = slot.number(), now = %next.id(),
            "another process has a copy of this member's key: continuing under a key of its own"
        );
        Ok(next)
    }

    /// The member's name.
    pub fn id(&self) -> MemberId {
        MemberId::of(&self.public_key())
    }

    /// Which start on this key it is.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Drawn at random for this start.
    pub const fn session(&self) -> Session {
        self.session
    }

    /// Whether the key outlives the process.
    pub const fn key_life(&self) -> KeyLife {
        match self.slot {
            Some(_) => KeyLife::Kept,
            None => KeyLife::Ephemeral,
        }
    }

    /// The slot's directory, a place for what else belongs to this member; none when it is ephemeral.
    pub fn directory(&self) -> Option<&Path> {
        self.slot.as_ref().map(Slot::directory)
    }

    /// The private key as TLS wants it: PKCS #8 (RFC 8410) in DER.
    pub fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let mut der = Zeroizing::new(Vec::with_capacity(PREFIX.len() + 32));
        der.extend_from_slice(&PREFIX);
        der.extend_from_slice(Zeroizing::new(self.key.to_bytes()).as_slice());
        der
    }

    fn in_slot(slot: Slot) -> Result<Self, IdentityError> {
        let key = slot.key()?;
        let generation = slot.next_generation(unix_ms())?;
        Ok(Self { key, generation, session: session(), slot: Some(slot) })
    }
}

impl Signer for Identity {
    fn public_key(&self) -> PublicKey {
        key_file::public(&self.key)
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(ed25519_dalek::Signer::sign(&self.key, message).to_bytes())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id())
            .field("generation", &self.generation)
            .field("session", &self.session)
            .field("slot", &self.slot.as_ref().map(Slot::number))
            .finish()
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("without randomness nothing can be kept secret");
    bytes
}

fn session() -> Session {
    Session(u64::from_le_bytes(random()))
}

/// Milliseconds since 1970; 0 when the clock is before that.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
