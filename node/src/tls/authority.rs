//! The mesh's own CA: a root in a directory, made when it is missing, an entity below it, and the certificates of seeds and
//! agents that the entity issues. Names of files and certificates are those of the existing system, so that either goes
//! on with what the other made.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use super::identity::Identity;
use super::{TlsError, provider};

/// The root's name in its certificate.
const ROOT: &str = "MCP Mesh Dev Root CA";

/// The entity's name, and the folder of everything below it.
const ENTITY: &str = "local-dev";

/// What the certificate of seeds is called.
const SEED: &str = "registry";

const DAY: Duration = Duration::from_secs(24 * 3600);
const ROOT_VALID: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const LEAF_VALID: Duration = Duration::from_secs(365 * 24 * 3600);

/// What has less than this left is issued again.
const TOO_OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Clocks differ: certificates are valid from a moment before they were made.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// The mesh's own CA, in a directory.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    root: Files,
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A seed's, with its registry.
    Seed,
    /// That of the agents with this name: letters, digits, `-` and `_`.
    Agent(&'a str),
}

/// A certificate with its chain, and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and whatever is between it and the root.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Authority {
    /// Where the root's certificate is.
    pub fn certificate(directory: &Path) -> PathBuf {
        directory.join("ca.pem")
    }

    /// The CA in `directory`, made when there is none.
    ///
    /// # Errors
    /// [`TlsError`] when the directory cannot be used.
    pub fn open(directory: &Path) -> Result<Self, TlsError> {
        let root = Files { cert: Self::certificate(directory), key: directory.join("ca-key.pem") };
        let authority = Self { directory: directory.to_owned(), root };
        let _lock = authority.lock()?;
        if !authority.root.cert.exists() {
            let key = KeyPair::generate().map_err(|why| authority.refused(why))?;
            let mut params = authority_params(named(ROOT, None), BasicConstraints::Unconstrained, ROOT_VALID);
            params.extended_key_usages = both_usages();
            let root = params.self_signed(&key).map_err(|why| authority.refused(why))?;
            write(&authority.root, &root.pem(), &key)?;
        }
        Ok(authority)
    }

    /// The certificate of `owner`, good for its name, this machine, and `host`. The one that is there is kept while it is
    /// good for that, and for a month more.
    ///
    /// # Errors
    /// [`TlsError`] when the CA cannot issue it, or the disk refuses it.
    pub fn issue(&self, owner: Owner<'_>, host: Option<&str>) -> Result<Files, TlsError> {
        let _lock = self.lock()?;
        let (files, name) = self.place(owner);
        let hosts = hosts(name, host);
        if self.is_good(&files, &hosts) {
            return Ok(files);
        }
        // An entity that is too old, or another root's, shows in what it issues.
        for is_fresh in [false, true] {
            self.sign(&self.entity(is_fresh)?, name, &hosts, &files, LEAF_VALID)?;
            if self.is_good(&files, &hosts) {
                return Ok(files);
            }
        }
        Err(self.refused("what it signs does not verify under it"))
    }

    /// Issues the certificate of `owner` again when it ends within a month; `host` is as for [`Authority::issue`].
    ///
    /// # Errors
    /// [`TlsError`] when the CA cannot issue it, or the disk refuses it.
    pub(super) fn renew(&self, owner: Owner<'_>, host: Option<&str>) -> Result<(), TlsError> {
        // Others of this name may be reached under other hosts: as long as it lasts, theirs is as good as ours.
        match self.is_good(&self.place(owner).0, &["localhost".to_owned()]) {
            true => Ok(()),
            false => self.issue(owner, host).map(drop),
        }
    }

    /// Whose certificate the file `cert` is, if it is where the CA in `directory` puts those that it issues.
    pub(super) fn owner_of<'a>(directory: &Path, cert: &'a Path) -> Option<Owner<'a>> {
        let name = cert.file_name()?.to_str()?.strip_suffix("-cert.pem")?;
        let (folder, below) = (cert.parent()?, directory.join(ENTITY));
        match name {
            SEED if folder == below => Some(Owner::Seed),
            name => (folder == below.join("agents")).then_some(Owner::Agent(name)),
        }
    }

    /// Where the certificate of `owner` is, and what its name is in it.
    fn place<'a>(&self, owner: Owner<'a>) -> (Files, &'a str) {
        let (folder, name) = match owner {
            Owner::Seed => (self.directory.join(ENTITY), SEED),
            Owner::Agent(name) => (self.directory.join(ENTITY).join("agents"), name),
        };
        let file = |end| folder.join(format!("{name}{end}"));
        (Files { cert: file("-cert.pem"), key: file("-key.pem") }, name)
    }

    /// Issues a certificate that ends after so long, whatever there is.
    #[cfg(test)]
    pub(super) fn issue_for(&self, owner: Owner<'_>, validity: Duration) -> Result<(), TlsError> {
        let (files, name) = self.place(owner);
        self.sign(&self.entity(false)?, name, &hosts(name, None), &files, validity)
    }

    /// Makes a certificate, signed by `entity`.
    fn sign(
        &self,
        entity: &Files,
        name: &str,
        hosts: &[String],
        files: &Files,
        validity: Duration,
    ) -> Result<(), TlsError> {
        let signer = self.signer(entity, named(ENTITY, Some(ENTITY)))?;
        let mut params = CertificateParams::new(hosts).map_err(|why| self.refused(why))?;
        params.distinguished_name = named(name, Some(ENTITY));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = both_usages();
        valid_for(&mut params, validity);
        let key = KeyPair::generate().map_err(|why| self.refused(why))?;
        let leaf = params.signed_by(&key, &signer).map_err(|why| self.refused(why))?;
        let above = fs::read_to_string(&entity.cert);
        let above = above.map_err(|source| TlsError::Unreadable { path: entity.cert.clone(), source })?;
        write(files, &format!("{}{above}", leaf.pem()), &key)
    }

    /// The entity, below the root: the one that is there, unless it shall be `fresh`.
    fn entity(&self, fresh: bool) -> Result<Files, TlsError> {
        let folder = self.directory.join(ENTITY);
        let files = Files { cert: folder.join("entity-cert.pem"), key: folder.join("entity-key.pem") };
        if !fresh && Identity::read(&files.cert, &files.key).is_ok() {
            return Ok(files);
        }
        let signer = self.signer(&self.root, named(ROOT, None))?;
        let mut params = authority_params(named(ENTITY, Some(ENTITY)), BasicConstraints::Constrained(0), LEAF_VALID);
        params.extended_key_usages = both_usages();
        let key = KeyPair::generate().map_err(|why| self.refused(why))?;
        let certificate = params.signed_by(&key, &signer).map_err(|why| self.refused(why))?;
        write(&files, &certificate.pem(), &key)?;
        Ok(files)
    }

    fn signer(&self, files: &Files, name: DistinguishedName) -> Result<Issuer<'static, KeyPair>, TlsError> {
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| self.refused(why))?;
        let key = KeyPair::try_from(&in_pkcs8(key)).map_err(|why| self.refused(why))?;
        Ok(Issuer::new(authority_params(name, BasicConstraints::Unconstrained, LEAF_VALID), key))
    }

    /// Whether a certificate comes from the root, is good for all of `hosts`, and for a while.
    fn is_good(&self, files: &Files, hosts: &[String]) -> bool {
        let Ok(identity) = Identity::read(&files.cert, &files.key) else { return false };
        let Ok(root) = CertificateDer::from_pem_file(&self.root.cert) else { return false };
        let mut roots = RootCertStore::empty();
        if roots.add(root).is_err() {
            return false;
        }
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build() else {
            return false;
        };
        let then = SystemTime::now() + TOO_OLD;
        let then = UnixTime::since_unix_epoch(then.duration_since(UNIX_EPOCH).unwrap_or_default());
        let Some((leaf, others)) = identity.chain.split_first() else { return false };
        hosts.iter().all(|host| {
            let Ok(name) = ServerName::try_from(host.as_str()) else { return false };
            verifier.verify_server_cert(leaf, others, &name, &[], then).is_ok()
        })
    }

    /// One process at a time makes files. The lock ends with the file that is returned.
    fn lock(&self) -> Result<File, TlsError> {
        make(&self.directory)?;
        let path = self.directory.join(".lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| TlsError::Unwritable { path, source })
    }

    fn refused(&self, why: impl ToString) -> TlsError {
        TlsError::NoIssuer { path: self.root.cert.clone(), why: why.to_string() }
    }
}

