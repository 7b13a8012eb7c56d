//! A world: hosts, a network, one virtual clock. The same seed and script always give the same history.

mod agenda;
mod slot;
mod streams;

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_gossip::id::MemberId;
use mesh_gossip::moment::Moment;

use self::agenda::Agenda;
use self::slot::Slot;
use self::streams::Open;
use crate::dice::{Dice, dice};
use crate::host::{Actions, AskFailure, Event, Host, News, gossip_address, host_at};
use crate::network::{Fate, Network, wire_bytes};
use crate::stream::{StreamCosts, Streams};
use crate::traffic::Traffic;

pub use self::slot::SOCKET_BUFFER_BYTES;

/// Sees what the users of all hosts learn, as they learn it.
pub trait Watch {
    /// The user of `host` learns `news`.
    fn see(&mut self, now: Moment, host: u32, news: News);
}

/// What does not change while a world runs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What sealing adds to every datagram, in bytes.
    pub seal_bytes: usize,
    /// What streams cost.
    pub streams: StreamCosts,
}

/// See the [module's page](self).
pub struct World<H: Host, W> {
    now: u64,
    agenda: Agenda<Entry<H>>,
    slots: Vec<Slot<H>>,
    questions: BTreeMap<u64, Open>,
    next_question: u64,
    network: Network,
    streams: Streams,
    dice: Dice,
    actions: Actions<H::Timer>,
    rules: Rules,
    events: u64,
    /// Sees everything.
    pub watch: W,
}

struct Entry<H: Host> {
    host: u32,
    life: u32,
    what: Pending<H>,
}

enum Pending<H: Host> {
    Packet {
        from: u32,
        sender: MemberId,
        body: Vec<u8>,
    },
    Timer {
        due: Moment,
        timer: H::Timer,
    },
    Command(H::Command),
    Asked(u64),
    Answered(u64, Vec<u8>),
    Failed(u64, AskFailure),
    Shipped {
        from: MemberId,
        bytes: Vec<u8>,
    },
    /// A stalled or busy host looks at what has piled up.
    Wake,
}

impl<H: Host, W: Watch> World<H, W> {
    /// An empty world. All chance in it follows from `seed`.
    pub fn new(seed: u64, network: Network, rules: Rules, watch: W) -> Self {
        Self {
            now: 0,
            agenda: Agenda::new(),
            slots: Vec::new(),
            questions: BTreeMap::new(),
            next_question: 0,
            network,
            streams: Streams::new(rules.streams.clone()),
            dice: dice(seed, 0x0077_6f72_6c64),
            actions: Actions::default(),
            rules,
            events: 0,
            watch,
        }
    }

    /// The world's clock.
    pub fn now(&self) -> Moment {
        Moment::from_micros(self.now)
    }

    /// Events handled so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many connections were made, by whomever.
    pub fn handshakes(&self) -> u64 {
        self.streams.handshakes()
    }

    /// How many hosts there are, those that are down included.
    pub fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("hosts are counted in 32 bits")
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The network, to spoil it.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// What runs on a host; `None` when it is down.
    pub fn host(&self, host: u32) -> Option<&H> {
        self.slots.get(host as usize)?.host.as_ref()
    }

    /// Whether something runs on a host.
    pub fn is_up(&self, host: u32) -> bool {
        self.host(host).is_some()
    }

    /// How often a host has been started, less one.
    pub fn life(&self, host: u32) -> u32 {
        self.slots[host as usize].life
    }

    /// What a host has sent so far, in all its lives.
    pub fn traffic(&self, host: u32) -> &Traffic {
        &self.slots[host as usize].traffic
    }

    /// What all hosts have sent so far.
    pub fn traffic_of_all(&self) -> Traffic {
        let mut sum = Traffic::default();
        for slot in &self.slots {
            sum.add(&slot.traffic);
        }
        sum
    }

    /// Adds a host and starts it. Its clock shows the world's time.
    pub fn add(&mut self, host: H) -> u32 {
        let index = self.reserve();
        self.start(index, host);
        index
    }

    /// Adds a host that is down; [`World::begin`] starts it for the first time.
    pub fn reserve(&mut self) -> u32 {
        let index = self.len();
        self.slots.push(Slot::new(self.now));
        index
    }

    /// Starts a reserved host for the first time.
    pub fn begin(&mut self, index: u32, host: H) {
        debug_assert!(!self.is_up(index));
        self.start(index, host);
    }

    /// Starts something anew on a host that is down. It is the host's next life.
    pub fn restart(&mut self, index: u32, host: H) {
        self.crash(index);
        self.slots[index as usize].life += 1;
        self.start(index, host);
    }

    fn start(&mut self, index: u32, host: H) {
        self.slots[index as usize].host = Some(host);
        self.hand(index, Event::Start);
    }

    /// A host goes silent at once: nothing more is sent, nothing received.
    pub fn crash(&mut self, index: u32) {
        self.slots[index as usize].crash();
    }

    /// A host's process is paused for a while. Its socket goes on receiving up to its bound; on waking the process
    /// first reads what is there, then sees to its late timers.
    pub fn stall(&mut self, index: u32, time: Duration) {
        let until = self.slots[index as usize].stall(self.now + micros(time));
        self.wake(index, until);
    }

    /// From now on a host's clock runs fast by so many parts in a million (negative: slow).
    pub fn skew(&mut self, index: u32, fast_by_ppm: i64) {
        self.slots[index as usize].clock.skew(self.now, fast_by_ppm);
    }

    /// From now on a host needs this long for every packet it receives, and handles one after the other.
    pub fn slow_down(&mut self, index: u32, per_packet: Duration) {
        self.slots[index as usize].packet_cost = micros(per_packet);
    }

