//! Since when members are what they are: the view tells what is, not since when.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mesh_gossip::effects::Standing;
use mesh_gossip::{MemberId, View};
use tokio::time::Instant;

use super::timestamp::Timestamp;

/// Since when somebody is what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    standing: Standing,
    since: Instant,
}

/// When each member of the view last changed its standing. As many as the view has, which is bounded.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<BTreeMap<MemberId, Sighting>>);

impl Sightings {
    /// Takes in what `view` shows.
    pub(super) fn see(&self, view: &View) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for member in view.members() {
            let new = Sighting { standing: member.standing(), since: now };
            let held = seen.entry(member.id()).or_insert(new);
            if held.standing != new.standing {
                *held = new;
            }
        }
        if seen.len() > view.members().len() {
            seen.retain(|member, _| view.member(member).is_some());
        }
    }

    /// For how many milliseconds `member` has been what it is.
    pub(super) fn age_ms(&self, member: &MemberId) -> u64 {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = seen.get(member).map_or(0, |sighting| sighting.since.elapsed().as_millis());
        u64::try_from(age).unwrap_or(u64::MAX)
    }

    /// Since when it is that, by this machine's clock.
    pub(super) fn since(&self, member: &MemberId, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.age_ms(member)))
    }
}
