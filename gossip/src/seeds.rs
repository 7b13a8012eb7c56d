//! First contacts: addresses and names that a newcomer is told, and what the names stand for today.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexSet;

/// The gossip port where none is said.
pub const DEFAULT_GOSSIP_PORT: u16 = 7745;

/// The most addresses that are taken of one name.
pub const MAX_ADDRESSES_OF_A_NAME: usize = 1_024;

/// One seed as it was configured: `host`, `host:port`, `ip`, `ip:port`, `[v6]` or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeedSpec {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// Why a text does not name a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// Nothing was said.
    #[error("a seed is missing: write `host:port`")]
    Empty,
    /// It is a URL.
    #[error("{text:?} is a URL: write `host:port` without scheme and path")]
    Url {
        /// The text.
        text: String,
    },
    /// What stands before the port is neither name nor address.
    #[error("{text:?} has no valid host: write a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    Host {
        /// The text.
        text: String,
    },
    /// What stands after the colon is no port.
    #[error("{text:?} has no valid port: write a number from 1 to 65535 after the colon")]
    Port {
        /// The text.
        text: String,
    },
}

/// Why a name gives no address now. It may at the next try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name service said no.
    #[error("{seed} cannot be resolved: {source}")]
    Failed {
        /// The seed.
        seed: SeedSpec,
        /// What the system said.
        source: io::Error,
    },
    /// The name exists, without addresses.
    #[error("{seed} has no address at present")]
    NoAddress {
        /// The seed.
        seed: SeedSpec,
    },
    /// The name service did not answer in time.
    #[error("{seed} was not resolved within {waited:?}: is the name service reachable?")]
    TimedOut {
        /// The seed.
        seed: SeedSpec,
        /// How long the answer was waited for.
        waited: Duration,
    },
}

impl SeedSpec {
    /// Whether it is on this machine, as far as that shows without asking anybody.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl FromStr for SeedSpec {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let text = text.trim();
        let wrong_host = || SeedError::Host { text: text.to_owned() };
        if text.is_empty() {
            return Err(SeedError::Empty);
        }
        if text.contains('/') {
            return Err(SeedError::Url { text: text.to_owned() });
        }
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: Host::Ip(ip.into()), port: DEFAULT_GOSSIP_PORT });
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = rest.split_once(']').ok_or_else(wrong_host)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or_else(wrong_host)?),
            };
            (Host::Ip(ip.parse::<Ipv6Addr>().map_err(|_| wrong_host())?.into()), port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (host.parse().map(Host::Ip).or_else(|_| name(host)).map_err(|()| wrong_host())?, port)
        };
        let port = match port.map(str::parse) {
            None => DEFAULT_GOSSIP_PORT,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(SeedError::Port { text: text.to_owned() }),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for SeedSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl From<SocketAddr> for SeedSpec {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address.ip()), port: address.port() }
    }
}

/// The addresses of a seed, at least one: many for a headless service, and tomorrow others than today. An address
/// needs no name service. Dropping the future loses nothing; a lookup that hangs ends by itself, on a thread of its own.
///
/// # Errors
/// [`ResolveError`]; each is worth another try later.
pub async fn resolve(seed: &SeedSpec, patience: Duration) -> Result<Vec<SocketAddr>, ResolveError> {
    let name = match &seed.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, seed.port)]),
        Host::Name(name) => name.as_str(),
    };
    answered(seed, patience, tokio::net::lookup_host((name, seed.port))).await
}

async fn answered<A: Iterator<Item = SocketAddr>>(
    seed: &SeedSpec,
    patience: Duration,
    lookup: impl Future<Output = io::Result<A>>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = tokio::time::timeout(patience, lookup)
        .await
        .map_err(|_| ResolveError::TimedOut { seed: seed.clone(), waited: patience })?
        .map_err(|source| ResolveError::Failed { seed: seed.clone(), source })?;
    let addresses: IndexSet<SocketAddr, foldhash::fast::FixedState> = found.take(MAX_ADDRESSES_OF_A_NAME).collect();
    if addresses.is_empty() {
        return Err(ResolveError::NoAddress { seed: seed.clone() });
    }
    Ok(addresses.into_iter().collect())
}

