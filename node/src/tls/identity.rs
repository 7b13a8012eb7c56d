//! A certificate with its chain and its key, from files.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{TlsError, provider};

/// Who a node is to others over TLS.
#[derive(Debug)]
pub(super) struct Identity {
    /// The certificate, then whatever is between it and a root.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The same with its key, checked against each other.
    pub(super) certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use.
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(cert)?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| unreadable(key, why, "private key"))?;
        let certified = CertifiedKey::from_der(chain.clone(), secret, &provider());
        let certified = certified.map_err(|source| match source {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() },
            // The key was looked at first.
            rustls::Error::InvalidCertificate(_) => TlsError::Unusable { path: cert.to_owned(), source },
            _ => TlsError::Unusable { path: key.to_owned(), source },
        })?;
        Ok(Self { chain, certified: Arc::new(certified) })
    }
}

/// The certificates in a file.
///
/// # Errors
/// [`TlsError`] when there is none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const WHAT: &str = "certificate";
    let found = CertificateDer::pem_file_iter(path).map_err(|why| unreadable(path, why, WHAT))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|why| unreadable(path, why, WHAT))?;
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what: WHAT });
    }
    Ok(found)
}

fn unreadable(path: &Path, why: pem::Error, what: &'static str) -> TlsError {
    match why {
        pem::Error::Io(source) => TlsError::Unreadable { path: path.to_owned(), source },
        _ => TlsError::Empty { path: path.to_owned(), what },
    }
}
