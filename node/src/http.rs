//! The one HTTP listener of a node: bounded, and a router assembled from the parts that others provide.

pub(crate) mod listener;
pub(crate) mod probes;
pub(crate) mod serve;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use axum::routing::MethodRouter;
use axum::{Router, middleware};

use crate::config::TlsMode;
use crate::tls::admit;

/// What is served, beside the probes. Each part brings its own rules on who may call.
pub(crate) struct Parts {
    /// `/livez` and its like.
    pub(crate) probes: probes::Probes,
    /// `/mcp`, and `/mesh/mcp` where it is enabled.
    pub(crate) mcp: Router,
    /// `/mesh/admin`.
    pub(crate) admin: Router,
    /// The registry API, where it is served, and what answers there when nobody else does.
    pub(crate) registry: Option<(Router, MethodRouter)>,
    /// The author's own routes: whatever nobody else answers.
    pub(crate) author: Option<Router>,
    /// What is asked of clients over TLS, where it is spoken.
    pub(crate) tls: Option<TlsMode>,
}

/// All of it behind one door.
pub(crate) fn router(parts: Parts) -> Router {
    let probes = probes::router(parts.probes, parts.registry.is_some());
    let ours = Router::new().merge(probes).merge(parts.mcp).merge(parts.admin);
    let all = match (parts.registry, parts.author) {
        (Some((registry, _)), Some(author)) => ours.merge(registry).fallback_service(author),
        (Some((registry, otherwise)), None) => ours.merge(registry).fallback_service(otherwise),
        (None, Some(author)) => ours.fallback_service(author),
        (None, None) => ours,
    };
    guarded(all, parts.tls)
}

/// `router` for those whom the mode of TLS lets in.
pub(crate) fn guarded(router: Router, tls: Option<TlsMode>) -> Router {
    match tls {
        Some(mode) => router.layer(middleware::from_fn_with_state(mode, admit)),
        None => router,
    }
}

/// Under which host and port others reach what listens on `bound`, when its host is called `host`.
pub(crate) fn authority(bound: SocketAddr, host: Option<&str>) -> String {
    let port = bound.port();
    match host {
        Some(host) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Some(host) => format!("{host}:{port}"),
        None => SocketAddr::new(reachable(bound.ip()), port).to_string(),
    }
}

/// How URLs of what is served with this mode of TLS begin.
pub(crate) fn scheme(tls: TlsMode) -> &'static str {
    if tls == TlsMode::Off { "http" } else { "https" }
}

/// Where this machine itself reaches what listens on `bound`.
pub(crate) fn nearby(bound: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// The address by which this machine is known to others when it listens on all of them: the one that a packet to the
/// internet would leave from (documentation addresses stand for it; connecting a UDP socket sends nothing).
fn reachable(bound: IpAddr) -> IpAddr {
    let (any, far, own): (IpAddr, IpAddr, IpAddr) = match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            (bound, Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (bound, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
        }
        known => return known,
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((far, 9))?;
        socket.local_addr()
    };
    source().map_or(own, |address| address.ip())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::authority;

    #[test]
    fn an_address_names_somewhere_one_can_go() {
        assert_eq!(authority("127.0.0.1:80".parse().unwrap(), None), "127.0.0.1:80");
        assert_eq!(authority("[::1]:80".parse().unwrap(), None), "[::1]:80");
        assert_eq!(authority("0.0.0.0:80".parse().unwrap(), Some("agent.example")), "agent.example:80");
        assert_eq!(authority("[::]:80".parse().unwrap(), Some("fd00::1")), "[fd00::1]:80");
        assert!(!authority("0.0.0.0:80".parse().unwrap(), None).contains("0.0.0.0"));
    }
}
