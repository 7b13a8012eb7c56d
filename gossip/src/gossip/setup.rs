//! What a node is told when it starts, and what can be wrong with it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::alive::{Address, MAX_ADDRESSES, MAX_ZONE_BYTES};
use crate::config::{BadConfig, Config};
use crate::id::PublicKey;
use crate::identity::mesh_key::MeshKeyError;
use crate::identity::operator::OperatorKeyError;
use crate::identity::{Ed25519Verifier, IdentityError};
use crate::keyring::Keyring;
use crate::records::Bounds;
use crate::seal::RateLimits;
use crate::seeds::SeedSpec;
use crate::signature::Verifier;
use crate::transport::quic;

/// The most bytes of a mesh's name.
pub const MAX_MESH_NAME_BYTES: usize = 128;

/// Whether the last known members are written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// Every minute when they changed, and at the end. Needs a state directory; without one there is nothing to write.
    Members,
    /// Never: a node that loses its seeds does not find the mesh again.
    Nothing,
}

/// Everything a node is told when it starts. Begin with [`GossipConfig::new`] and change what you must.
#[derive(Clone)]
pub struct GossipConfig {
    /// The name of the mesh, 1 to 128 bytes; nodes of other meshes are not understood. The same on all nodes.
    pub mesh: String,
    /// The mesh keys, the one that seals first. Without any, those in the state directory are used, and made when there
    /// are none.
    pub keys: Option<Keyring>,
    /// Where keys and what is known of the mesh are kept. Without one the node has another identity at every start.
    pub state_dir: Option<PathBuf>,
    /// The name under which identities are kept in the state directory: replicas of one agent share it. Default `agent`.
    pub agent: String,
    /// Where to listen for gossip: one IPv4 address, one IPv6 address, or one of each. Port 0 takes a free port. Default
    /// `0.0.0.0:0`. A seed needs a fixed port ([`crate::seeds::DEFAULT_GOSSIP_PORT`] where nothing else is said).
    pub listen: Vec<SocketAddr>,
    /// Where to listen for QUIC, on the same IP addresses. 0, the default, takes a free port.
    pub quic_port: u16,
    /// Where others reach us, when that is elsewhere than where we listen (behind a NAT, in a container). At most 4; a
    /// port of 0 stands for the one that we listen on. None, the default, means that the node finds out.
    pub advertise: Vec<Address>,
    /// First contacts. Without any the node is the first of its mesh, or waits to be contacted.
    pub seeds: Vec<SeedSpec>,
    /// The zone we run in, at most 32 bytes; empty, the default, when there is none.
    pub zone: String,
    /// The parameters of the protocol. Default [`Config::lan`]. The same preset on all nodes.
    pub protocol: Config,
    /// For how long the agents that a member spoke for, as a seed does, count after the member is gone: in that time another
    /// seed takes them over. Default 20 s.
    pub survival: Duration,
    /// The operator whose orders are obeyed. Without one, `operator.pub` in the state directory counts, if it is there.
    pub operator: Option<PublicKey>,
    /// Whether to look for the mesh only once something is offered ([`super::Gossip::set`]). What is offered first then
    /// travels with the first word of this node, and everybody checks one alive record of it instead of two. Default: no.
    pub offers_first: bool,
    /// Whether to remember members across restarts. Default [`Remember::Members`].
    pub remember: Remember,
    /// How much one member may offer. The same on all nodes.
    pub bounds: Bounds,
    /// How much one source may send.
    pub rates: RateLimits,
    /// What is allowed on QUIC.
    pub quic: quic::Limits,
    /// Checks signatures. Default: one for the whole process, which remembers what it has checked.
    pub verifier: Arc<dyn Verifier>,
}

