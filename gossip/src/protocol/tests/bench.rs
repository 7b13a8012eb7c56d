//! The bench the tests work at: a few cores joined by a network without surprises.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::alive::{Address, KeyLife};
use crate::config::Config;
use crate::effects::{Ask, AskFailed, AskId, Effects, Input, Notice, Standing};
use crate::id::{Generation, MemberId, MeshId, PublicKey, Session};
use crate::moment::Moment;
use crate::protocol::{Protocol, Start};
use crate::reject::Reject;
use crate::signature::{Signature, Signer, Verifier};
use crate::timer::Timer;

const LATENCY: Duration = Duration::from_millis(5);

/// Signs by hashing: as good as ed25519 among members that do not cheat, and free.
pub(super) struct Stamp(pub(super) PublicKey);

impl Signer for Stamp {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        stamp(&self.0, message)
    }
}

pub(super) struct Stamps;

impl Verifier for Stamps {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        stamp(key, message) == *signature
    }
}

fn stamp(key: &PublicKey, message: &[u8]) -> Signature {
    let hash = blake3::keyed_hash(&key.0, message);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(hash.as_bytes());
    Signature(bytes)
}

#[derive(Debug)]
enum Event {
    Datagram { from: usize, to: usize, body: Vec<u8> },
    Timer(usize, Timer),
    Ask { from: usize, ask: Ask },
    Answer { to: usize, ask: AskId, answer: Result<Vec<u8>, AskFailed> },
    Seeds(usize, Vec<SocketAddr>),
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Packet,
    Question,
    Answer,
}

/// Some members, their clock and their network.
pub(super) struct Bench {
    pub(super) now: Moment,
    pub(super) members: Vec<Protocol>,
    pub(super) silent: BTreeSet<usize>,
    pub(super) cut: Box<dyn Fn(usize, usize) -> bool>,
    /// What becomes of the words of a member: a newer version says them otherwise.
    pub(super) speech: Box<dyn Fn(usize, Spoken, Vec<u8>) -> Vec<u8>>,
    pub(super) notices: Vec<Vec<(Moment, Notice)>>,
    pub(super) rejects: Vec<Reject>,
    pub(super) sent: usize,
    events: BTreeMap<(Moment, u64), Event>,
    next: u64,
    config: Config,
}

pub(super) fn mesh() -> MeshId {
    MeshId::of("bench")
}

pub(super) fn address(at: usize) -> Address {
    let ip = IpAddr::V4(Ipv4Addr::new(10, 0, u8::try_from(at / 256).unwrap(), u8::try_from(at % 256).unwrap()));
    Address { ip, gossip_port: 7000, quic_port: 7001 }
}

pub(super) fn start(at: usize, config: &Config, generation: u64) -> Start {
    let key = PublicKey(*blake3::hash(&at.to_le_bytes()).as_bytes());
    Start {
        config: config.clone(),
        mesh: mesh(),
        signer: Arc::new(Stamp(key)),
        verifier: Arc::new(Stamps),
        generation: Generation(generation),
        session: Session(generation),
        addresses: vec![address(at)],
        zone: String::new(),
        key_life: KeyLife::Kept,
        operator: None,
        remembered: Vec::new(),
        bounds: crate::records::Bounds::default(),
        randomness: *blake3::hash(format!("{at} {generation}").as_bytes()).as_bytes(),
    }
}

impl Bench {
    /// Members that have not met; all but the first have the first as their seed.
    pub(super) fn new(count: usize) -> Self {
        let mut bench = Self {
            now: Moment::ZERO,
            members: Vec::new(),
            silent: BTreeSet::new(),
            cut: Box::new(|_, _| false),
            speech: Box::new(|_, _, words| words),
            notices: Vec::new(),
            rejects: Vec::new(),
            sent: 0,
            events: BTreeMap::new(),
            next: 0,
            config: Config::lan(),
        };
        for at in 0..count {
            bench.add(start(at, &bench.config.clone(), 1), Some(0));
        }
        bench
    }

    /// Members that have met.
    pub(super) fn joined(count: usize) -> Self {
        let mut bench = Self::new(count);
        bench.run(Duration::from_secs(3));
        for at in 0..count {
            assert_eq!(bench.live(at), count - 1, "member {at} knows everybody");
        }
        bench
    }

