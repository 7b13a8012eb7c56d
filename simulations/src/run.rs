//! Carries out a scenario: one breed of host, one seed, one outcome.

mod script;
mod verdict;

use std::time::Duration;

use mesh_gossip::moment::Moment;
use rand::RngExt;

use crate::dice::{Dice, dice};
use crate::host::{Host, Knows, Wish};
use crate::ledger::{EventId, Fact, Ledger};
use crate::network::{HostSet, Network};
use crate::outcome::{Outcome, Sample, Times, millis};
use crate::scenario::text::Group;
use crate::scenario::{KeyOf, Scenario, Start};
use crate::stream::StreamCosts;
use crate::traffic::{KINDS, Traffic};
use crate::world::{Rules, World};
use script::{Script, Step};

/// What runs on the hosts of a world.
pub trait Breed {
    /// One of its hosts.
    type Host: Host<Command = Wish>;

    /// What it is called in reports.
    fn name(&self) -> &'static str;

    /// What sealing adds to each datagram.
    fn seal_bytes(&self) -> usize;

    /// The names of its kinds of datagram, as [`Host::kind`] numbers them.
    fn kinds(&self) -> &'static [&'static str];

    /// A host that is about to start.
    fn make(&mut self, birth: &Birth) -> Self::Host;
}

/// How a host starts.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Which host.
    pub host: u32,
    /// Which start of it, counted from 0.
    pub life: u32,
    /// Whether it has the key of its previous life.
    pub key: KeyOf,
    /// What it knows.
    pub knows: Knows,
    /// Which hosts are configured as seeds.
    pub seeds: Vec<u32>,
}

/// Tells how far a run is. Called now and then with the virtual time that has passed.
pub trait Progress {
    /// The run has come to this moment of the virtual clock.
    fn at(&mut self, passed: Duration);
}

/// Nobody wants to know.
pub struct Silent;

impl Progress for Silent {
    fn at(&mut self, _: Duration) {}
}

/// Runs a scenario with one seed.
pub fn run<B: Breed>(scenario: &Scenario, seed: u64, breed: B, progress: &mut dyn Progress) -> Outcome {
    let mut run = Run::new(scenario, seed, breed);
    run.begin();
    while let Some((at, step)) = run.script.next() {
        run.world.run_until(moment(at));
        progress.at(at);
        run.carry_out(at, step);
    }
    run.world.run_until(moment(scenario.runs_for));
    progress.at(scenario.runs_for);
    run.finish()
}

/// What is watched about one kind of event.
#[derive(Default)]
struct Watched {
    crashes: Vec<EventId>,
    leaves: Vec<EventId>,
    joins: Vec<EventId>,
    news: Vec<EventId>,
    providers: Vec<EventId>,
    reunions: Vec<EventId>,
}

struct Run<'a, B: Breed> {
    scenario: &'a Scenario,
    seed: u64,
    breed: B,
    world: World<B::Host, Ledger>,
    script: Script,
    dice: Dice,
    watched: Watched,
    versions: Vec<u64>,
    crashed: HostSet,
    stalled: Vec<(Duration, u32)>,
    divided: Vec<(Duration, HostSet)>,
    agreed_at: Vec<(Duration, bool)>,
    samples: Vec<Sample>,
    sampled: Traffic,
    marks: Vec<(f64, String)>,
}

impl<'a, B: Breed> Run<'a, B> {
    fn new(scenario: &'a Scenario, seed: u64, breed: B) -> Self {
        let rules = Rules { seal_bytes: breed.seal_bytes(), streams: StreamCosts::default() };
        let network = Network::new(seed, scenario.weather.clone());
        Self {
            world: World::new(seed, network, rules, Ledger::new()),
            script: Script::new(scenario),
            dice: dice(seed, 0x7363_7269_7074),
            scenario,
            seed,
            breed,
            watched: Watched::default(),
            versions: Vec::new(),
            crashed: HostSet::default(),
            stalled: Vec::new(),
            divided: Vec::new(),
            agreed_at: Vec::new(),
            samples: Vec::new(),
            sampled: Traffic::default(),
            marks: Vec::new(),
        }
    }

    fn begin(&mut self) {
        let members = self.scenario.members;
        match self.scenario.start {
            Start::Converged => {
                for host in 0..members {
                    self.world.watch.started(Moment::ZERO, host, 0);
                }
                for host in 0..members {
                    self.add(host, Knows::Everybody(members));
                }
            }
            Start::Joining(over) => {
                for host in 0..self.scenario.seeds {
                    self.join(host);
                }
                for host in self.scenario.seeds..members {
                    let at = over.mul_f64(self.dice.random()) + Duration::from_millis(100);
                    self.script.plan(at, Step::Join(host));
                }
            }
        }
    }

    fn add(&mut self, host: u32, knows: Knows) {
        let made = self.breed.make(&self.birth(host, 0, KeyOf::Nobody, knows));
        assert_eq!(self.world.add(made), host, "hosts are added in order");
        self.versions.push(1);
        self.world.slow_down(host, self.scenario.packet_cost);
    }

