//! What the core tells: into the view, to subscribers, and to whatever must follow.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::{debug, info, warn};

use super::driver::Driver;
use super::events::Event;
use crate::alive::{Address, Alive};
use crate::effects::{Command, Input, Notice, Standing};
use crate::id::MemberId;
use crate::identity::mesh_key;
use crate::order::{OrderBody, SignedOrder};
use crate::record::Record;
use crate::transport::quic::Close;

/// The most members whose word about our address is kept.
const OBSERVERS_MAX: usize = 16;

impl Driver {
    pub(super) fn take_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Member { alive, standing } => self.member_changed(&alive, standing),
            Notice::Forgotten(id) => self.member_forgotten(id),
            Notice::Records { member, changed } => {
                let blobs = self.life.protocol.blobs();
                self.draft.take_records(&member, &changed, |hash| blobs.peek(hash));
                self.events.push(Event::Records { member, changed: changed.into() });
            }
            Notice::BlobArrived { member, hash } => {
                let blobs = self.life.protocol.blobs();
                self.draft.take_blob(&member, &hash, |hash| blobs.peek(hash));
                self.events.push(Event::BlobArrived { member, hash });
            }
            Notice::RecordsDropped { member, dropped } => {
                self.draft.drop_records(&member, &dropped);
                self.records_dropped(member, dropped);
            }
            Notice::RecordsVoid(member) => {
                let dropped = self.draft.void_records(&member);
                self.records_dropped(member, dropped);
            }
            Notice::Myself(alive) => {
                self.counts.renewals += 1;
                self.draft.put(&alive, Standing::Alive);
            }
            Notice::Joined { members } => {
                info!(members, mesh = %self.config.mesh, me = %self.life.protocol.id(), "joined the mesh");
                self.events.push(Event::Joined);
                self.tell_join_state();
            }
            Notice::Superseded { .. } => self.superseded = true,
            Notice::Observed { address, by } => self.observed(address, by),
            Notice::Ordered(order) => self.ordered(order),
            Notice::StillAlone { .. } => {
                warn!(mesh = %self.config.mesh, "not part of the mesh yet: {}", self.findings.obstacle(&self.config.mesh));
                self.tell_join_state();
            }
        }
    }

    fn member_changed(&mut self, alive: &Arc<Alive>, standing: Standing) {
        self.unsaved = true;
        let id = alive.id();
        let known = self.draft.get(&id).cloned();
        let before = known.as_ref().map(|known| known.standing());
        match standing {
            Standing::Suspect if before != Some(Standing::Suspect) => self.counts.suspicions += 1,
            Standing::Dead if before != Some(Standing::Dead) => self.counts.deaths += 1,
            _ => {}
        }
        let moved = known.is_some_and(|known| {
            let moved = known.alive().body().addresses != alive.body().addresses;
            if moved {
                self.nobody_at(known.alive());
            }
            moved
        });
        if matches!(standing, Standing::Dead | Standing::Left) {
            self.nobody_at(alive);
            self.life.quic.iter().for_each(|quic| quic.disconnect(&id, Close::Silent));
        } else if moved || before.is_none_or(|before| matches!(before, Standing::Dead | Standing::Left)) {
            alive.body().addresses.iter().for_each(|address| self.trust.know(address.quic()));
        }
        self.draft.put(alive, standing);
        self.events.push(Event::Member { member: id, standing });
    }

    fn member_forgotten(&mut self, id: MemberId) {
        self.unsaved = true;
        if let Some(known) = self.draft.get(&id).cloned() {
            self.nobody_at(known.alive());
        }
        self.draft.remove(&id);
        self.events.push(Event::Forgotten(id));
    }

    fn nobody_at(&mut self, alive: &Alive) {
        self.gate.forget(alive);
        alive.body().addresses.iter().for_each(|address| self.trust.forget(&address.quic()));
    }

    fn records_dropped(&mut self, member: MemberId, dropped: Vec<Arc<Record>>) {
        if !dropped.is_empty() {
            self.events.push(Event::Dropped { member, dropped: dropped.into() });
        }
    }

    /// Somebody sees us at `address`. Two who agree are believed, when nobody told us better; only the address is, since
    /// nobody has seen our QUIC port.
    fn observed(&mut self, address: SocketAddr, by: MemberId) {
        if !self.config.advertise.is_empty() {
            return;
        }
        if self.observed.len() >= OBSERVERS_MAX {
            // Those who do not agree with each other are no more use than nobody.
            self.observed.clear();
        }
        self.observed.insert(by, address);
        let ours = &self.life.protocol.alive().body().addresses;
        let elsewhere = |own: &Address| own.gossip() != address;
        let agreed = self.observed.values().filter(|seen| **seen == address).count() >= 2;
        if !agreed || !ours.iter().all(elsewhere) {
            return;
        }
        let of_kind = |own: &Address| own.ip.is_ipv4() == address.is_ipv4();
        let mut addresses = ours.clone();
        let Some(own) = addresses.iter_mut().find(|own| of_kind(own)) else { return };
        info!(was = %own.gossip(), now = %address, "two members see this node at another address: telling that one");
        own.ip = address.ip();
        own.gossip_port = address.port();
        self.observed.clear();
        self.handle(Input::Command(Command::Advertise(addresses)));
    }

    fn ordered(&mut self, order: Arc<SignedOrder>) {
        self.unsaved = true;
        match &order.order().body {
            OrderBody::Ban(id) => {
                self.trust.ban(*id);
                self.life.quic.iter().for_each(|quic| quic.disconnect(id, Close::Banned));
            }
            OrderBody::Unban(id) => self.trust.unban(id),
            OrderBody::Forget(..) => {}
            OrderBody::Install(_) | OrderBody::Use(_) | OrderBody::Remove(_) => self.turn_keys(),
        }
        self.events.push(Event::Ordered(order));
    }

    /// Goes over to the keys that the orders in force ask for.
    fn turn_keys(&mut self) {
        let (keys, unheeded) = self.life.protocol.orders().keyring(&self.first_keys);
        for error in unheeded {
            debug!(%error, "an order about mesh keys is not followed yet");
        }
        if keys.list() == self.keys.list() {
            return;
        }
        info!(keys = ?keys.list(), "the mesh keys have changed; the first one seals");
        self.life.opener.rekey(&keys);
        self.life.sealer.rekey(&keys);
        self.trust.use_keys(&keys);
        self.keys = keys;
        if self.config.keys.is_none() {
            self.store_keys();
        }
        self.handle(Input::Rejoin);
    }

    /// The next start, of any node on this machine, is to know the keys of today.
    fn store_keys(&mut self) {
        let (Some(state_dir), keys) = (self.config.state_dir.clone(), self.keys.clone()) else { return };
        self.rotations += 1;
        let (rotation, stored) = (self.rotations, self.stored_rotation.clone());
        self.tasks.spawn_blocking(move || {
            // Writes may overtake each other; an older ring never replaces a newer one.
            let mut stored = stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if *stored > rotation {
                return super::driver::Done::StreamsClosed;
            }
            *stored = rotation;
            if let Err(error) = mesh_key::store(&state_dir, &keys) {
                warn!(%error, "the new mesh keys are not on disk: a restart would begin with the old ones");
            }
            super::driver::Done::StreamsClosed
        });
    }
}
