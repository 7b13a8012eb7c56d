//! How a node begins, goes on under another key, and ends.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::driver::Driver;
use super::events::Event;
use super::life::{Birth, Life};
use super::view::Draft;
use crate::alive::Alive;
use crate::effects::{Command, Input};
use crate::identity::Identity;
use crate::order::SignedOrder;

impl Driver {
    /// Starts the core of this life, and obeys orders of an earlier one again.
    pub(super) fn begin(&mut self, orders: Vec<SignedOrder>) {
        self.life.protocol.begin(self.timers.now(), &mut self.effects);
        self.carry_out();
        for order in orders {
            self.handle(Input::Command(Command::Obey(Arc::new(order))));
        }
        self.look_for_seeds();
        // Without seeds the core is told so: only then may it be the first of its mesh.
        if !self.search.knows_nothing() {
            let seeds = self.search.addresses();
            self.findings.seeds.clone_from(&seeds);
            self.handle(Input::Seeds(&seeds));
        }
    }

    /// Leaves our key to the other process that has it, and starts a new life under another one. The handle, the gossip
    /// sockets and our records stay.
    pub(super) async fn move_on(&mut self) {
        self.superseded = false;
        let offers = self.life.offers();
        let orders: Vec<_> = self.life.protocol.orders().iter().cloned().collect();
        let remembered = addresses_of(self.draft.others().map(|member| &**member.alive()));
        let Some(identity) = self.next_identity().await else { return };
        self.counts.moves += 1;
        self.tasks.shutdown().await;
        self.under_way = super::driver::UnderWay::default();
        let quic: Vec<SocketAddr> = self.life.quic.iter().map(|quic| quic.local_addr()).collect();
        self.shared.quic.store(Arc::default());
        for quic in std::mem::take(&mut self.life.quic).into_iter().filter_map(Arc::into_inner) {
            quic.shutdown(std::time::Duration::from_millis(200)).await;
        }
        let seeds = self.search.addresses();
        let birth = |quic| Birth {
            mesh: self.mesh,
            identity: Arc::clone(&identity),
            keys: &self.keys,
            ports: &self.ports,
            trust: &self.trust,
            quic,
            seeds: &seeds,
            remembered: remembered.clone(),
        };
        let any_port = quic.iter().map(|at| SocketAddr::new(at.ip(), 0)).collect();
        let life = Life::begin(&self.config, birth(quic)).or_else(|error| {
            warn!(%error, "listening for QUIC on another port under the new key");
            Life::begin(&self.config, birth(any_port))
        });
        match life {
            Ok(life) => self.life = life,
            Err(error) => return error!(%error, "the node cannot go on under a new key: it goes on without QUIC"),
        }
        self.timers.clear();
        self.effects = crate::effects::Effects::default();
        self.draft = Draft::new(self.life.protocol.alive());
        self.shared.quic.store(Arc::new(self.life.quic.clone()));
        for (kind, handler) in &self.kinds {
            if let Err(error) = self.take_streams(*kind, handler) {
                error!(%error, "streams of this kind end with the old key");
            }
        }
        self.begin(orders);
        for (key, value) in offers {
            if let Err(error) = self.life.protocol.set(self.timers.now(), key.clone(), value, &mut self.effects) {
                error!(%key, %error, "a record was lost on the way to a new key");
            }
            self.carry_out();
        }
        self.events.push(Event::Moved { to: self.life.protocol.id() });
    }

    async fn next_identity(&self) -> Option<Arc<Identity>> {
        let old = Arc::clone(&self.life.identity);
        let next = tokio::task::spawn_blocking(move || old.next_slot()).await;
        match next {
            Ok(Ok(identity)) => Some(Arc::new(identity)),
            Ok(Err(error)) => {
                warn!(%error, "another process has this node's key, and no other one can be kept: taking a passing one");
                Some(Arc::new(Identity::ephemeral()))
            }
            Err(failed) => {
                error!(%failed, "another process has this node's key, and another one cannot be had");
                None
            }
        }
    }

    /// Leaves nothing running and what is worth knowing on disk.
    pub(super) async fn end(mut self) {
        let snapshot = self.snapshot();
        self.tasks.shutdown().await;
        self.shared.quic.store(Arc::default());
        if let Some((path, snapshot)) = snapshot {
            let saved = tokio::task::spawn_blocking(move || snapshot.save(&path)).await;
            if let Ok(Err(error)) = saved {
                warn!(%error, "members are not remembered");
            }
        }
        let me = self.life.protocol.id();
        self.life.end().await;
        info!(%me, "left the mesh");
        for done in self.leaving.into_iter().flat_map(|leaving| leaving.done) {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}

/// Where members said they can be reached.
pub(super) fn addresses_of<'a>(members: impl Iterator<Item = &'a Alive>) -> Vec<SocketAddr> {
    members.flat_map(|alive| &alive.body().addresses).map(crate::alive::Address::gossip).collect()
}
