//! TLS of a node's HTTP side: whom it lets in at its door, and how its own clients know other nodes and are known by them.
//!
//! Certificates come from files, or from the mesh's own CA ([`authority`]). QUIC between nodes has nothing to do with
//! any of it.

pub mod authority;
mod clients;
mod door;
mod identity;
mod trust;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use self::authority::{Authority, Owner};
pub use self::clients::Clients;
pub(crate) use self::door::{Door, Stream, Visitor, admit};
use self::identity::Identity;
use self::trust::Trust;
use crate::config::{NodeConfig, Role};

/// The TLS side of one node.
pub(crate) struct Tls {
    /// The door, where HTTP is served over TLS.
    pub(crate) door: Option<Arc<Door>>,
    /// What its HTTP clients go by.
    pub(crate) clients: Clients,
    /// What has to be looked at again and again.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("TLS: cannot read {}: {source}; name a file that this user can read, in PEM", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("TLS: cannot write {}: {source}; name another directory in MCP_MESH_TRUST_DIR", path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("TLS: {} holds no {what} in PEM: name one that does, or take it away", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// A certificate or a key is of no use.
    #[error("TLS: {} cannot be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// Certificate and key are not of one another.
    #[error("TLS: the key in {} does not belong to the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The local CA cannot issue anything.
    #[error(
        "TLS: the CA in {} cannot issue certificates ({why}): give the node one of its own with MCP_MESH_TLS_CERT and \
         MCP_MESH_TLS_KEY, or take away {} and its key to have another CA made", path.display(), path.display()
    )]
    NoIssuer {
        /// The CA's certificate.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no directory for a CA.
    #[error("TLS: there is nowhere to keep a CA: name a directory in MCP_MESH_TRUST_DIR, or a home in MCP_MESH_HOME")]
    NoDirectory,
}

impl Tls {
    /// What `config` says, for a node that others reach under `host`. Makes what is missing: the local CA, and the
    /// certificate that it issues. Reads and writes files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and says what to do.
    pub(crate) fn prepare(config: &NodeConfig, host: Option<&str>) -> Result<Self, TlsError> {
        let (tls, directory) = (&config.tls, config.tls.directory(config.mesh.home.as_deref()));
        let identity = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Some(Identity::read(cert, key)?),
            _ if tls.is_on() => Some(issued(config, directory.as_deref(), host)?),
            _ => None,
        };
        let clients = Clients::new(tls.ca.as_deref(), directory.as_deref(), identity.as_ref())?;
        let Some(identity) = identity.filter(|_| tls.is_on()) else {
            return Ok(Self { door: None, clients, trust: None });
        };
        let trust = Arc::new(Trust::new(tls, directory.as_deref())?);
        let door = Arc::new(Door::new(tls.mode, &identity, Arc::clone(&trust))?);
        Ok(Self { door: Some(door), clients, trust: Some(trust) })
    }
}

fn issued(config: &NodeConfig, directory: Option<&Path>, host: Option<&str>) -> Result<Identity, TlsError> {
    let owner = match config.role {
        Role::Seed => Owner::Seed,
        Role::Agent | Role::Client => Owner::Agent(&config.name),
    };
    let files = Authority::open(directory.ok_or(TlsError::NoDirectory)?)?.issue(owner, host)?;
    Identity::read(&files.cert, &files.key)
}

/// The cryptography of everything here: the same as that of QUIC.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
