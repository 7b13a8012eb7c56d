//! What a node is told when it starts: one checked tree, filled from code, a file and the environment, in this order.
//!
//! Code gives the defaults ([`NodeConfig::new`]), the file that `MESH_CONFIG` names overrides them (unknown keys are
//! refused), the environment overrides both (unknown `MESH_*` names are only warned of). Every name is in [`mod@env`].

pub mod env;
mod file;
pub mod tls;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::AgentType;
use mesh_gossip::config::Config;
use mesh_gossip::keyring::Keyring;
use mesh_gossip::seeds::{DEFAULT_GOSSIP_PORT, SeedSpec};

pub use file::FileError;
pub use tls::{TlsConfig, TlsMode, TrustBackend};

/// Where a seed serves HTTP when nothing else is said: where scripts of the existing system look for it.
pub const SEED_HTTP_PORT: u16 = 8000;

/// Everything a node is told when it starts. Begin with [`NodeConfig::new`], then [`NodeConfig::load`].
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The agent's name, which its replicas share: letters, digits, `-` and `_`, at most 63.
    pub name: String,
    /// What stands before the `-` of the agent's id, when that is not the name.
    pub id_prefix: Option<String>,
    /// The agent's own version.
    pub version: String,
    /// What the agent is for, in words.
    pub description: String,
    /// The namespace in which it offers and looks. Default `default`.
    pub namespace: Arc<str>,
    /// What kind of agent it is.
    pub agent_type: AgentType,
    /// What else it says about itself.
    pub labels: BTreeMap<String, String>,
    /// Whether it is an agent, or a seed.
    pub role: Role,
    /// The mesh it belongs to.
    pub mesh: MeshConfig,
    /// Its HTTP listener.
    pub http: HttpConfig,
    /// TLS of its HTTP side.
    pub tls: TlsConfig,
    /// Its calls.
    pub calls: CallConfig,
    /// The registry API, through which agents without gossip join.
    pub registry: RegistryConfig,
    /// How often the author's health check runs, and how long it may take. Default half a second, so that a failing agent
    /// is out of resolution within one.
    pub health_interval: Duration,
    /// How long a stop may take before it is forced. Default 10 s.
    pub drain: Duration,
}

/// What a node is in its mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It offers tools, or calls those of others.
    #[default]
    Agent,
    /// A well-known address for newcomers. Offers nothing.
    Seed,
    /// It calls, offers nothing, and is not listed among agents: a program at somebody's side.
    Client,
}

/// The mesh, and how to get into it.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// Its name; nodes of other meshes are not understood. Default `default`.
    pub name: String,
    /// Its keys. Without any, those in the home directory are used, and made when there are none.
    pub keys: Option<Keyring>,
    /// The directory of keys, identities and run-time files. `None` keeps nothing: the node has another identity at every
    /// start, and needs `keys`.
    pub home: Option<PathBuf>,
    /// First contacts; `None` looks at this machine only: at the default port and into the run-time files of the home.
    pub seeds: Option<Vec<SeedSpec>>,
    /// Where to listen for gossip. `None` takes a free port: on loopback when all seeds are there, else on all addresses.
    pub listen: Option<SocketAddr>,
    /// Where to listen for QUIC, on the same address. 0, the default, takes a free port.
    pub quic_port: u16,
    /// Under which IP address others reach this node; `None` finds out.
    pub advertise: Option<IpAddr>,
    /// The zone it runs in.
    pub zone: String,
    /// The parameters of gossip. Default [`Config::lan`].
    pub protocol: Config,
}

/// The HTTP listener.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Whether there is one. Default yes.
    pub enabled: bool,
    /// Where it listens. Default loopback and any free port.
    pub listen: SocketAddr,
    /// What to do when the port is taken.
    pub port_taken: PortTaken,
    /// Under which host name or address others reach it. `None` is the address it listens on, or this machine's.
    pub host: Option<String>,
    /// Who may call from beyond loopback.
    pub access: Access,
    /// Whether it serves the whole mesh at `/mesh/mcp`. Default: seeds do, agents do not.
    pub gateway: Option<bool>,
    /// Browser pages that may call, as origins (`https://app.example:443`); none by default.
    pub allowed_origins: Vec<String>,
}

