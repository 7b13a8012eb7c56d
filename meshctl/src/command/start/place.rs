//! Where the mesh is that something is started into: first contacts, the seed of this machine, and the registry that agents
//! of other languages are told.

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Start;
use crate::registry::Registry;
use crate::seed::{Port, SeedOptions};
use crate::settings::Settings;

/// What of the environment of agents is meant for the seed as well: its log, its mesh, and what its registry goes by.
const SHARED: &[&str] = &[
    "DEFAULT_TIMEOUT_THRESHOLD",
    "HEALTH_CHECK_INTERVAL",
    "MCP_MESH_ADMIN_PORT",
    "MCP_MESH_DEBUG",
    "MCP_MESH_DEBUG_MODE",
    "MCP_MESH_EVENT_MAX_ROWS",
    "MCP_MESH_HEALTH_CHECK_INTERVAL",
    "MCP_MESH_HOME",
    "MCP_MESH_LOG_LEVEL",
    "MCP_MESH_PROPAGATE_HEADERS",
    "MCP_MESH_PROXY_TIMEOUT",
    "MCP_MESH_PUBLIC_URL_PREFIX",
    "MCP_MESH_RETENTION",
    "MCP_MESH_SWEEP_INTERVAL",
    "MCP_MESH_TLS_CA",
    "MCP_MESH_TLS_MODE",
    "MCP_MESH_TRUST_BACKEND",
    "MCP_MESH_TRUST_DIR",
    "MESH_KEY",
    "MESH_NAME",
];

/// What flags and environment say of the registry.
struct Told {
    /// Its URL, or what it is made of.
    scheme: String,
    host: Option<String>,
    port: Option<u16>,
}

impl Told {
    fn of(start: &Start) -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
        let flag = start.registry_url.clone().filter(|url| !url.is_empty());
        let flags = start.registry_host.is_some() || start.registry_port.is_some();
        if let Some(url) = flag.or_else(|| variable("MCP_MESH_REGISTRY_URL").filter(|_| !flags)) {
            let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme);
            let (host, port) = host_and_port(&url);
            let usual = if scheme == "https" { 443 } else { 80 };
            let port = port.or_else(|| url.contains("://").then_some(usual));
            return Self { scheme: scheme.to_owned(), host: Some(host.to_owned()), port };
        }
        let host = start.registry_host.clone().or_else(|| variable("MCP_MESH_REGISTRY_HOST"));
        Self { scheme: start.registry_scheme.clone(), host, port: start.registry_port }
    }

    /// The host, if it is another machine.
    fn elsewhere(&self) -> Option<&str> {
        self.host.as_deref().filter(|host| !is_here(host))
    }
}

/// The first contacts that agents are told, by whoever says so first: flags, what is set for them, the environment, the
/// settings.
pub(super) fn seeds(start: &Start, settings: &Settings, environment: &BTreeMap<String, String>) -> Option<String> {
    let by_env = start.env.iter().rev().find(|(name, _)| name == "MESH_SEEDS").map(|(_, value)| value.clone());
    let configured = (!settings.seeds.is_empty()).then(|| settings.seeds.join(","));
    let set = || environment.get("MESH_SEEDS").cloned().or_else(|| env::var("MESH_SEEDS").ok());
    by_env
        .or_else(|| start.seeds.clone())
        .or_else(|| registry_host(start))
        .or_else(|| set().filter(|seeds| !seeds.is_empty()))
        .or(configured)
}

/// The host of the registry that is named, unless it is this machine, where the usual seed is meant.
fn registry_host(start: &Start) -> Option<String> {
    let told = Told::of(start);
    match told.elsewhere() {
        Some(host) => Some(host.to_owned()),
        None => told.host.filter(|host| start.connect_only && !host.is_empty()),
    }
}

/// The registry that agents of other languages are told.
pub(super) fn registry(start: &Start, settings: &Settings, seeds: Option<&str>) -> Registry {
    let told = Told::of(start);
    let port = told.port.or_else(|| settings.told_registry_port());
    let url = |host: &str| {
        let port = port.unwrap_or(settings.registry_port);
        format!("{}://{host}:{port}", told.scheme)
    };
    if let Some(host) = told.elsewhere() {
        return Registry::At(url(host));
    }
    if start.connect_only
        && let Some(host) = told.host.as_deref().filter(|host| !host.is_empty())
    {
        return Registry::At(url(host));
    }
    // First contacts on other machines are seeds, as a rule, and those have registries.
    let contacts = seeds.unwrap_or_default().split(',').map(|seed| host_and_port(seed.trim()).0);
    match contacts.into_iter().find(|host| !is_here(host) && *host != "none") {
        Some(host) => Registry::At(url(host)),
        None => Registry::Here { port },
    }
}

/// Whether a host is this machine, or nothing.
fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    matches!(host, "" | "localhost") || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// How a seed is started here.
pub(super) fn seed(
    start: &Start,
    settings: &Settings,
    agents: &BTreeMap<String, String>,
    patience: Duration,
) -> SeedOptions {
    let (listen, port) = listen_of(settings);
    let told = Told::of(start).port.or_else(|| settings.told_registry_port());
    SeedOptions { listen, port, http_port: told, environment: seed_environment(start, agents), patience }
}

fn host_and_port(url: &str) -> (&str, Option<u16>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// Where the seed listens. What the environment says is exact; its usual port may be another one.
fn listen_of(settings: &Settings) -> (SocketAddr, Port) {
    match address_of("MESH_LISTEN") {
        Some(address) => (address, Port::Exact),
        None => {
            let ip = settings.listen.unwrap_or(Ipv4Addr::LOCALHOST.into());
            (SocketAddr::new(ip, settings.seed_port), Port::Preferred)
        }
    }
}

/// The address in a variable of meshctl's own environment.
pub(super) fn address_of(variable: &str) -> Option<SocketAddr> {
    env::var(variable).ok()?.parse().ok()
}

/// What reaches the seed; the names of agents do not.
fn seed_environment(start: &Start, agents: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let all = agents.iter().chain(start.env.iter().map(|(name, value)| (name, value)));
    let shared = all.filter(|(name, _)| SHARED.contains(&name.as_str()));
    let mut set: BTreeMap<String, String> = shared.map(|(name, value)| (name.clone(), value.clone())).collect();
    // A port that it names is an agent's.
    if let Some(address) = address_of("MESH_HTTP_LISTEN").filter(|address| address.port() == 0) {
        set.insert("MESH_HTTP_LISTEN".into(), address.to_string());
    }
    // Two names of one thing; what is inherited counts as well.
    let interval = set.get("MCP_MESH_HEALTH_CHECK_INTERVAL").cloned();
    let interval = interval.or_else(|| env::var("MCP_MESH_HEALTH_CHECK_INTERVAL").ok());
    if let (Some(interval), Err(_)) = (interval, env::var("HEALTH_CHECK_INTERVAL")) {
        set.entry("HEALTH_CHECK_INTERVAL".into()).or_insert(interval);
    }
    start.foreign.tell_seed(&mut set);
    set
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn host_and_port_of_an_url_are_found_with_and_without_the_rest() {
        assert_eq!(host_and_port("http://a.example:9000/x"), ("a.example", Some(9000)));
        assert_eq!(host_and_port("a.example"), ("a.example", None));
        assert_eq!(host_and_port("http://[::1]:80"), ("[::1]", Some(80)));
        assert_eq!(host_and_port("http://[::1]"), ("[::1]", None));
    }
}