/// The names that a certificate is good for.
fn hosts(name: &str, host: Option<&str>) -> Vec<String> {
    let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
    let mut hosts: Vec<String> = [name, "localhost", "127.0.0.1", "::1"].iter().map(|host| bare(host)).collect();
    hosts.extend(host.map(bare).filter(|host| !hosts.contains(host)));
    // A label cannot be longer, nor begin or end otherwise: such a name is not called as a host.
    hosts.retain(|host| ServerName::try_from(host.as_str()).is_ok());
    hosts
}

/// Letters, digits and blanks only, so that the existing system writes the same bytes.
fn named(name: &str, organisation: Option<&str>) -> DistinguishedName {
    let text = |text: &str| match text.try_into() {
        Ok(printable) => DnValue::PrintableString(printable),
        Err(_) => DnValue::Utf8String(text.to_owned()),
    };
    let mut whole = DistinguishedName::new();
    if let Some(organisation) = organisation {
        whole.push(DnType::OrganizationName, text(organisation));
    }
    whole.push(DnType::CommonName, text(name));
    whole
}

fn authority_params(name: DistinguishedName, below: BasicConstraints, validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(below);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    valid_for(&mut params, validity);
    params
}

fn both_usages() -> Vec<ExtendedKeyUsagePurpose> {
    vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth]
}

