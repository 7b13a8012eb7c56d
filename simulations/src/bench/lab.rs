//! A world to measure in: everybody knows everybody from the start, and events are watched until all know of them.

use std::time::Duration;

use mesh_gossip::moment::Moment;

use super::Sample;
use crate::host::{Knows, Wish};
use crate::ledger::{EventId, Fact, Ledger};
use crate::network::{HostSet, Network, RuleId, Verdict, Way, Weather};
use crate::outcome::millis;
use crate::run::{Birth, Breed};
use crate::scenario::KeyOf;
use crate::stream::StreamCosts;
use crate::world::{Rules, World};

/// How many hosts are seeds.
const SEEDS: u32 = 3;

/// See the [module's page](self).
pub(super) struct Lab<B: Breed> {
    breed: B,
    pub(super) world: World<B::Host, Ledger>,
    members: u32,
    versions: Vec<u64>,
}

impl<B: Breed> Lab<B> {
    /// A world of `members` who know each other, at this loss.
    pub(super) fn converged(seed: u64, members: u32, loss: f64, mut breed: B) -> Self {
        let rules = Rules { seal_bytes: breed.seal_bytes(), streams: StreamCosts::default() };
        let network = Network::new(seed, Weather { loss, ..Weather::default() });
        let mut world = World::new(seed, network, rules, Ledger::new());
        for host in 0..members {
            world.watch.started(Moment::ZERO, host, 0);
        }
        for host in 0..members {
            let knows = Knows::Everybody(members);
            world.add(breed.make(&birth(host, 0, KeyOf::Nobody, knows)));
        }
        Self { breed, world, members, versions: vec![1; members as usize] }
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.world.run_for(time);
    }

    pub(super) fn up(&self) -> Vec<u32> {
        (0..self.world.len()).filter(|host| self.world.is_up(*host)).collect()
    }

    /// One of the first members, seeds left out: the `turn`th.
    pub(super) fn victim(&self, turn: u32) -> u32 {
        // A stride that shares no factor with the number of candidates visits all of them.
        let candidates = self.members - SEEDS;
        SEEDS + (turn.wrapping_mul(7) % candidates)
    }

    /// A member changes one record; everybody who is up is to learn of it.
    pub(super) fn news(&mut self, host: u32, key: u32, bytes: usize) -> EventId {
        let version = self.set(host, key, bytes);
        let fact = Fact::Record { member: host, key, version };
        let observers = self.up();
        self.world.watch.expect(self.world.now(), &[fact], observers.into_iter())
    }

    /// A member changes one record, which is about to be told: expect before running on.
    pub(super) fn set(&mut self, host: u32, key: u32, bytes: usize) -> u64 {
        self.versions[host as usize] += 1;
        let version = self.versions[host as usize];
        self.world.command(host, Wish::Set { key, version, bytes });
        version
    }

    pub(super) fn crash(&mut self, host: u32) -> EventId {
        let now = self.world.now();
        self.world.crash(host);
        self.world.watch.stopped(now, host);
        let observers = self.up();
        self.world.watch.expect(now, &[Fact::Gone { member: host }], observers.into_iter())
    }

    pub(super) fn leave(&mut self, host: u32) -> EventId {
        let now = self.world.now();
        self.world.watch.stopped(now, host);
        let observers: Vec<u32> = self.up().into_iter().filter(|other| *other != host).collect();
        let event = self.world.watch.expect(now, &[Fact::Gone { member: host }], observers.into_iter());
        self.world.command(host, Wish::Leave);
        event
    }

    pub(super) fn restart(&mut self, host: u32) {
        let life = self.world.life(host) + 1;
        self.world.crash(host);
        self.world.watch.started(self.world.now(), host, life);
        let made = self.breed.make(&birth(host, life, KeyOf::Before, Knows::Seeds(seeds())));
        self.world.restart(host, made);
        self.versions[host as usize] = 1;
    }

    /// A newcomer joins. The events: it holds all alive records, all hold its own, it holds all records.
    pub(super) fn join(&mut self, records: u32) -> (u32, [EventId; 3]) {
        let now = self.world.now();
        let others = self.up();
        let host = self.world.reserve();
        self.versions.push(1);
        self.world.watch.started(now, host, 0);
        let life = |member: u32| self.world.life(member);
        let there: Vec<_> = others.iter().map(|member| Fact::There { member: *member, life: life(*member) }).collect();
        let held =
            others.iter().flat_map(|member| (0..records).map(|key| Fact::Record { member: *member, key, version: 1 }));
        let held: Vec<_> = held.collect();
        let me = || std::iter::once(host);
        let watch = &mut self.world.watch;
        let events = [
            watch.expect(now, &there, me()),
            watch.expect(now, &[Fact::There { member: host, life: 0 }], others.into_iter()),
            watch.expect(now, &held, me()),
        ];
        let made = self.breed.make(&birth(host, 0, KeyOf::Nobody, Knows::Seeds(seeds())));
        self.world.begin(host, made);
        (host, events)
    }

    pub(super) fn cut(&mut self, hosts: impl IntoIterator<Item = u32>) -> (RuleId, HostSet) {
        let set: HostSet = hosts.into_iter().collect();
        (self.world.network().add_rule(Way::Around(set.clone()), Verdict::Cut), set)
    }

    /// How long it took until all knew.
    pub(super) fn time(&self, event: EventId) -> Sample {
        Sample::Time(self.world.watch.spread(event).to_all().map_or(f64::INFINITY, millis))
    }

    /// How long it took until all knew all of several events.
    pub(super) fn time_of_all(&self, events: &[EventId]) -> Sample {
        let times = events.iter().map(|event| self.world.watch.spread(*event).to_all().map_or(f64::INFINITY, millis));
        Sample::Time(times.fold(0.0, f64::max))
    }
}

pub(super) fn seeds() -> Vec<u32> {
    (0..SEEDS).collect()
}

fn birth(host: u32, life: u32, key: KeyOf, knows: Knows) -> Birth {
    Birth { host, life, key, knows, seeds: seeds() }
}
