//! Whose clients are trusted: the CAs of files, and the verdict on a certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::time::sleep;

use super::authority::Authority;
use super::identity::certificates;
use super::{TlsError, provider};
use crate::config::{TlsConfig, TrustBackend};

/// How often files are looked at that may change.
const LOOK: Duration = Duration::from_secs(2);

/// The CAs whose clients are trusted. Files of a directory are followed as they come, change and go.
#[derive(Debug)]
pub(crate) struct Trust {
    sources: Vec<Source>,
    current: ArcSwap<Snapshot>,
}

/// Where CAs come from.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    Directory(PathBuf),
}

/// What was read at one time.
#[derive(Debug)]
struct Snapshot {
    files: Vec<(PathBuf, Option<SystemTime>, u64)>,
    /// Nothing where there is no CA.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Trust {
    /// The CAs that `config` names, with this trust directory. Makes the local CA where it is trusted and missing.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use. A directory that is missing is only warned of.
    pub(super) fn new(config: &TlsConfig, directory: Option<&Path>) -> Result<Self, TlsError> {
        let backends = match (config.backends.as_slice(), &config.ca) {
            ([], Some(_)) => &[][..],
            ([], None) => &[TrustBackend::LocalCa],
            (named, _) => named,
        };
        let mut sources = Vec::new();
        for backend in backends {
            let directory = directory.ok_or(TlsError::NoDirectory)?;
            let local = Authority::certificate(directory);
            sources.push(match backend {
                TrustBackend::LocalCa => {
                    if !local.exists() {
                        Authority::open(directory)?;
                    }
                    Source::File(local)
                }
                TrustBackend::FileStore => Source::Directory(directory.to_owned()),
            });
        }
        if backends.is_empty() {
            sources.extend(config.ca.clone().map(Source::File));
        }
        let files = files(&sources);
        let current = ArcSwap::from_pointee(Snapshot::read(files, &sources)?);
        Ok(Self { sources, current })
    }

    /// Whether the certificate at the beginning of `chain` comes from one of the CAs, now.
    ///
    /// # Errors
    /// Why it does not, in words.
    pub(super) fn check(&self, chain: &[CertificateDer<'_>]) -> Result<(), String> {
        let current = self.current.load();
        let verifier = current.verifier.as_ref().ok_or("no CA is trusted here: its directory holds none")?;
        let (leaf, others) = chain.split_first().ok_or("there is no certificate")?;
        let checked = verifier.verify_client_cert(leaf, others, UnixTime::now());
        checked.map(drop).map_err(|why| why.to_string())
    }

    /// Follows the files for as long as the node runs. Dropping the future changes nothing.
    pub(crate) async fn follow(self: Arc<Self>) {
        while self.sources.iter().any(|source| matches!(source, Source::Directory(_))) {
            sleep(LOOK).await;
            let this = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || this.look()).await.is_err() {
                return;
            }
        }
    }

    fn look(&self) {
        let files = files(&self.sources);
        if files == self.current.load().files {
            return;
        }
        match Snapshot::read(files, &self.sources) {
            Ok(read) => {
                tracing::info!(files = read.files.len(), "the trusted CAs have changed");
                self.current.store(Arc::new(read));
            }
            Err(why) => tracing::warn!(%why, "the CAs that were trusted before stay"),
        }
    }
}

impl Snapshot {
    fn read(files: Vec<(PathBuf, Option<SystemTime>, u64)>, sources: &[Source]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for (path, ..) in &files {
            let is_named = sources.iter().any(|source| matches!(source, Source::File(named) if named == path));
            match certificates(path) {
                Ok(found) => {
                    for certificate in found {
                        let added = roots.add(certificate);
                        added.map_err(|source| TlsError::Unusable { path: path.clone(), source })?;
                    }
                }
                // Keys lie beside certificates.
                Err(TlsError::Empty { .. }) if !is_named => {}
                Err(why) => return Err(why),
            }
        }
        let verifier = match roots.is_empty() {
            true => None,
            false => WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build().ok(),
        };
        if verifier.is_none() {
            tracing::warn!("no CA is trusted: every client certificate will be refused");
        }
        Ok(Self { files, verifier })
    }
}

/// Every file that may hold CAs, with what shows that it has changed.
fn files(sources: &[Source]) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut paths = Vec::new();
    for source in sources {
        match source {
            Source::File(path) => paths.push(path.clone()),
            Source::Directory(directory) => {
                for directory in [directory.clone(), directory.join("entities")] {
                    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
                    let all = entries.map(|entry| entry.path());
                    paths.extend(all.filter(|path| path.extension().is_some_and(|end| end == "pem") && path.is_file()));
                }
            }
        }
    }
    paths.sort();
    paths.dedup();
    let stamped = |path: PathBuf| {
        let found = std::fs::metadata(&path).ok();
        let changed = found.as_ref().and_then(|found| found.modified().ok());
        (path, changed, found.map_or(0, |found| found.len()))
    };
    paths.into_iter().map(stamped).collect()
}
