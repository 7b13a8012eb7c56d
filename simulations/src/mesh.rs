//! Our own core on the hosts of a world, with its courier beside it.

mod courier;
mod directory;
mod resolver;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use mesh_gossip::alive::{Address, Alive, KeyLife};
use mesh_gossip::config::Config;
use mesh_gossip::effects::{self, AskFailed, AskId, Command, Effects, Input, Notice};
use mesh_gossip::id::{Generation, MemberId, MeshId, Session};
use mesh_gossip::moment::Moment;
use mesh_gossip::protocol::{Protocol, Start};
use mesh_gossip::record::{Key, Record, Value};
use mesh_gossip::records::Bounds;
use mesh_gossip::timer::Timer;

use crate::dice::mix;
use crate::host::{
    Actions, AskFailure, Event, GOSSIP_PORT, Host, Knows, News, Parcel, QUIC_PORT, Question, Standing, Wish,
    gossip_address, ip,
};
use crate::notary::Notary;
use crate::run::{Birth, Breed};
use crate::scenario::KeyOf;
use courier::Couriers;
use directory::Directory;
use resolver::{OFFERS_KEY, Resolver};

const MESH_NAME: &str = "simulation";

/// Someone to start acquainted with: an alive record and what its owner offers.
type Acquaintance = (Arc<Alive>, Vec<Arc<Record>>);

/// Our core in scenarios.
pub struct Mesh {
    seed: u64,
    config: Config,
    records: (u32, usize),
    providers: Range<u32>,
    notary: Arc<Notary>,
    directory: Rc<RefCell<Directory>>,
    couriers: Option<Rc<Couriers>>,
    /// Cores made ahead for a world that starts converged, by host.
    ready: Vec<Option<Protocol>>,
    acquaintances: Rc<Vec<Acquaintance>>,
}

/// Whether chitchat runs beside every core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Courier {
    /// As in a real node.
    Runs,
    /// Nobody repairs alive records: pure SWIM.
    Missing,
}

impl Mesh {
    /// Cores with these parameters, each offering so many records of so many bytes from the start.
    ///
    /// # Errors
    /// What the operating system says when it refuses the couriers' runtime.
    pub fn new(seed: u64, config: Config, records: (u32, usize), courier: Courier) -> std::io::Result<Self> {
        let notary = Notary::new();
        let couriers = match courier {
            Courier::Runs => Some(Couriers::new(MeshId::of(MESH_NAME), notary.clone())?),
            Courier::Missing => None,
        };
        Ok(Self {
            seed,
            config,
            records,
            providers: 0..0,
            notary,
            directory: Rc::default(),
            couriers,
            ready: Vec::new(),
            acquaintances: Rc::default(),
        })
    }

    /// Hosts in this range also provide a capability, and every host resolves it.
    #[must_use]
    pub fn with_providers(mut self, providers: Range<u32>) -> Self {
        self.providers = providers;
        self
    }

    /// Who makes and checks signatures.
    pub fn notary(&self) -> &Notary {
        &self.notary
    }

    fn core(&self, host: u32, life: u32, key: KeyOf) -> Protocol {
        let number = self.directory.borrow_mut().key_number(host, key);
        let draw = |purpose: u64| mix(self.seed ^ purpose, (u64::from(life) << 32) | u64::from(host));
        let mut randomness = [0; 32];
        for (chunk, place) in randomness.chunks_mut(8).zip(1..) {
            chunk.copy_from_slice(&draw(place).to_le_bytes());
        }
        let start = Start {
            config: self.config.clone(),
            mesh: MeshId::of(MESH_NAME),
            signer: self.notary.signer(self.seed, host, number),
            verifier: self.notary.clone(),
            generation: Generation(u64::from(life) + 1),
            session: Session(draw(0)),
            addresses: vec![Address { ip: ip(host).into(), gossip_port: GOSSIP_PORT, quic_port: QUIC_PORT }],
            zone: String::new(),
            key_life: KeyLife::Kept,
            operator: None,
            remembered: Vec::new(),
            bounds: Bounds::default(),
            randomness,
        };
        let mut core = Protocol::new(start).expect("presets pass their own check");
        self.directory.borrow_mut().enter(core.id(), host, life);
        let (count, bytes) = self.records;
        for key in 0..count {
            // Nobody is there yet who could be told.
            let set = core.set(Moment::ZERO, key_of(key), content(key, 1, bytes), &mut Effects::default());
            set.expect("a scenario's records are within bounds");
        }
        if self.providers.contains(&host) {
            let key = Key::from_str(OFFERS_KEY).expect("letters");
            let set = core.set(Moment::ZERO, key, resolver::offers_of(core.id()), &mut Effects::default());
            set.expect("one small tool");
        }
        core
    }

    fn prepare(&mut self, hosts: u32) {
        let cores: Vec<Protocol> = (0..hosts).map(|host| self.core(host, 0, KeyOf::Nobody)).collect();
        let known = |core: &Protocol| (core.alive().clone(), core.own_records().iter().cloned().collect());
        self.acquaintances = Rc::new(cores.iter().map(known).collect());
        self.ready = cores.into_iter().map(Some).collect();
    }
}

