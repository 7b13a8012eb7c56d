//! What a node is told about TLS of its HTTP side.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{ConfigError, wrong};

/// TLS of the HTTP listener, and of calls over HTTPS. QUIC between nodes has its own, which needs no certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Whether HTTP is served over TLS, and what is asked of clients. Default off.
    pub mode: TlsMode,
    /// The certificate chain, in PEM. Without one the local CA issues it.
    pub cert: Option<PathBuf>,
    /// The private key that belongs to it, in PEM.
    pub key: Option<PathBuf>,
    /// The CAs that other nodes' certificates come from, in PEM. Default: the local CA, where there is one.
    pub ca: Option<PathBuf>,
    /// The directory of the local CA, and of the CAs that `filestore` trusts. Default: `tls` in the home.
    pub trust_dir: Option<PathBuf>,
    /// Whose clients are trusted. Empty: those of `ca`, or of the local CA where that is not given.
    pub backends: Vec<TrustBackend>,
}

/// Whether HTTP is served over TLS, and what is asked of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain HTTP.
    #[default]
    Off,
    /// TLS; a client may have no certificate, but none that is not trusted.
    Auto,
    /// TLS; a client needs a certificate that is trusted.
    Strict,
}

/// Where the CAs of trusted clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustBackend {
    /// `ca.pem` in the trust directory; made when it is missing.
    LocalCa,
    /// Every `*.pem` in the trust directory and in its `entities`.
    FileStore,
}

impl TlsConfig {
    /// Whether HTTP is served over TLS.
    pub fn is_on(&self) -> bool {
        self.mode != TlsMode::Off
    }

    /// The trust directory of a node with this home; `None` when it has neither.
    pub fn directory(&self, home: Option<&Path>) -> Option<PathBuf> {
        self.trust_dir.clone().or_else(|| home.map(|home| home.join("tls")))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Err(wrong("MCP_MESH_TLS_KEY", "is missing: it belongs to MCP_MESH_TLS_CERT")),
            (None, Some(_)) => Err(wrong("MCP_MESH_TLS_CERT", "is missing: it belongs to MCP_MESH_TLS_KEY")),
            _ => Ok(()),
        }
    }
}

impl FromStr for TlsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "strict" => Ok(Self::Strict),
            _ => Err("is none of `off`, `auto` and `strict`".into()),
        }
    }
}

impl FromStr for TrustBackend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "localca" => Ok(Self::LocalCa),
            "filestore" => Ok(Self::FileStore),
            "k8s-secrets" | "spire" => Err(format!(
                "names {text}, which is not built in: let it write its CAs into files, and name their directory in \
                 MCP_MESH_TRUST_DIR with MCP_MESH_TRUST_BACKEND=filestore"
            )),
            _ => Err(format!("names {text:?}, which is neither `localca` nor `filestore`")),
        }
    }
}

/// Whether certificates can come from there.
pub(super) fn provider(text: &str) -> Result<(), String> {
    match text {
        "file" => Ok(()),
        "vault" | "spire" => {
            Err("is not built in: let it write the certificate and its key into files, and name them \
                                  in MCP_MESH_TLS_CERT and MCP_MESH_TLS_KEY"
                .into())
        }
        _ => Err("is not `file`".into()),
    }
}