/// Why a node did not start. Nothing was left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A field cannot be as it is.
    #[error("gossip: `{field}` {wrong}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what to do.
        wrong: String,
    },
    /// Parameters of the protocol cannot work.
    #[error("{0}; start from a preset, such as `Config::lan()`")]
    Protocol(#[from] BadConfig),
    /// There is no identity to be had in `state_dir`.
    #[error("gossip: `state_dir`: {0}")]
    Identity(#[from] IdentityError),
    /// There are no mesh keys to be had.
    #[error("gossip: `keys`: {0}")]
    Keys(#[from] MeshKeyError),
    /// `operator.pub` cannot be used.
    #[error("gossip: `operator`: {0}")]
    Operator(#[from] OperatorKeyError),
    /// A gossip socket could not be had.
    #[error("gossip: `listen`: cannot listen on {address}: {source}; choose another address, or port 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A QUIC endpoint could not be had.
    #[error("gossip: `quic_port`: {0}; choose another port, or 0 for a free one")]
    Quic(#[from] quic::BindError),
}

impl SpawnError {
    pub(super) fn keys_missing() -> Self {
        Self::Field {
            field: "keys",
            wrong: "are missing: give a mesh key (MESH_KEY), or a `state_dir` to keep one in".into(),
        }
    }
}

impl GossipConfig {
    /// A node of the mesh called `mesh` that listens on all IPv4 addresses and knows nobody.
    pub fn new(mesh: impl Into<String>) -> Self {
        Self {
            mesh: mesh.into(),
            keys: None,
            state_dir: None,
            agent: "agent".into(),
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))],
            quic_port: 0,
            advertise: Vec::new(),
            seeds: Vec::new(),
            zone: String::new(),
            protocol: Config::lan(),
            survival: Duration::from_secs(20),
            operator: None,
            offers_first: false,
            remember: Remember::Members,
            bounds: Bounds::default(),
            rates: RateLimits::default(),
            quic: quic::Limits::default(),
            verifier: shared_verifier(),
        }
    }

    /// Whether a node can start with it, as far as that shows without trying.
    ///
    /// # Errors
    /// [`SpawnError::Field`] and [`SpawnError::Protocol`], each with what to do.
    pub fn check(&self) -> Result<(), SpawnError> {
        let wrong = |field, wrong: String| Err(SpawnError::Field { field, wrong });
        if self.mesh.is_empty() || self.mesh.len() > MAX_MESH_NAME_BYTES {
            return wrong("mesh", format!("is {} bytes: give a name of 1 to {MAX_MESH_NAME_BYTES}", self.mesh.len()));
        }
        if self.keys.is_none() && self.state_dir.is_none() {
            return Err(SpawnError::keys_missing());
        }
        let of_kind = |four: bool| self.listen.iter().filter(|address| address.is_ipv4() == four).count();
        if self.listen.is_empty() || of_kind(true) > 1 || of_kind(false) > 1 {
            return wrong("listen", "needs one IPv4 address, one IPv6 address, or one of each".into());
        }
        if self.advertise.len() > MAX_ADDRESSES {
            return wrong("advertise", format!("names {} addresses: at most {MAX_ADDRESSES}", self.advertise.len()));
        }
        let useless = |address: &&Address| address.ip.is_unspecified();
        if let Some(address) = self.advertise.iter().find(useless) {
            let said = address.ip;
            return wrong(
                "advertise",
                format!("names {said}, where nobody can be reached: give an address of this host"),
            );
        }
        if self.zone.len() > MAX_ZONE_BYTES {
            return wrong("zone", format!("is {} bytes: at most {MAX_ZONE_BYTES}", self.zone.len()));
        }
        Ok(self.protocol.check()?)
    }
}

/// All nodes of a process hear the same signatures; each is worth checking once.
pub(super) fn shared_verifier() -> Arc<dyn Verifier> {
    static SHARED: OnceLock<Arc<Ed25519Verifier>> = OnceLock::new();
    SHARED.get_or_init(Arc::default).clone()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::GossipConfig;
    use crate::alive::Address;

    type Spoil = fn(&mut GossipConfig);

    fn fine() -> GossipConfig {
        GossipConfig { state_dir: Some(PathBuf::from("state")), ..GossipConfig::new("mesh") }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field_and_a_way_out() {
        fine().check().unwrap();
        let spoilt: [(&str, Spoil); 7] = [
            ("`mesh` is 0 bytes: give", |config| config.mesh.clear()),
            ("`keys` are missing: give", |config| config.state_dir = None),
            ("`listen` needs one", |config| config.listen.clear()),
            ("`listen` needs one", |config| config.listen = vec![([127, 0, 0, 1], 0).into(); 2]),
            ("`advertise` names 0.0.0.0, where", |config| {
                config.advertise = vec![Address { ip: [0; 4].into(), gossip_port: 7, quic_port: 8 }];
            }),
            ("`zone` is 33 bytes: at most 32", |config| config.zone = "z".repeat(33)),
            ("`probe_period`", |config| config.protocol.probe_period = Duration::ZERO),
        ];
        for (said, spoil) in spoilt {
            let mut config = fine();
            spoil(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
