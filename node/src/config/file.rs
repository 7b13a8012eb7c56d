//! The configuration file: TOML as written. A key that nobody knows is an error, because it is a typo.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::env::VARIABLES;
use super::{ConfigError, NodeConfig, wrong};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("MESH_CONFIG: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It says something that nobody understands.
    #[error("MESH_CONFIG: {}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
}

/// The file, section by section. Every key stands for a variable and takes the same values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    agent: Agent,
    #[serde(default)]
    mesh: Mesh,
    #[serde(default)]
    http: Http,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    calls: Calls,
    #[serde(default)]
    registry: Registry,
}

macro_rules! section {
    ($section:ident { $($key:ident = $variable:literal),* $(,)? }) => {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $section { $($key: Option<Item>),* }

        impl $section {
            fn items(self) -> impl Iterator<Item = (&'static str, &'static str, Item)> {
                [$((stringify!($key), $variable, self.$key)),*]
                    .into_iter()
                    .filter_map(|(key, variable, item)| Some((key, variable, item?)))
            }
        }
    };
}

section!(Agent {
    id_prefix = "MCP_MESH_AGENT_NAME",
    version = "MCP_MESH_AGENT_VERSION",
    namespace = "MCP_MESH_NAMESPACE",
    health_interval = "MCP_MESH_HEALTH_CHECK_TTL",
    drain_timeout = "MESH_DRAIN_TIMEOUT",
});
section!(Mesh {
    name = "MESH_NAME",
    home = "MCP_MESH_HOME",
    key = "MESH_KEY",
    seeds = "MESH_SEEDS",
    listen = "MESH_LISTEN",
    quic_port = "MESH_QUIC_PORT",
    advertise = "MESH_ADVERTISE",
    zone = "MESH_ZONE",
    preset = "MESH_PRESET",
});
section!(Http {
    enabled = "MCP_MESH_HTTP_ENABLED",
    listen = "MESH_HTTP_LISTEN",
    host = "MCP_MESH_HTTP_HOST",
    access = "MESH_HTTP_ACCESS",
    token = "MCP_MESH_AUTH_TOKEN",
    origins = "MESH_HTTP_ORIGINS",
    gateway = "MESH_GATEWAY",
});
section!(Tls {
    mode = "MCP_MESH_TLS_MODE",
    cert = "MCP_MESH_TLS_CERT",
    key = "MCP_MESH_TLS_KEY",
    ca = "MCP_MESH_TLS_CA",
    trust = "MCP_MESH_TRUST_BACKEND",
    trust_dir = "MCP_MESH_TRUST_DIR",
});
section!(Calls {
    timeout = "MCP_MESH_CALL_TIMEOUT",
    settle_timeout = "MCP_MESH_SETTLE_TIMEOUT",
    propagate_headers = "MCP_MESH_PROPAGATE_HEADERS",
    max_running = "MESH_MAX_RUNNING",
});

section!(Registry {
    enabled = "MESH_REGISTRY",
    heartbeat_timeout = "DEFAULT_TIMEOUT_THRESHOLD",
    check_interval = "HEALTH_CHECK_INTERVAL",
    retention = "MCP_MESH_RETENTION",
    public_url_prefix = "MCP_MESH_PUBLIC_URL_PREFIX",
    store = "MESH_REGISTRY_DB",
    max_events = "MCP_MESH_EVENT_MAX_ROWS",
    sweep_interval = "MCP_MESH_SWEEP_INTERVAL",
    proxy_timeout = "MCP_MESH_PROXY_TIMEOUT",
    admin_port = "MCP_MESH_ADMIN_PORT",
});

/// A value: what the variable would hold, or a list of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Text(String),
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    List(Vec<String>),
}

impl Item {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::List(items) => items.join(","),
        }
    }
}

pub(super) fn apply(config: &mut NodeConfig, path: &Path) -> Result<(), ConfigError> {
    let unreadable = |source| FileError::Unreadable { path: path.into(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let file: File = toml::from_str(&text).map_err(|source| FileError::Malformed { path: path.into(), source })?;
    let sections = file.agent.items().chain(file.mesh.items()).chain(file.http.items());
    let sections = sections.chain(file.tls.items()).chain(file.calls.items()).chain(file.registry.items());
    for (key, variable, item) in sections {
        let (_, _, take) = VARIABLES
            .iter()
            .find(|(name, ..)| *name == variable)
            .expect("every key of the file stands for a variable of the table");
        let text = item.text();
        take(config, text.trim()).map_err(|why| wrong(format!("{}: {key}", path.display()), why))?;
    }
    Ok(())
}
