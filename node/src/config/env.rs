//! The one table of environment variables. Nothing else of the node reads the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mesh_gossip::config::Config;
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::seeds::SeedSpec;

use super::{Access, ConfigError, NodeConfig, tls, wrong};

/// One variable: its name, what it means, and how it is applied. `Err` is what is wrong with the value.
type Variable = (&'static str, &'static str, fn(&mut NodeConfig, &str) -> Result<(), String>);

/// All variables that a node reads, later ones winning over earlier ones. Those that begin with `MCP_MESH_` mean what
/// they mean in the existing system.
pub const VARIABLES: &[Variable] = &[
    ("MCP_MESH_HOME", "directory of keys, identities and run-time files (default ~/.mcp-mesh)", |config, text| {
        config.mesh.home = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MCP_MESH_AGENT_NAME", "what stands before the `-` of the agent's id; its name stays", |config, text| {
        config.id_prefix = Some(text.into());
        Ok(())
    }),
    ("MCP_MESH_AGENT_VERSION", "the agent's version", |config, text| {
        config.version = text.into();
        Ok(())
    }),
    ("MCP_MESH_NAMESPACE", "the namespace in which the agent offers and looks", |config, text| {
        config.namespace = text.into();
        Ok(())
    }),
    ("MCP_MESH_HTTP_ENABLED", "whether the agent serves HTTP", |config, text| {
        config.http.enabled = flag(text)?;
        Ok(())
    }),
    (
        "MCP_MESH_HTTP_HOST",
        "host under which others reach the agent's HTTP; does not change where it listens",
        |config, text| {
            config.http.host = Some(text.into());
            Ok(())
        },
    ),
    ("MCP_MESH_HTTP_PORT", "port of the agent's HTTP; 0 takes a free one", |config, text| {
        config.http.listen.set_port(number(text)?);
        Ok(())
    }),
    ("MCP_MESH_HEALTH_CHECK_TTL", "seconds between two health checks", |config, text| {
        config.health_interval = seconds(text)?;
        Ok(())
    }),
    ("MCP_MESH_CALL_TIMEOUT", "seconds that a call may take when nobody says anything", |config, text| {
        config.calls.timeout = seconds(text)?;
        Ok(())
    }),
    ("MCP_MESH_SETTLE_TIMEOUT", "seconds that a call waits for the first view of the mesh", |config, text| {
        config.calls.settle = seconds(text)?;
        Ok(())
    }),
    (
        "MCP_MESH_PROPAGATE_HEADERS",
        "headers that travel along chains of calls: names or prefix*, by comma",
        |config, text| {
            config.calls.propagate = list(text).map(str::to_ascii_lowercase).collect();
            Ok(())
        },
    ),
    ("MCP_MESH_AUTH_TOKEN", "bearer token that lets MCP callers in from beyond loopback", |config, text| {
        config.http.access = Access::Token(text.into());
        Ok(())
    }),
    ("MESH_NAME", "name of the mesh", |config, text| {
        config.mesh.name = text.into();
        Ok(())
    }),
    (
        "MESH_KEY",
        "key of the mesh: 32 bytes in base64 or hex; several by comma, the first one seals",
        |config, text| {
            let mut keys = list(text).map(|key| key.parse::<MeshKey>().map_err(|error| error.to_string()));
            let mut ring = Keyring::new(keys.next().ok_or("is empty")??);
            for key in keys {
                ring.install(key?).map_err(|error| error.to_string())?;
            }
            config.mesh.keys = Some(ring);
            Ok(())
        },
    ),
    ("MESH_SEEDS", "first contacts: host:port, by comma; `none` for none", |config, text| {
        let texts = list(text).filter(|seed| *seed != "none");
        let seeds: Result<Vec<SeedSpec>, _> = texts.map(|seed| seed.parse::<SeedSpec>()).collect();
        config.mesh.seeds = Some(seeds.map_err(|error| error.to_string())?);
        Ok(())
    }),
    ("MESH_LISTEN", "address and UDP port of gossip", |config, text| {
        config.mesh.listen = Some(text.parse().map_err(|_| NOT_AN_ADDRESS)?);
        Ok(())
    }),
    ("MESH_QUIC_PORT", "UDP port of QUIC; 0 takes a free one", |config, text| {
        config.mesh.quic_port = number(text)?;
        Ok(())
    }),
    ("MESH_ADVERTISE", "IP address under which other nodes reach this one", |config, text| {
        config.mesh.advertise = Some(text.parse::<IpAddr>().map_err(|_| "is no IP address")?);
        Ok(())
    }),
    ("MESH_ZONE", "zone the node runs in", |config, text| {
        config.mesh.zone = text.into();
        Ok(())
    }),
    (
        "MESH_PRESET",
        "how far apart members are: `local` (one machine), `lan` (the default) or `wan`; the same on all",
        |config, text| {
            config.mesh.protocol = match text {
                "local" => Config::local(),
                "lan" => Config::lan(),
                "wan" => Config::wan(),
                _ => return Err("is none of `local`, `lan` and `wan`".into()),
            };
            Ok(())
        },
    ),
    ("MESH_HTTP_LISTEN", "address and port that HTTP listens on", |config, text| {
        config.http.listen = text.parse::<SocketAddr>().map_err(|_| NOT_AN_ADDRESS)?;
        Ok(())
    }),
    ("MESH_HTTP_ACCESS", "`open` lets MCP callers in from beyond loopback without a token", |config, text| {
        config.http.access = match text {
            "open" => Access::Open,
            "loopback" => Access::Loopback,
            _ => return Err("is neither `open` nor `loopback`; a token goes into MCP_MESH_AUTH_TOKEN".into()),
        };
        Ok(())
    }),
    ("MESH_HTTP_ORIGINS", "browser origins that may call, by comma", |config, text| {
        config.http.allowed_origins = list(text).map(str::to_owned).collect();
        Ok(())
    }),
    ("MESH_GATEWAY", "whether the whole mesh is served at /mesh/mcp", |config, text| {
        config.http.gateway = Some(flag(text)?);
        Ok(())
    }),
    (
        "MESH_REGISTRY",
        "whether the registry API is served, through which agents without gossip join",
        |config, text| {
            config.registry.enabled = Some(flag(text)?);
            Ok(())
        },
    ),
    ("DEFAULT_TIMEOUT_THRESHOLD", "seconds without a heartbeat after which an agent is unhealthy", |config, text| {
        config.registry.heartbeat_timeout = seconds(text)?;
        Ok(())
    }),
    ("HEALTH_CHECK_INTERVAL", "seconds between two looks at who is silent", |config, text| {
        config.registry.check_interval = seconds(text)?;
        Ok(())
    }),
    ("MCP_MESH_HEALTH_CHECK_INTERVAL", "the same", |config, text| {
        config.registry.check_interval = seconds(text)?;
        Ok(())
    }),
    ("MCP_MESH_RETENTION", "how long agents that are gone are shown (`1h`, `90m`); 0 for ever", |config, text| {
        let retention = duration(text)?;
        config.registry.retention = (!retention.is_zero()).then_some(retention);
        Ok(())
    }),
    ("MCP_MESH_PUBLIC_URL_PREFIX", "below which URL agent-to-agent surfaces are published", |config, text| {
        config.registry.public_url_prefix = Some(text.into());
        Ok(())
    }),
    ("MESH_REGISTRY_DB", "file that remembers events (default registry/events.redb in the home)", |config, text| {
        config.registry.store = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MCP_MESH_EVENT_MAX_ROWS", "how many events are remembered; 0 for all", |config, text| {
        let rows: u64 = number(text)?;
        config.registry.max_events = (rows > 0).then_some(rows);
        Ok(())
    }),
    ("MCP_MESH_SWEEP_INTERVAL", "how often what is too old is forgotten (`5m`)", |config, text| {
        config.registry.sweep_interval = duration(text)?;
        Ok(())
    }),
    (
        "MCP_MESH_PROXY_TIMEOUT",
        "seconds that a proxied request may take that does not say, at most 600",
        |config, text| {
            config.registry.proxy_timeout = seconds(text)?;
            Ok(())
        },
    ),
    ("MCP_MESH_ADMIN_PORT", "port of /admin, which then is on no other; 0 for none of its own", |config, text| {
        let port: u16 = number(text)?;
        config.registry.admin_port = (port > 0).then_some(port);
        Ok(())
    }),
    (
        "MCP_MESH_TLS_MODE",
        "TLS of HTTP: `off`, `auto` or `strict`, which wants certificates of clients",
        |config, text| {
            config.tls.mode = text.parse()?;
            Ok(())
        },
    ),
    ("MCP_MESH_TLS_CERT", "file of the certificate chain; without one the local CA issues it", |config, text| {
        config.tls.cert = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MCP_MESH_TLS_KEY", "file of the private key that belongs to it", |config, text| {
        config.tls.key = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MCP_MESH_TLS_CA", "file of the CAs that other nodes' certificates come from", |config, text| {
        config.tls.ca = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MCP_MESH_TLS_PROVIDER", "where certificates come from: `file`", |_, text| tls::provider(text)),
    ("MCP_MESH_TRUST_BACKEND", "whose clients are trusted, by comma: `localca`, `filestore`", |config, text| {
        config.tls.backends = list(text).map(str::parse).collect::<Result<_, _>>()?;
        Ok(())
    }),
    ("MCP_MESH_TRUST_DIR", "directory of the local CA and of trusted CAs (default tls in the home)", |config, text| {
        config.tls.trust_dir = Some(PathBuf::from(text));
        Ok(())
    }),
    ("MESH_MAX_RUNNING", "most tool runs under way; more are refused as overloaded", |config, text| {
        config.calls.max_running = number(text)?;
        Ok(())
    }),
    ("MESH_DRAIN_TIMEOUT", "seconds that a stop may take before it is forced", |config, text| {
        config.drain = seconds(text)?;
        Ok(())
    }),
];

/// Variables with our prefix that others read: the log, the way to the file, meshctl.
const READ_ELSEWHERE: &[&str] = &["MESH_CONFIG", "MESH_NODE", "MESH_LOG", "MESH_DEBUG"];

/// Beginnings of names that others read: prompts, and how models are used.
const PREFIXES_ELSEWHERE: &[&str] = &["MESH_PROMPT_", "MESH_LLM_"];

const NOT_AN_ADDRESS: &str = "is no address: write ip:port, with port 0 for a free one";

/// The environment of this process. Values that are not Unicode count as not set, and are warned of.
pub(super) fn process() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok()?;
        match value.into_string() {
            Ok(value) => Some((name, value)),
            Err(_) => {
                tracing::warn!(%name, "environment variable is not Unicode, ignored");
                None
            }
        }
    };
    std::env::vars_os().filter_map(text).collect()
}

