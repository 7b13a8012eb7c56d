//! What is measured how: one job is one world with one seed.

use std::io;
use std::time::{Duration, Instant};

use mesh_gossip::config::Config;
use rand::RngExt;

use super::figure::Id;
use super::lab::Lab;
use super::{Sample, Samples, peers, resolving};
use crate::dice::dice;
use crate::entropy::on_fresh_thread;
use crate::execute::{Subject, execute};
use crate::host::Wish;
use crate::ledger::{EventId, Fact};
use crate::mesh::{Courier, Mesh};
use crate::run::Silent;
use crate::scenario::{LIBRARY, Scenario};

/// Every member holds so many records of so many bytes: 1 KB in all.
pub(super) const RECORDS: (u32, usize) = (10, 100);

/// The sizes that are measured.
const SIZES: [u32; 3] = [50, 200, 1_000];

const WARM_UP: Duration = Duration::from_secs(5);

/// What a job measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bytes,
    News,
    NewsAtLoss,
    LargeNews,
    Repair,
    Crash,
    MassCrash,
    JoinAndLeave,
    FalseDeathsAtLoss,
    FalseDeathsInStalls,
    Heal,
    Lossy30,
    Speed,
    Lifeguard,
    Restarts,
    Resolve,
    Peer(Subject),
}

/// One world to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) members: u32,
    pub(super) seed: u64,
    /// How many events, or how many seconds, in this world.
    pub(super) amount: u32,
}

/// All jobs there are, the longest first, so that no worker is left with one at the end.
pub(super) fn jobs(quick: bool) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut add = |kind, members, seeds: u64, amount: u32| {
        let (seeds, amount) = if quick { (1, amount.div_ceil(10)) } else { (seeds, amount) };
        jobs.extend((1..=seeds).map(|seed| Job { kind, members, seed, amount }));
    };
    add(Kind::Restarts, 50, 1, 10_000);
    for members in SIZES.into_iter().rev() {
        let (seeds, events) = if members == 1_000 { (3, 334) } else { (20, 50) };
        // False deaths are counted over an hour in all, at 1,000 members over ten minutes.
        let seconds = if members == 1_000 { 200 } else { 180 };
        add(Kind::FalseDeathsAtLoss, members, seeds, seconds);
        add(Kind::FalseDeathsInStalls, members, seeds, seconds);
        add(Kind::Repair, members, seeds, events);
        add(Kind::Crash, members, seeds, events);
        add(Kind::LargeNews, members, seeds, events);
        add(Kind::JoinAndLeave, members, seeds, events);
        add(Kind::News, members, seeds, events);
        add(Kind::NewsAtLoss, members, seeds, events);
        add(Kind::Heal, members, seeds, 1);
        add(Kind::Bytes, members, seeds.min(3), 60);
        add(Kind::MassCrash, members, 10, 1);
    }
    add(Kind::Speed, 5_000, 1, 20);
    add(Kind::Lifeguard, 0, 1, 1);
    add(Kind::Resolve, 0, 1, 2_000);
    add(Kind::Lossy30, 100, 3, 120);
    for members in [50, 200] {
        for peer in [Subject::Chitchat, Subject::Foca] {
            add(Kind::Peer(peer), members, 3, 20);
        }
    }
    jobs
}

impl Job {
    /// The figures it takes part in.
    pub(super) fn gives(&self) -> Vec<Id> {
        let whats: &[&'static str] = match self.kind {
            Kind::Bytes => &["bytes_per_s"],
            Kind::News => &["news_p99_ms"],
            Kind::NewsAtLoss => &["news_loss10_p99_ms"],
            Kind::LargeNews => &["news_4k_p99_ms", "news_64k_p99_ms"],
            Kind::Repair => &["repair_p99_ms"],
            Kind::Crash => &["crash_p99_ms"],
            Kind::MassCrash => &["mass_crash_s"],
            Kind::JoinAndLeave => &["join_p99_ms", "join_full_p99_ms", "leave_p99_ms"],
            Kind::FalseDeathsAtLoss => &["false_deaths_loss10"],
            Kind::FalseDeathsInStalls => &["false_deaths_stall"],
            Kind::Heal => &["heal_p99_ms"],
            Kind::Lossy30 => &["loss30_falsely_dead_ms", "loss30_wrong_at_end"],
            Kind::Speed => &["sim_speed_x"],
            Kind::Lifeguard => &["lifeguard_false_deaths", "lifeguard_plain_false_deaths"],
            Kind::Restarts => &["restart_states"],
            Kind::Resolve => &["resolve_hot_p99_ns", "resolve_cold_p99_ns"],
            Kind::Peer(_) => &["news_p99_ms", "crash_p99_ms", "false_deaths_loss10", "bytes_per_s"],
        };
        whats.iter().map(|what| self.id(what)).collect()
    }

