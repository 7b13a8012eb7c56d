//! The real mesh, and those who watch over it while it is attacked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_gossip::alive::Address;
use mesh_gossip::config::Config;
use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::{Event, EventsError, Gossip, GossipConfig, MemberView, View};
use mesh_gossip::id::{Generation, MemberId, Session};
use mesh_gossip::keyring::{Keyring, MeshKey};
use mesh_gossip::record::{Key, Value};
use mesh_gossip::seal::{Quota, RateLimits};
use mesh_gossip::seeds::SeedSpec;

/// The name of the mesh under attack.
pub(crate) const MESH: &str = "besieged";

/// Within this time members that never answer are gone from each view once their inventor is silent. To find one out
/// takes five tries of 100 ms, and thousands are found out over some seconds, so that checks stay a small part of all
/// traffic. On an idle machine two seconds were enough.
pub(crate) const DETECTION: Duration = Duration::from_secs(10);

/// How long anything may take that has to happen in the middle of a flood, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// By how much the whole process, attackers and all nodes included, may grow.
pub(crate) const RSS_GROWTH: u64 = 128 << 20;

/// Who a real member is, and must remain in every view.
struct Truth {
    generation: Generation,
    session: Session,
    addresses: Vec<Address>,
}

/// What the watchers hold against a view, and what they found.
#[derive(Default)]
struct Watch {
    truths: Mutex<BTreeMap<MemberId, Truth>>,
    faults: Mutex<Vec<String>>,
    missed: Mutex<u64>,
}

pub(crate) struct Mesh {
    /// Reads everything that is sent to it.
    pub(crate) open: Gossip,
    /// Has ordinary rate limits.
    pub(crate) guarded: Gossip,
    bystander: Gossip,
    newcomers: Vec<Gossip>,
    watch: Arc<Watch>,
    told: u64,
}

pub(crate) fn keys() -> Keyring {
    Keyring::new(MeshKey::from_bytes([7; 32]))
}

fn config(seeds: &[&Gossip]) -> GossipConfig {
    GossipConfig {
        keys: Some(keys()),
        listen: vec![([127, 0, 0, 1], 0).into()],
        seeds: seeds.iter().map(|seed| SeedSpec::from(seed.local_addresses()[0])).collect(),
        protocol: Config::lan(),
        ..GossipConfig::new(MESH)
    }
}

fn name() -> Key {
    "name".parse().unwrap()
}

