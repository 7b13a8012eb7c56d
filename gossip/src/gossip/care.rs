//! What the driver does now and then, unasked: seeds, allowances, round trips, the snapshot.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::driver::{Done, Driver};
use super::life;
use super::search::{Resolved, look};
use super::setup::Remember;
use crate::effects::{Command, Input, Standing};
use crate::snapshot::{MAX_MEMBERS, Snapshot};

/// How often a member list that changed is written to disk.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// How often round trips are read for the view, and who has answered for the allowances; and how often while some have
/// not been measured at all.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
const MEASURE_SOON: Duration = Duration::from_secs(3);

/// The name of the snapshot beside the member's key.
const SNAPSHOT: &str = "members";

impl Driver {
    pub(super) fn look_after(&mut self) {
        let now = self.now();
        if self.under_way.looks == 0 {
            self.look_for_seeds();
        }
        let period = if self.draft.is_unmeasured() { MEASURE_SOON } else { MEASURE_EVERY };
        if now.since(self.measured) >= period {
            self.measured = now;
            let roster = self.life.protocol.roster();
            self.gate.know(roster);
            self.draft.measure(|id| roster.get(id)?.round_trip);
        }
        if now.since(self.saved) >= SAVE_EVERY {
            self.save();
        }
        self.draft.give_up(now, self.config.survival);
        self.tell_join_state();
    }

    pub(super) fn look_for_seeds(&mut self) {
        let roster = self.life.protocol.roster();
        let all_live = |seeds: &[SocketAddr]| seeds.iter().all(|seed| roster.lives_at(*seed));
        for name in self.search.due(self.timers.now(), all_live).unwrap_or_default() {
            self.under_way.looks += 1;
            self.tasks.spawn(async move { Done::Resolved(look(name).await) });
        }
    }

    pub(super) fn take_resolved(&mut self, resolved: Resolved) {
        self.under_way.looks = self.under_way.looks.saturating_sub(1);
        self.search.take(resolved);
        self.findings.unresolved = self.search.unresolved();
        self.tell_seeds();
    }

    /// Tells the core where seeds live. The way to a seed also decides under which address others reach us.
    pub(super) fn tell_seeds(&mut self) {
        let seeds = self.search.addresses();
        if self.findings.seeds == seeds {
            return;
        }
        if self.findings.seeds.is_empty() && self.observed.is_empty() {
            let addresses = life::addresses(&self.config, &self.ports, &self.life.quic, &seeds);
            self.handle(Input::Command(Command::Advertise(addresses)));
        }
        self.findings.seeds.clone_from(&seeds);
        self.handle(Input::Seeds(&seeds));
    }

    fn save(&mut self) {
        if !self.unsaved || self.under_way.saving {
            return;
        }
        let Some((path, snapshot)) = self.snapshot() else { return };
        self.unsaved = false;
        self.saved = self.now();
        self.under_way.saving = true;
        self.tasks.spawn_blocking(move || Done::Saved(snapshot.save(&path)));
    }

    /// What to write at this moment, and where; nothing, when nothing is to be remembered.
    pub(super) fn snapshot(&self) -> Option<(PathBuf, Snapshot)> {
        let path = self.snapshot_path()?;
        // Members that are there come first, so that a bound cuts off the others.
        let of = |standing: Standing| {
            let members = self.draft.others().filter(move |member| member.standing() == standing);
            members.map(|member| member.alive().bytes().to_vec())
        };
        let alive = of(Standing::Alive).chain(of(Standing::Suspect)).chain(of(Standing::Dead)).take(MAX_MEMBERS);
        let orders = self.life.protocol.orders().iter().map(|order| order.bytes().to_vec()).collect();
        Some((path, Snapshot { generation: self.life.identity.generation(), alive: alive.collect(), orders }))
    }

    fn snapshot_path(&self) -> Option<PathBuf> {
        let remembers = self.config.remember == Remember::Members;
        self.life.identity.directory().filter(|_| remembers).map(|directory| directory.join(SNAPSHOT))
    }
}

/// Reads what an earlier life left; a disk that refuses is a warning, since the seeds may do. Blocks for a moment.
pub(super) fn load(directory: Option<&std::path::Path>, remember: Remember) -> Snapshot {
    let Some(directory) = directory.filter(|_| remember == Remember::Members) else { return Snapshot::default() };
    match Snapshot::load(&directory.join(SNAPSHOT)) {
        Ok(snapshot) => snapshot.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "starting without the members of the last time");
            Snapshot::default()
        }
    }
}