fn valid_for(params: &mut CertificateParams, validity: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(DAY);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + (now + validity);
}

/// The existing system writes keys of elliptic curves as RFC 5915 has them; whoever signs wants them in the envelope of
/// RFC 5208. Only P-256 is tried: that is what both make.
fn in_pkcs8(key: PrivateKeyDer<'static>) -> PrivateKeyDer<'static> {
    let PrivateKeyDer::Sec1(bare) = &key else { return key };
    let bare = bare.secret_sec1_der();
    // SEQUENCE { 0, SEQUENCE { ecPublicKey, prime256v1 }, OCTET STRING }
    const HEAD: [u8; 24] = [
        0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    // A P-256 key has 121 bytes; what is much longer is something else.
    let Ok(length) = u8::try_from(bare.len()).map(|length| length.min(127)) else { return key };
    let inner = HEAD.len() + 2 + usize::from(length);
    let Ok(inner) = u8::try_from(inner) else { return key };
    let mut whole = vec![0x30, 0x81, inner];
    whole.extend(HEAD);
    whole.extend([0x04, length]);
    whole.extend(bare);
    PrivatePkcs8KeyDer::from(whole).into()
}

/// Writes both files whole or not at all, the key for its owner only.
fn write(files: &Files, certificate: &str, key: &KeyPair) -> Result<(), TlsError> {
    if let Some(folder) = files.cert.parent() {
        make(folder)?;
    }
    let key = key.serialize_pem();
    for (path, text, mode) in [(&files.key, key.as_str(), 0o600), (&files.cert, certificate, 0o644)] {
        let draft = path.with_extension("draft");
        let written = File::create(&draft).and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path)
        });
        written.map_err(|source| TlsError::Unwritable { path: path.clone(), source })?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), TlsError> {
    let unwritable = |source| TlsError::Unwritable { path: folder.to_owned(), source };
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(unwritable)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(unwritable)?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{PrivateKeyDer, PrivateSec1KeyDer};

    use super::{Authority, Owner, in_pkcs8};

    #[test]
    fn files_are_those_of_the_existing_system_and_keys_are_their_owners_only() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("tls");
        let authority = Authority::open(&directory).unwrap();
        authority.issue(Owner::Seed, None).unwrap();
        authority.issue(Owner::Agent("hello"), Some("agent.example")).unwrap();
        for name in ["ca", "local-dev/entity", "local-dev/registry", "local-dev/agents/hello"] {
            let (cert, key) = if name == "ca" { (".pem", "-key.pem") } else { ("-cert.pem", "-key.pem") };
            assert!(directory.join(format!("{name}{cert}")).is_file(), "{name}");
            let key = fs::metadata(directory.join(format!("{name}{key}"))).unwrap();
            assert_eq!(key.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_certificate_is_kept_while_it_is_good_and_another_host_needs_another() {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::open(home.path()).unwrap();
        let issue = |host| fs::read(authority.issue(Owner::Agent("a"), host).unwrap().cert).unwrap();
        let first = issue(None);
        assert_eq!(issue(Some("127.0.0.1")), first);
        let other = issue(Some("10.0.0.7"));
        assert_ne!(other, first);
        assert_eq!(issue(Some("10.0.0.7")), other);
        assert_eq!(issue(None), other);
        // Of another root nothing is kept.
        fs::remove_file(home.path().join("ca.pem")).unwrap();
        let renewed = Authority::open(home.path()).unwrap().issue(Owner::Agent("a"), None).unwrap();
        assert_ne!(fs::read(renewed.cert).unwrap(), other);
    }

    #[test]
    fn a_key_as_the_existing_system_writes_it_issues_as_well() {
        let home = tempfile::tempdir().unwrap();
        drop(Authority::open(home.path()).unwrap());
        let path = home.path().join("ca-key.pem");
        let key = PrivateKeyDer::from_pem_file(&path).unwrap();
        // The envelope has 27 bytes before the bare key where lengths take a byte each, and ours do.
        let bare = key.secret_der().windows(3).position(|bytes| bytes == [0x02, 0x01, 0x01]).unwrap() - 2;
        let sec1 = PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(key.secret_der()[bare..].to_vec()));
        let text = fs::read_to_string(&path).unwrap();
        assert!(matches!(in_pkcs8(sec1.clone_key()), PrivateKeyDer::Pkcs8(_)));
        let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sec1.secret_der());
        let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let written = format!("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", lines.join("\n"));
        assert!(text.contains("BEGIN PRIVATE KEY"));
        fs::write(&path, written).unwrap();
        Authority::open(home.path()).unwrap().issue(Owner::Seed, None).unwrap();
    }
}
