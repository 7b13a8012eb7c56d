//! Whom we know, and what they are in our eyes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use rand::{Rng, RngExt};

use crate::alive::{Alive, Presence};
use crate::detect::Suspicion;
use crate::effects::Standing;
use crate::id::MemberId;
use crate::moment::Moment;
use crate::records::Held;

/// How many places of members that are gone the probe round may have beyond one for each that is here.
const ROUND_SPARE: usize = 1_024;

/// What holds against a member, with what one must remember about it.
#[derive(Debug)]
pub enum State {
    /// Nothing.
    Alive,
    /// Somebody's probe failed.
    Suspect(Box<Suspicion>),
    /// It answered neither the accuser nor us.
    Dead {
        /// Since when we think so.
        since: Moment,
    },
    /// It said goodbye.
    Left {
        /// When we heard it.
        since: Moment,
    },
}

/// Whether a member ever answered a question of our own. Who has not is the first to go when the roster is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It has not answered us yet.
    None,
    /// It has.
    Answered,
}

/// What we know of one other member.
#[derive(Debug)]
pub struct Member {
    /// Its newest alive record.
    pub alive: Arc<Alive>,
    /// What holds against it.
    pub state: State,
    /// Whether it ever answered us.
    pub proof: Proof,
    /// Smoothed round trip time, once it answered a direct ping.
    pub round_trip: Option<Duration>,
    /// Its records, once there are some.
    pub records: Option<Box<Held>>,
}

impl Member {
    /// A member we just heard of.
    pub fn new(alive: Arc<Alive>, now: Moment) -> Self {
        let state = match alive.body().presence {
            Presence::Here => State::Alive,
            Presence::Left => State::Left { since: now },
        };
        Self { alive, state, proof: Proof::None, round_trip: None, records: None }
    }

    /// Its state in one word.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Alive => Standing::Alive,
            State::Suspect(_) => Standing::Suspect,
            State::Dead { .. } => Standing::Dead,
            State::Left { .. } => Standing::Left,
        }
    }

    /// Whether it counts as part of the mesh: alive or merely suspect.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Alive | State::Suspect(_))
    }

    /// Takes a measured round trip into the smoothed one (RFC 6298's factor of an eighth).
    pub fn measured(&mut self, round_trip: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(smoothed) => (smoothed * 7 + round_trip) / 8,
            None => round_trip,
        });
    }
}

/// All other members, live and dead, in an order that depends on nothing but what happened.
#[derive(Debug)]
pub struct Roster {
    members: IndexMap<MemberId, Member, FixedState>,
    /// Whom to probe next: everybody once in a round, newcomers at a random place (SWIM §4.3).
    round: Vec<MemberId>,
    cursor: usize,
    live: usize,
    digest: u64,
}

impl Default for Roster {
    fn default() -> Self {
        Self::new()
    }
}

impl Roster {
    /// Nobody.
    pub fn new() -> Self {
        Self {
            members: IndexMap::with_hasher(FixedState::with_seed(0)),
            round: Vec::new(),
            cursor: 0,
            live: 0,
            digest: 0,
        }
    }

    /// How many others there are, dead ones included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nobody else.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many others are live (alive or suspect).
    pub fn live(&self) -> usize {
        self.live
    }

