//! What is set for all starts of one home: `config.toml`. Every key has a default, the environment beats the file, flags
//! beat both.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use mesh_gossip::seeds::{DEFAULT_GOSSIP_PORT, SeedSpec};
use mesh_node::config::SEED_HTTP_PORT;
use serde::Serialize;
use toml::{Table, Value};

use crate::book;
use crate::duration;
use crate::home::Home;

/// What is set, with where each value comes from left behind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// The name of the mesh.
    pub(crate) mesh: String,
    /// First contacts of all that is started; none given means this machine's seed.
    pub(crate) seeds: Vec<String>,
    /// The IP address that seed and agents listen on for other nodes; none given means loopback.
    pub(crate) listen: Option<IpAddr>,
    /// The UDP port of the seed.
    pub(crate) seed_port: u16,
    /// The HTTP port of the seed.
    pub(crate) registry_port: u16,
    /// The level of what agents log.
    pub(crate) log_level: String,
    /// Whether agents run in debug mode.
    pub(crate) debug_mode: bool,
    /// Seconds until a start is given up.
    pub(crate) startup_timeout: f64,
    /// Seconds until a stop is forced.
    pub(crate) shutdown_timeout: f64,
    /// Whether `start` detaches without being told.
    pub(crate) enable_background: bool,
}

/// One key: what it is called, the variable that beats it, what it means, and how it is read.
pub(crate) struct Item {
    /// The key in the file.
    pub(crate) key: &'static str,
    /// The variable of the environment.
    pub(crate) variable: Option<&'static str>,
    /// What it is for.
    pub(crate) help: &'static str,
    take: fn(&mut Settings, &str) -> Result<(), String>,
}

/// All keys.
pub(crate) const ITEMS: &[Item] = &[
    Item {
        key: "mesh",
        variable: Some("MESH_NAME"),
        help: "name of the mesh",
        take: |settings, text| {
            settings.mesh = text.to_owned();
            Ok(())
        },
    },
    Item {
        key: "seeds",
        variable: Some("MESH_SEEDS"),
        help: "first contacts, host:port by comma; empty: the seed of this machine",
        take: |settings, text| {
            let seeds = text.split(',').map(str::trim).filter(|seed| !seed.is_empty() && *seed != "none");
            let seeds: Result<Vec<String>, String> = seeds
                .map(|seed| seed.parse::<SeedSpec>().map(|seed| seed.to_string()).map_err(|e| e.to_string()))
                .collect();
            settings.seeds = seeds?;
            Ok(())
        },
    },
    Item {
        key: "listen",
        variable: None,
        help: "IP address that seed and agents listen on for other machines (0.0.0.0); empty: this machine only",
        take: |settings, text| {
            settings.listen = if text.is_empty() { None } else { Some(read(text, "an IP address")?) };
            Ok(())
        },
    },
    Item {
        key: "seed_port",
        variable: None,
        help: "UDP port of the seed",
        take: |settings, text| read(text, "a port").map(|port| settings.seed_port = port),
    },
    Item {
        key: "registry_port",
        variable: Some("MCP_MESH_REGISTRY_PORT"),
        help: "HTTP port of the seed",
        take: |settings, text| read(text, "a port").map(|port| settings.registry_port = port),
    },
    Item {
        key: "log_level",
        variable: Some("MCP_MESH_LOG_LEVEL"),
        help: "what agents log: trace, debug, info, warn, error",
        take: |settings, text| log_level(text).map(|level| settings.log_level = level.to_owned()),
    },
    Item {
        key: "debug_mode",
        variable: Some("MCP_MESH_DEBUG_MODE"),
        help: "whether agents run in debug mode",
        take: |settings, text| flag(text).map(|on| settings.debug_mode = on),
    },
    Item {
        key: "startup_timeout",
        variable: Some("MCP_MESH_STARTUP_TIMEOUT"),
        help: "seconds until a start is given up",
        take: |settings, text| duration::parse(text).map(|it| settings.startup_timeout = it.as_secs_f64()),
    },
    Item {
        key: "shutdown_timeout",
        variable: Some("MCP_MESH_SHUTDOWN_TIMEOUT"),
        help: "seconds until a stop is forced",
        take: |settings, text| duration::parse(text).map(|it| settings.shutdown_timeout = it.as_secs_f64()),
    },
    Item {
        key: "enable_background",
        variable: Some("MCP_MESH_ENABLE_BACKGROUND"),
        help: "whether start detaches without -d",
        take: |settings, text| flag(text).map(|on| settings.enable_background = on),
    },
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: "default".into(),
            seeds: Vec::new(),
            listen: None,
            seed_port: DEFAULT_GOSSIP_PORT,
            registry_port: SEED_HTTP_PORT,
            log_level: "info".into(),
            debug_mode: false,
            startup_timeout: 30.0,
            shutdown_timeout: 30.0,
            enable_background: false,
        }
    }
}

