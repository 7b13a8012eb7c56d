//! Whom a proxied request is for: read from its path as it came, and looked up among the agents of the mesh.

use std::net::Ipv6Addr;

use mesh_gossip::catalog::{AgentEntry, Offers, Owner, Standing};
use mesh_gossip::{MemberId, View};
use reqwest::Url;

use crate::offers::{ROLE_LABEL, TRANSPORT_LABEL, TRANSPORT_MESH};

/// The most bytes of what an error repeats of a request.
const MAX_REPEATED: usize = 128;

/// Somewhere to send a request, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
    /// `/mcp`, or below that.
    path: String,
}

/// The agent at a target, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where its HTTP is.
    pub(super) url: Url,
    /// The member that takes its requests over the mesh; `None` for agents that speak HTTP only.
    pub(super) member: Option<MemberId>,
}

/// Why a request is not passed on, in the words of the existing system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTarget {
    /// It names no path.
    #[error("Invalid target format: missing path. Expected format: {{host}}:{{port}}/mcp/{{path}}")]
    NoPath,
    /// It is for something that is not MCP, or may turn out not to be.
    #[error("Only /mcp/* paths are allowed for proxying")]
    NotMcp,
    /// Nobody is there.
    #[error("Target host '{0}' is not a registered agent")]
    NotAnAgent(String),
}

/// How well an agent fits a host name: its own address first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Name,
    Id,
    Host,
}

impl Target {
    /// Reads what stands behind `/proxy/`. Nothing is decoded: what would mean something else when it is, does not pass.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub(super) fn read(raw: &str) -> Result<Self, BadTarget> {
        let (authority, path) = raw.split_once('/').ok_or(BadTarget::NoPath)?;
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~/".contains(&letter);
        let segments = || path.split('/');
        let is_plain = path.bytes().all(plain) && !segments().any(|segment| matches!(segment, "." | ".."));
        if segments().next() != Some("mcp") || !is_plain {
            return Err(BadTarget::NotMcp);
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| BadTarget::not_an_agent(authority))?;
        Ok(Self { host, port, path: format!("/{path}") })
    }

    /// The agent that is meant: the one at that address, else of that id, else of that name, at that port.
    ///
    /// # Errors
    /// [`BadTarget::NotAnAgent`].
    pub(super) fn find(&self, view: &View) -> Result<Found, BadTarget> {
        let fits = view.catalog().agents().filter_map(|agent| {
            let (url, fit) = self.fit(agent.offers?)?;
            Some((fit, agent.standing != Standing::Gone, found(&agent, url)))
        });
        let best = fits.max_by_key(|(fit, is_there, _)| (*fit, *is_there));
        best.map(|(_, _, found)| found).ok_or_else(|| BadTarget::not_an_agent(&format!("{}:{}", self.host, self.port)))
    }

    fn fit(&self, offers: &Offers) -> Option<(Url, Fit)> {
        if offers.labels.contains_key(ROLE_LABEL) {
            return None;
        }
        let at_port = |url: &Url| url.port_or_known_default() == Some(self.port);
        let mut urls = offers.endpoints.iter().filter_map(|url| Url::parse(url).ok()).filter(at_port);
        let mut url = urls.next()?;
        let own = std::iter::once(&url).cloned().chain(urls).find(|url| url.host_str() == Some(&self.host));
        let fit = match own {
            Some(own) => {
                url = own;
                Fit::Host
            }
            None if offers.agent.as_str() == self.host => Fit::Id,
            None if *offers.name == *self.host => Fit::Name,
            None => return None,
        };
        url.set_path(&self.path);
        url.set_query(None);
        Some((url, fit))
    }
}

impl BadTarget {
    fn not_an_agent(said: &str) -> Self {
        Self::NotAnAgent(said.chars().take(MAX_REPEATED).collect())
    }
}

fn found(agent: &AgentEntry<'_>, url: Url) -> Found {
    let Owner { member, .. } = agent.owner;
    let is_own =
        agent.offers.and_then(|offers| offers.labels.get(TRANSPORT_LABEL)).is_some_and(|at| at == TRANSPORT_MESH);
    // Only the MCP endpoint itself can be asked over the mesh.
    let is_endpoint = url.path().trim_end_matches('/') == "/mcp";
    Found { url, member: Some(*member).filter(|_| is_own && is_endpoint) }
}

