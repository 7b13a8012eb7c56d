//! What is started with TLS: which certificates the seed and the agents get, and what they are told of them.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use mesh_node::config::TlsMode;
use mesh_node::tls::authority::{Authority, Owner};

use crate::home::Home;
use crate::seed;

const MODE: &str = "MCP_MESH_TLS_MODE";
const CERT: &str = "MCP_MESH_TLS_CERT";
const KEY: &str = "MCP_MESH_TLS_KEY";
const CA: &str = "MCP_MESH_TLS_CA";
const TRUST_DIR: &str = "MCP_MESH_TRUST_DIR";
const HOST: &str = "MCP_MESH_HTTP_HOST";

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct Secure {
    /// HTTP of seed and agents over TLS, with certificates of the mesh's own CA in tls/ of the home, made when missing.
    #[arg(long)]
    tls_auto: bool,
    /// HTTP of seed and agents over TLS: with --cert-file and --key-file, or as --tls-auto.
    #[arg(long)]
    secure: bool,
    /// The certificate chain of the seed and the agents, in PEM; whose CA is said by MCP_MESH_TLS_CA.
    #[arg(long, value_name = "PATH", requires = "key_file", conflicts_with = "tls_auto")]
    cert_file: Option<PathBuf>,
    /// The key that belongs to it.
    #[arg(long, value_name = "PATH", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

/// TLS of everything that one start brings up.
#[derive(Debug)]
pub(crate) struct Certificates {
    mode: String,
    ca: PathBuf,
    directory: PathBuf,
    /// The certificate and the key of everybody, where one was named.
    named: Option<(PathBuf, PathBuf)>,
}

impl Secure {
    /// What is asked for: by flags, by `MCP_MESH_TLS_MODE`, or because the seed of this home speaks TLS already. `set` is
    /// what is set for agents.
    ///
    /// # Errors
    /// When the mode is none, or the seed that runs speaks no TLS.
    pub(super) fn certificates(
        &self,
        set: &BTreeMap<String, String>,
        home: &Home,
    ) -> anyhow::Result<Option<Certificates>> {
        let said = |name: &str| set.get(name).cloned().or_else(|| env::var(name).ok()).filter(|text| !text.is_empty());
        let mode = said(MODE).unwrap_or_else(|| "off".into());
        let told: TlsMode = mode.parse().map_err(|why| anyhow::anyhow!("{MODE} = {mode} {why}"))?;
        let flagged = self.tls_auto || self.secure || self.cert_file.is_some();
        let seeds = seed::running(home);
        let speaks =
            |begins: &str| seeds.iter().any(|seed| seed.http_url.as_ref().is_some_and(|u| u.starts_with(begins)));
        if !flagged && told == TlsMode::Off && (said(MODE).is_some() || !speaks("https:")) {
            return Ok(None);
        }
        if speaks("http:") {
            bail!("the seed that runs speaks no TLS: stop it first (meshctl stop), and it is started with TLS");
        }
        let directory = match said(TRUST_DIR) {
            Some(directory) => std::path::absolute(directory)?,
            None => home.root().join("tls"),
        };
        let absolute = |path: &Path| std::path::absolute(path);
        let flags = self.cert_file.as_deref().zip(self.key_file.as_deref());
        let named = match (flags, said(CERT).zip(said(KEY))) {
            (Some((cert, key)), _) => Some((absolute(cert)?, absolute(key)?)),
            (None, Some((cert, key))) if !self.tls_auto => Some((absolute(cert.as_ref())?, absolute(key.as_ref())?)),
            (None, _) => None,
        };
        if named.is_none() {
            Authority::open(&directory)?;
        }
        let ca = match said(CA).filter(|_| !self.tls_auto) {
            Some(ca) => std::path::absolute(ca)?,
            None => Authority::certificate(&directory),
        };
        let mode = if told == TlsMode::Off { "auto".into() } else { mode };
        Ok(Some(Certificates { mode, ca, directory, named }))
    }
}

impl Certificates {
    /// Tells `environment` of the certificate of `owner`, which is issued if need be. What is set there already stays,
    /// unless it says that there is no TLS.
    ///
    /// # Errors
    /// When the CA cannot issue it, with what to do.
    pub(super) fn tell(&self, environment: &mut BTreeMap<String, String>, owner: Owner<'_>) -> anyhow::Result<()> {
        let (cert, key) = match &self.named {
            Some(named) => named.clone(),
            None => {
                let said = environment.get(HOST).cloned().or_else(|| env::var(HOST).ok());
                // Agents of other languages say by themselves that they are at the address that leads outside.
                let host = said.or_else(|| seed::outward_address().map(|address| address.to_string()));
                let files = Authority::open(&self.directory)?.issue(owner, host.as_deref())?;
                (files.cert, files.key)
            }
        };
        let text = |path: &Path| path.to_string_lossy().into_owned();
        environment.insert(MODE.into(), self.mode.clone());
        let all = [(CERT, &cert), (KEY, &key), (CA, &self.ca), (TRUST_DIR, &self.directory)];
        for (name, path) in all.into_iter().filter(|(_, path)| path.exists()) {
            environment.insert(name.into(), text(path));
        }
        Ok(())
    }
}
