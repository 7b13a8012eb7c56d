//! HTTPS to nodes: whom meshctl trusts, and who it is.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mesh_node::tls::Clients;
use mesh_node::tls::authority::{Authority, Owner};

use crate::home::Home;

/// Who meshctl is to nodes that ask for a certificate, when it is told of none.
const OWN_NAME: &str = "meshctl";

/// An HTTP client to be finished. It trusts `MCP_MESH_TLS_CA`, else the CA in the home if there is one, else whom the web
/// trusts; it shows `MCP_MESH_TLS_CERT`, else what the CA in the home issues to it. With `insecure`, or
/// `MCP_MESH_TLS_SKIP_VERIFY`, any certificate will do.
///
/// # Errors
/// When a file is of no use, with its name.
pub(crate) fn builder(insecure: bool) -> anyhow::Result<reqwest::ClientBuilder> {
    let directory = directory()?;
    let own = match (variable("MCP_MESH_TLS_CERT"), variable("MCP_MESH_TLS_KEY")) {
        (Some(cert), Some(key)) => Some((PathBuf::from(cert), PathBuf::from(key))),
        (None, None) => issued(&directory)?,
        (Some(_), None) => bail!("MCP_MESH_TLS_KEY is missing: it belongs to MCP_MESH_TLS_CERT"),
        (None, Some(_)) => bail!("MCP_MESH_TLS_CERT is missing: it belongs to MCP_MESH_TLS_KEY"),
    };
    let own = own.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
    if insecure || skips()? {
        let mut builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        if let Some((cert, key)) = own {
            let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
            let both = [read(cert)?, read(key)?].concat();
            let both =
                reqwest::Identity::from_pem(&both).with_context(|| format!("{} is of no use", cert.display()))?;
            builder = builder.identity(both);
        }
        return Ok(builder);
    }
    let ca = variable("MCP_MESH_TLS_CA").map(PathBuf::from);
    Ok(Clients::from_files(ca.as_deref(), Some(&directory), own)?.builder())
}

/// Where the mesh's own CA is: `MCP_MESH_TRUST_DIR`, else `tls` in the home.
///
/// # Errors
/// When there is no home.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    match variable("MCP_MESH_TRUST_DIR") {
        Some(directory) => std::path::absolute(directory).context("MCP_MESH_TRUST_DIR"),
        None => Ok(Home::of_user()?.root().join("tls")),
    }
}

/// Where the CA can issue nothing here, meshctl has no certificate.
fn issued(directory: &Path) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    if !directory.join("ca-key.pem").exists() {
        return Ok(None);
    }
    let files = Authority::open(directory)?.issue(Owner::Agent(OWN_NAME), None)?;
    Ok(Some((files.cert, files.key)))
}

fn skips() -> anyhow::Result<bool> {
    match variable("MCP_MESH_TLS_SKIP_VERIFY").map(|text| text.to_ascii_lowercase()).as_deref() {
        Some("true" | "1" | "yes" | "on") => Ok(true),
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some(text) => bail!("MCP_MESH_TLS_SKIP_VERIFY={text} is neither `true` nor `false`"),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}