/// As URLs have it: lower case, and brackets around an address of version 6.
fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    if let Some(literal) = host.strip_prefix('[') {
        let literal: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
        return Some((format!("[{literal}]"), port));
    }
    let is_name =
        !host.is_empty() && host.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter));
    is_name.then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use mesh_gossip::catalog::{AgentId, Offers};
    use proptest::prelude::{ProptestConfig, prop_assert, proptest};

    use super::{BadTarget, Fit, Target};

    fn offers(id: &str, name: &str, endpoint: &str) -> Offers {
        let agent: AgentId = id.parse().unwrap();
        Offers { endpoints: vec![endpoint.to_owned()], ..Offers::new(agent, name) }
    }

    fn read(raw: &str) -> Target {
        Target::read(raw).unwrap()
    }

    #[test]
    fn the_checks_come_in_the_order_and_words_of_the_existing_system() {
        assert_eq!(Target::read("h:1").unwrap_err(), BadTarget::NoPath);
        assert_eq!(Target::read("not a host/etc/passwd").unwrap_err(), BadTarget::NotMcp);
        assert_eq!(Target::read("h/mcp").unwrap_err(), BadTarget::NotAnAgent("h".into()));
        let text = "Invalid target format: missing path. Expected format: {host}:{port}/mcp/{path}";
        assert_eq!(BadTarget::NoPath.to_string(), text);
    }

    #[test]
    fn tricks_with_paths_and_hosts_are_refused() {
        for path in [
            "mcpx",
            "mcp/../admin",
            "mcp/./x",
            "mcp/%2e%2e/x",
            "mcp%2fx",
            "MCP",
            "",
            "/mcp",
            "mcp\\..\\x",
            "mcp;x",
            "mcp?x",
        ] {
            assert_eq!(Target::read(&format!("h:1/{path}")).unwrap_err(), BadTarget::NotMcp, "{path}");
        }
        for host in [
            "u@h:1",
            "u:p@h:1",
            "h:",
            "h:+1",
            "h:99999",
            ":1",
            "[::1:1",
            "::1:1",
            "h%00:1",
            "[fe80::1%25eth0]:1",
            "h:1:2",
        ] {
            let refused = Target::read(&format!("{host}/mcp"));
            assert!(matches!(refused, Err(BadTarget::NotAnAgent(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn an_agent_is_found_by_its_address_its_id_and_its_name_at_its_port_only() {
        let hello = offers("hello-1", "hello", "http://10.0.0.5:9100");
        for (host, fit) in [("10.0.0.5", Fit::Host), ("hello-1", Fit::Id), ("HELLO", Fit::Name)] {
            let (url, found) = read(&format!("{host}:9100/mcp/")).fit(&hello).unwrap();
            assert_eq!((url.as_str(), found), ("http://10.0.0.5:9100/mcp/", fit));
        }
        for wrong in ["10.0.0.5:9101", "10.0.0.6:9100", "hello-2:9100", "127.0.0.1:9100"] {
            assert_eq!(read(&format!("{wrong}/mcp")).fit(&hello), None, "{wrong}");
        }
        let six = offers("six-1", "six", "http://[::1]:9100");
        let (url, _) = read("[0:0:0:0:0:0:0:1]:9100/mcp").fit(&six).unwrap();
        assert_eq!(url.as_str(), "http://[::1]:9100/mcp");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn whatever_passes_is_mcp_at_the_address_of_the_agent(raw in "\\PC{0,60}|[a-z0-9:@\\[\\]%./\\\\-]{0,60}") {
            let agent = offers("hello-1", "hello", "http://10.0.0.5:80");
            for raw in [raw.clone(), format!("hello:80/mcp/{raw}"), format!("{raw}hello:80/mcp")] {
                if let Some((url, _)) = Target::read(&raw).ok().and_then(|target| target.fit(&agent)) {
                    prop_assert!(url.as_str().starts_with("http://10.0.0.5/mcp"), "{raw} {url}");
                    prop_assert!(url.path() == "/mcp" || url.path().starts_with("/mcp/"), "{raw} {url}");
                }
            }
        }
    }
}
