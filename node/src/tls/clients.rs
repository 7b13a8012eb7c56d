//! What HTTP clients of a node, and of meshctl, go by: whom they trust, and who they are.
//!
//! Of a certificate that comes from the mesh's own CAs the chain is verified, and not the host name: agents move, and are
//! called at addresses. Everybody else is verified as on the web, name included.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::authority::Authority;
use super::identity::{Identity, certificates};
use super::{TlsError, provider};

/// What HTTP clients go by. Cheap to clone. The default knows no mesh: it is what the web goes by.
#[derive(Clone, Debug, Default)]
pub struct Clients(Option<Arc<ClientConfig>>);

impl Clients {
    /// Clients that trust the CAs in the file `ca`, else the local one in `directory` if there is one, and that show
    /// `own` to whoever asks.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use.
    pub(super) fn new(
        ca: Option<&Path>,
        directory: Option<&Path>,
        own: Option<Arc<dyn ResolvesClientCert>>,
    ) -> Result<Self, TlsError> {
        let local = directory.map(Authority::certificate).filter(|path| path.exists());
        let path = ca.map(Path::to_owned).or(local);
        if path.is_none() && own.is_none() {
            return Ok(Self::default());
        }
        let mut roots = RootCertStore::empty();
        if let Some(path) = path {
            for certificate in certificates(&path)? {
                roots.add(certificate).map_err(|source| TlsError::Unusable { path: path.clone(), source })?;
            }
        }
        let mesh = match roots.is_empty() {
            true => None,
            false => WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build().ok(),
        };
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.expect("ring speaks every version that rustls does").dangerous();
        let config = config.with_custom_certificate_verifier(Arc::new(MeshFirst { mesh, web: OnceLock::new() }));
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => config.with_client_cert_resolver(own),
        };
        Ok(Self(Some(Arc::new(config))))
    }

    /// The same from files, for a program that is no node: `ca`, else the local CA in `directory` if there is one; the
    /// certificate and key of `own`, if any.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use.
    pub fn from_files(
        ca: Option<&Path>,
        directory: Option<&Path>,
        own: Option<(&Path, &Path)>,
    ) -> Result<Self, TlsError> {
        let own = own.map(|(cert, key)| Identity::read(cert, key)).transpose()?;
        let own = own.map(|own| -> Arc<dyn ResolvesClientCert> { Arc::new(SingleCertAndKey::from(own.certified)) });
        Self::new(ca, directory, own)
    }

    /// An HTTP client to be finished.
    pub fn builder(&self) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder();
        match &self.0 {
            Some(config) => builder.tls_backend_preconfigured(ClientConfig::clone(config)),
            None => builder,
        }
    }

    /// How to begin TLS on a connection, where anything is known of the mesh.
    pub(crate) fn config(&self) -> Option<&Arc<ClientConfig>> {
        self.0.as_ref()
    }
}

/// Asks about the mesh first, then about the web.
#[derive(Debug)]
struct MeshFirst {
    mesh: Option<Arc<WebPkiServerVerifier>>,
    /// Reading the certificates of the system takes a while, and most nodes never need them.
    web: OnceLock<Result<Verifier, Error>>,
}

impl MeshFirst {
    fn web(&self) -> Result<&Verifier, Error> {
        self.web.get_or_init(|| Verifier::new(provider())).as_ref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for MeshFirst {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mesh = self.mesh.as_ref().map(|mesh| mesh.verify_server_cert(leaf, others, name, ocsp, now));
        let why = match mesh {
            Some(Ok(verified)) => return Ok(verified),
            // The chain is verified before the name is.
            Some(Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ))) => return Ok(ServerCertVerified::assertion()),
            Some(Err(why)) => Some(why),
            None => None,
        };
        let web = self.web().and_then(|web| web.verify_server_cert(leaf, others, name, ocsp, now));
        web.map_err(|of_web| why.unwrap_or(of_web))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
