//! Who of all that will do gets a call.

use std::ops::Range;
use std::sync::Arc;

use mesh_gossip::MemberId;
use mesh_gossip::catalog::{AgentId, Offers, Owner, Standing, Tool};
use mesh_gossip::gossip::View;
use mesh_gossip::resolve::{Resolution, affinity};
use tokio::time::Instant;

use super::balance::two_of;
use super::breaker::Verdict;
use super::peers::Peers;
use crate::context::SessionKey;

/// All who will do for one call, best first; equals form a tier.
#[derive(Clone, Debug)]
pub(super) enum Field {
    /// Offers of a capability.
    Offers(Arc<Resolution>),
    /// Agents that were asked for by name.
    Agents(Vec<Replica>),
}

/// An agent that was asked for by name.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    standing: Standing,
    member: MemberId,
    offers: Arc<Offers>,
}

/// What is looked at when one is chosen.
pub(super) struct Eyes<'a> {
    pub(super) peers: &'a Peers,
    /// Members that have stopped answering.
    pub(super) is_silent: &'a (dyn Fn(&MemberId) -> bool + Sync),
    pub(super) now: Instant,
    pub(super) random: u64,
}

impl Field {
    /// Replicas of the agent called `name` in `namespace`, or the agent with that id wherever it is. By name only those
    /// that say they work.
    pub(super) fn agents(view: &View, namespace: &str, name: &str) -> Self {
        let replica = |entry: mesh_gossip::catalog::AgentEntry<'_>| {
            let offers = entry.offers?;
            let is_named = *offers.name == *name && *offers.namespace == *namespace;
            let works = entry.health.is_none_or(|health| health.status.is_usable());
            let is_meant = entry.owner.agent.as_str() == name || (is_named && works);
            (is_meant && entry.standing != Standing::Gone).then(|| Replica {
                standing: entry.standing,
                member: entry.owner.member,
                offers: Arc::clone(offers),
            })
        };
        let mut replicas: Vec<Replica> = view.catalog().agents().filter_map(replica).collect();
        replicas.sort_by_key(|replica| std::cmp::Reverse(replica.standing));
        Self::Agents(replicas)
    }

    /// `owner` and nobody else.
    pub(super) fn exactly(view: &View, owner: &Owner) -> Self {
        let entry = view.catalog().agent(owner).filter(|entry| entry.standing != Standing::Gone);
        let replica = entry.and_then(|entry| {
            let offers = Arc::clone(entry.offers?);
            Some(Replica { standing: entry.standing, member: owner.member, offers })
        });
        Self::Agents(replica.into_iter().collect())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Offers(resolution) => resolution.candidates.len(),
            Self::Agents(replicas) => replicas.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn offers(&self, at: usize) -> &Arc<Offers> {
        match self {
            Self::Offers(resolution) => resolution.candidates[at].offer.offers(),
            Self::Agents(replicas) => &replicas[at].offers,
        }
    }

    pub(super) fn member(&self, at: usize) -> MemberId {
        match self {
            Self::Offers(resolution) => resolution.candidates[at].offer.member(),
            Self::Agents(replicas) => replicas[at].member,
        }
    }

    fn agent(&self, at: usize) -> &AgentId {
        &self.offers(at).agent
    }

    pub(super) fn owner(&self, at: usize) -> Owner {
        Owner { member: self.member(at), agent: self.agent(at).clone() }
    }

    fn is_of(&self, at: usize, owner: &Owner) -> bool {
        self.member(at) == owner.member && *self.agent(at) == owner.agent
    }

    /// The tool that was resolved; none when an agent was asked for by name.
    pub(super) fn tool(&self, at: usize) -> Option<&Tool> {
        match self {
            Self::Offers(resolution) => Some(resolution.candidates[at].offer.tool()),
            Self::Agents(_) => None,
        }
    }

    /// The tools by which the agent at `at` is among the equals of its tier.
    pub(super) fn tools_of(&self, at: usize) -> Vec<Arc<str>> {
        let owner = self.owner(at);
        let tier = self.tier_around(at);
        let own = tier.filter(|other| self.is_of(*other, &owner));
        own.filter_map(|other| self.tool(other)).map(|tool| tool.function.clone()).collect()
    }

    /// Whether another tool of the agent at `at` is as good. Candidates are ordered by agent within a tier.
    pub(super) fn is_ambiguous(&self, at: usize) -> bool {
        let is_same = |other: usize| {
            self.are_equal(at, other) && self.agent(at) == self.agent(other) && self.member(at) == self.member(other)
        };
        at.checked_sub(1).is_some_and(is_same) || (at + 1 < self.len() && is_same(at + 1))
    }

    fn are_equal(&self, one: usize, other: usize) -> bool {
        match self {
            Self::Offers(resolution) => resolution.candidates[one].rank() == resolution.candidates[other].rank(),
            Self::Agents(replicas) => replicas[one].standing == replicas[other].standing,
        }
    }

    /// The equals that begin at `from`.
    fn tier(&self, from: usize) -> Range<usize> {
        let equal = (from..self.len()).take_while(|at| self.are_equal(from, *at)).count();
        from..from + equal
    }

    fn tier_around(&self, at: usize) -> Range<usize> {
        let first = (0..=at).rev().take_while(|other| self.are_equal(at, *other)).last().unwrap_or(at);
        self.tier(first)
    }

    /// Whether somebody else is left who is not `tried` and answers.
    pub(super) fn has_other(&self, at: usize, tried: &[Owner], is_silent: impl Fn(&MemberId) -> bool) -> bool {
        let is_left = |other: usize| !tried.iter().any(|owner| self.is_of(other, owner));
        let own = self.member(at);
        (0..self.len()).any(|other| self.member(other) != own && is_left(other) && !is_silent(&self.member(other)))
    }

    /// Where `owner` is, if it is here.
    pub(super) fn find(&self, owner: &Owner) -> Option<usize> {
        (0..self.len()).find(|at| self.is_of(*at, owner))
    }

    /// The names of all agents here.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = (0..self.len()).map(|at| self.offers(at).name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Chooses one that is not among `tried`: of the best tier in which somebody may be called the less loaded of two,
    /// or for a session its home. Where nobody may be called the best are called all the same.
    pub(super) fn choose(&self, eyes: &Eyes<'_>, tried: &[Owner], session: Option<&SessionKey>) -> Option<usize> {
        let mut fallback = None;
        let mut from = 0;
        while from < self.len() {
            let tier = self.tier(from);
            from = tier.end;
            if tried.is_empty() && session.is_none() {
                let (one, two) = two_of(tier.len(), eyes.random);
                let (one, two) = (tier.start + one, tier.start + two);
                if self.may_call(eyes, one) && (one == two || self.may_call(eyes, two)) {
                    return Some(self.lighter(eyes, one, two));
                }
            }
            let left: Vec<usize> = tier.filter(|at| !tried.iter().any(|owner| self.is_of(*at, owner))).collect();
            let callable: Vec<usize> = left.iter().copied().filter(|at| self.may_call(eyes, *at)).collect();
            if !callable.is_empty() {
                return Some(self.among(eyes, &callable, session));
            }
            if fallback.is_none() && !left.is_empty() {
                fallback = Some(left);
            }
        }
        fallback.map(|left| self.among(eyes, &left, session))
    }

    fn among(&self, eyes: &Eyes<'_>, those: &[usize], session: Option<&SessionKey>) -> usize {
        if let Some(session) = session {
            let owners: Vec<Owner> = those.iter().map(|at| self.owner(*at)).collect();
            let home = affinity::home(session.as_str(), &owners);
            let at = owners.iter().position(|owner| Some(owner) == home).unwrap_or_default();
            return those[at];
        }
        let (one, two) = two_of(those.len(), eyes.random);
        self.lighter(eyes, those[one], those[two])
    }

    fn may_call(&self, eyes: &Eyes<'_>, at: usize) -> bool {
        let verdict = eyes.peers.get(&self.owner(at)).look(eyes.now).1;
        verdict != Verdict::Open && !(eyes.is_silent)(&self.member(at))
    }

    fn lighter(&self, eyes: &Eyes<'_>, one: usize, two: usize) -> usize {
        let load = |at| eyes.peers.get(&self.owner(at)).look(eyes.now).0;
        if one != two && load(two).is_before(&load(one)) { two } else { one }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use mesh_gossip::MemberId;
    use mesh_gossip::catalog::{AgentId, Catalog, Offers, Owner, Standing, Tool};
    use mesh_gossip::resolve::resolve;
    use mesh_gossip::schema::NoBodies;
    use tokio::time::Instant;

    use super::{Eyes, Field, Peers};
    use crate::call::breaker::Failure;
    use crate::context::SessionKey;

    fn owner(number: u8) -> Owner {
        let member = MemberId::from_bytes([number; 16]);
        Owner { agent: AgentId::native("hello", &member).unwrap(), member }
    }

    /// One agent for each version.
    fn field(versions: &[&str], suspects: &[u8]) -> Field {
        let mut catalog = Catalog::new();
        for (number, version) in (0_u8..).zip(versions) {
            let owner = owner(number);
            let mut offers = Offers::new(owner.agent.clone(), "hello");
            let mut tool = Tool::new("greet", "greeting");
            tool.version = mesh_gossip::resolve::version::Version::new(version);
            offers.tools.push(tool);
            catalog.apply(&owner, Some(Arc::new(offers))).unwrap();
            if suspects.contains(&number) {
                catalog.set_standing(owner.member, Standing::Suspect);
            }
        }
        Field::Offers(Arc::new(resolve(&catalog, &NoBodies, &"greeting".parse().unwrap())))
    }

    fn eyes(peers: &Peers, random: u64) -> Eyes<'_> {
        Eyes { peers, is_silent: &|_| false, now: Instant::now(), random }
    }

    #[test]
    fn calls_spread_over_the_best_and_leave_the_others_alone() {
        let field = field(&["2.0", "2.0", "1.0", "2.0"], &[3]);
        let peers = Peers::default();
        let mut served = BTreeMap::new();
        for _ in 0..1000 {
            let at = field.choose(&eyes(&peers, crate::trace::random()), &[], None).unwrap();
            drop(peers.enter(peers.get(&field.owner(at)), Instant::now()));
            *served.entry(field.owner(at).member).or_insert(0) += 1;
        }
        assert_eq!(served.keys().copied().collect::<Vec<_>>(), [owner(0).member, owner(1).member]);
        assert!(served.values().all(|count| *count > 450), "{served:?}");
    }

    #[test]
    fn equals_come_before_lower_ranks_and_nobody_comes_twice() {
        let field = field(&["1.0", "2.0", "2.0"], &[]);
        let peers = Peers::default();
        let mut tried: Vec<Owner> = Vec::new();
        while let Some(at) = field.choose(&eyes(&peers, crate::trace::random()), &tried, None) {
            tried.push(field.owner(at));
        }
        assert_eq!(tried.len(), 3);
        assert_eq!(tried[2], owner(0));
    }

    #[test]
    fn an_open_breaker_and_silence_send_calls_elsewhere_unless_there_is_nobody_else() {
        let field = field(&["2.0", "2.0", "1.0"], &[]);
        let peers = Peers::default();
        peers.enter(peers.get(&owner(0)), Instant::now()).failed(Instant::now(), Failure::Lost);
        let is_silent = |member: &MemberId| *member == owner(1).member;
        let eyes = Eyes { is_silent: &is_silent, ..eyes(&peers, 3) };
        assert_eq!(field.owner(field.choose(&eyes, &[], None).unwrap()), owner(2));
        assert_ne!(field.owner(field.choose(&eyes, &[owner(2)], None).unwrap()), owner(2));
        assert_eq!(field.choose(&eyes, &[owner(0), owner(1), owner(2)], None), None);
    }

    #[test]
    fn somebody_else_is_left_who_answers_and_was_not_tried() {
        let field = field(&["2.0", "1.0"], &[]);
        assert!(field.has_other(0, &[], |_| false));
        assert!(!field.has_other(0, &[], |_| true));
        assert!(!field.has_other(0, &[field.owner(1)], |_| false));
    }

    #[test]
    fn a_session_has_one_home_among_equals_and_another_when_that_is_gone() {
        let field = field(&["2.0", "2.0", "2.0"], &[]);
        let peers = Peers::default();
        let session = SessionKey::try_from("anna").unwrap();
        let home =
            |tried: &[Owner], random| field.owner(field.choose(&eyes(&peers, random), tried, Some(&session)).unwrap());
        let first = home(&[], 1);
        assert_eq!(first, home(&[], 77));
        let second = home(std::slice::from_ref(&first), 1);
        assert_ne!(first, second);
        assert_eq!(second, home(std::slice::from_ref(&first), 99));
    }
}