    pub(super) fn add(&mut self, start: Start, seed: Option<usize>) -> usize {
        let at = self.members.len();
        self.members.push(Protocol::new(start).unwrap());
        self.notices.push(Vec::new());
        let seeds = seed.into_iter().map(|seed| address(seed).gossip()).collect();
        self.schedule(self.now, Event::Seeds(at, seeds));
        let mut out = Effects::default();
        self.members[at].begin(self.now, &mut out);
        self.carry_out(at, out);
        at
    }

    pub(super) fn id(&self, at: usize) -> MemberId {
        self.members[at].id()
    }

    fn home(&self, at: usize) -> SocketAddr {
        self.members[at].alive().body().addresses[0].gossip()
    }

    pub(super) fn live(&self, at: usize) -> usize {
        self.members[at].roster().live()
    }

    pub(super) fn standing(&self, observer: usize, of: usize) -> Option<Standing> {
        self.members[observer].roster().get(&self.id(of)).map(|member| member.standing())
    }

    /// Lets a member do something, and carries out what it wishes.
    pub(super) fn with<T>(&mut self, at: usize, act: impl FnOnce(&mut Protocol, Moment, &mut Effects) -> T) -> T {
        let mut out = Effects::default();
        let result = act(&mut self.members[at], self.now, &mut out);
        self.carry_out(at, out);
        result
    }

    pub(super) fn hand(&mut self, at: usize, input: Input<'_>) {
        self.with(at, |member, now, out| member.handle(now, input, out));
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(entry) = self.events.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = end;
    }

    /// Runs until `done`, at most `patience`; returns how long it took.
    pub(super) fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.now;
        while !done(self) {
            assert!(self.now.since(begun) < patience, "not within {patience:?}");
            self.run(Duration::from_millis(5));
        }
        self.now.since(begun)
    }

    fn schedule(&mut self, at: Moment, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { from, to, body } => {
                if !self.unreachable(from, to) {
                    let (address, sender) = (self.home(from), self.id(from));
                    self.hand(to, Input::Datagram { from: address, sender, body: &body });
                }
            }
            Event::Timer(at, timer) => {
                if !self.silent.contains(&at) {
                    self.hand(at, Input::Timer(timer));
                }
            }
            Event::Ask { from, ask } => self.bring_ask(from, ask),
            Event::Answer { to, ask, answer } => {
                let answer = answer.as_deref().map_err(|failed| *failed);
                self.hand(to, Input::Answered { ask, answer });
            }
            Event::Seeds(at, seeds) => self.hand(at, Input::Seeds(&seeds)),
        }
    }

    fn bring_ask(&mut self, from: usize, ask: Ask) {
        let to = self.members.iter().position(|member| member.id() == ask.member);
        let answer = match to.filter(|to| !self.unreachable(from, *to)) {
            None => Err(AskFailed::Unreachable),
            Some(to) => {
                let mut out = Effects::default();
                let input = Input::Asked { from: self.id(from), ask: ask.ask, request: &ask.request };
                self.members[to].handle(self.now, input, &mut out);
                let answer = out.replies.pop().map(|(_, answer)| (self.speech)(to, Spoken::Answer, answer));
                let answer = answer.ok_or(AskFailed::NoAnswer);
                self.carry_out(to, out);
                answer
            }
        };
        self.schedule(self.now.after(LATENCY * 4), Event::Answer { to: from, ask: ask.ask, answer });
    }

    fn unreachable(&self, from: usize, to: usize) -> bool {
        self.silent.contains(&from) || self.silent.contains(&to) || (self.cut)(from, to)
    }

    fn carry_out(&mut self, at: usize, out: Effects) {
        for mut send in out.sends {
            send.body = (self.speech)(at, Spoken::Packet, send.body);
            assert!(send.body.len() <= crate::packet::MAX_BODY);
            self.sent += 1;
            let to = (0..self.members.len()).rev().find(|to| self.home(*to) == send.to);
            if let Some(to) = to {
                self.schedule(self.now.after(LATENCY), Event::Datagram { from: at, to, body: send.body });
            }
        }
        for (when, timer) in out.timers {
            self.schedule(when.max(self.now), Event::Timer(at, timer));
        }
        for mut ask in out.asks {
            ask.request = (self.speech)(at, Spoken::Question, ask.request);
            self.schedule(self.now.after(LATENCY), Event::Ask { from: at, ask });
        }
        self.notices[at].extend(out.notices.into_iter().map(|notice| (self.now, notice)));
        self.rejects.extend(out.rejects);
    }
}