impl Breed for Mesh {
    type Host = MeshHost;

    fn name(&self) -> &'static str {
        "mesh"
    }

    fn seal_bytes(&self) -> usize {
        mesh_gossip::seal::OVERHEAD
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "rumours",
            "pings",
            "acks",
            "indirect asks",
            "relayed answers",
            "nacks",
            "not me",
            "hellos",
            "welcomes",
            "courier",
        ]
    }

    fn make(&mut self, birth: &Birth) -> MeshHost {
        let (core, acquaintances) = match &birth.knows {
            Knows::Everybody(hosts) => {
                if self.ready.is_empty() {
                    self.prepare(*hosts);
                }
                let core = self.ready[birth.host as usize].take().expect("every host starts converged once");
                (core, Rc::clone(&self.acquaintances))
            }
            Knows::Seeds(_) => (self.core(birth.host, birth.life, birth.key), Rc::default()),
        };
        MeshHost {
            host: birth.host,
            seeds: birth.seeds.clone(),
            port: self.couriers.as_ref().map(|couriers| Couriers::port(couriers, core.id())),
            core,
            acquaintances,
            resolver: (!self.providers.is_empty()).then(Resolver::new),
            starting: true,
            effects: Effects::default(),
            directory: Rc::clone(&self.directory),
        }
    }
}

/// A host that runs our core.
pub struct MeshHost {
    host: u32,
    seeds: Vec<u32>,
    core: Protocol,
    acquaintances: Rc<Vec<Acquaintance>>,
    effects: Effects,
    directory: Rc<RefCell<Directory>>,
    resolver: Option<Resolver>,
    starting: bool,
    port: Option<courier::Port>,
}

impl MeshHost {
    /// What runs on it.
    pub fn core(&self) -> &Protocol {
        &self.core
    }

    fn start(&mut self, now: Moment, out: &mut Actions<Timer>) {
        self.core.begin(now, &mut self.effects);
        for (alive, records) in std::mem::take(&mut self.acquaintances).iter() {
            self.core.acquaint(now, alive, records, &mut self.effects);
            if let Some(resolver) = &mut self.resolver {
                records.iter().for_each(|record| resolver.take(alive.id(), record));
            }
            // What it is told here it knew before the world began.
            self.effects.notices.clear();
            if let Some((member, life)) = self.directory.borrow().find(alive.id())
                && member != self.host
            {
                out.news.push(News::Member { member, life, standing: Standing::Alive });
            }
        }
        let seeds: Vec<_> = self.seeds.iter().map(|seed| gossip_address(*seed)).collect();
        self.core.handle(now, Input::Seeds(&seeds), &mut self.effects);
    }

    fn wish(&mut self, now: Moment, wish: Wish) {
        match wish {
            Wish::Set { key, version, bytes } => {
                let value = content(key, version, bytes);
                if let Ok(Value::Blob { hash, .. }) = Value::of(value.clone()) {
                    self.directory.borrow_mut().enter_blob(hash, key, version);
                }
                let set = self.core.set(now, key_of(key), value, &mut self.effects);
                set.expect("a scenario's records are within bounds");
            }
            Wish::Remove { key, .. } => self.core.remove(now, key_of(key), &mut self.effects),
            Wish::Leave => self.core.handle(now, Input::Command(Command::Leave), &mut self.effects),
        }
    }

    /// Brings the courier what the core has for it and the core what the courier has, until neither has anything.
    fn exchange_with_courier(&mut self, now: Moment) {
        let Some(port) = &mut self.port else {
            self.effects.courier.clear();
            return;
        };
        while !self.effects.courier.is_empty() {
            let brought = port.give(now, &mut self.effects.courier);
            for (to, bytes) in brought.carries {
                self.core.handle(now, Input::Carry { to, bytes }, &mut self.effects);
            }
            if !brought.learnt.is_empty() {
                self.core.handle(now, Input::Learnt(&brought.learnt), &mut self.effects);
            }
        }
    }

    fn drain(&mut self, out: &mut Actions<Timer>) {
        let effects = &mut self.effects;
        out.sends.extend(effects.sends.drain(..).map(|send| (send.to, send.body)));
        out.timers.append(&mut effects.timers);
        out.replies.extend(effects.replies.drain(..).map(|(ask, answer)| (ask.0, answer)));
        out.ships.extend(effects.ships.drain(..).map(|ship| Parcel {
            member: ship.member,
            at: ship.at,
            bytes: ship.bytes,
        }));
        out.asks.extend(effects.asks.drain(..).map(|ask| Question {
            ask: ask.ask.0,
            member: ask.member,
            at: ask.at,
            request: ask.request,
            limit: ask.limit,
            within: ask.within,
        }));
        out.news.extend(effects.rejects.drain(..).map(|_| News::Refused));
        let directory = self.directory.borrow();
        let changed = !effects.notices.is_empty() || self.starting;
        self.starting = false;
        for notice in effects.notices.drain(..) {
            if let Some(resolver) = &mut self.resolver {
                follow(resolver, &notice);
            }
            tell(&directory, &self.core, notice, out);
        }
        if let Some(resolver) = self.resolver.as_mut().filter(|_| changed) {
            out.news.extend(
                resolver
                    .look()
                    .into_iter()
                    .filter_map(|(member, given)| Some(News::Provider { member: directory.find(member)?.0, given })),
            );
        }
    }
}