    /// Whose figures they are, if not ours.
    pub(super) fn peer(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Peer(Subject::Foca) => Some("foca"),
            Kind::Peer(Subject::Chitchat) => Some("chitchat"),
            _ => None,
        }
    }

    pub(super) fn id(&self, what: &'static str) -> Id {
        Id { members: self.members, what }
    }

    /// Runs the world on a thread of its own.
    pub(super) fn run(&self, wanted: &(dyn Fn(&Id) -> bool + Sync)) -> io::Result<Samples> {
        if self.kind == Kind::Lifeguard {
            return self.lifeguard();
        }
        on_fresh_thread(self.seed, || match self.kind {
            Kind::Bytes => self.bytes(),
            Kind::News => self.news("news_p99_ms", 0.01),
            Kind::NewsAtLoss => self.news("news_loss10_p99_ms", 0.1),
            Kind::LargeNews => self.large_news(wanted),
            Kind::Repair => self.repair(),
            Kind::Crash => self.crash(),
            Kind::MassCrash => self.mass_crash(),
            Kind::JoinAndLeave => self.join_and_leave(),
            Kind::FalseDeathsAtLoss => self.false_deaths_at_loss(),
            Kind::FalseDeathsInStalls => self.false_deaths_in_stalls(),
            Kind::Heal => self.heal(),
            Kind::Lossy30 => self.lossy_30(),
            Kind::Speed => self.speed(),
            Kind::Restarts => self.restarts(),
            Kind::Resolve => {
                let (hot, cold) = resolving::p99s(self.amount);
                let sample = |what, value| (self.id(what), Sample::Worst(value));
                Ok(vec![sample("resolve_hot_p99_ns", hot), sample("resolve_cold_p99_ns", cold)])
            }
            Kind::Peer(peer) => peers::measure(self, peer),
            Kind::Lifeguard => Ok(Vec::new()),
        })
    }

    fn lab(&self, loss: f64) -> io::Result<Lab<Mesh>> {
        let mesh = Mesh::new(self.seed, Config::lan(), RECORDS, Courier::Runs)?;
        let mut lab = Lab::converged(self.seed, self.members, loss, mesh);
        lab.run(WARM_UP);
        Ok(lab)
    }

    fn times(&self, what: &'static str, lab: &Lab<Mesh>, events: &[EventId]) -> Samples {
        events.iter().map(|event| (self.id(what), lab.time(*event))).collect()
    }

    /// From one event to the next when they do not disturb each other: less in large meshes, for time's sake.
    fn pause(&self, small: u64) -> Duration {
        Duration::from_millis(if self.members >= 1_000 { small / 2 } else { small })
    }

    fn bytes(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        // The courier's routine exchange comes once a minute.
        lab.run(Duration::from_secs(20));
        let before = lab.world.traffic_of_all();
        lab.run(Duration::from_secs(self.amount.into()));
        let sent = lab.world.traffic_of_all().since(&before).bytes();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = sent as f64 / f64::from(self.amount) / f64::from(self.members);
        Ok(vec![(self.id("bytes_per_s"), Sample::Rate(rate))])
    }

    fn news(&self, what: &'static str, loss: f64) -> io::Result<Samples> {
        let mut lab = self.lab(loss)?;
        let mut events = Vec::new();
        for turn in 0..self.amount {
            let host = lab.victim(turn);
            events.push(lab.news(host, turn % RECORDS.0, 200));
            lab.run(self.pause(600));
        }
        lab.run(Duration::from_secs(3));
        Ok(self.times(what, &lab, &events))
    }

    fn large_news(&self, wanted: &(dyn Fn(&Id) -> bool + Sync)) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let mut samples = Vec::new();
        for (what, bytes, pause) in [("news_4k_p99_ms", 4_096, 800), ("news_64k_p99_ms", 65_536, 1_200)] {
            if !wanted(&self.id(what)) {
                continue;
            }
            let mut events = Vec::new();
            for turn in 0..self.amount {
                let host = lab.victim(turn);
                events.push(lab.news(host, turn % RECORDS.0, bytes));
                lab.run(self.pause(pause));
            }
            lab.run(Duration::from_secs(5));
            samples.extend(self.times(what, &lab, &events));
        }
        Ok(samples)
    }

    /// Some members at a time are cut off, each on its own, while a hundred records change among the others.
    fn repair(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let at_once = (self.members / 10).max(2);
        let mut samples = Vec::new();
        for round in 0..self.amount.div_ceil(at_once) {
            let cut: Vec<u32> = (0..at_once).map(|i| lab.victim(round * at_once + i)).collect();
            let rules: Vec<_> = cut.iter().map(|host| lab.cut([*host])).collect();
            lab.world.watch.divide(rules.iter().map(|(_, set)| set.clone()).collect());
            let others: Vec<u32> = lab.up().into_iter().filter(|host| !cut.contains(host)).collect();
            let mut facts = Vec::new();
            let mut waits = Vec::new();
            for change in 0..100 {
                let host = others[(change as usize * 13 + round as usize) % others.len()];
                let key = (change / u32::try_from(others.len()).unwrap_or(u32::MAX)) % RECORDS.0;
                let version = lab.set(host, key, 100);
                facts.push(Fact::Record { member: host, key, version });
                lab.run(Duration::from_millis(300));
            }
            for (rule, _) in &rules {
                lab.world.network().lift(*rule);
            }
            let now = lab.world.now();
            for host in &cut {
                waits.push(lab.world.watch.expect(now, &facts, std::iter::once(*host)));
            }
            lab.run(Duration::from_secs(12));
            samples.extend(self.times("repair_p99_ms", &lab, &waits));
        }
        Ok(samples)
    }

    /// A few crash one after the other; when all know, they come back.
    fn crash(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let at_once = (self.members / 20).clamp(2, 34);
        let mut events = Vec::new();
        let mut turn = 0;
        while turn < self.amount {
            let batch: Vec<u32> = (0..at_once.min(self.amount - turn)).map(|i| lab.victim(turn + i)).collect();
            turn += at_once;
            for host in &batch {
                events.push(lab.crash(*host));
                lab.run(self.pause(300));
            }
            lab.run(Duration::from_secs(4));
            for host in batch {
                lab.restart(host);
            }
            lab.run(Duration::from_secs(3));
        }
        Ok(self.times("crash_p99_ms", &lab, &events))
    }

    fn mass_crash(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let mut chance = dice(self.seed, 0x6d61_7373);
        let mut hosts = lab.up();
        let wanted = hosts.len() * 3 / 10;
        for place in 0..wanted {
            let other = chance.random_range(place..hosts.len());
            hosts.swap(place, other);
        }
        let mut events = Vec::new();
        for host in &hosts[..wanted] {
            lab.world.crash(*host);
            lab.world.watch.stopped(lab.world.now(), *host);
        }
        let now = lab.world.now();
        let up = lab.up();
        for host in &hosts[..wanted] {
            events.push(lab.world.watch.expect(now, &[Fact::Gone { member: *host }], up.iter().copied()));
        }
        lab.run(Duration::from_secs(15));
        let Sample::Time(slowest) = lab.time_of_all(&events) else { return Ok(Vec::new()) };
        Ok(vec![(self.id("mass_crash_s"), Sample::Worst(slowest / 1e3))])
    }

    /// Newcomers join one after the other; each leaves again a while later.
    fn join_and_leave(&self) -> io::Result<Samples> {
        const STAYS: usize = 4;
        let mut lab = self.lab(0.01)?;
        let (mut joins, mut leaves, mut staying) = (Vec::new(), Vec::new(), std::collections::VecDeque::new());
        for _ in 0..self.amount {
            let (host, events) = lab.join(RECORDS.0);
            joins.push(events);
            staying.push_back(host);
            lab.run(self.pause(1_000));
            if staying.len() > STAYS {
                let host = staying.pop_front().expect("more than none");
                leaves.push(lab.leave(host));
                lab.run(self.pause(1_000));
                lab.world.crash(host);
            }
        }
        lab.run(Duration::from_secs(5));
        let mut samples = self.times("leave_p99_ms", &lab, &leaves);
        for events in joins {
            samples.push((self.id("join_p99_ms"), lab.time_of_all(&events[..2])));
            samples.push((self.id("join_full_p99_ms"), lab.time_of_all(&events)));
        }
        Ok(samples)
    }

    fn false_deaths_at_loss(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.1)?;
        lab.run(Duration::from_secs(self.amount.into()));
        Ok(vec![self.false_deaths("false_deaths_loss10", &lab)])
    }

    fn false_deaths(&self, what: &'static str, lab: &Lab<Mesh>) -> (Id, Sample) {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let count = lab.world.watch.false_deaths().len() as f64;
        (self.id(what), Sample::Count(count))
    }

    /// At every moment a twentieth of the members is paused, for five seconds each, in turns.
    fn false_deaths_in_stalls(&self) -> io::Result<Samples> {
        const STALL: Duration = Duration::from_secs(5);
        let mut lab = self.lab(0.01)?;
        let places = (self.members / 20).max(1);
        let mut chance = dice(self.seed, 0x7374_616c);
        let mut unwell: std::collections::VecDeque<(Duration, u32)> = std::collections::VecDeque::new();
        let steps = self.amount * places / 5;
        for step in 0..steps {
            let now = STALL * step / places;
            while unwell.front().is_some_and(|(until, _)| *until <= now) {
                unwell.pop_front();
            }
            let host = loop {
                let host = chance.random_range(0..self.members);
                if !unwell.iter().any(|(_, other)| *other == host) {
                    break host;
                }
            };
            // An accusation made while it was away may come to its end a while after.
            unwell.push_back((now + STALL * 2, host));
            lab.world.watch.excuse(unwell.iter().map(|(_, host)| *host).collect());
            lab.world.stall(host, STALL);
            lab.run(STALL / places);
        }
        Ok(vec![self.false_deaths("false_deaths_stall", &lab)])
    }

    /// Two halves, cut for a minute: for each member, how long until it is right about the whole other half.
    fn heal(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let half = self.members / 2;
        let (rule, set) = lab.cut(0..half);
        lab.world.watch.divide(vec![set]);
        lab.run(Duration::from_secs(60));
        lab.world.network().lift(rule);
        let now = lab.world.now();
        let mut events = Vec::new();
        for host in 0..self.members {
            let others = if host < half { half..self.members } else { 0..half };
            let facts: Vec<_> = others.map(|member| Fact::There { member, life: 0 }).collect();
            events.push(lab.world.watch.expect(now, &facts, std::iter::once(host)));
        }
        lab.run(Duration::from_secs(15));
        Ok(self.times("heal_p99_ms", &lab, &events))
    }

    fn lossy_30(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.3)?;
        lab.run(Duration::from_secs(self.amount.into()));
        let now = lab.world.now();
        let lasted = lab.world.watch.false_deaths().iter().map(|death| death.until.unwrap_or(now).since(death.at));
        let longest = crate::outcome::millis(lasted.max().unwrap_or_default());
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let wrong = lab.world.watch.wrong() as f64;
        Ok(vec![
            (self.id("loss30_falsely_dead_ms"), Sample::Worst(longest)),
            (self.id("loss30_wrong_at_end"), Sample::Count(wrong)),
        ])
    }

    fn speed(&self) -> io::Result<Samples> {
        let mesh = Mesh::new(self.seed, Config::sim(), (0, 0), Courier::Missing)?;
        let mut lab = Lab::converged(self.seed, self.members, 0.01, mesh);
        lab.run(Duration::from_secs(1));
        let begin = Instant::now();
        lab.run(Duration::from_secs(self.amount.into()));
        Ok(vec![(self.id("sim_speed_x"), Sample::Least(f64::from(self.amount) / begin.elapsed().as_secs_f64()))])
    }

    fn lifeguard(&self) -> io::Result<Samples> {
        let shipped = LIBRARY.iter().find(|it| it.name == "lifeguard").expect("it is shipped");
        let mut scenario = Scenario::parse(shipped.name, shipped.toml).map_err(io::Error::other)?;
        scenario.compare = None;
        let deaths = |subject| -> io::Result<Sample> {
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            let count = execute(&scenario, self.seed, subject, &mut Silent)?.false_deaths as f64;
            Ok(Sample::Count(count))
        };
        Ok(vec![
            (self.id("lifeguard_false_deaths"), deaths(Subject::Mesh)?),
            (self.id("lifeguard_plain_false_deaths"), deaths(Subject::Plain)?),
        ])
    }

    /// One agent starts again and again, one start every 100 ms. How many states of it does any member hold?
    fn restarts(&self) -> io::Result<Samples> {
        let mut lab = self.lab(0.01)?;
        let agent = self.members - 1;
        let mut most = 0;
        for _ in 0..self.amount {
            lab.restart(agent);
            lab.run(Duration::from_millis(100));
            let id = lab.world.host(agent).map(|host| host.core().id());
            for host in lab.up() {
                let Some(core) = lab.world.host(host).map(crate::mesh::MeshHost::core) else { continue };
                let address = crate::host::gossip_address(agent);
                let states = core
                    .roster()
                    .iter()
                    .filter(|(other, member)| {
                        Some(**other) == id || member.alive.body().addresses.iter().any(|it| it.gossip() == address)
                    })
                    .count();
                most = most.max(states);
            }
            lab.world.command(agent, Wish::Set { key: 0, version: 2, bytes: 100 });
        }
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let most = most as f64;
        Ok(vec![(self.id("restart_states"), Sample::Worst(most))])
    }
}