    /// The live others' lives and summaries in eight bytes. Two members see the same mesh exactly when theirs agree, each
    /// with its own alive record added (see [`fingerprint`]). A hint, not a proof: it decides only when to look closer.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// One member.
    pub fn get(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// All members, in the order of their coming (removals move the last one up).
    pub fn iter(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter()
    }

    /// Adds a member; it takes its turn in the probe round at a random place.
    pub fn insert(&mut self, id: MemberId, member: Member, rng: &mut impl Rng) {
        if member.is_live() {
            self.live += 1;
            self.digest = self.digest.wrapping_add(fingerprint(&member.alive));
        }
        if self.members.insert(id, member).is_none() {
            let place = rng.random_range(self.cursor.min(self.round.len())..=self.round.len());
            self.round.push(id);
            let last = self.round.len() - 1;
            self.round.swap(place, last);
            if self.round.len() > 2 * self.members.len() + ROUND_SPARE {
                self.reshuffle(rng);
            }
        }
    }

    /// Changes one member through `change`, and keeps the counts right.
    pub fn update<T>(&mut self, id: &MemberId, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        let member = self.members.get_mut(id)?;
        if member.is_live() {
            self.live -= 1;
            self.digest = self.digest.wrapping_sub(fingerprint(&member.alive));
        }
        let result = change(member);
        if member.is_live() {
            self.live += 1;
            self.digest = self.digest.wrapping_add(fingerprint(&member.alive));
        }
        Some(result)
    }

    /// Forgets a member.
    pub fn remove(&mut self, id: &MemberId) -> Option<Member> {
        let member = self.members.swap_remove(id)?;
        if member.is_live() {
            self.live -= 1;
            self.digest = self.digest.wrapping_sub(fingerprint(&member.alive));
        }
        Some(member)
    }

    /// The next live member to probe. After a full round the order is drawn anew.
    pub fn next_to_probe(&mut self, rng: &mut impl Rng) -> Option<MemberId> {
        for _ in 0..2 {
            while self.cursor < self.round.len() {
                let id = self.round[self.cursor];
                self.cursor += 1;
                if self.members.get(&id).is_some_and(Member::is_live) {
                    return Some(id);
                }
            }
            self.reshuffle(rng);
        }
        None
    }

    fn reshuffle(&mut self, rng: &mut impl Rng) {
        self.cursor = 0;
        self.round.clear();
        self.round.extend(self.members.keys());
        for i in (1..self.round.len()).rev() {
            self.round.swap(i, rng.random_range(0..=i));
        }
    }

    /// Up to `count` different live members for which `fits` holds, drawn at random.
    pub fn choose(&self, rng: &mut impl Rng, count: usize, fits: impl Fn(&MemberId) -> bool) -> Vec<MemberId> {
        let mut chosen: Vec<MemberId> = Vec::with_capacity(count);
        if self.members.is_empty() {
            return chosen;
        }
        let eligible =
            |chosen: &[MemberId], id: &MemberId, member: &Member| member.is_live() && !chosen.contains(id) && fits(id);
        for _ in 0..4 * count + 8 {
            if chosen.len() == count {
                return chosen;
            }
            let at = rng.random_range(0..self.members.len());
            if let Some((id, member)) = self.members.get_index(at)
                && eligible(&chosen, id, member)
            {
                chosen.push(*id);
            }
        }
        // Few are live, or nearly all are wanted: take the rest in order from a random start.
        let start = rng.random_range(0..self.members.len());
        for step in 0..self.members.len() {
            if chosen.len() == count {
                break;
            }
            if let Some((id, member)) = self.members.get_index((start + step) % self.members.len())
                && eligible(&chosen, id, member)
            {
                chosen.push(*id);
            }
        }
        chosen
    }

    /// A member drawn at random from those for which `fits` holds.
    pub fn choose_where(&self, rng: &mut impl Rng, fits: impl Fn(&Member) -> bool) -> Option<MemberId> {
        let start = if self.members.is_empty() { 0 } else { rng.random_range(0..self.members.len()) };
        (0..self.members.len())
            .filter_map(|step| self.members.get_index((start + step) % self.members.len()))
            .find(|(_, member)| fits(member))
            .map(|(id, _)| *id)
    }

    /// Whether a live member can be reached at `address`.
    pub fn lives_at(&self, address: SocketAddr) -> bool {
        self.members
            .values()
            .any(|member| member.is_live() && member.alive.body().addresses.iter().any(|own| own.gossip() == address))
    }
}

/// One alive record in eight bytes: its owner, life and summary, mixed so that sums of them tell views apart.
pub fn fingerprint(alive: &Alive) -> u64 {
    let id = alive.id();
    let half = |range: std::ops::Range<usize>| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&id.as_bytes()[range]);
        u64::from_le_bytes(bytes)
    };
    let life = alive.life();
    let summary = alive.body().summary;
    [half(0..8), half(8..16), life.generation.0, life.session.0, life.incarnation.0, summary.last, summary.hash]
        .into_iter()
        .fold(0x9e37_79b9_7f4a_7c15, mix)
}

/// A step of splitmix64 over two words.
fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