/// A name as DNS takes it, underscores included since people use them.
fn name(text: &str) -> Result<Host, ()> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
    };
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fine = text.len() <= 253 && !all_digits && text.strip_suffix('.').unwrap_or(text).split('.').all(label);
    fine.then(|| Host::Name(text.to_ascii_lowercase())).ok_or(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::future::{pending, ready};
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{MAX_ADDRESSES_OF_A_NAME, ResolveError, SeedError, SeedSpec, answered, resolve};

    fn parsed(text: &str) -> String {
        text.parse::<SeedSpec>().unwrap().to_string()
    }

    #[test]
    fn every_way_to_write_a_seed_is_understood() {
        for (text, seed) in [
            ("seed", "seed:7745"),
            (" Seed.example.COM:99 ", "seed.example.com:99"),
            ("mesh_seed-0.mesh.svc.cluster.local.", "mesh_seed-0.mesh.svc.cluster.local.:7745"),
            ("10.0.0.1", "10.0.0.1:7745"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("::1", "[::1]:7745"),
            ("[::1]", "[::1]:7745"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
            ("1password.example:9", "1password.example:9"),
        ] {
            assert_eq!(parsed(text), seed);
            assert_eq!(parsed(&parsed(text)), seed);
        }
    }

    #[test]
    fn what_is_wrong_with_a_seed_is_said() {
        let error = |text: &str| text.parse::<SeedSpec>().unwrap_err();
        assert_eq!(error("  "), SeedError::Empty);
        for text in ["http://seed:1", "seed/x"] {
            assert_eq!(error(text), SeedError::Url { text: text.into() });
        }
        for text in ["seed:", "seed:0", "seed:65536", "seed:x", "[::1]:", "1.2.3.4:-1", "seed:1:2"] {
            assert_eq!(error(text), SeedError::Port { text: text.into() });
        }
        for text in [":1", "a..b", "se ed", "[::1", "[::1]7", "[seed]:1", "1.2.3", "1.2.3.999:5", "-a", "sééd", "."] {
            assert_eq!(error(text), SeedError::Host { text: text.into() });
        }
    }

    #[tokio::test]
    async fn an_address_is_its_own_answer_and_a_name_has_at_least_one() {
        let address = "[::1]:5".parse().unwrap();
        assert_eq!(resolve(&address, Duration::ZERO).await.unwrap(), ["[::1]:5".parse().unwrap()]);
        let local = resolve(&"localhost:5".parse().unwrap(), Duration::from_secs(30)).await.unwrap();
        assert!(local.iter().all(|address| address.ip().is_loopback() && address.port() == 5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_name_service_may_answer_is_bounded_in_time_and_number() {
        let seed: SeedSpec = "seed".parse().unwrap();
        let patience = Duration::from_secs(3);
        let of = |ports: Vec<u16>| ready(Ok(ports.into_iter().map(|port| SocketAddr::from(([10, 0, 0, 1], port)))));
        let twice = answered(&seed, patience, of(vec![7, 8, 7])).await.unwrap();
        assert_eq!(twice, ["10.0.0.1:7".parse().unwrap(), "10.0.0.1:8".parse().unwrap()]);
        let many = answered(&seed, patience, of((0..60_000).collect())).await.unwrap();
        assert_eq!(many.len(), MAX_ADDRESSES_OF_A_NAME);
        assert!(matches!(answered(&seed, patience, of(vec![])).await, Err(ResolveError::NoAddress { .. })));
        let hangs = pending::<io::Result<std::iter::Empty<SocketAddr>>>();
        assert!(matches!(answered(&seed, patience, hangs).await, Err(ResolveError::TimedOut { .. })));
        let fails = ready(Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no")));
        assert!(matches!(answered(&seed, patience, fails).await, Err(ResolveError::Failed { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_prints_as_it_is_read(text in "[a-z0-9:.\\[\\]_ é-]{0,30}", any in any::<String>()) {
            let _ = any.parse::<SeedSpec>();
            if let Ok(seed) = text.parse::<SeedSpec>() {
                prop_assert_eq!(seed.to_string().parse::<SeedSpec>(), Ok(seed));
            }
        }
    }
}
