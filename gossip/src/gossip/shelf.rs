//! Keeps the catalog as records say: offers, health and schemas, decoded as they come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use tracing::debug;

use super::keys::{Subject, subject};
use crate::catalog::{self, AgentId, Catalog, Health, Offers, Owner, Unpacker};
use crate::effects::Standing;
use crate::id::MemberId;
use crate::moment::Moment;
use crate::record::{Record, Value};
use crate::schema::{self, Digest};

/// The most bytes of text of all schemas together. Selectors that need one that found no room see it as not here yet.
const SCHEMAS_BYTES: usize = 64 << 20;

/// Canonical schemas that have arrived.
pub type Schemas = BTreeMap<Digest, Arc<Json>>;

#[derive(Default)]
pub(super) struct Shelf {
    catalog: Catalog,
    schemas: Arc<Schemas>,
    /// How long each schema's text is, and who keeps it.
    keepers: BTreeMap<Digest, (usize, BTreeSet<MemberId>)>,
    /// Members that are gone and spoke for others, and since when that is known.
    survived: BTreeMap<MemberId, Option<Moment>>,
    schema_bytes: usize,
    /// Hundreds of offers may come at once; it rests when a moment has passed.
    unpacker: Unpacker,
}

impl Shelf {
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }

    pub(super) fn judge(&mut self, member: MemberId, standing: Standing) {
        let standing = match standing {
            Standing::Alive => catalog::Standing::Alive,
            Standing::Suspect => catalog::Standing::Suspect,
            Standing::Dead | Standing::Left => catalog::Standing::Gone,
        };
        if standing != catalog::Standing::Gone {
            self.survived.remove(&member);
        } else if self.survived.contains_key(&member) {
            return;
        } else if self.catalog.standing(&member) != standing && self.catalog.speaks_for_others(member) {
            self.survived.insert(member, None);
            self.catalog.survive(member);
            return;
        }
        self.catalog.set_standing(member, standing);
    }

    /// Gives up the agents of members that have been gone for as long as they are waited for. Says whether there were any.
    pub(super) fn give_up(&mut self, now: Moment, patience: Duration) -> bool {
        self.unpacker.rest();
        let mut late = Vec::new();
        for (member, since) in &mut self.survived {
            if now.since(*since.get_or_insert(now)) >= patience {
                late.push(*member);
            }
        }
        for member in &late {
            self.survived.remove(member);
            self.catalog.set_standing(*member, catalog::Standing::Gone);
        }
        !late.is_empty()
    }

    pub(super) fn forget(&mut self, member: MemberId) {
        self.survived.remove(&member);
        self.catalog.forget(member);
        let kept: Vec<Digest> =
            self.keepers.iter().filter(|(_, (_, by))| by.contains(&member)).map(|(digest, _)| *digest).collect();
        for digest in kept {
            self.let_go(&digest, member);
        }
    }

    /// A record of `member` is new, or the blob that it names has arrived.
    pub(super) fn take(&mut self, member: MemberId, record: &Record, blob: impl Fn(&[u8; 32]) -> Option<Bytes>) {
        let Some(subject) = subject(record.key()) else { return };
        let value = match record.value() {
            Value::Inline(value) => Some(value.clone()),
            Value::Blob { hash, .. } => match blob(hash) {
                Some(value) => Some(value),
                // What it replaces stays on offer until the blob is here.
                None => return,
            },
            Value::Removed => None,
        };
        match (subject, value) {
            (Subject::Offers(agent), value) => self.take_offers(member, agent, value),
            (Subject::Health(agent), value) => self.take_health(member, agent, value),
            (Subject::Schema(digest), Some(value)) => self.keep(digest, member, &value),
            (Subject::Schema(digest), None) => self.let_go(&digest, member),
        }
    }

    /// A record of `member` counts no longer, and none has come in its place.
    pub(super) fn withdraw(&mut self, member: MemberId, record: &Record) {
        match subject(record.key()) {
            Some(Subject::Offers(agent)) => self.take_offers(member, agent, None),
            Some(Subject::Health(agent)) => self.take_health(member, agent, None),
            Some(Subject::Schema(digest)) => self.let_go(&digest, member),
            None => {}
        }
    }

    fn take_offers(&mut self, member: MemberId, agent: AgentId, value: Option<Bytes>) {
        let offers = match value.map(|value| Offers::read(&value, &mut self.unpacker)).transpose() {
            Ok(offers) => offers.map(Arc::new),
            Err(error) => return debug!(%member, %agent, %error, "offers that cannot be read"),
        };
        if let Err(error) = self.catalog.apply(&Owner { member, agent }, offers) {
            debug!(%member, %error, "offers under a wrong key");
        }
    }

    fn take_health(&mut self, member: MemberId, agent: AgentId, value: Option<Bytes>) {
        match value.map(|value| Health::decode(&value)).transpose() {
            Ok(health) => {
                self.catalog.set_health(&Owner { member, agent }, health.map(Arc::new));
            }
            Err(error) => debug!(%member, %agent, %error, "health that cannot be read"),
        }
    }

    fn keep(&mut self, digest: Digest, member: MemberId, text: &[u8]) {
        if let Some((_, keepers)) = self.keepers.get_mut(&digest) {
            keepers.insert(member);
            return;
        }
        if self.schema_bytes + text.len() > SCHEMAS_BYTES {
            return debug!(%digest, "no room for another schema");
        }
        match schema::read_body(text, &digest) {
            Ok(body) => {
                self.schema_bytes += text.len();
                self.keepers.insert(digest, (text.len(), BTreeSet::from([member])));
                Arc::make_mut(&mut self.schemas).insert(digest, body);
            }
            Err(error) => debug!(%member, %digest, %error, "not a schema"),
        }
    }

    fn let_go(&mut self, digest: &Digest, member: MemberId) {
        let Some((bytes, keepers)) = self.keepers.get_mut(digest) else { return };
        keepers.remove(&member);
        if keepers.is_empty() {
            self.schema_bytes -= *bytes;
            self.keepers.remove(digest);
            Arc::make_mut(&mut self.schemas).remove(digest);
        }
    }
}
