//! The seed of this machine: a node with a well-known address that `start` brings up when none answers.

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail};
use mesh_gossip::seeds::SeedSpec;
use mesh_node::runtime_file::{self, RuntimeFile};

use crate::book::{Book, Entry, Kind, SEED};
use crate::home::Home;
use crate::launch::{Launch, Launched};
use crate::lifecycle::Lifecycle;
use crate::log_file::LogFile;
use crate::process::Ending;
use crate::ready::{Patience, Prober, Readiness};
use crate::source::Source;

/// Which seed a start wants to have on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: first contacts are elsewhere.
    Elsewhere,
    /// Ours, at its usual place, or at a free port when that is taken.
    Usual,
    /// One at just this address of this machine.
    At(SocketAddr),
}

/// How a seed is started.
#[derive(Clone, Debug)]
pub(crate) struct SeedOptions {
    /// The address it listens on for gossip, with its usual UDP port.
    pub(crate) listen: SocketAddr,
    /// Whether it must be just that port, or a free one does when it is taken.
    pub(crate) port: Port,
    /// Its HTTP port, if it must be just that one.
    pub(crate) http_port: Option<u16>,
    /// What is set in its environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// How long it may take to be ready.
    pub(crate) patience: Duration,
}

/// Whether a port can be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// Others rely on it.
    Exact,
    /// It is what is tried first.
    Preferred,
}

/// The seed there is after [`ensure`].
#[derive(Debug)]
pub(crate) enum Seed {
    /// It was there.
    Found,
    /// It was started, and is ready.
    Started(Box<Launched>),
}

/// What of an agent's environment is not meant for the seed beside it.
const OF_AGENTS: &[&str] = &[
    "MCP_MESH_AGENT_NAME",
    "MCP_MESH_AGENT_VERSION",
    "MCP_MESH_HTTP_HOST",
    "MCP_MESH_HTTP_PORT",
    "MESH_CONFIG",
    "MESH_HTTP_LISTEN",
    "MESH_LISTEN",
    "MESH_QUIC_PORT",
    "MESH_SEEDS",
];

impl Wanted {
    /// What follows from the first contacts that agents are told; `None` when they are told none. Of those on this machine
    /// the first one counts.
    ///
    /// # Errors
    /// When one of them is no `host:port`.
    pub(crate) fn of(seeds: Option<&str>) -> anyhow::Result<Self> {
        let Some(seeds) = seeds else { return Ok(Self::Usual) };
        let seeds = seeds.split(',').map(str::trim).filter(|seed| !seed.is_empty() && *seed != "none");
        for seed in seeds {
            let seed = seed.parse::<SeedSpec>().context("first contacts")?.to_string();
            let seed = seed.replacen("localhost:", "127.0.0.1:", 1);
            if let Ok(address) = seed.parse::<SocketAddr>()
                && address.ip().is_loopback()
            {
                return Ok(Self::At(address));
            }
        }
        Ok(Self::Elsewhere)
    }
}

/// The seeds of this home that run.
pub(crate) fn running(home: &Home) -> Vec<RuntimeFile> {
    runtime_file::running(home.root()).into_iter().filter(|node| node.role == "seed").collect()
}

/// Sees to it that the seed that is wanted runs and is ready. Only who holds the lock may, lest there are two.
///
/// # Errors
/// When it does not start in time; it is gone again then, and the error holds its last words.
pub(crate) async fn ensure(
    _lock: &Lifecycle,
    home: &Home,
    wanted: &Wanted,
    options: &SeedOptions,
) -> anyhow::Result<Option<Seed>> {
    let place = match wanted {
        Wanted::Elsewhere => return Ok(None),
        Wanted::Usual if !running(home).is_empty() => return Ok(Some(Seed::Found)),
        // Somebody listens there, perhaps with another home: a seed as good as ours.
        Wanted::At(address) if is_taken(*address) => return Ok(Some(Seed::Found)),
        Wanted::At(address) => Some(*address),
        Wanted::Usual => None,
    };
    let book = Book::of(home);
    if let Some(old) = book.entry(SEED).filter(Entry::is_running) {
        // Written down and yet without a run-time file: it hangs, or was stopped before it served.
        old.leader().end(Ending::Polite(Duration::from_secs(3))).await?;
    }
    let launched = launch(home, place, options).await?;
    let prober = Prober::new()?;
    match prober.wait(home.root(), &launched.entry, Patience::Serving(options.patience)).await {
        Readiness::Callable(_) => Ok(Some(Seed::Started(Box::new(launched)))),
        state => {
            let said = LogFile::of(home, SEED).last_lines(20).join("\n");
            launched.entry.leader().end(Ending::Polite(Duration::from_secs(3))).await?;
            book.remove(&launched.entry);
            let what = match state {
                Readiness::Ended => "ended at once".to_owned(),
                _ => format!("was not ready within {:?}", options.patience),
            };
            bail!("the seed {what}; its log ends with:\n{said}")
        }
    }
}

async fn launch(home: &Home, place: Option<SocketAddr>, options: &SeedOptions) -> anyhow::Result<Launched> {
    let meshctl = env::current_exe().context("cannot tell which program this is")?;
    let mut command = vec![meshctl.to_string_lossy().into_owned(), "seed".into()];
    let (address, port) = place.map_or((options.listen, options.port), |address| (address, Port::Exact));
    match port {
        Port::Exact => command.extend(["--listen".into(), address.to_string()]),
        Port::Preferred => {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            command.extend(["--listen".into(), ip, "--port".into(), port]);
        }
    }
    if let Some(port) = options.http_port {
        command.extend(["--http-port".into(), port.to_string()]);
    }
    let launch = Launch {
        name: SEED.into(),
        kind: Kind::Seed,
        source: Source::Command(command.clone()),
        environment: options.environment.clone(),
        unset: OF_AGENTS.iter().map(|name| (*name).to_owned()).collect(),
        folder: Some(home.root().to_owned()),
        user: None,
        group: None,
    };
    let launched = launch.spawn(home, &command).await?;
    let log = LogFile::of(home, SEED).path(0);
    let other = LogFile::of(home, "registry").path(0);
    if !other.is_symlink()
        && let Some(name) = log.file_name()
    {
        // Scripts look for it there; that it cannot be made is no reason to have no seed.
        let _ = std::os::unix::fs::symlink(name, &other);
    }
    Ok(launched)
}

/// Whether somebody listens there.
pub(crate) fn is_taken(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// The address others reach this machine at, as the route to the outside tells. Nothing is sent.
pub(crate) fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // A documentation address (RFC 5737): any that is not local does.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}
