//! Who a node is over TLS while it runs: its certificate and key are files, which whoever made them may renew at any time.
//! Those of the mesh's own CA are renewed here, before they end.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{Instant, sleep};

use super::TlsError;
use super::authority::{Authority, Files, Owner};
use super::identity::Identity;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is looked whether the CA has to issue another certificate.
const RENEW: Duration = Duration::from_secs(3600);

/// Shows every new connection the certificate that is in the files now.
#[derive(Debug)]
pub(crate) struct Credentials {
    files: Files,
    issuer: Option<Issuer>,
    current: ArcSwap<CertifiedKey>,
    /// How the files were when they were read.
    seen: Mutex<[Option<Stamp>; 2]>,
}

/// The CA that has issued a certificate, and can do so again.
#[derive(Debug)]
pub(super) struct Issuer {
    directory: PathBuf,
    /// The agent's name; none of a seed.
    agent: Option<String>,
    /// Under which others reach the node.
    host: Option<String>,
}

/// What shows that a file has changed: when it did, its length, and which file it is.
type Stamp = (Option<SystemTime>, u64, u64);

impl Issuer {
    /// The CA in `directory`, for the certificate of `owner`, whom others reach under `host`.
    pub(super) fn new(directory: &Path, owner: Owner<'_>, host: Option<&str>) -> Self {
        let agent = match owner {
            Owner::Seed => None,
            Owner::Agent(name) => Some(name.to_owned()),
        };
        Self { directory: directory.to_owned(), agent, host: host.map(str::to_owned) }
    }

    fn owner(&self) -> Owner<'_> {
        self.agent.as_deref().map_or(Owner::Seed, Owner::Agent)
    }

    /// The certificate, made when it is missing or no longer good.
    ///
    /// # Errors
    /// [`TlsError`] of the CA or the disk.
    pub(super) fn issue(&self) -> Result<Files, TlsError> {
        Authority::open(&self.directory)?.issue(self.owner(), self.host.as_deref())
    }
}

impl Credentials {
    /// What is in `files` now, which `issuer` renews if there is one.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use.
    pub(super) fn new(files: Files, issuer: Option<Issuer>) -> Result<Self, TlsError> {
        let seen = stamps(&files);
        let identity = Identity::read(&files.cert, &files.key)?;
        Ok(Self { files, issuer, current: ArcSwap::new(identity.certified), seen: Mutex::new(seen) })
    }

    /// Follows the files, and has the CA renew what it has issued, for as long as the node runs. Dropping the future changes
    /// nothing.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut renewed = Instant::now();
        loop {
            sleep(LOOK).await;
            let is_due = renewed.elapsed() >= RENEW;
            if is_due {
                renewed = Instant::now();
            }
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                if is_due {
                    this.renew();
                }
                this.look();
            });
            if looked.await.is_err() {
                return;
            }
        }
    }

    fn renew(&self) {
        let Some(issuer) = &self.issuer else { return };
        let authority = Authority::open(&issuer.directory);
        if let Err(why) = authority.and_then(|authority| authority.renew(issuer.owner(), issuer.host.as_deref())) {
            tracing::warn!(%why, "the certificate of this node ends soon and cannot be renewed; the next try is in an hour");
        }
    }

    fn look(&self) {
        let stamps = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamps {
            return;
        }
        *seen = stamps;
        match Identity::read(&self.files.cert, &self.files.key) {
            Ok(identity) => {
                self.current.store(identity.certified);
                tracing::info!(cert = %self.files.cert.display(), "new connections are shown the new certificate");
            }
            Err(why) => tracing::warn!(%why, "the certificate that was read before is shown on"),
        }
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn stamps(files: &Files) -> [Option<Stamp>; 2] {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok(), found.len(), found.ino()))
    };
    [stamp(&files.cert), stamp(&files.key)]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

    fn shown(credentials: &Credentials) -> Vec<u8> {
        credentials.current.load().cert[0].to_vec()
    }

    #[test]
    fn new_files_are_shown_and_broken_ones_are_not() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::open(home.path()).unwrap();
        let [one, other] = ["one", "other"].map(|name| authority.issue(Owner::Agent(name), None).unwrap());
        let files = Files { cert: home.path().join("cert.pem"), key: home.path().join("key.pem") };
        let place = |from: &Files| {
            for (from, to) in [(&from.cert, &files.cert), (&from.key, &files.key)] {
                let draft = to.with_extension("draft");
                fs::copy(from, &draft).unwrap();
                fs::rename(draft, to).unwrap();
            }
        };
        place(&one);
        let credentials = Credentials::new(files.clone(), None).unwrap();
        let first = shown(&credentials);
        fs::write(&files.cert, "half a certif").unwrap();
        credentials.look();
        assert_eq!(shown(&credentials), first);
        fs::remove_file(&files.key).unwrap();
        credentials.look();
        assert_eq!(shown(&credentials), first);
        place(&other);
        credentials.look();
        let second = shown(&credentials);
        assert_ne!(second, first);
        // Half of the next pair does not fit the other half.
        fs::copy(&one.cert, &files.cert).unwrap();
        credentials.look();
        assert_eq!(shown(&credentials), second);
        fs::copy(&one.key, &files.key).unwrap();
        credentials.look();
        assert_eq!(shown(&credentials), first);
    }

    #[test]
    fn what_the_ca_has_issued_is_renewed_when_it_ends_soon_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let issuer = || Issuer::new(home.path(), Owner::Agent("a"), None);
        let authority = Authority::open(home.path()).unwrap();
        for (left, is_renewed) in [(MONTH / 2, true), (2 * MONTH, false)] {
            let credentials = Credentials::new(issuer().issue().unwrap(), Some(issuer())).unwrap();
            authority.issue_for(Owner::Agent("a"), left).unwrap();
            credentials.look();
            let ending = shown(&credentials);
            credentials.renew();
            credentials.look();
            assert_eq!(shown(&credentials) != ending, is_renewed, "{left:?} before its end");
        }
    }
}
