//! Who offers what: every agent's offers by owner, indexed by capability.
//!
//! The catalog is told, it never asks: membership says who is alive, records say what is offered and how it fares. A
//! clone is a snapshot that costs four reference counts; a change copies only what it touches, so that one writer can
//! publish every change and readers need no lock.

mod codec;
mod name;
mod needs;
mod offer;
mod sorted;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub(crate) use codec::Unpacker;
pub use codec::{BadValue, MAX_LIST, MAX_OFFERS_BYTES, MAX_TOOLS};
pub use name::{AgentId, MAX_AGENT_ID_BYTES, NotAnAgentId};
pub(crate) use needs::Needs;
pub use offer::{AgentType, Dependency, Health, Offers, Status, Tool};
use sorted::Sorted;

use crate::id::MemberId;

/// Whose offers they are: one member may speak for many agents, as a seed does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The member that says so.
    pub member: MemberId,
    /// The agent it speaks for.
    pub agent: AgentId,
}

/// What membership thinks of a member; better is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Dead or left: its offers are out.
    Gone,
    /// Perhaps dead: its offers rank last.
    Suspect,
    /// Nothing speaks against it.
    #[default]
    Alive,
}

/// Offers that name another agent than the key they came under. Drop them; their member is mistaken or lies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offers of {found} came as those of {expected}")]
pub struct WrongAgent {
    /// Whose offers they should have been.
    pub expected: AgentId,
    /// Whose they are.
    pub found: AgentId,
}

/// One tool of one agent as a member offers it. Cheap to clone.
#[derive(Clone)]
pub struct Offer {
    member: MemberId,
    offers: Arc<Offers>,
    tool: usize,
}

/// An offer, and what speaks for or against it. Rows live in one bucket per capability.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) offer: Offer,
    pub(crate) standing: Standing,
    pub(crate) status: Status,
    /// What the tool requires.
    pub(crate) needs: Needs,
}

/// One agent as the catalog knows it.
#[derive(Clone, Copy, Debug)]
pub struct AgentEntry<'a> {
    /// Who it is, and who says so.
    pub owner: &'a Owner,
    /// What it offers; `None` while only its health is known.
    pub offers: Option<&'a Arc<Offers>>,
    /// How it fares; `None` when it never said, which counts as healthy.
    pub health: Option<&'a Arc<Health>>,
    /// What membership thinks of its member; at first not worse than suspect for agents that their member merely spoke
    /// for.
    pub standing: Standing,
}

/// Everything on offer in the mesh, as one node believes it.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    epoch: u64,
    owners: Sorted<Owner, Entry>,
    /// Only those who are not alive.
    doubted: Sorted<MemberId, Doubt>,
    buckets: Sorted<Arc<str>, Arc<Bucket>>,
}

/// What is thought of a member that is not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    standing: Standing,
    /// The agents that it speaks for are another matter: they may well be there.
    is_survived: bool,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    offers: Option<Arc<Offers>>,
    health: Option<Arc<Health>>,
}

/// All offers of one capability, ordered by agent, function and member.
#[derive(Clone, Debug, Default)]
struct Bucket {
    /// The epoch of the last change.
    stamp: u64,
    rows: Vec<Row>,
}

impl Catalog {
    /// Nothing is on offer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what `owner` offers now, in place of what it offered before; `None` withdraws it all. Says whether that
    /// changed anything.
    ///
    /// # Errors
    /// [`WrongAgent`] when the offers are another agent's; nothing changes.
    pub fn apply(&mut self, owner: &Owner, offers: Option<Arc<Offers>>) -> Result<bool, WrongAgent> {
        if let Some(offers) = offers.as_ref().filter(|offers| offers.agent != owner.agent) {
            return Err(WrongAgent { expected: owner.agent.clone(), found: offers.agent.clone() });
        }
        let entry = self.owners.get(owner).cloned().unwrap_or_default();
        if entry.offers == offers {
            return Ok(false);
        }
        let tools = entry.offers.iter().chain(&offers).flat_map(|offers| &offers.tools);
        let named = tools.filter(|tool| !tool.capability.is_empty());
        let capabilities: BTreeSet<Arc<str>> = named.map(|tool| tool.capability.clone()).collect();
        self.put_entry(owner, Entry { offers: offers.clone(), health: entry.health.clone() });
        let standing = self.standing_of(owner);
        self.epoch += 1;
        for capability in capabilities {
            self.change_bucket(&capability, |rows| {
                rows.retain(|row| !row.offer.is_of(owner));
                let Some(offers) = &offers else { return };
                for tool in (0..offers.tools.len()).filter(|tool| offers.tools[*tool].capability == capability) {
                    let offer = Offer { member: owner.member, offers: offers.clone(), tool };
                    let status = status_of(entry.health.as_deref(), offer.tool());
                    let at = rows.partition_point(|row| row.offer.key() < offer.key());
                    let needs = Needs::of(offers, offer.tool());
                    rows.insert(at, Row { offer, standing, status, needs });
                }
            });
        }
        Ok(true)
    }