/// Bytes of memory that this process has now.
pub(crate) fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or_default() * 4096
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        let plenty = Quota { per_second: 100_000_000, burst: 100_000_000 };
        let rates = RateLimits { member: plenty, stranger: plenty, strangers: plenty };
        let open = Gossip::spawn(GossipConfig { rates, ..config(&[]) }).await.unwrap();
        let guarded = Gossip::spawn(config(&[&open])).await.unwrap();
        let bystander = Gossip::spawn(config(&[&open])).await.unwrap();
        let watch = Arc::new(Watch::default());
        let mut mesh = Self { open, guarded, bystander, newcomers: Vec::new(), watch, told: 0 };
        for node in mesh.nodes() {
            node.set(name(), node.me().to_string()).await.unwrap();
        }
        for node in mesh.nodes() {
            until(node, "all are there", |view| view.live().filter(|member| is_named(member)).count() == 3).await;
        }
        let all: Vec<MemberId> = mesh.nodes().map(Gossip::me).collect();
        all.into_iter().for_each(|id| mesh.learn_truth(id));
        for node in mesh.nodes() {
            tokio::spawn(watch_views(node.watch(), Arc::clone(&mesh.watch)));
            tokio::spawn(watch_events(node.events(), Arc::clone(&mesh.watch)));
        }
        mesh.news_get_through("quiet").await;
        mesh
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Gossip> {
        [&self.open, &self.guarded, &self.bystander].into_iter()
    }

    /// A member changes what it offers, and the nodes under attack hear of it in time.
    pub(crate) async fn news_get_through(&mut self, during: &str) {
        self.told += 1;
        let news = Value::Inline(self.told.to_string().into());
        self.bystander.set("news".parse().unwrap(), self.told.to_string()).await.unwrap();
        let id = self.bystander.me();
        for node in [&self.open, &self.guarded] {
            let heard = |view: &View| {
                let record = view.member(&id).and_then(|member| member.record(&"news".parse().unwrap()).cloned());
                record.is_some_and(|record| *record.value() == news)
            };
            until(node, &format!("news after {during}"), heard).await;
        }
    }

    /// Joins through the node that is being flooded.
    pub(crate) async fn newcomer(&self) -> Gossip {
        let begun = std::time::Instant::now();
        let newcomer = Gossip::spawn(config(&[&self.open])).await.unwrap();
        newcomer.set(name(), newcomer.me().to_string()).await.unwrap();
        newcomer.joined(PATIENCE).await.unwrap();
        let id = newcomer.me();
        for node in self.nodes() {
            until(node, "the newcomer is there", |view| view.member(&id).is_some_and(|member| is_named(member))).await;
        }
        println!("a newcomer joined within {:?} of a flood", begun.elapsed());
        newcomer
    }

    /// From now on it counts as one of the real members.
    pub(crate) async fn admitted(&mut self, newcomer: Gossip) {
        let id = newcomer.me();
        self.newcomers.push(newcomer);
        for node in self.nodes() {
            until(node, "the newcomer stays", |view| view.member(&id).is_some_and(|member| is_named(member))).await;
        }
        self.learn_truth(id);
    }

    /// Waits until no view holds anybody but real members and the rogue.
    pub(crate) async fn nobody_but(&self, rogue: MemberId) {
        let real: BTreeSet<MemberId> = self.watch.truths.lock().unwrap().keys().copied().collect();
        let invented =
            |view: &View| view.members().filter(|one| !real.contains(&one.id()) && one.id() != rogue).count();
        let mut most = 0;
        for node in self.nodes().chain(&self.newcomers) {
            let mut views = node.watch();
            most = most.max(invented(&views.borrow()));
            let gone = tokio::time::timeout(DETECTION, views.wait_for(|view| invented(view) == 0)).await;
            let view = node.view();
            let left = view.members().filter(|one| !real.contains(&one.id()) && one.id() != rogue);
            let left: Vec<_> = left.map(|one| (one.standing(), one.alive().body().addresses.clone())).collect();
            assert!(matches!(gone, Ok(Ok(_))), "{} believes in {left:?}", node.me());
        }
        println!("at the end of the flood a view held {most} invented members");
    }

    pub(crate) fn nobody_came_to_harm(&self) {
        let faults = self.watch.faults.lock().unwrap();
        println!("{} events were missed by slow watchers", self.watch.missed.lock().unwrap());
        assert!(faults.is_empty(), "{} faults, the first ones: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    }

    pub(crate) async fn print_counts(&self) {
        for (what, node) in [("open", &self.open), ("guarded", &self.guarded)] {
            let metrics = node.metrics().await.unwrap();
            println!("{what}: refused {:?}", metrics.refused);
            println!("{what}: rejected {:?}", metrics.rejects);
            println!("{what}: {:?}", metrics.counts);
            println!("{what}: {:?}", metrics.courier);
        }
    }

    fn learn_truth(&mut self, id: MemberId) {
        let view = self.bystander.view();
        let body = view.member(&id).unwrap().alive().body();
        let truth = Truth { generation: body.generation, session: body.session, addresses: body.addresses.clone() };
        self.watch.truths.lock().unwrap().insert(id, truth);
    }
}

/// Whether a member offers its own id under `name`, as all real ones do.
fn is_named(member: &MemberView) -> bool {
    member.record(&name()).is_some_and(|record| *record.value() == Value::Inline(member.id().to_string().into()))
}

async fn until(gossip: &Gossip, what: &str, mut holds: impl FnMut(&View) -> bool) {
    let mut views = gossip.watch();
    let seen = tokio::time::timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
    assert!(matches!(seen, Ok(Ok(_))), "{what}: not so for {}", gossip.me());
}

async fn watch_views(mut views: tokio::sync::watch::Receiver<Arc<View>>, watch: Arc<Watch>) {
    loop {
        let view = views.borrow_and_update().clone();
        watch.check(&view);
        if views.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_events(mut events: mesh_gossip::gossip::Events, watch: Arc<Watch>) {
    loop {
        match events.next().await {
            Ok(Event::Member { member, standing: standing @ (Standing::Dead | Standing::Left) }) => {
                if watch.truths.lock().unwrap().contains_key(&member) {
                    watch.fault(format!("{member} was said to be {standing:?}"));
                }
            }
            Ok(Event::Moved { to }) => watch.fault(format!("somebody was driven to another key, {to}")),
            Ok(_) => {}
            Err(EventsError::Lagged(missed)) => *watch.missed.lock().unwrap() += missed,
            Err(EventsError::Stopped) => return,
        }
    }
}

impl Watch {
    fn check(&self, view: &View) {
        for (id, truth) in self.truths.lock().unwrap().iter() {
            let Some(member) = view.member(id) else {
                self.fault(format!("{} evicted {id}", view.me()));
                continue;
            };
            if !member.is_live() {
                self.fault(format!("{} takes {id} for {:?}", view.me(), member.standing()));
            }
            let body = member.alive().body();
            if (body.generation, body.session) != (truth.generation, truth.session) {
                self.fault(format!("{} believes in another life of {id}", view.me()));
            }
            if body.addresses != truth.addresses {
                self.fault(format!("{} looks for {id} at {:?}", view.me(), body.addresses));
            }
            if !is_named(member) || member.records().any(|record| !["name", "news"].contains(&record.key().as_str())) {
                self.fault(format!("{} knows other records of {id}", view.me()));
            }
        }
    }

    fn fault(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }
}