    fn seeds(&self) -> Vec<u32> {
        (0..self.scenario.seeds).collect()
    }

    /// A host that never was there joins. Hosts exist in order of their number; until they join they are down.
    fn join(&mut self, host: u32) {
        let now = self.world.now();
        while self.world.len() <= host {
            self.world.reserve();
            self.versions.push(1);
        }
        self.world.watch.started(now, host, 0);
        let made = self.breed.make(&self.birth(host, 0, KeyOf::Nobody, Knows::Seeds(self.seeds())));
        self.world.begin(host, made);
        self.world.slow_down(host, self.scenario.packet_cost);
        self.expect_join(host);
    }

    fn birth(&self, host: u32, life: u32, key: KeyOf, knows: Knows) -> Birth {
        Birth { host, life, key, knows, seeds: self.seeds() }
    }

    fn expect_join(&mut self, host: u32) {
        let now = self.world.now();
        let up: Vec<u32> = self.everybody_up().collect();
        let life = self.world.life(host);
        let others = up.iter().copied().filter(|other| *other != host);
        let ours = self.world.watch.expect(now, &[Fact::There { member: host, life }], others.clone());
        let theirs: Vec<_> = others.map(|member| Fact::There { member, life: self.world.life(member) }).collect();
        let all = self.world.watch.expect(now, &theirs, std::iter::once(host));
        self.watched.joins.extend([ours, all]);
    }

    fn crash(&mut self, host: u32) {
        if !self.world.is_up(host) {
            return;
        }
        self.world.crash(host);
        let now = self.world.now();
        self.world.watch.stopped(now, host);
        self.crashed.insert(host);
        let observers: Vec<u32> = self.everybody_up().collect();
        let gone = self.world.watch.expect(now, &[Fact::Gone { member: host }], observers.into_iter());
        self.watched.crashes.push(gone);
        self.expect_not_given(host);
    }

    /// A cut is gone: everybody is to see everybody again whom it has lost.
    fn expect_reunion(&mut self) {
        let now = self.world.now();
        let up: Vec<u32> = self.everybody_up().collect();
        for observer in &up {
            let lost = up.iter().filter(|member| *member != observer && !self.world.watch.sees(*observer, **member));
            let facts: Vec<_> = lost.map(|member| Fact::There { member: *member, life: 0 }).collect();
            if !facts.is_empty() {
                self.watched.reunions.push(self.world.watch.expect(now, &facts, std::iter::once(*observer)));
            }
        }
    }

    /// A provider is gone: nobody is to be given it any more.
    fn expect_not_given(&mut self, host: u32) {
        if self.scenario.providers.contains(&host) {
            let now = self.world.now();
            let observers: Vec<u32> = self.everybody_up().filter(|other| *other != host).collect();
            let event = self.world.watch.expect(now, &[Fact::NotGiven { member: host }], observers.into_iter());
            self.watched.providers.push(event);
        }
    }

    fn restart(&mut self, host: u32, key: KeyOf) {
        if self.world.is_up(host) {
            self.crash(host);
        }
        // Whoever has not heard of the death need not any more: the return supersedes it.
        let life = self.world.life(host) + 1;
        self.crashed.remove(host);
        let now = self.world.now();
        self.world.watch.withdraw(Fact::Gone { member: host });
        self.world.watch.started(now, host, life);
        let made = self.breed.make(&self.birth(host, life, key, Knows::Seeds(self.seeds())));
        self.world.restart(host, made);
        self.expect_join(host);
    }

    fn leave(&mut self, host: u32) {
        let now = self.world.now();
        self.world.watch.stopped(now, host);
        let observers: Vec<u32> = self.everybody_up().filter(|other| *other != host).collect();
        let gone = self.world.watch.expect(now, &[Fact::Gone { member: host }], observers.into_iter());
        self.watched.leaves.push(gone);
        self.expect_not_given(host);
        self.world.command(host, Wish::Leave);
        // Long enough to say so; then the process ends.
        self.script.plan(since_start(now) + Duration::from_secs(1), Step::End(host));
    }

    fn set_records(&mut self, host: u32, records: u32, bytes: usize) {
        let now = self.world.now();
        self.versions[host as usize] += 1;
        let version = self.versions[host as usize];
        let facts: Vec<_> = (0..records).map(|key| Fact::Record { member: host, key, version }).collect();
        let observers: Vec<u32> = self.everybody_up().collect();
        let news = self.world.watch.expect(now, &facts, observers.into_iter());
        self.watched.news.push(news);
        for key in 0..records {
            self.world.command(host, Wish::Set { key, version, bytes });
        }
    }