    /// Takes in how `owner` fares; `None` when it says nothing any more. Says whether that changed what can be resolved.
    pub fn set_health(&mut self, owner: &Owner, health: Option<Arc<Health>>) -> bool {
        let entry = self.owners.get(owner).cloned().unwrap_or_default();
        if entry.health == health {
            return false;
        }
        self.put_entry(owner, Entry { offers: entry.offers.clone(), health: health.clone() });
        self.epoch += 1;
        let tools = entry.offers.iter().flat_map(|offers| &offers.tools);
        let changed =
            tools.filter(|tool| status_of(entry.health.as_deref(), tool) != status_of(health.as_deref(), tool));
        let capabilities: BTreeSet<Arc<str>> = changed.map(|tool| tool.capability.clone()).collect();
        for capability in &capabilities {
            self.change_bucket(capability, |rows| {
                for row in rows.iter_mut().filter(|row| row.offer.is_of(owner)) {
                    row.status = status_of(health.as_deref(), row.offer.tool());
                }
            });
        }
        !capabilities.is_empty()
    }

    /// Takes in what membership thinks of `member`; a member that it never spoke of is alive. Says whether that changed
    /// what can be resolved. Costs what the member offers, so a seed that speaks for thousands is some milliseconds.
    pub fn set_standing(&mut self, member: MemberId, standing: Standing) -> bool {
        self.doubt(member, Doubt { standing, is_survived: false })
    }

    /// Takes in that `member` is gone and that the agents it speaks for may be there all the same: their offers rank last
    /// until [`Self::set_standing`] says that they are out, too. Says whether that changed what can be resolved.
    pub fn survive(&mut self, member: MemberId) -> bool {
        self.doubt(member, Doubt { standing: Standing::Gone, is_survived: true })
    }

    /// Whether `member` speaks for agents that are not itself.
    pub fn speaks_for_others(&self, member: MemberId) -> bool {
        self.owners_of(member).any(|(owner, _)| !owner.agent.belongs_to(&member))
    }

    fn doubt(&mut self, member: MemberId, doubt: Doubt) -> bool {
        let known = self.doubted.get(&member).copied();
        if known == Some(doubt) || (known.is_none() && doubt.standing == Standing::Alive) {
            return false;
        }
        if doubt.standing == Standing::Alive {
            self.doubted.remove(&member);
        } else {
            self.doubted.insert(member, doubt);
        }
        self.epoch += 1;
        let capabilities = self.capabilities_of(member);
        for capability in &capabilities {
            self.change_bucket(capability, |rows| {
                for row in rows.iter_mut().filter(|row| row.offer.member == member) {
                    row.standing = doubt.of(row.offer.agent(), &member);
                }
            });
        }
        !capabilities.is_empty()
    }

    /// Drops everything that `member` ever said, and what was thought of it.
    pub fn forget(&mut self, member: MemberId) {
        let owners: Vec<Owner> = self.owners_of(member).map(|(owner, _)| owner.clone()).collect();
        for capability in self.capabilities_of(member) {
            self.epoch += 1;
            self.change_bucket(&capability, |rows| rows.retain(|row| row.offer.member != member));
        }
        for owner in &owners {
            self.owners.remove(owner);
        }
        if self.doubted.remove(&member).is_some() || !owners.is_empty() {
            self.epoch += 1;
        }
    }

    /// Changes with every change, and only then. Comparable among clones of one catalog.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What membership thinks of `member`.
    pub fn standing(&self, member: &MemberId) -> Standing {
        self.doubted.get(member).map_or(Standing::Alive, |doubt| doubt.standing)
    }

