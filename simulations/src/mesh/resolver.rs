//! What a user of the mesh sees: the catalog that a node would build from what its core tells, and whom it would call.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use mesh_gossip::catalog::{AgentId, Catalog, Offers, Owner, Standing, Tool};
use mesh_gossip::effects;
use mesh_gossip::id::MemberId;
use mesh_gossip::record::{Record, Value};
use mesh_gossip::resolve::resolve;
use mesh_gossip::resolve::selector::Selector;
use mesh_gossip::schema::NoBodies;

/// The record key of an agent's offers.
pub(super) const OFFERS_KEY: &str = "offers";

/// The one capability there is.
const CAPABILITY: &str = "work";

/// The offers of a member that provides the capability.
pub(super) fn offers_of(member: MemberId) -> Bytes {
    let agent = AgentId::native("worker", &member).expect("lower-case letters");
    let mut offers = Offers::new(agent, "worker");
    offers.tools.push(Tool::new("do_work", CAPABILITY));
    offers.encode().expect("one small tool").into()
}

/// See the [module's page](self).
pub(super) struct Resolver {
    catalog: Catalog,
    selector: Selector,
    given: BTreeSet<MemberId>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { catalog: Catalog::new(), selector: Selector::new(CAPABILITY), given: BTreeSet::new() }
    }

    /// Takes in a record, if it is one of offers.
    pub(super) fn take(&mut self, member: MemberId, record: &Record) {
        if record.key().as_str() != OFFERS_KEY {
            return;
        }
        let offers = match record.value() {
            Value::Inline(value) => Offers::decode(value).ok(),
            Value::Blob { .. } | Value::Removed => None,
        };
        let agent = AgentId::native("worker", &member).expect("lower-case letters");
        // Offers of another agent than their key's are dropped, as a node does.
        let _ = self.catalog.apply(&Owner { member, agent }, offers.map(Arc::new));
    }

    pub(super) fn stand(&mut self, member: MemberId, standing: effects::Standing) {
        self.catalog.set_standing(
            member,
            match standing {
                effects::Standing::Alive => Standing::Alive,
                effects::Standing::Suspect => Standing::Suspect,
                effects::Standing::Dead | effects::Standing::Left => Standing::Gone,
            },
        );
    }

    pub(super) fn forget(&mut self, member: MemberId) {
        self.catalog.forget(member);
    }

    /// Resolves anew: who is given from now on, and who no more, among the best candidates.
    pub(super) fn look(&mut self) -> Vec<(MemberId, bool)> {
        let resolution = resolve(&self.catalog, &NoBodies, &self.selector);
        let given: BTreeSet<MemberId> = resolution.equals().iter().map(|candidate| candidate.offer.member()).collect();
        let new = given.difference(&self.given).map(|member| (*member, true));
        let old = self.given.difference(&given).map(|member| (*member, false));
        let changes = new.chain(old).collect();
        self.given = given;
        changes
    }
}