impl Settings {
    /// What holds for `home` now: defaults, its file, the environment.
    ///
    /// # Errors
    /// When the file cannot be read, has a key that nobody knows, or a value cannot be; the error names it.
    pub(crate) fn load(home: &Home) -> anyhow::Result<Self> {
        let mut settings = Self::from_file(home)?;
        for item in ITEMS {
            let Some(variable) = item.variable else { continue };
            if let Some(text) = env::var(variable).ok().filter(|text| !text.is_empty()) {
                (item.take)(&mut settings, text.trim()).map_err(|wrong| anyhow!("{variable}: {wrong}"))?;
            }
        }
        Ok(settings)
    }

    /// What holds by defaults and the file alone.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn from_file(home: &Home) -> anyhow::Result<Self> {
        let mut settings = Self::default();
        let path = home.config();
        for (key, value) in table(home)? {
            let item = item(&key).with_context(|| path.display().to_string())?;
            (item.take)(&mut settings, &text(&value)).map_err(|wrong| anyhow!("{}: {key}: {wrong}", path.display()))?;
        }
        Ok(settings)
    }

    /// The HTTP port of the seed, if it was set to another than the usual one.
    pub(crate) fn told_registry_port(&self) -> Option<u16> {
        Some(self.registry_port).filter(|port| *port != SEED_HTTP_PORT)
    }

    /// How long a start may take.
    pub(crate) fn startup_timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.startup_timeout).unwrap_or(Duration::MAX)
    }

    /// How long a stop may take before it is forced.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.shutdown_timeout).unwrap_or(Duration::MAX)
    }
}

/// Sets keys in the file of `home`; an empty text takes a key out of it.
///
/// # Errors
/// When a key is unknown, a value cannot be, or the disk refuses. The file stays as it was then.
pub(crate) fn set(home: &Home, changes: &BTreeMap<&str, String>) -> anyhow::Result<()> {
    let mut table = table(home)?;
    for (key, value) in changes {
        let item = item(key)?;
        if value.is_empty() {
            table.remove(*key);
            continue;
        }
        (item.take)(&mut Settings::default(), value).map_err(|wrong| anyhow!("{key}: {wrong}"))?;
        table.insert((*key).to_owned(), Value::String(value.clone()));
    }
    home.make(home.root())?;
    book::replace(&home.config(), toml::to_string(&table)?.as_bytes())
}

/// `trace`, `debug`, `info`, `warn` or `error`, in whatever spelling it was typed; the names of other systems' levels too.
///
/// # Errors
/// What there is to choose from.
pub(crate) fn log_level(text: &str) -> Result<&'static str, String> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Ok("trace"),
        "debug" => Ok("debug"),
        "info" => Ok("info"),
        "warn" | "warning" => Ok("warn"),
        "error" | "critical" | "fatal" => Ok("error"),
        _ => Err(format!("{text:?} is no level: write TRACE, DEBUG, INFO, WARN or ERROR")),
    }
}

fn item(key: &str) -> anyhow::Result<&'static Item> {
    let known = || ITEMS.iter().map(|item| item.key).collect::<Vec<_>>().join(", ");
    ITEMS
        .iter()
        .find(|item| item.key == key)
        .with_context(|| format!("there is no setting {key:?}; there are {}", known()))
}

fn table(home: &Home) -> anyhow::Result<Table> {
    let path = home.config();
    match fs::read_to_string(&path) {
        Ok(text) => text.parse().with_context(|| path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Table::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A value as it would be typed.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn read<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not {what}"))
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither `true` nor `false`")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use super::{Settings, set};
    use crate::home::Home;

    #[test]
    fn what_is_set_is_read_back_and_typos_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert_eq!(Settings::from_file(&home).unwrap(), Settings::default());
        set(&home, &BTreeMap::from([("seeds", "a.example,10.0.0.1:9".to_owned()), ("debug_mode", "true".to_owned())]))
            .unwrap();
        let settings = Settings::from_file(&home).unwrap();
        assert_eq!(settings.seeds, ["a.example:7745", "10.0.0.1:9"]);
        assert!(settings.debug_mode);
        assert!(set(&home, &BTreeMap::from([("sedes", "x".to_owned())])).is_err());
        assert!(set(&home, &BTreeMap::from([("log_level", "loud".to_owned())])).is_err());
        set(&home, &BTreeMap::from([("seeds", String::new())])).unwrap();
        assert!(Settings::from_file(&home).unwrap().seeds.is_empty());
        std::fs::write(home.config(), "loglevel = 'info'\n").unwrap();
        assert!(format!("{:#}", Settings::from_file(&home).unwrap_err()).contains("loglevel"));
    }
}