impl Host for MeshHost {
    type Timer = Timer;
    type Command = Wish;

    fn id(&self) -> MemberId {
        self.core.id()
    }

    fn handle(&mut self, now: Moment, event: Event<'_, Self>, out: &mut Actions<Timer>) {
        let input = match event {
            Event::Start => {
                self.start(now, out);
                None
            }
            Event::Command(wish) => {
                self.wish(now, wish);
                None
            }
            Event::Datagram { from, sender, body } => Some(Input::Datagram { from, sender, body }),
            Event::Timer(timer) => Some(Input::Timer(timer)),
            Event::Asked { from, ask, request } => Some(Input::Asked { from, ask: AskId(ask), request }),
            Event::Answered { ask, answer } => {
                let answer = answer.map_err(|why| match why {
                    AskFailure::Unreachable => AskFailed::Unreachable,
                    AskFailure::NoAnswer => AskFailed::NoAnswer,
                });
                Some(Input::Answered { ask: AskId(ask), answer })
            }
            Event::Shipped { from, bytes } => Some(Input::Shipped { from, bytes }),
        };
        if let Some(input) = input {
            self.core.handle(now, input, &mut self.effects);
        }
        self.exchange_with_courier(now);
        self.drain(out);
    }

    fn kind(body: &[u8]) -> usize {
        body.first().map_or(0, |kind| usize::from(*kind))
    }
}

/// What a notice means to a resolver.
fn follow(resolver: &mut Resolver, notice: &Notice) {
    match notice {
        Notice::Member { alive, standing } => resolver.stand(alive.id(), *standing),
        Notice::Forgotten(member) | Notice::RecordsVoid(member) => resolver.forget(*member),
        Notice::Records { member, changed } => changed.iter().for_each(|record| resolver.take(*member, record)),
        _ => {}
    }
}

/// What a notice means to whoever watches the world.
fn tell(directory: &Directory, core: &Protocol, notice: Notice, out: &mut Actions<Timer>) {
    match notice {
        Notice::Member { alive, standing } => {
            let Some((member, _)) = directory.find(alive.id()) else { return };
            let life = u32::try_from(alive.life().generation.0.saturating_sub(1)).unwrap_or(u32::MAX);
            let standing = match standing {
                effects::Standing::Alive => Standing::Alive,
                effects::Standing::Suspect => Standing::Suspect,
                effects::Standing::Dead => Standing::Dead,
                effects::Standing::Left => Standing::Left,
            };
            out.news.push(News::Member { member, life, standing });
        }
        Notice::Forgotten(id) => {
            if let Some((member, life)) = directory.find(id) {
                out.news.push(News::Member { member, life, standing: Standing::Unknown });
            }
        }
        Notice::Records { member, changed } => {
            let Some((member, _)) = directory.find(member) else { return };
            for record in changed {
                let version = match record.value() {
                    Value::Inline(value) => content_of(value).map(|(_, version)| version),
                    // Whatever was set, it is gone.
                    Value::Removed => Some(u64::MAX),
                    Value::Blob { hash, .. } if core.blobs().contains(hash) => directory.blob(hash).map(|it| it.1),
                    Value::Blob { .. } => None,
                };
                let key = record.key().as_str().trim_start_matches('r').parse();
                if let (Some(version), Ok(key)) = (version, key) {
                    out.news.push(News::Record { member, key, version });
                }
            }
        }
        Notice::BlobArrived { member, hash } => {
            if let (Some((member, _)), Some((key, version))) = (directory.find(member), directory.blob(&hash)) {
                out.news.push(News::Record { member, key, version });
            }
        }
        Notice::Joined { .. } => out.news.push(News::Joined),
        _ => {}
    }
}

/// The record key that stands for a number.
fn key_of(key: u32) -> Key {
    Key::from_str(&format!("r{key}")).expect("letters and digits")
}

/// A value of so many bytes that tells which key and version it is, and does not compress.
fn content(key: u32, version: u64, bytes: usize) -> Bytes {
    let mut value = Vec::with_capacity(bytes.max(12));
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&version.to_le_bytes());
    let base = mix(u64::from(key), version);
    let mut place = 0;
    while value.len() < bytes {
        value.extend_from_slice(&mix(base, place).to_le_bytes());
        place += 1;
    }
    value.truncate(bytes.max(12));
    value.into()
}

fn content_of(value: &[u8]) -> Option<(u32, u64)> {
    let key = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
    let version = u64::from_le_bytes(value.get(4..12)?.try_into().ok()?);
    Some((key, version))
}
