//! What readers hold: the mesh as the node believed it at one moment. Reading takes no lock and delays nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::shelf::{Schemas, Shelf};
use crate::alive::{Address, Alive};
use crate::catalog::Catalog;
use crate::effects::Standing;
use crate::id::MemberId;
use crate::moment::Moment;
use crate::record::{Key, Record, Value};

/// The mesh at one moment, ourselves included. Never changes; ask for the next one.
#[derive(Clone, Debug)]
pub struct View {
    me: MemberId,
    members: Vec<Arc<MemberView>>,
    digest: u64,
    catalog: Catalog,
    schemas: Arc<Schemas>,
}

/// One member at one moment.
#[derive(Clone, Debug)]
pub struct MemberView {
    alive: Arc<Alive>,
    standing: Standing,
    round_trip: Option<Duration>,
    /// Removals included: the owner's summary counts them.
    records: Arc<BTreeMap<Key, Arc<Record>>>,
}

impl View {
    /// Our own id.
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// All members in order of their ids, dead ones and ourselves included.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Arc<MemberView>> {
        self.members.iter()
    }

    /// Those that count as part of the mesh: alive or merely suspect, ourselves included.
    pub fn live(&self) -> impl Iterator<Item = &Arc<MemberView>> {
        self.members().filter(|member| member.is_live())
    }

    /// One member.
    pub fn member(&self, id: &MemberId) -> Option<&Arc<MemberView>> {
        self.members.binary_search_by_key(id, |member| member.id()).ok().map(|at| &self.members[at])
    }

    /// The whole view in eight bytes: equal with another member's when both see the same mesh.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Who offers what, for [`crate::resolve::resolve`]: from the records under the keys of [`super::keys`].
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The schemas that have arrived, for [`crate::resolve::resolve`].
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The address of `member` that we can best reach: of a kind that we have ourselves, else its first.
    pub(super) fn address_of(&self, member: &MemberId) -> Option<Address> {
        let addresses = |id| self.member(id).map_or(&[][..], |member| &member.alive.body().addresses);
        let (ours, theirs) = (addresses(&self.me), addresses(member));
        let same_kind = |address: &&Address| ours.iter().any(|own| own.ip.is_ipv4() == address.ip.is_ipv4());
        theirs.iter().find(same_kind).or_else(|| theirs.first()).copied()
    }
}

impl MemberView {
    /// Its id.
    pub fn id(&self) -> MemberId {
        self.alive.id()
    }

    /// What it says about itself, as signed.
    pub fn alive(&self) -> &Arc<Alive> {
        &self.alive
    }

    /// What it is in our eyes.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it counts as part of the mesh: alive or merely suspect.
    pub fn is_live(&self) -> bool {
        matches!(self.standing, Standing::Alive | Standing::Suspect)
    }

    /// How long a ping to it and back takes, smoothed; some seconds old. `None` for ourselves and before its first answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What it offers under `key`. A blob's bytes are fetched with [`super::Gossip::value`].
    pub fn record(&self, key: &Key) -> Option<&Arc<Record>> {
        self.records.get(key).filter(|record| !record.value().is_removed())
    }

    /// Everything it offers, in order of the keys.
    pub fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values().filter(|record| !record.value().is_removed())
    }

    /// Whether everything is here that it offered when it signed the alive record: some of a new member's records may
    /// still be on their way. The values of blobs may be, too, and what exceeds our bounds never comes.
    pub fn is_whole(&self) -> bool {
        let said = self.alive.body().summary;
        let here = self.records.values().filter(|record| record.version() >= said.first);
        let (hash, last) = here
            .fold((0_u64, 0), |(hash, last), record| (hash.wrapping_add(record.mark()), record.version().max(last)));
        hash == said.hash || last > said.last
    }
}

/// The view in the making. Members that did not change are shared by all views.
pub(super) struct Draft {
    me: MemberId,
    members: BTreeMap<MemberId, Arc<MemberView>>,
    shelf: Shelf,
    /// It differs from what was published last.
    changed: bool,
    /// Some live member's round trip is not known yet.
    unmeasured: bool,
}

impl Draft {
    pub(super) fn new(alive: &Arc<Alive>) -> Self {
        let mut draft = Self {
            me: alive.id(),
            members: BTreeMap::new(),
            shelf: Shelf::default(),
            changed: true,
            unmeasured: false,
        };
        draft.put(alive, Standing::Alive);
        draft
    }

    pub(super) fn get(&self, id: &MemberId) -> Option<&Arc<MemberView>> {
        self.members.get(id)
    }

