//! One life of a node: an identity, the core that acts under it, and what belongs to that identity alone. A node has
//! another life only when somebody else turns out to have its key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ports::{Ports, reachable_at};
use super::setup::{GossipConfig, SpawnError};
use super::trust::Trusted;
use crate::alive::{Address, MAX_ADDRESSES};
use crate::courier::{self, CourierConfig, CourierHandle, FromCourier};
use crate::id::MeshId;
use crate::identity::{self, Identity};
use crate::keyring::Keyring;
use crate::protocol::{Protocol, Start};
use crate::record::{Key, Value};
use crate::seal::{Opener, Sealer};
use crate::signature::Signer;
use crate::transport::quic::{Arrivals, Quic, QuicConfig};

/// How long peers are told that a QUIC endpoint closes.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

pub(super) struct Life {
    pub(super) identity: Arc<Identity>,
    pub(super) protocol: Protocol,
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
    /// One for each address we listen on.
    pub(super) quic: Vec<Arc<Quic>>,
    pub(super) arrivals: Vec<Arrivals>,
    pub(super) courier: CourierHandle,
    pub(super) wishes: mpsc::Receiver<FromCourier>,
}

/// What a life begins with, beside what the user configured.
pub(super) struct Birth<'a> {
    pub(super) mesh: MeshId,
    pub(super) identity: Arc<Identity>,
    pub(super) keys: &'a Keyring,
    pub(super) ports: &'a Ports,
    pub(super) trust: &'a Arc<Trusted>,
    /// Where to listen for QUIC.
    pub(super) quic: Vec<SocketAddr>,
    /// Seeds, as far as their addresses are known.
    pub(super) seeds: &'a [SocketAddr],
    /// Addresses of members of an earlier life.
    pub(super) remembered: Vec<SocketAddr>,
}

impl Life {
    pub(super) fn begin(config: &GossipConfig, birth: Birth<'_>) -> Result<Self, SpawnError> {
        let Birth { mesh, identity, keys, ports, trust, quic, seeds, remembered } = birth;
        let signer: Arc<dyn Signer> = identity.clone();
        let bind = |address: &SocketAddr| {
            Quic::bind(QuicConfig {
                address: *address,
                mesh,
                session: identity.session(),
                signer: Arc::clone(&signer),
                trust: trust.clone(),
                limits: config.quic.clone(),
            })
        };
        let bound = quic.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let (quic, arrivals): (Vec<_>, Vec<_>) = bound.into_iter().map(|(quic, news)| (Arc::new(quic), news)).unzip();
        let protocol = Protocol::new(Start {
            config: config.protocol.clone(),
            mesh,
            signer,
            verifier: Arc::clone(&config.verifier),
            generation: identity.generation(),
            session: identity.session(),
            addresses: addresses(config, ports, &quic, seeds),
            zone: config.zone.clone(),
            key_life: identity.key_life(),
            operator: config.operator,
            remembered,
            bounds: config.bounds,
            randomness: identity::random(),
        })?;
        let (courier, wishes) = courier::spawn(CourierConfig {
            own: identity.id(),
            mesh,
            verifier: Arc::clone(&config.verifier),
            limits: courier::Limits::default(),
        });
        let sealer = Sealer::new(mesh, identity.id(), identity.session(), keys);
        let opener = Opener::new(mesh, keys);
        Ok(Self { identity, protocol, sealer, opener, quic, arrivals, courier, wishes })
    }

    /// Our records, to be offered again in the next life.
    pub(super) fn offers(&mut self) -> Vec<(Key, Bytes)> {
        let records: Vec<_> = self.protocol.own_records().iter().cloned().collect();
        let mut offers = Vec::with_capacity(records.len());
        for record in records {
            let value = match record.value() {
                Value::Inline(value) => Some(value.clone()),
                Value::Blob { hash, .. } => self.protocol.blobs().peek(hash),
                Value::Removed => None,
            };
            offers.extend(value.map(|value| (record.key().clone(), value)));
        }
        offers
    }

    /// The endpoint that can reach `at`.
    pub(super) fn quic_for(&self, at: SocketAddr) -> Option<Arc<Quic>> {
        quic_for(&self.quic, at).cloned()
    }

    /// Closes what others are connected to, and waits a moment for them to hear of it.
    pub(super) async fn end(self) {
        let Self { quic, arrivals, courier, wishes, .. } = self;
        drop((arrivals, courier, wishes));
        // Whoever holds another handle of an endpoint just now closes it by dropping that.
        for quic in quic.into_iter().filter_map(Arc::into_inner) {
            quic.shutdown(CLOSE_WITHIN).await;
        }
    }
}

/// Of several endpoints the one that can reach `at`.
pub(super) fn quic_for(all: &[Arc<Quic>], at: SocketAddr) -> Option<&Arc<Quic>> {
    all.iter().find(|quic| quic.local_addr().is_ipv4() == at.is_ipv4()).or(all.first())
}

/// Where others reach us: where we were told they do, else where this machine thinks they would.
pub(super) fn addresses(
    config: &GossipConfig,
    ports: &Ports,
    quic: &[Arc<Quic>],
    seeds: &[SocketAddr],
) -> Vec<Address> {
    let port_of = |quic: &Arc<Quic>| quic.local_addr().port();
    if !config.advertise.is_empty() {
        let own_port = |ip: std::net::IpAddr| quic_for(quic, SocketAddr::new(ip, 0)).map_or(0, port_of);
        let listens = |ip: std::net::IpAddr| ports.local().find(|local| local.is_ipv4() == ip.is_ipv4());
        let complete = |address: &Address| Address {
            gossip_port: match address.gossip_port {
                0 => listens(address.ip).or_else(|| ports.local().next()).map_or(0, |local| local.port()),
                port => port,
            },
            quic_port: if address.quic_port == 0 { own_port(address.ip) } else { address.quic_port },
            ip: address.ip,
        };
        return config.advertise.iter().map(complete).collect();
    }
    let found = ports.local().zip(quic).flat_map(|(gossip, quic)| {
        let ips = reachable_at(gossip.ip(), seeds);
        ips.into_iter().map(move |ip| Address { ip, gossip_port: gossip.port(), quic_port: port_of(quic) })
    });
    let mut addresses: Vec<Address> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}
