//! Slots: numbered directories, each with one key, each locked by at most one process.
//!
//! `<state dir>/<agent>/slot-N/` holds `lock`, `key`, `generation`, and `copied` once another process was found to
//! have the same key; such a slot is not used again.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use tracing::warn;

use super::{IdentityError, file, key_file};
use crate::id::Generation;

/// The most processes of one agent on one machine.
pub const MAX_SLOTS: u32 = 1024;

/// Years beyond any clock: a persisted generation above is damage, and would leave no room for the next ones.
const MAX_GENERATION: u64 = 1 << 62;

/// A slot that this process has locked. Dropping it frees it for others.
#[derive(Debug)]
pub(super) struct Slot {
    agent: PathBuf,
    number: u32,
    directory: PathBuf,
    _lock: File,
}

impl Slot {
    /// Locks the first free slot under `agent` with at least the number `lowest`.
    pub(super) fn acquire(agent: PathBuf, lowest: u32) -> Result<Self, IdentityError> {
        for number in lowest..MAX_SLOTS {
            let directory = agent.join(format!("slot-{number}"));
            let failed = |source| IdentityError::Disk { path: directory.clone(), source };
            let path = directory.join("lock");
            // Hundreds that start at once each come by the slots of all before them: most are there.
            let lock = match file::open_lock(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    file::make_directory(&directory).and_then(|()| file::open_lock(&path))
                }
                opened => opened,
            };
            let lock = lock.map_err(failed)?;
            match lock.try_lock() {
                Ok(()) if directory.join("copied").exists() => {}
                Ok(()) => return Ok(Self { agent, number, directory, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(IdentityError::NoFreeSlot { path: agent })
    }

    /// Locks the next free slot, and never uses this one again: its key is somebody else's too.
    pub(super) fn leave_to_other(&self) -> Result<Self, IdentityError> {
        let next = Self::acquire(self.agent.clone(), self.number + 1)?;
        let mark = self.directory.join("copied");
        file::replace(&mark, b"another process has the same key; this slot is left to it\n")
            .map_err(|source| IdentityError::Disk { path: mark, source })?;
        Ok(next)
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The slot's key; makes one when there is none, or when it is damaged.
    pub(super) fn key(&self) -> Result<SigningKey, IdentityError> {
        let path = self.directory.join("key");
        if let Some(bytes) = self.read(&path)? {
            if let Some(key) = key_file::decode(&bytes) {
                return Ok(key);
            }
            self.set_aside(&path, "the member's key is damaged: this agent takes a new identity")?;
        }
        let key = SigningKey::from_bytes(&super::random());
        file::replace(&path, key_file::encode(&key).as_bytes())
            .map_err(|source| IdentityError::Disk { path, source })?;
        Ok(key)
    }

    /// A generation above all that this slot has used, on disk before it is returned.
    pub(super) fn next_generation(&self, unix_ms: u64) -> Result<Generation, IdentityError> {
        let path = self.directory.join("generation");
        let mut persisted = 0;
        if let Some(bytes) = self.read(&path)? {
            match std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()) {
                Some(number) if number < MAX_GENERATION => persisted = number,
                _ => self.set_aside(&path, "the member's generation is damaged: continuing from the clock")?,
            }
        }
        let next = unix_ms.min(MAX_GENERATION).max(persisted + 1);
        file::replace(&path, format!("{next}\n").as_bytes()).map_err(|source| IdentityError::Disk { path, source })?;
        Ok(Generation(next))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
        match file::read(path, key_file::MAX_BYTES) {
            // Treated as content that is damaged, which it is.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Some(Vec::new())),
            other => other.map_err(|source| IdentityError::Disk { path: path.to_owned(), source }),
        }
    }

    fn set_aside(&self, path: &Path, what: &str) -> Result<(), IdentityError> {
        let aside = file::set_aside(path).map_err(|source| IdentityError::Disk { path: path.to_owned(), source })?;
        warn!(slot = self.number, set_aside = %aside.display(), "{what}");
        Ok(())
    }
}