    fn everybody_up(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.world.len()).filter(|host| self.world.is_up(*host))
    }

    /// Who is meant, in order of number.
    fn members_of(&mut self, group: &Group) -> Vec<u32> {
        let size = self.world.len();
        match group {
            Group::All => self.everybody_up().collect(),
            Group::Seeds => (0..self.scenario.seeds).collect(),
            Group::Crashed => (0..size).filter(|host| self.crashed.contains(*host)).collect(),
            Group::Half => (0..size / 2).collect(),
            Group::Range(from, to) => (*from..(*to).min(size)).collect(),
            Group::Share(share) => {
                let mut all: Vec<u32> = self.everybody_up().filter(|host| *host >= self.scenario.seeds).collect();
                let wanted = count_of(*share, self.everybody_up().count()).min(all.len());
                for place in 0..wanted {
                    let other = self.dice.random_range(place..all.len());
                    all.swap(place, other);
                }
                all.truncate(wanted);
                all.sort_unstable();
                all
            }
        }
    }

    fn sample(&mut self, at: Duration) {
        let mut seen: Vec<u32> = self.everybody_up().map(|host| self.world.watch.seen_by(host)).collect();
        seen.sort_unstable();
        let total = self.world.traffic_of_all();
        let bytes = total.since(&self.sampled).bytes();
        let before = self.samples.last().map_or(0.0, |sample| sample.at);
        let passed = at.as_secs_f64() - before;
        let up = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        let pick = |place: usize| seen.get(place).copied().unwrap_or(0);
        self.samples.push(Sample {
            at: at.as_secs_f64(),
            up,
            fewest: pick(0),
            middle: pick(seen.len() / 2),
            most: pick(seen.len().saturating_sub(1)),
            bytes_per_second: if passed > 0.0 { precise(bytes) / passed / f64::from(up.max(1)) } else { 0.0 },
        });
        self.sampled = total;
    }

    fn times(&self, events: &[EventId]) -> Times {
        let (mut to_all, mut to_each, mut unfinished) = (Vec::new(), Vec::new(), 0);
        for event in events {
            let spread = self.world.watch.spread(*event);
            to_each.extend_from_slice(&spread.took);
            match spread.to_all() {
                Some(took) => to_all.push(took),
                None => unfinished += 1,
            }
        }
        Times::collect(to_all, to_each, unfinished)
    }

    fn finish(mut self) -> Outcome {
        let runs_for = self.scenario.runs_for;
        self.sample(runs_for);
        let ledger = &self.world.watch;
        let longest = ledger.false_deaths().iter().map(|death| death.until.unwrap_or(self.world.now()).since(death.at));
        let seconds = runs_for.as_secs_f64();
        let mut bytes_per_second: Vec<f64> =
            (0..self.world.len()).map(|host| precise(self.world.traffic(host).bytes()) / seconds).collect();
        bytes_per_second.sort_by(f64::total_cmp);
        let traffic = self.world.traffic_of_all();
        let names = self.breed.kinds();
        let name = |kind: usize| names.get(kind).map_or_else(|| format!("kind {kind}"), |name| (*name).to_owned());
        let mut bytes_by_kind: Vec<_> = (0..KINDS)
            .filter(|kind| traffic.by_kind[*kind] > 0)
            .map(|kind| (name(kind), traffic.by_kind[kind]))
            .collect();
        if traffic.stream_bytes > 0 {
            bytes_by_kind.push(("streams".to_owned(), traffic.stream_bytes));
        }
        let mut outcome = Outcome {
            scenario: self.scenario.name.clone(),
            breed: self.breed.name().to_owned(),
            seed: self.seed,
            members: self.scenario.members,
            seconds,
            events: self.world.events(),
            verdicts: Vec::new(),
            crashes: self.times(&self.watched.crashes),
            leaves: self.times(&self.watched.leaves),
            joins: self.times(&self.watched.joins),
            news: self.times(&self.watched.news),
            reunions: self.times(&self.watched.reunions),
            providers: self.times(&self.watched.providers),
            false_deaths: ledger.false_deaths().len() as u64,
            longest_false_death_ms: millis(longest.max().unwrap_or_default()),
            suspicions: ledger.suspicions(),
            agreed_since_s: ledger.agreed_since().map(|at| since_start(at).as_secs_f64()),
            wrong_at_end: ledger.wrong(),
            handshakes: self.world.handshakes(),
            bytes_per_second,
            bytes_by_kind,
            samples: std::mem::take(&mut self.samples),
            marks: std::mem::take(&mut self.marks),
        };
        outcome.verdicts = verdict::judge(self.scenario, &outcome, &self.agreed_at);
        outcome
    }
}

/// So much of `whole`, rounded.
fn count_of(share: f64, whole: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    let part = (share * whole as f64).round() as usize;
    part
}

/// A count of bytes as a number to divide.
fn precise(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let bytes = bytes as f64;
    bytes
}

fn moment(at: Duration) -> Moment {
    Moment::ZERO.after(at)
}

fn since_start(at: Moment) -> Duration {
    at.since(Moment::ZERO)
}