    /// Whether there is anything to publish.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// How many members there are, dead ones and ourselves included.
    pub(super) fn members(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &Arc<MemberView>> {
        self.members.values().filter(|member| member.id() != self.me)
    }

    pub(super) fn put(&mut self, alive: &Arc<Alive>, standing: Standing) {
        self.changed = true;
        self.unmeasured |= !self.members.contains_key(&alive.id());
        self.shelf.judge(alive.id(), standing);
        match self.members.get_mut(&alive.id()) {
            Some(member) => {
                let member = Arc::make_mut(member);
                member.alive = Arc::clone(alive);
                member.standing = standing;
            }
            None => {
                let member =
                    MemberView { alive: Arc::clone(alive), standing, round_trip: None, records: Arc::default() };
                self.members.insert(alive.id(), Arc::new(member));
            }
        }
    }

    pub(super) fn remove(&mut self, id: &MemberId) {
        self.changed |= self.members.remove(id).is_some();
        self.shelf.forget(*id);
    }

    /// Records that are new; `blob` finds the bytes of those whose value is elsewhere.
    pub(super) fn take_records(
        &mut self,
        id: &MemberId,
        changed: &[Arc<Record>],
        blob: impl Fn(&[u8; 32]) -> Option<Bytes>,
    ) {
        self.change_records(id, |records, shelf| {
            for record in changed {
                shelf.take(*id, record, &blob);
                records.insert(record.key().clone(), Arc::clone(record));
            }
        });
    }

    /// The blob that records of a member name is here.
    pub(super) fn take_blob(&mut self, id: &MemberId, hash: &[u8; 32], blob: impl Fn(&[u8; 32]) -> Option<Bytes>) {
        let Some(member) = self.members.get(id) else { return };
        let names = |record: &&Arc<Record>| matches!(record.value(), Value::Blob { hash: named, .. } if named == hash);
        for record in member.records.values().filter(names) {
            self.shelf.take(*id, record, &blob);
        }
        self.changed = true;
    }

    pub(super) fn drop_records(&mut self, id: &MemberId, dropped: &[Arc<Record>]) {
        self.change_records(id, |records, shelf| {
            for record in dropped {
                if records.get(record.key()).is_some_and(|held| held.version() <= record.version()) {
                    records.remove(record.key());
                    shelf.withdraw(*id, record);
                }
            }
        });
    }

    /// Takes all records of a member out.
    pub(super) fn void_records(&mut self, id: &MemberId) -> Vec<Arc<Record>> {
        let mut dropped = Vec::new();
        self.change_records(id, |records, shelf| {
            dropped = std::mem::take(records).into_values().filter(|record| !record.value().is_removed()).collect();
            dropped.iter().for_each(|record| shelf.withdraw(*id, record));
        });
        dropped
    }

    /// Gives up agents whose members have been gone for `patience`.
    pub(super) fn give_up(&mut self, now: Moment, patience: Duration) {
        self.changed |= self.shelf.give_up(now, patience);
    }

    /// Whether measuring again would tell something that nobody knows yet.
    pub(super) fn is_unmeasured(&self) -> bool {
        self.unmeasured
    }

    /// Takes measured round trips over where they have changed enough for anybody to care.
    pub(super) fn measure(&mut self, round_trip: impl Fn(&MemberId) -> Option<Duration>) {
        self.unmeasured = false;
        for (id, member) in &mut self.members {
            let Some(new) = round_trip(id) else {
                self.unmeasured |= *id != self.me && member.is_live();
                continue;
            };
            let close = |old: Duration| new.abs_diff(old) <= Duration::from_millis(1).max(old / 4);
            if !member.round_trip.is_some_and(close) {
                Arc::make_mut(member).round_trip = Some(new);
                self.changed = true;
            }
        }
    }

    /// The next view, if there is anything new to see in it.
    pub(super) fn publish(&mut self, digest: impl FnOnce() -> u64) -> Option<Arc<View>> {
        std::mem::take(&mut self.changed).then(|| self.view(digest()))
    }

    pub(super) fn view(&self, digest: u64) -> Arc<View> {
        Arc::new(View {
            me: self.me,
            members: self.members.values().cloned().collect(),
            digest,
            catalog: self.shelf.catalog().clone(),
            schemas: Arc::clone(self.shelf.schemas()),
        })
    }

    fn change_records(&mut self, id: &MemberId, change: impl FnOnce(&mut BTreeMap<Key, Arc<Record>>, &mut Shelf)) {
        if let Some(member) = self.members.get_mut(id) {
            change(Arc::make_mut(&mut Arc::make_mut(member).records), &mut self.shelf);
            self.changed = true;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use super::Draft;
    use crate::alive::{Alive, AliveBody, KeyLife, Presence, ProtocolRange, Summary};
    use crate::effects::Standing;
    use crate::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
    use crate::record::{Value, tests::Seal};
    use crate::records::{Bounds, Own};

    const OWNER: Seal = Seal(PublicKey([7; 32]));
    const LIFE: (Generation, Session) = (Generation(3), Session(5));

    fn alive(summary: Summary) -> Arc<Alive> {
        let body = AliveBody {
            key: OWNER.0,
            generation: LIFE.0,
            session: LIFE.1,
            incarnation: Incarnation(1),
            addresses: Vec::new(),
            zone: String::new(),
            protocol: ProtocolRange { lowest: 1, highest: 1 },
            presence: Presence::Here,
            key_life: KeyLife::Kept,
            summary,
        };
        Arc::new(Alive::sign(body, MeshId::of("test"), &OWNER))
    }

    #[test]
    fn a_member_is_whole_when_all_that_it_offered_is_here_removals_included_and_not_shown() {
        let id = MemberId::of(&OWNER.0);
        let mut own = Own::new(id, LIFE, MeshId::of("test"), Bounds { records: 10, bytes: 1 << 16 });
        let mut said = Vec::new();
        for name in ["a", "b", "c"] {
            said.extend(own.set(name.parse().unwrap(), Value::of(name.into()).unwrap(), &OWNER).unwrap());
        }
        said.extend(own.remove("b".parse().unwrap(), &OWNER));
        let mut draft = Draft::new(&alive(Summary::default()));
        assert!(draft.get(&id).unwrap().is_whole(), "it offers nothing");
        draft.put(&alive(own.summary()), Standing::Alive);
        for (at, record) in said.iter().enumerate() {
            assert!(!draft.get(&id).unwrap().is_whole(), "{at} of {} are here", said.len());
            draft.take_records(&id, std::slice::from_ref(record), |_| None);
        }
        let member = draft.get(&id).unwrap();
        assert!(member.is_whole());
        assert_eq!(member.records().map(|record| record.key().as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert!(member.record(&"b".parse().unwrap()).is_none());
        assert_eq!(draft.void_records(&id).len(), 2);
    }
}