    /// Tells a host something on behalf of its user. A host that is down does not hear it.
    pub fn command(&mut self, index: u32, command: H::Command) {
        if self.is_up(index) {
            self.arrive(index, Pending::Command(command));
        }
    }

    /// Runs until the clock shows `until`, everything due by then included.
    pub fn run_until(&mut self, until: Moment) {
        let until = until.as_micros();
        while let Some((at, Entry { host, life, what })) = self.agenda.next_by(until) {
            self.now = at;
            self.events += 1;
            let current = &self.slots[host as usize];
            if current.life == life && current.host.is_some() {
                self.arrive(host, what);
            }
        }
        self.now = self.now.max(until);
    }

    /// Runs for a while.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now().after(time));
    }

    fn schedule(&mut self, at: u64, host: u32, what: Pending<H>) {
        let entry = Entry { host, life: self.slots[host as usize].life, what };
        self.agenda.write(at.max(self.now), entry);
    }

    fn wake(&mut self, host: u32, at: u64) {
        let slot = &mut self.slots[host as usize];
        if slot.wake_at <= self.now || slot.wake_at < at {
            slot.wake_at = at;
            self.schedule(at, host, Pending::Wake);
        }
    }

    /// Something reaches a host that is up: it is handled at once, or waits until the host has time.
    fn arrive(&mut self, index: u32, what: Pending<H>) {
        let now = self.now;
        let slot = &mut self.slots[index as usize];
        if let Pending::Timer { due, .. } = &what {
            let due = slot.clock.world_at(*due);
            if due > now {
                self.schedule(due, index, what);
                return;
            }
        }
        let engaged = slot.engaged_until();
        if matches!(what, Pending::Wake) {
            if engaged <= now {
                self.serve(index);
            }
            return;
        }
        if engaged <= now && !slot.has_waiting() {
            self.deliver(index, what);
            return;
        }
        if slot.keep(what, self.rules.seal_bytes) {
            self.wake(index, engaged.max(now));
        }
    }

    /// A host has time again, and sees to what has waited.
    fn serve(&mut self, index: u32) {
        loop {
            let slot = &mut self.slots[index as usize];
            if slot.host.is_none() {
                return;
            }
            let engaged = slot.engaged_until();
            if engaged > self.now {
                if slot.has_waiting() {
                    self.wake(index, engaged);
                }
                return;
            }
            let Some(what) = slot.next(self.rules.seal_bytes) else { return };
            self.deliver(index, what);
        }
    }

    fn deliver(&mut self, index: u32, what: Pending<H>) {
        match what {
            Pending::Packet { from, sender, body } => {
                let slot = &mut self.slots[index as usize];
                slot.busy_until = self.now + slot.packet_cost;
                self.hand(index, Event::Datagram { from: gossip_address(from), sender, body: &body });
            }
            Pending::Timer { timer, .. } => self.hand(index, Event::Timer(timer)),
            Pending::Command(command) => self.hand(index, Event::Command(command)),
            Pending::Shipped { from, bytes } => self.hand(index, Event::Shipped { from, bytes: &bytes }),
            Pending::Asked(question) => {
                let Some(open) = self.questions.get_mut(&question) else {
                    return;
                };
                let (from, request) = (open.asker_id, std::mem::take(&mut open.request));
                self.hand(index, Event::Asked { from, ask: question, request: &request });
            }
            Pending::Answered(question, bytes) => {
                let Some(open) = self.questions.remove(&question) else {
                    return;
                };
                let answer = if bytes.len() <= open.limit { Ok(&bytes[..]) } else { Err(AskFailure::NoAnswer) };
                self.hand(index, Event::Answered { ask: open.ask, answer });
            }
            Pending::Failed(question, why) => {
                let Some(open) = self.questions.remove(&question) else {
                    return;
                };
                self.hand(index, Event::Answered { ask: open.ask, answer: Err(why) });
            }
            Pending::Wake => {}
        }
    }

    fn hand(&mut self, index: u32, event: Event<'_, H>) {
        let mut actions = std::mem::take(&mut self.actions);
        let slot = &mut self.slots[index as usize];
        if let Some(host) = &mut slot.host {
            let now = slot.clock.own_at(self.now);
            host.handle(now, event, &mut actions);
            let sender = host.id();
            self.perform(index, sender, &mut actions);
        }
        self.actions = actions;
    }

    fn perform(&mut self, index: u32, sender: MemberId, actions: &mut Actions<H::Timer>) {
        for news in actions.news.drain(..) {
            self.watch.see(Moment::from_micros(self.now), index, news);
        }
        for (to, body) in actions.sends.drain(..) {
            let payload = body.len() + self.rules.seal_bytes;
            self.slots[index as usize].traffic.datagram(H::kind(&body), wire_bytes(payload));
            let Some(to) = host_at(to).filter(|to| *to < self.len()) else {
                continue;
            };
            match self.network.send(&mut self.dice, index, to, payload) {
                Fate::Lost => {}
                Fate::After(after) => {
                    self.schedule(self.now + micros(after), to, Pending::Packet { from: index, sender, body });
                }
                Fate::Twice(first, second) => {
                    let copy = body.clone();
                    self.schedule(self.now + micros(first), to, Pending::Packet { from: index, sender, body });
                    self.schedule(self.now + micros(second), to, Pending::Packet { from: index, sender, body: copy });
                }
            }
        }
        for (due, timer) in actions.timers.drain(..) {
            let at = self.slots[index as usize].clock.world_at(due);
            self.schedule(at, index, Pending::Timer { due, timer });
        }
        for question in actions.asks.drain(..) {
            self.ask(index, sender, question);
        }
        for (question, answer) in actions.replies.drain(..) {
            self.reply(index, question, answer);
        }
        for parcel in actions.ships.drain(..) {
            self.ship(index, sender, parcel);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