    /// What is known of one agent.
    pub fn agent<'a>(&'a self, owner: &'a Owner) -> Option<AgentEntry<'a>> {
        self.owners.get(owner).map(|entry| self.entry(owner, entry))
    }

    /// All agents, ordered by member and id.
    pub fn agents(&self) -> impl Iterator<Item = AgentEntry<'_>> {
        self.owners.iter().map(|(owner, entry)| self.entry(owner, entry))
    }

    /// All capabilities that anybody offers, in order, and how many offers each has.
    pub fn capabilities(&self) -> impl Iterator<Item = (&str, usize)> {
        self.buckets.iter().map(|(capability, bucket)| (&**capability, bucket.rows.len()))
    }

    pub(crate) fn rows(&self, capability: &str) -> &[Row] {
        self.buckets.get(capability).map_or(&[], |bucket| &bucket.rows)
    }

    pub(crate) fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.buckets.iter().flat_map(|(_, bucket)| &bucket.rows)
    }

    /// When the offers of `capability` last changed; 0 when there are none.
    pub(crate) fn stamp(&self, capability: &str) -> u64 {
        self.buckets.get(capability).map_or(0, |bucket| bucket.stamp)
    }

    fn entry<'a>(&'a self, owner: &'a Owner, entry: &'a Entry) -> AgentEntry<'a> {
        let standing = self.standing_of(owner);
        AgentEntry { owner, offers: entry.offers.as_ref(), health: entry.health.as_ref(), standing }
    }

    fn standing_of(&self, owner: &Owner) -> Standing {
        self.doubted.get(&owner.member).map_or(Standing::Alive, |doubt| doubt.of(&owner.agent, &owner.member))
    }

    fn put_entry(&mut self, owner: &Owner, entry: Entry) {
        if entry.offers.is_none() && entry.health.is_none() {
            self.owners.remove(owner);
        } else {
            self.owners.insert(owner.clone(), entry);
        }
    }

    fn owners_of(&self, member: MemberId) -> impl Iterator<Item = (&Owner, &Entry)> {
        self.owners.from(move |owner| owner.member < member).take_while(move |(owner, _)| owner.member == member)
    }

    fn capabilities_of(&self, member: MemberId) -> BTreeSet<Arc<str>> {
        let offers = self.owners_of(member).filter_map(|(_, entry)| entry.offers.as_ref());
        offers.flat_map(|offers| &offers.tools).map(|tool| tool.capability.clone()).collect()
    }

    fn change_bucket(&mut self, capability: &Arc<str>, change: impl FnOnce(&mut Vec<Row>)) {
        if self.buckets.get(capability).is_none() {
            self.buckets.insert(capability.clone(), Arc::default());
        }
        let bucket = self.buckets.get_mut(capability).expect("it is there by now");
        let bucket = Arc::make_mut(bucket);
        bucket.stamp = self.epoch;
        change(&mut bucket.rows);
        if bucket.rows.is_empty() {
            self.buckets.remove(capability);
        }
    }
}

fn status_of(health: Option<&Health>, tool: &Tool) -> Status {
    health.map_or(Status::Healthy, |health| health.of(&tool.function))
}

impl Doubt {
    /// What is thought of `agent`, for which `member` speaks.
    fn of(self, agent: &AgentId, member: &MemberId) -> Standing {
        match self.is_survived && !agent.belongs_to(member) {
            true => Standing::Suspect,
            false => self.standing,
        }
    }
}

impl Offer {
    /// The member that makes it.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The agent it is of.
    pub fn agent(&self) -> &AgentId {
        &self.offers.agent
    }

    /// Everything else its agent offers.
    pub fn offers(&self) -> &Arc<Offers> {
        &self.offers
    }

    /// The tool.
    pub fn tool(&self) -> &Tool {
        &self.offers.tools[self.tool]
    }

    /// What decides between offers that are otherwise equal: the smallest wins.
    pub fn key(&self) -> (&AgentId, &str, MemberId, usize) {
        (self.agent(), &self.tool().function, self.member, self.tool)
    }

    fn is_of(&self, owner: &Owner) -> bool {
        self.member == owner.member && *self.agent() == owner.agent
    }
}

impl PartialEq for Offer {
    /// Whether it is the same tool of the same agent, whatever is said about it.
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Offer {}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Offer {
    /// By [`Offer::key`].
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.agent(), self.tool().function)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
