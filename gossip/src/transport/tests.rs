//! Two nodes and more over loopback.
#![expect(clippy::unwrap_used, reason = "tests")]

mod newcomers;
mod pairs;
mod streams;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use tokio::sync::watch;

use super::quic::{Arrivals, AskError, Limits, Quic, QuicConfig, Trust};
use crate::id::{MemberId, MeshId, PublicKey, Session};
use crate::keyring::MeshKey;
use crate::signature::{Signature, Signer};

pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Long enough for a busy machine; nothing waits for it to pass.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) struct TestSigner(SigningKey);

impl TestSigner {
    pub(super) fn seeded(seed: u8) -> Arc<Self> {
        Arc::new(Self(SigningKey::from_bytes(&[seed; 32])))
    }
}

impl Signer for TestSigner {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

pub(super) fn id_of(seed: u8) -> MemberId {
    MemberId::of(&TestSigner::seeded(seed).public_key())
}

#[derive(Default)]
pub(super) struct TestTrust {
    pub(super) keys: Mutex<Vec<[u8; 32]>>,
    pub(super) banned: Mutex<BTreeSet<MemberId>>,
}

impl Trust for TestTrust {
    fn mesh_keys(&self) -> Vec<MeshKey> {
        self.keys.lock().unwrap().iter().copied().map(MeshKey::from_bytes).collect()
    }

    fn is_banned(&self, member: &MemberId) -> bool {
        self.banned.lock().unwrap().contains(member)
    }

    fn is_known(&self, _: SocketAddr) -> bool {
        false
    }
}

/// One node's endpoint and what a test wants to reach of it.
pub(super) struct Node {
    pub(super) quic: Arc<Quic>,
    pub(super) arrivals: Arrivals,
    pub(super) trust: Arc<TestTrust>,
    pub(super) id: MemberId,
    pub(super) address: SocketAddr,
}

pub(super) struct Recipe {
    pub(super) seed: u8,
    pub(super) session: u64,
    pub(super) mesh: &'static str,
    pub(super) keys: Vec<[u8; 32]>,
    pub(super) limits: Limits,
    pub(super) address: SocketAddr,
}

impl Recipe {
    pub(super) fn of(seed: u8) -> Self {
        let (session, mesh, keys) = (seed.into(), "default", vec![[1; 32]]);
        Self { seed, session, mesh, keys, limits: Limits::default(), address: LOOPBACK }
    }

    pub(super) fn start(self) -> Node {
        let trust = Arc::new(TestTrust { keys: Mutex::new(self.keys), ..TestTrust::default() });
        let config = QuicConfig {
            address: self.address,
            mesh: MeshId::of(self.mesh),
            session: Session(self.session),
            signer: TestSigner::seeded(self.seed),
            trust: Arc::clone(&trust) as Arc<dyn Trust>,
            limits: self.limits,
        };
        let (quic, arrivals) = Quic::bind(config).unwrap();
        let address = quic.local_addr();
        Node { quic: Arc::new(quic), arrivals, trust, id: id_of(self.seed), address }
    }
}

impl Node {
    /// Answers every question with the question, until the endpoint goes.
    pub(super) fn echo(&mut self) {
        let (_, nothing) = tokio::sync::mpsc::channel(1);
        let mut asks = std::mem::replace(&mut self.arrivals.asks, nothing);
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                ask.reply.send(ask.request);
            }
        });
    }

    pub(super) async fn ask(&self, other: &Self, text: &'static str) -> Result<Bytes, AskError> {
        self.quic.ask(other.id, other.address, Bytes::from_static(text.as_bytes()), 1_000, SOON).await
    }

    pub(super) async fn has_connections(&self, count: usize) {
        reaches(self.quic.connections(), count).await;
    }
}

pub(super) async fn reaches(mut open: watch::Receiver<usize>, count: usize) {
    let reached = tokio::time::timeout(SOON, open.wait_for(|open| *open == count)).await;
    reached.expect("in time").expect("the endpoint lives");
}