pub(super) fn apply(config: &mut NodeConfig, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, _, take) in VARIABLES {
        let Some(text) = environment.get(*name).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
            continue;
        };
        take(config, text).map_err(|why| {
            let shown = if matches!(*name, "MESH_KEY" | "MCP_MESH_AUTH_TOKEN") { "(not shown)" } else { text };
            wrong(*name, format!("= {shown} {why}"))
        })?;
    }
    if config.mesh.home.is_none() && config.mesh.keys.is_none() {
        config.mesh.home = home_of(environment);
    }
    // Orchestrators inject names of their own, so that a stranger is worth a warning and no more.
    let known = |name: &str| {
        VARIABLES.iter().any(|(known, ..)| *known == name)
            || READ_ELSEWHERE.contains(&name)
            || PREFIXES_ELSEWHERE.iter().any(|prefix| name.starts_with(prefix))
    };
    for name in environment.keys().filter(|name| name.starts_with("MESH_") && !known(name)) {
        tracing::warn!(%name, "unknown environment variable, ignored");
    }
    Ok(())
}

/// Where a user's keys and run-time files are: `MCP_MESH_HOME`, else `.mcp-mesh` in the user's home directory.
pub fn home_of(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name: &str| environment.get(name).filter(|text| !text.is_empty());
    set("MCP_MESH_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".mcp-mesh")))
}

/// As [`home_of`], for the environment of this process.
pub fn home() -> Option<PathBuf> {
    home_of(&process())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "is no number in range".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "is no number of seconds".into())
}

/// A duration as the existing system writes it: numbers with units, such as `1h30m` or `250ms`; a bare 0 is none.
fn duration(text: &str) -> Result<Duration, String> {
    const WRONG: &str = "is no duration: write `1h`, `90m`, `30s` or `250ms`";
    let (mut rest, mut total) = (text, Duration::ZERO);
    if rest == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or(WRONG)?;
        let number: f64 = rest[..digits].parse().map_err(|_| WRONG)?;
        let unit = rest[digits..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match &rest[digits..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(WRONG.into()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| WRONG)?;
        total = total.checked_add(part).ok_or(WRONG)?;
        rest = &rest[unit..];
    }
    if text.is_empty() { Err(WRONG.into()) } else { Ok(total) }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither `true` nor `false`".into()),
    }
}
