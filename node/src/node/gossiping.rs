//! From a node's configuration to its gossip: where it listens, whom it asks first.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::alive::Address;
use mesh_gossip::seeds::{DEFAULT_GOSSIP_PORT, SeedSpec};
use mesh_gossip::{Gossip, GossipConfig};

use crate::config::{MeshConfig, NodeConfig, state_dir};
use crate::runtime_file;

/// How long after a first look into the run-time files in vain the next one is, and how far apart they come to be.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOK_SELDOM: Duration = Duration::from_secs(10);

/// What gossip is told.
pub(super) fn config(config: &NodeConfig) -> GossipConfig {
    let mesh = &config.mesh;
    let seeds = seeds(mesh);
    let listen = mesh.listen.unwrap_or_else(|| SocketAddr::new(listen_ip(&seeds, mesh.advertise), 0));
    GossipConfig {
        keys: mesh.keys.clone(),
        state_dir: mesh.home.as_deref().map(state_dir),
        agent: config.name.clone(),
        listen: vec![listen],
        quic_port: mesh.quic_port,
        advertise: advertised(mesh),
        seeds,
        // A node always says at least what it is.
        offers_first: true,
        zone: mesh.zone.clone(),
        protocol: mesh.protocol.clone(),
        survival: config.registry.heartbeat_timeout,
        ..GossipConfig::new(mesh.name.clone())
    }
}

/// Whether nobody was named as first contact, so that being alone is no failure.
pub(super) fn is_alone_fine(config: &NodeConfig) -> bool {
    config.mesh.seeds.is_none()
}

fn seeds(mesh: &MeshConfig) -> Vec<SeedSpec> {
    if let Some(seeds) = &mesh.seeds {
        return seeds.clone();
    }
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_GOSSIP_PORT));
    let near = mesh.home.as_deref().map(|home| neighbours(home, &mesh.name)).unwrap_or_default();
    let all = std::iter::once(here).chain(near);
    all.map(SeedSpec::from).collect()
}

/// The nodes of the same mesh that run on this machine.
fn neighbours(home: &Path, mesh: &str) -> Vec<SocketAddr> {
    /// Any of them knows the others, unless they start in this very moment.
    const ENOUGH: usize = 16;
    let same = runtime_file::running(home).into_iter().filter(|node| node.mesh == mesh);
    same.map(|node| node.gossip).take(ENOUGH).collect()
}

/// Looks at this machine again while the node knows nobody, when nobody was named as first contact: of nodes that start in
/// one instant none finds the file of another. Each looks once its own file is there, so of any two one sees the other.
pub(super) async fn look_around(gossip: Arc<Gossip>, config: Arc<NodeConfig>) {
    let (None, Some(home)) = (&config.mesh.seeds, &config.mesh.home) else { return };
    let mut views = gossip.watch();
    let mut pause = LOOK_AGAIN;
    loop {
        let (home, mesh) = (home.clone(), config.mesh.name.clone());
        let near = tokio::task::spawn_blocking(move || neighbours(&home, &mesh)).await.unwrap_or_default();
        let others = near.into_iter().filter(|address| !gossip.local_addresses().contains(address)).collect();
        if gossip.seek(others).await.is_err() {
            return;
        }
        let somebody = views.wait_for(|view| view.live().count() > 1);
        if tokio::time::timeout(pause, somebody).await.is_ok() {
            return;
        }
        pause = (2 * pause).min(LOOK_SELDOM);
    }
}

/// All addresses, when somebody elsewhere is to reach us; otherwise nobody there shall.
fn listen_ip(seeds: &[SeedSpec], advertise: Option<IpAddr>) -> IpAddr {
    let elsewhere = seeds.iter().any(|seed| !seed.is_loopback()) || advertise.is_some_and(|ip| !ip.is_loopback());
    if elsewhere { Ipv4Addr::UNSPECIFIED.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Under the ports that are listened on.
fn advertised(mesh: &MeshConfig) -> Vec<Address> {
    mesh.advertise.map(|ip| Address { ip, gossip_port: 0, quic_port: 0 }).into_iter().collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::config;
    use crate::config::NodeConfig;

    #[test]
    fn a_mesh_of_one_machine_listens_to_nobody_else() {
        let mut node = NodeConfig::new("x");
        assert!(config(&node).listen[0].ip().is_loopback());
        node.mesh.seeds = Some(vec!["localhost:1".parse().unwrap(), "127.0.0.1:7745".parse().unwrap()]);
        assert!(config(&node).listen[0].ip().is_loopback());
        node.mesh.seeds = Some(vec!["seed.example:7745".parse().unwrap()]);
        assert!(config(&node).listen[0].ip().is_unspecified());
        node.mesh.listen = Some("127.0.0.1:9".parse().unwrap());
        assert_eq!(config(&node).listen, ["127.0.0.1:9".parse().unwrap()]);
    }
}
