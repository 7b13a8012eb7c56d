//! Addresses as they are typed, as URLs.

use std::fmt::Write;

use anyhow::{Context, bail};
use rustls::{ClientConfig, RootCertStore};

use super::tls;

/// The beginning of the URLs of the node that `told` names: `host:port`, `host`, or a URL.
pub(super) fn url(told: &str, scheme: &str) -> anyhow::Result<String> {
    let with_scheme = if told.contains("://") { told.to_owned() } else { format!("{scheme}://{told}") };
    let url = reqwest::Url::parse(&with_scheme).with_context(|| format!("`{told}` names no node: write host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        bail!("`{told}` names no node: write host:port, or a URL that begins with http:// or https://");
    }
    Ok(with_scheme.trim_end_matches('/').to_owned())
}

/// An HTTP client for URLs that begin with `base`; with `insecure` any certificate will do. Nodes are asked directly, whatever proxies the environment names.
pub(crate) fn http_client(base: &str, insecure: bool) -> anyhow::Result<reqwest::Client> {
    let builder = if base.starts_with("https:") {
        tls::builder(insecure)?
    } else {
        // Reading the certificates of the system takes longer than all the rest of a request to this machine.
        let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        reqwest::Client::builder().tls_backend_preconfigured(nobody)
    };
    let builder = builder.no_proxy().tcp_nodelay(true).redirect(reqwest::redirect::Policy::none());
    builder.build().context("cannot set up HTTP")
}

/// Names and values as a URL has them.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{query, url};

    #[test]
    fn a_node_is_named_by_host_and_port_or_url() {
        assert_eq!(url("localhost:8000", "http").unwrap(), "http://localhost:8000");
        assert_eq!(url("mesh.example", "https").unwrap(), "https://mesh.example");
        assert_eq!(url("https://mesh.example/", "http").unwrap(), "https://mesh.example");
        assert_eq!(url("[::1]:80", "http").unwrap(), "http://[::1]:80");
        for wrong in ["ftp://x", "http://", "a b"] {
            url(wrong, "http").unwrap_err();
        }
    }

    #[test]
    fn what_would_be_misread_in_a_url_is_escaped() {
        assert_eq!(query(&[("a", "x +y&=ä"), ("b", "")]), "a=x%20%2By%26%3D%C3%A4&b=");
    }
}
