//! The mesh keys of a machine: `mesh.key` in the state directory, readable by its owner only.
//!
//! One key a line in base64, the one that seals first. Whoever starts first on a machine makes it; elsewhere the same
//! text goes into `MESH_KEY`.

use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};
use zeroize::Zeroizing;

use super::file::{self, Created};
use super::key_file::MAX_BYTES;
use crate::keyring::{Keyring, MAX_KEYS, MeshKey};

/// Why the keys of the machine's mesh cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshKeyError {
    /// The file is there but is not a list of keys. Nothing is made in its place: another key is another mesh.
    #[error("{} does not hold mesh keys: restore it, or delete it to start a mesh of its own", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot use {}: {source}; name another state directory or set MESH_KEY", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A new key.
pub fn generate() -> MeshKey {
    MeshKey::from_bytes(super::random())
}

/// The keys in `state_dir`, made now if there are none. Of several processes that start at once, one makes the key and
/// the others get that one. Blocks on the disk for a moment.
///
/// # Errors
/// [`MeshKeyError`]; each says what to do.
pub fn load_or_create(state_dir: &Path) -> Result<Keyring, MeshKeyError> {
    let path = state_dir.join("mesh.key");
    if let Some(ring) = load(&path)? {
        return Ok(ring);
    }
    let failed = |source| MeshKeyError::Disk { path: path.clone(), source };
    file::make_directory(state_dir).map_err(failed)?;
    let ring = Keyring::new(generate());
    match file::create(&path, encode(&ring).as_bytes()).map_err(failed)? {
        Created::Ours => {
            info!(key = %ring.primary().hash(), file = %path.display(), "made a mesh key; give it to other machines as MESH_KEY");
            Ok(ring)
        }
        Created::Theirs => {
            load(&path)?.ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "made and deleted meanwhile")))
        }
    }
}

/// Writes down a ring that changed, so that the next start knows the keys of today.
///
/// # Errors
/// [`MeshKeyError::Disk`]; the old file is intact then.
pub fn store(state_dir: &Path, ring: &Keyring) -> Result<(), MeshKeyError> {
    let path = state_dir.join("mesh.key");
    file::replace(&path, encode(ring).as_bytes()).map_err(|source| MeshKeyError::Disk { path, source })
}

fn load(path: &Path) -> Result<Option<Keyring>, MeshKeyError> {
    let bytes = file::read(path, MAX_BYTES).map_err(|source| MeshKeyError::Disk { path: path.to_owned(), source })?;
    let Some(bytes) = bytes.map(Zeroizing::new) else {
        return Ok(None);
    };
    warn_if_open(path);
    decode(&bytes).map(Some).ok_or_else(|| MeshKeyError::Damaged { path: path.to_owned() })
}

fn encode(ring: &Keyring) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEYS * 45));
    for key in ring.keys() {
        text.push_str(&key.to_text());
        text.push('\n');
    }
    text
}

fn decode(bytes: &[u8]) -> Option<Keyring> {
    let mut keys = std::str::from_utf8(bytes).ok()?.lines().map(str::parse::<MeshKey>);
    let mut ring = Keyring::new(keys.next()?.ok()?);
    for key in keys {
        ring.install(key.ok()?).ok()?;
    }
    Some(ring)
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        warn!(file = %path.display(), "others on this machine can read the mesh key: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}