/// What to do when the configured port is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortTaken {
    /// Take a free one and advertise that, as agents of the existing system do.
    #[default]
    TakeAnother,
    /// Refuse to start: others rely on that port.
    Refuse,
}

/// Who may call MCP over HTTP from beyond loopback. Whoever is on loopback may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    #[default]
    Loopback,
    /// Whoever presents this bearer token.
    Token(String),
    /// Everybody.
    Open,
}

/// How the node calls, and is called.
#[derive(Clone, Debug)]
pub struct CallConfig {
    /// How long a call may take when nobody says anything. Default 300 s.
    pub timeout: Duration,
    /// How long a call waits for the first view of the mesh. Default 20 s.
    pub settle: Duration,
    /// Headers that travel along chains of calls: exact names, or `prefix*`.
    pub propagate: Vec<String>,
    /// The most tool runs under way; more are refused as overloaded. Default 1,024.
    pub max_running: usize,
}

/// The registry API.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Whether it is served, by a node that it is plugged into. Default: seeds do, agents do not.
    pub enabled: Option<bool>,
    /// How long an agent may be silent before it counts as unhealthy. Default 20 s.
    pub heartbeat_timeout: Duration,
    /// How often that is looked at. Default 1 s.
    pub check_interval: Duration,
    /// How long agents that are gone are still shown; `None` shows them for ever. Default 1 h.
    pub retention: Option<Duration>,
    /// Below which URL agent-to-agent surfaces are published.
    pub public_url_prefix: Option<String>,
    /// The file that remembers events. `None` is one in the home; without a home they are forgotten with the process.
    pub store: Option<PathBuf>,
    /// How many events are remembered; `None` remembers all. Default 100,000.
    pub max_events: Option<u64>,
    /// How often what is too old is forgotten. Default 5 min.
    pub sweep_interval: Duration,
    /// How long a proxied request may take that does not say. Default 60 s, at most 600 s.
    pub proxy_timeout: Duration,
    /// The port of `/admin/…`, which then is on no other. `None` has it on the port of everything else, for this machine.
    pub admin_port: Option<u16>,
}

