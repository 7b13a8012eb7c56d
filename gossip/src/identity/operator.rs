//! The operator's key, which signs orders to the whole mesh (see [`crate::order`]).
//!
//! `operator.key` stays with whoever runs the mesh; `operator.pub` goes to every machine whose nodes shall obey.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use super::file::{self, Created};
use super::key_file;
use crate::id::PublicKey;
use crate::signature::{Signature, Signer};

/// The private key of an operator.
pub struct OperatorKey(SigningKey);

/// Why there is no operator key to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorKeyError {
    /// One was made here before.
    #[error("{} exists already: use it, or move it away to make another one", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// None was made here.
    #[error("there is no {}: make it, or fetch it from where it was made", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} does not hold an operator key: restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot use {}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OperatorKey {
    /// Makes a key and writes both halves into `directory`.
    ///
    /// # Errors
    /// [`OperatorKeyError::Exists`] rather than replacing a key, [`OperatorKeyError::Disk`].
    pub fn make(directory: &Path) -> Result<Self, OperatorKeyError> {
        let key = Self(SigningKey::from_bytes(&super::random()));
        let path = directory.join("operator.key");
        let failed = |source| OperatorKeyError::Disk { path: path.clone(), source };
        file::make_directory(directory).map_err(failed)?;
        match file::create(&path, key_file::encode(&key.0).as_bytes()).map_err(failed)? {
            Created::Theirs => Err(OperatorKeyError::Exists { path }),
            Created::Ours => {
                let text = public_text(&key.public_key());
                file::replace(&directory.join("operator.pub"), text.as_bytes()).map_err(failed)?;
                Ok(key)
            }
        }
    }

    /// The key in `directory`.
    ///
    /// # Errors
    /// [`OperatorKeyError`]; each says what to do.
    pub fn load(directory: &Path) -> Result<Self, OperatorKeyError> {
        let path = directory.join("operator.key");
        match read(&path)? {
            None => Err(OperatorKeyError::Missing { path }),
            Some(bytes) => key_file::decode(&bytes).map(Self).ok_or(OperatorKeyError::Damaged { path }),
        }
    }
}

/// The operator whom nodes with this state directory obey; nobody, when no `operator.pub` was put there.
///
/// # Errors
/// [`OperatorKeyError::Damaged`] and [`OperatorKeyError::Disk`].
pub fn load_public(directory: &Path) -> Result<Option<PublicKey>, OperatorKeyError> {
    let path = directory.join("operator.pub");
    let Some(bytes) = read(&path)? else {
        return Ok(None);
    };
    let key = std::str::from_utf8(&bytes).ok().and_then(parse_public);
    key.map(Some).ok_or(OperatorKeyError::Damaged { path })
}

/// An operator's public key as text, as in `operator.pub`.
pub fn public_text(key: &PublicKey) -> String {
    STANDARD.encode(key.0)
}

/// The public key that such a text stands for.
pub fn parse_public(text: &str) -> Option<PublicKey> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok().map(PublicKey)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, OperatorKeyError> {
    file::read(path, key_file::MAX_BYTES).map_err(|source| OperatorKeyError::Disk { path: path.to_owned(), source })
}

impl Signer for OperatorKey {
    fn public_key(&self) -> PublicKey {
        key_file::public(&self.0)
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(ed25519_dalek::Signer::sign(&self.0, message).to_bytes())
    }
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operator {}", public_text(&self.public_key()))
    }
}
