//! A world: hosts, a network, one virtual clock. The same seed and script always give the same history.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use mesh_gossip::id::MemberId;
use mesh_gossip::moment::Moment;

use crate::dice::{Dice, dice};
use crate::host::{Actions, AskFailure, Event, Host, News, Parcel, Question, gossip_address, host_at};
use crate::network::{Fate, Network, wire_bytes};
use crate::stream::{End, StreamCosts, Streams};
use crate::traffic::Traffic;

/// What Linux gives a UDP socket by default (`net.core.rmem_default`), bookkeeping included.
pub const SOCKET_BUFFER_BYTES: usize = 212_992;

/// A batch to be counted on waking: all that the socket holds by then.
const EVERYTHING: usize = usize::MAX;

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
    order: u64,
    agenda: BinaryHeap<Reverse<(u64, u64, u32)>>,
    pending: Vec<Option<Entry<H>>>,
    free: Vec<u32>,
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

struct Open {
    asker: End,
    asker_id: MemberId,
    answerer: End,
    ask: u64,
    request: Vec<u8>,
    limit: usize,
}

struct Slot<H: Host> {
    host: Option<H>,
    life: u32,
    clock: Clock,
    stalled_until: u64,
    busy_until: u64,
    packet_cost: u64,
    inbox: VecDeque<Pending<H>>,
    inbox_bytes: usize,
    late: VecDeque<(Moment, H::Timer)>,
    batch: usize,
    wake_at: u64,
    traffic: Traffic,
}

/// How a host's clock stands to the world's.
#[derive(Clone, Copy, Debug)]
struct Clock {
    world: u64,
    own: u64,
    fast_by_ppm: i64,
}

impl Clock {
    fn own_at(self, world: u64) -> Moment {
        let passed = i128::from(world - self.world);
        let own = i128::from(self.own) + passed + passed * i128::from(self.fast_by_ppm) / 1_000_000;
        Moment::from_micros(u64::try_from(own).unwrap_or(0))
    }

    /// When this clock will show `own`: never early.
    fn world_at(self, own: Moment) -> u64 {
        let ahead = i128::from(own.as_micros()) - i128::from(self.own);
        if self.fast_by_ppm == 0 {
            return u64::try_from(i128::from(self.world) + ahead).unwrap_or(0);
        }
        let rate = 1_000_000 + i128::from(self.fast_by_ppm);
        let passed = (ahead * 1_000_000 + rate - 1).div_euclid(rate);
        u64::try_from(i128::from(self.world) + passed).unwrap_or(0)
    }
}