/// Why a configuration is of no use. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value cannot be as it is.
    #[error("{name} {wrong}")]
    Value {
        /// The field, key or variable.
        name: String,
        /// What is wrong, and what to do.
        wrong: String,
    },
    /// The file of `MESH_CONFIG` cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl NodeConfig {
    /// An agent called `name` with nothing said about it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id_prefix: None,
            version: "1.0.0".into(),
            description: String::new(),
            namespace: "default".into(),
            agent_type: AgentType::Mcp,
            labels: BTreeMap::new(),
            role: Role::Agent,
            mesh: MeshConfig::default(),
            http: HttpConfig::default(),
            tls: TlsConfig::default(),
            calls: CallConfig::default(),
            registry: RegistryConfig::default(),
            health_interval: Duration::from_millis(500),
            drain: Duration::from_secs(10),
        }
    }

    /// A seed at its well-known ports, on loopback.
    pub fn seed() -> Self {
        let mut config = Self::new("seed");
        config.role = Role::Seed;
        config.mesh.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_GOSSIP_PORT)));
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, SEED_HTTP_PORT));
        config
    }

    /// The same as the file of `MESH_CONFIG` and the environment of this process would have it.
    ///
    /// # Errors
    /// [`ConfigError`] names the key or variable, and says what to do.
    pub fn load(self) -> Result<Self, ConfigError> {
        self.load_from(&env::process())
    }

    /// As [`NodeConfig::load`], with the environment given.
    ///
    /// # Errors
    /// [`ConfigError`] names the key or variable, and says what to do.
    pub fn load_from(mut self, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        if let Some(path) = environment.get("MESH_CONFIG").filter(|path| !path.is_empty()) {
            file::apply(&mut self, path.as_ref())?;
        }
        env::apply(&mut self, environment)?;
        self.check()?;
        Ok(self)
    }

    /// Whether the node serves the registry API, for which it needs HTTP.
    pub fn serves_registry(&self) -> bool {
        self.http.enabled && self.registry.enabled.unwrap_or(self.role == Role::Seed)
    }

    /// Whether a node can start with it, as far as that shows without trying.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the field.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (field, name) in [("the agent's name", Some(&self.name)), ("the id's prefix", self.id_prefix.as_ref())] {
            let Some(name) = name else { continue };
            let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            let inner = !name.starts_with(['-', '_']) && !name.ends_with(['-', '_']);
            if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || !inner {
                return Err(wrong(field, format!("{name:?} needs 1 to 63 letters, digits, or `-` and `_` inside")));
            }
        }
        if self.namespace.is_empty() || self.namespace.len() > 128 {
            return Err(wrong("the namespace", "needs 1 to 128 bytes"));
        }
        if self.mesh.keys.is_none() && self.mesh.home.is_none() {
            return Err(wrong(
                "the mesh key",
                "is missing: set MESH_KEY, or name a home to keep one in (MCP_MESH_HOME)",
            ));
        }
        if self.health_interval.is_zero() || self.calls.timeout.is_zero() || self.calls.max_running == 0 {
            return Err(wrong("health interval, call timeout and the bound on running calls", "have to be above 0"));
        }
        if self.registry.heartbeat_timeout.is_zero() || self.registry.check_interval.is_zero() {
            return Err(wrong("the registry's heartbeat time-out and check interval", "have to be above 0"));
        }
        if self.registry.sweep_interval.is_zero() || self.registry.proxy_timeout.is_zero() {
            return Err(wrong("the registry's sweep interval and proxy time-out", "have to be above 0"));
        }
        self.tls.check()?;
        if self.calls.propagate.iter().any(|pattern| pattern == "*") {
            return Err(wrong("the headers to propagate", "cannot be `*`: name them, or end a prefix in `*`"));
        }
        Ok(())
    }
}

impl Role {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Seed => "seed",
            Self::Client => "client",
        }
    }
}

impl HttpConfig {
    /// Whether `/mesh/mcp` is served by a node of that role.
    pub fn is_gateway(&self, role: Role) -> bool {
        self.gateway.unwrap_or(role == Role::Seed)
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            name: "default".into(),
            keys: None,
            home: None,
            seeds: None,
            listen: None,
            quic_port: 0,
            advertise: None,
            zone: String::new(),
            protocol: Config::lan(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            port_taken: PortTaken::TakeAnother,
            host: None,
            access: Access::Loopback,
            gateway: None,
            allowed_origins: Vec::new(),
        }
    }
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            enabled: None,
            heartbeat_timeout: Duration::from_secs(20),
            check_interval: Duration::from_secs(1),
            retention: Some(Duration::from_secs(3600)),
            public_url_prefix: None,
            store: None,
            max_events: Some(100_000),
            sweep_interval: Duration::from_secs(300),
            proxy_timeout: Duration::from_secs(60),
            admin_port: None,
        }
    }
}

impl Default for CallConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            settle: Duration::from_secs(20),
            propagate: Vec::new(),
            max_running: 1_024,
        }
    }
}

/// Where in a home directory gossip keeps what it must not lose: `mesh.key`, `operator.key` and `operator.pub`, and one
/// folder of identities for every agent's name.
pub fn state_dir(home: &Path) -> PathBuf {
    home.join("state")
}

pub(crate) fn wrong(name: impl Into<String>, wrong: impl Into<String>) -> ConfigError {
    ConfigError::Value { name: name.into(), wrong: wrong.into() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
