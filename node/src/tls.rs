//! TLS of a node's HTTP side: whom it lets in at its door, and how its own clients know other nodes and are known by them.
//!
//! Certificates come from files, or from the mesh's own CA ([`authority`]). QUIC between nodes has nothing to do with
//! any of it.

pub mod authority;
mod clients;
mod credentials;
mod door;
mod identity;
mod trust;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;

use self::authority::{Authority, Files, Owner};
pub use self::clients::Clients;
use self::credentials::{Credentials, Issuer};
pub(crate) use self::door::{Door, Stream, Visitor, admit};
use self::trust::Trust;
use crate::config::{NodeConfig, Role};

/// The TLS side of one node.
pub(crate) struct Tls {
    /// The door, where HTTP is served over TLS.
    pub(crate) door: Option<Arc<Door>>,
    /// What its HTTP clients go by.
    pub(crate) clients: Clients,
    /// What may change while the node runs.
    pub(crate) files: Followed,
}

/// Files that are looked at again and again.
pub(crate) struct Followed {
    credentials: Option<Arc<Credentials>>,
    trust: Option<Arc<Trust>>,
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
        let credentials = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => {
                let files = Files { cert: cert.clone(), key: key.clone() };
                let ours =
                    directory.as_deref().and_then(|at| Some(Issuer::new(at, Authority::owner_of(at, cert)?, host)));
                Some(Credentials::new(files, ours)?)
            }
            _ if tls.is_on() => {
                let owner = match config.role {
                    Role::Seed => Owner::Seed,
                    Role::Agent | Role::Client => Owner::Agent(&config.name),
                };
                let issuer = Issuer::new(directory.as_deref().ok_or(TlsError::NoDirectory)?, owner, host);
                Some(Credentials::new(issuer.issue()?, Some(issuer))?)
            }
            _ => None,
        };
        let credentials = credentials.map(Arc::new);
        let shown = credentials.clone().map(|own| -> Arc<dyn ResolvesClientCert> { own });
        let clients = Clients::new(tls.ca.as_deref(), directory.as_deref(), shown)?;
        let Some(own) = credentials.clone().filter(|_| tls.is_on()) else {
            return Ok(Self { door: None, clients, files: Followed { credentials, trust: None } });
        };
        let trust = Arc::new(Trust::new(tls, directory.as_deref())?);
        let door = Arc::new(Door::new(tls.mode, own, Arc::clone(&trust)));
        Ok(Self { door: Some(door), clients, files: Followed { credentials, trust: Some(trust) } })
    }
}

impl Followed {
    /// Follows them for as long as the node runs. Dropping the future changes nothing.
    pub(crate) async fn follow(self) {
        let own = async {
            if let Some(credentials) = self.credentials {
                credentials.follow().await;
            }
        };
        let others = async {
            if let Some(trust) = self.trust {
                trust.follow().await;
            }
        };
        tokio::join!(own, others);
    }
}

/// The cryptography of everything here: the same as that of QUIC.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