impl<H: Host, W: Watch> World<H, W> {
    /// An empty world. All chance in it follows from `seed`.
    pub fn new(seed: u64, network: Network, rules: Rules, watch: W) -> Self {
        Self {
            now: 0,
            order: 0,
            agenda: BinaryHeap::new(),
            pending: Vec::new(),
            free: Vec::new(),
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
        self.slots.push(Slot {
            host: None,
            life: 0,
            clock: Clock { world: self.now, own: self.now, fast_by_ppm: 0 },
            stalled_until: 0,
            busy_until: 0,
            packet_cost: 0,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            late: VecDeque::new(),
            batch: 0,
            wake_at: 0,
            traffic: Traffic::default(),
        });
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
        let slot = &mut self.slots[index as usize];
        slot.host = None;
        slot.inbox.clear();
        slot.inbox_bytes = 0;
        slot.late.clear();
        (slot.stalled_until, slot.busy_until, slot.wake_at, slot.batch) = (0, 0, 0, 0);
    }

    /// A host's process is paused for a while. Its socket goes on receiving up to its bound; on waking the process
    /// first reads what is there, then sees to its late timers.
    pub fn stall(&mut self, index: u32, time: Duration) {
        let until = self.now + micros(time);
        let slot = &mut self.slots[index as usize];
        slot.stalled_until = slot.stalled_until.max(until);
        if slot.batch == 0 {
            slot.batch = EVERYTHING;
        }
        let until = slot.stalled_until;
        self.wake(index, until);
    }

    /// From now on a host's clock runs fast by so many parts in a million (negative: slow).
    pub fn skew(&mut self, index: u32, fast_by_ppm: i64) {
        let clock = &mut self.slots[index as usize].clock;
        let own = clock.own_at(self.now).as_micros();
        *clock = Clock { world: self.now, own, fast_by_ppm };
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
        while let Some(&Reverse((at, _, slot))) = self.agenda.peek() {
            if at > until {
                break;
            }
            self.agenda.pop();
            self.now = at;
            self.events += 1;
            let entry = self.pending[slot as usize].take().expect("an agenda item has its entry");
            self.free.push(slot);
            let Entry { host, life, what } = entry;
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
        let slot = if let Some(slot) = self.free.pop() {
            self.pending[slot as usize] = Some(entry);
            slot
        } else {
            self.pending.push(Some(entry));
            u32::try_from(self.pending.len() - 1).expect("fewer than 2^32 things are pending")
        };
        self.order += 1;
        self.agenda.push(Reverse((at.max(self.now), self.order, slot)));
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
        if matches!(what, Pending::Wake) {
            if slot.stalled_until.max(slot.busy_until) <= now {
                self.serve(index);
            }
            return;
        }
        let engaged = slot.stalled_until.max(slot.busy_until);
        if engaged <= now && slot.inbox.is_empty() && slot.late.is_empty() {
            self.deliver(index, what);
            return;
        }
        match what {
            Pending::Timer { due, timer } => slot.late.push_back((due, timer)),
            Pending::Packet { from, sender, body } => {
                let room = kernel_bytes(body.len() + self.rules.seal_bytes);
                if slot.inbox_bytes + room > SOCKET_BUFFER_BYTES {
                    slot.traffic.overflowed += 1;
                    return;
                }
                slot.inbox_bytes += room;
                slot.inbox.push_back(Pending::Packet { from, sender, body });
            }
            other => slot.inbox.push_back(other),
        }
        self.wake(index, engaged.max(now));
    }

    /// A host has time again: what was in its socket first, then the timers that came due, and so on.
    fn serve(&mut self, index: u32) {
        loop {
            let slot = &mut self.slots[index as usize];
            if slot.host.is_none() {
                return;
            }
            let engaged = slot.stalled_until.max(slot.busy_until);
            if engaged > self.now {
                if !(slot.inbox.is_empty() && slot.late.is_empty()) {
                    self.wake(index, engaged);
                }
                return;
            }
            if slot.batch == EVERYTHING {
                slot.batch = slot.inbox.len();
            }
            if slot.batch == 0 {
                // One round of a runtime: every timer that is due, then as many packets as there are by then.
                if let Some((due, timer)) = slot.late.pop_front() {
                    self.deliver(index, Pending::Timer { due, timer });
                    continue;
                }
                slot.batch = slot.inbox.len();
            }
            let Some(what) = slot.inbox.pop_front() else { return };
            slot.batch -= 1;
            if let Pending::Packet { body, .. } = &what {
                slot.inbox_bytes -= kernel_bytes(body.len() + self.rules.seal_bytes);
            }
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

    fn end(&self, host: u32) -> End {
        End { host, life: self.slots[host as usize].life }
    }

    /// Carries bytes over a stream; when they arrive, or what trying for `waiting` cost.
    fn carry(&mut self, from: End, to: End, bytes: usize, waiting: Duration) -> Option<u64> {
        let transfer = if self.is_up(to.host) {
            self.streams.send(self.now, (from, to), bytes as u64, &self.network, &mut self.dice)
        } else {
            None
        };
        let Some(transfer) = transfer else {
            self.slots[from.host as usize].traffic.stream_bytes += self.streams.knock(from, to, waiting);
            return None;
        };
        self.slots[from.host as usize].traffic.stream_bytes += transfer.sender_bytes;
        self.slots[to.host as usize].traffic.stream_bytes += transfer.receiver_bytes;
        Some(transfer.arrives)
    }

    /// The host behind a QUIC address, if it is the member that is meant.
    fn destination(&self, at: std::net::SocketAddr, member: MemberId) -> Option<u32> {
        let to = host_at(at).filter(|to| *to < self.len())?;
        self.host(to).is_none_or(|host| host.id() == member).then_some(to)
    }

    fn ask(&mut self, index: u32, asker_id: MemberId, question: Question) {
        let asker = self.end(index);
        let key = self.next_question;
        self.next_question += 1;
        let deadline = self.now + micros(question.within);
        let to = self.destination(question.at, question.member);
        let answerer = to.map_or(asker, |to| self.end(to));
        let bytes = question.request.len();
        let Question { ask, request, limit, within, .. } = question;
        self.questions.insert(key, Open { asker, asker_id, answerer, ask, request, limit });
        let Some(to) = to else {
            self.schedule(deadline.min(self.now + 100_000), index, Pending::Failed(key, AskFailure::Unreachable));
            return;
        };
        match self.carry(asker, answerer, bytes, within) {
            Some(arrives) => {
                self.schedule(arrives, to, Pending::Asked(key));
                self.schedule(deadline, index, Pending::Failed(key, AskFailure::NoAnswer));
            }
            None => self.schedule(deadline, index, Pending::Failed(key, AskFailure::Unreachable)),
        }
    }

    fn reply(&mut self, index: u32, key: u64, answer: Vec<u8>) {
        let Some(open) = self.questions.get(&key) else { return };
        let (asker, answerer) = (open.asker, open.answerer);
        if answerer.host != index || self.end(asker.host) != asker {
            return;
        }
        if let Some(arrives) = self.carry(answerer, asker, answer.len(), Duration::from_secs(1)) {
            self.schedule(arrives, asker.host, Pending::Answered(key, answer));
        }
    }

    fn ship(&mut self, index: u32, sender: MemberId, parcel: Parcel) {
        let Some(to) = self.destination(parcel.at, parcel.member) else {
            return;
        };
        let ends = (self.end(index), self.end(to));
        if let Some(arrives) = self.carry(ends.0, ends.1, parcel.bytes.len(), Duration::from_secs(1)) {
            self.schedule(arrives, to, Pending::Shipped { from: sender, bytes: parcel.bytes });
        }
    }
}

/// What a datagram takes of a socket's buffer: Linux charges the whole buffer that the driver filled, not the bytes.
fn kernel_bytes(datagram: usize) -> usize {
    match datagram {
        0..=192 => 768,
        193..=704 => 1_280,
        _ => 2_304 * datagram.div_ceil(1_472),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
