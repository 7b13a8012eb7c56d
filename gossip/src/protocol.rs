//! The protocol core: a pure state machine. Inputs and the present moment go in, effects come out; there is no clock, no
//! socket, no task and no randomness that was not handed in.
//!
//! This file holds the state and the dispatch. What happens in each case lies beside it, by concern:
//!
//! | file | concern |
//! |---|---|
//! | `inquire` | asking members whether they are there: probes, relays, one's own stalls |
//! | `judge` | suspicion, death, refutation, and what counts as evidence of life |
//! | `admit` | alive records: newcomers, restarts, conflicts, forgetting |
//! | `spread` | rumours: piggybacked, pushed, repeated to whoever differs |
//! | `offer` | records, our own and others' |
//! | `repair` | what we lack, asked for over streams; what others ask; the courier |
//! | `join` | seeds, hellos, reunions with the dead |
//! | `obey` | orders of the operator |

mod admit;
mod inquire;
mod join;
mod judge;
mod obey;
mod offer;
mod repair;
mod spread;
mod turn;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::alive::{Address, Alive, AliveBody, KeyLife, Life, MAX_ADDRESSES, MAX_ZONE_BYTES, Presence, ProtocolRange};
use crate::blob::{BLOBS_BYTES, Blobs};
use crate::config::{BadConfig, Config};
use crate::courier::pace::Pace;
use crate::detect::{Awareness, Inquiry};
use crate::effects::{AskId, Command, Effects, ForCourier, Input, Notice};
use crate::id::{Generation, Incarnation, MemberId, MeshId, Session};
use crate::moment::Moment;
use crate::order::OrderBook;
use crate::packet::{Message, Reader};
use crate::pull::Pull;
use crate::record::Record;
use crate::records::{Bounds, Own};
use crate::reject::Reject;
use crate::roster::{Member, Proof, Roster, fingerprint};
use crate::rumour::Rumours;
use crate::signature::{Signer, Verifier};
use crate::timer::Timer;

use inquire::Relay;
use join::Seeking;
use turn::Turn;

/// The protocol versions that this code speaks.
pub const PROTOCOL: ProtocolRange = ProtocolRange { lowest: 1, highest: 1 };

/// Everything a protocol core needs to begin.
pub struct Start {
    /// The parameters.
    pub config: Config,
    /// Which mesh.
    pub mesh: MeshId,
    /// Signs with our key.
    pub signer: Arc<dyn Signer>,
    /// Checks others' signatures.
    pub verifier: Arc<dyn Verifier>,
    /// Which start on this key it is.
    pub generation: Generation,
    /// Drawn at random for this start.
    pub session: Session,
    /// Where we can be reached, preferred first.
    pub addresses: Vec<Address>,
    /// The zone we run in, or nothing.
    pub zone: String,
    /// Whether our key outlives us.
    pub key_life: KeyLife,
    /// The operator's key, whose orders we obey; without one, nobody's.
    pub operator: Option<crate::id::PublicKey>,
    /// Addresses of members of an earlier life of ours, tried until we are part of the mesh.
    pub remembered: Vec<SocketAddr>,
    /// How much one member may offer, we included.
    pub bounds: Bounds,
    /// Where all randomness comes from.
    pub randomness: [u8; 32],
}

/// What one member believes and does. Drive it with [`Protocol::handle`].
pub struct Protocol {
    config: Config,
    mesh: MeshId,
    me: MemberId,
    alive: Arc<Alive>,
    signer: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    operator: Option<crate::id::PublicKey>,
    rng: StdRng,
    roster: Roster,
    rumours: Rumours,
    awareness: Awareness,
    /// How long it takes of late from a question to its answer.
    answers_take: Duration,
    /// How far single answers are from that.
    answers_vary: Duration,
    /// Running inquiries by the nonce of their direct pings.
    inquiries: BTreeMap<u64, Inquiry>,
    /// The nonces of indirect tries, to those of their inquiries.
    relay_nonces: BTreeMap<u64, u64>,
    /// What we ask on behalf of others, by the nonce of our ping.
    relays: BTreeMap<u64, Relay>,
    /// Members accused of death whom we are asking, with the inquiry's nonce.
    accused: BTreeMap<MemberId, u64>,
    /// Members lately forgotten, with the life that is not to come back by hearsay, and until when.
    forgotten: BTreeMap<MemberId, (Life, Moment)>,
    bounds: Bounds,
    own: Own,
    blobs: Blobs,
    /// Whose records name the blobs that we lack.
    blob_owners: BTreeMap<[u8; 32], MemberId>,
    /// Members of whom something large was announced that is not here yet, up to which version.
    heralded: BTreeMap<MemberId, u64>,
    pull: Pull,
    pace: Pace,
    /// How many exchanges in a row have not brought a view like ours.
    fruitless_exchanges: u8,
    orders: OrderBook,
    seeking: Seeking,
    next_epoch: u32,
    next_ask: u64,
    /// Asks under way, with the planner's token and whom we asked.
    asks: BTreeMap<AskId, repair::Asked>,
    probe_due: Moment,
    push_due: Option<Moment>,
    pushed: Moment,
    pull_due: Option<Moment>,
    refutations: (Moment, u32),
    corrected: Moment,
    /// Something new waits to be pushed before this turn ends.
    fresh: bool,
}

impl Protocol {
    /// A member that knows nobody yet. Call [`Protocol::begin`] next.
    ///
    /// # Errors
    /// [`BadConfig`] when the parameters cannot work.
    pub fn new(start: Start) -> Result<Self, BadConfig> {
        start.config.check()?;
        if start.zone.len() > MAX_ZONE_BYTES {
            return Err(BadConfig { field: "zone", wrong: "must have at most 32 bytes" });
        }
        if start.addresses.len() > MAX_ADDRESSES {
            return Err(BadConfig { field: "addresses", wrong: "must be at most 4" });
        }
        let own = Own::new(
            MemberId::of(&start.signer.public_key()),
            (start.generation, start.session),
            start.mesh,
            start.bounds,
        );
        let body = AliveBody {
            key: start.signer.public_key(),
            generation: start.generation,
            session: start.session,
            incarnation: Incarnation(1),
            addresses: start.addresses,
            zone: start.zone,
            protocol: PROTOCOL,
            presence: Presence::Here,
            key_life: start.key_life,
            summary: own.summary(),
        };
        let alive = Arc::new(Alive::sign(body, start.mesh, &*start.signer));
        let mut rng = StdRng::from_seed(start.randomness);
        let pace = Pace::new(start.config.pace(), Moment::ZERO, &mut rng);
        Ok(Self {
            mesh: start.mesh,
            me: alive.id(),
            alive,
            signer: start.signer,
            verifier: start.verifier,
            operator: start.operator,
            rng,
            roster: Roster::new(),
            rumours: Rumours::default(),
            awareness: Awareness::new(start.config.awareness_max),
            answers_take: Duration::ZERO,
            answers_vary: Duration::ZERO,
            inquiries: BTreeMap::new(),
            relay_nonces: BTreeMap::new(),
            relays: BTreeMap::new(),
            accused: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            bounds: start.bounds,
            own,
            blobs: Blobs::new(BLOBS_BYTES),
            blob_owners: BTreeMap::new(),
            heralded: BTreeMap::new(),
            pull: Pull::new(start.config.pull()),
            pace,
            fruitless_exchanges: 0,
            orders: OrderBook::new(),
            seeking: Seeking::new(start.remembered),
            next_epoch: 0,
            next_ask: 0,
            asks: BTreeMap::new(),
            probe_due: Moment::ZERO,
            push_due: None,
            pushed: Moment::ZERO,
            pull_due: None,
            refutations: (Moment::ZERO, 0),
            corrected: Moment::ZERO,
            fresh: false,
            config: start.config,
        })
    }

    /// Starts the timers. Call it once, before the first [`Protocol::handle`].
    pub fn begin(&mut self, now: Moment, out: &mut Effects) {
        let turn = &mut Turn { now, out };
        turn.notice(Notice::Myself(self.alive.clone()));
        turn.courier(ForCourier::Put(self.alive.clone()));
        self.begin_probing(turn);
        self.begin_joining(turn);
        self.begin_repairing(turn);
    }

    /// Takes an acquaintance over as if it had answered already: for simulations and tests that start in a mesh that
    /// stands. A node never calls it.
    pub fn acquaint(&mut self, now: Moment, alive: &Arc<Alive>, records: &[Arc<Record>], out: &mut Effects) {
        if alive.id() == self.me || self.roster.get(&alive.id()).is_some() {
            return;
        }
        let mut member = Member::new(alive.clone(), now);
        member.proof = Proof::Answered;
        self.roster.insert(alive.id(), member, &mut self.rng);
        let turn = &mut Turn { now, out };
        turn.courier(ForCourier::Put(alive.clone()));
        for record in records {
            self.take_record(record.clone(), alive.id(), turn);
        }
        self.seeking.settle();
        self.fresh = false;
    }

    /// One step: something happened at `now`. Wishes are appended to `out`.
    pub fn handle(&mut self, now: Moment, input: Input<'_>, out: &mut Effects) {
        let turn = &mut Turn { now, out };
        match input {
            Input::Datagram { from, sender, body } => self.receive(from, sender, body, turn),
            Input::Timer(timer) => self.fire(timer, turn),
            Input::Asked { from, ask, request } => self.answer_stream(from, ask, request, turn),
            Input::Answered { ask, answer } => self.take_answer(ask, answer, turn),
            Input::Learnt(alive) => self.learn_from_courier(alive, turn),
            Input::Carry { to, bytes } => self.carry(to, bytes, turn),
            Input::Shipped { from, bytes } => turn.courier(ForCourier::Received { from, bytes: bytes.to_vec() }),
            Input::Seeds(addresses) => self.take_seeds(addresses, turn),
            Input::Rejoin => self.seek_now(turn),
            Input::Command(Command::Leave) => self.leave(turn),
            Input::Command(Command::Obey(order)) => self.obey(order, turn),
            Input::Command(Command::Advertise(addresses)) => self.advertise(addresses, turn),
        }
        self.push_fresh(turn);
        self.plan_pulls(turn);
    }

    fn fire(&mut self, timer: Timer, turn: &mut Turn<'_>) {
        match timer {
            Timer::Probe => self.probe_next(turn),
            Timer::Inquiry(nonce) => self.advance_inquiry(nonce, turn),
            Timer::Suspicion(member, epoch) => self.suspicion_due(member, epoch, turn),
            Timer::Push => self.push_again(turn),
            Timer::Relay(nonce) => self.relay_due(nonce, turn),
            Timer::Pull => self.pull_due = self.pull_due.filter(|due| *due > turn.now),
            Timer::Seeds => self.seek(turn),
            Timer::Reunion => self.try_a_reunion(turn),
            Timer::Housekeeping => self.keep_house(turn),
            Timer::Courier => self.consider_exchange(turn),
        }
    }

    fn receive(&mut self, from: SocketAddr, sender: MemberId, body: &[u8], turn: &mut Turn<'_>) {
        if self.orders.is_banned(&sender) {
            return turn.reject(Reject::Banned);
        }
        let Ok(mut packet) = Reader::new(body) else { return turn.reject(Reject::Malformed) };
        let message = packet.message.take();
        for rumour in packet {
            match rumour {
                Ok(Some(rumour)) => self.hear(rumour, sender, turn),
                Ok(None) => turn.reject(Reject::UnknownKind),
                Err(_) => turn.reject(Reject::Malformed),
            }
        }
        match message {
            Some(Message::Gossip) => {}
            Some(Message::Ping(ping)) => self.take_ping(ping, from, sender, turn),
            Some(Message::Ack(ack)) => self.take_ack(&ack, sender, turn),
            Some(Message::AskFor(ask)) => self.relay(&ask, from, sender, turn),
            Some(Message::Relayed(relayed)) => self.take_relayed(&relayed, turn),
            Some(Message::Nack { nonce }) => self.take_nack(nonce, turn),
            Some(Message::NotMe { nonce }) => self.take_not_me(nonce, turn),
            Some(Message::Hello(hello)) => self.take_hello(&hello, from, turn),
            Some(Message::Welcome(welcome)) => self.take_welcome(&welcome, turn),
            Some(Message::Courier(bytes)) => turn.courier(ForCourier::Received { from: sender, bytes }),
            None => turn.reject(Reject::UnknownKind),
        }
        self.notice_the_dead_speaking(sender, turn);
    }

    /// Our id.
    pub fn id(&self) -> MemberId {
        self.me
    }

    /// Our own alive record.
    pub fn alive(&self) -> &Arc<Alive> {
        &self.alive
    }

    /// The parameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All other members.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Our own records.
    pub fn own_records(&self) -> &Own {
        &self.own
    }

    /// The blobs we hold.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The orders in force.
    pub fn orders(&self) -> &OrderBook {
        &self.orders
    }

    /// How ill we think we are: 0 is healthy (Lifeguard's local health).
    pub fn awareness(&self) -> u8 {
        self.awareness.score()
    }

    /// How many rumours we still tell.
    pub fn rumours(&self) -> usize {
        self.rumours.len()
    }

    /// Whether so many members come at once that everybody tells of little else.
    pub fn is_in_a_crowd(&self) -> bool {
        self.rumours.is_crowd()
    }

    /// Our whole view in eight bytes: equal with another member's when both see the same mesh.
    pub fn digest(&self) -> u64 {
        self.roster.digest().wrapping_add(fingerprint(&self.alive)).wrapping_add(self.orders.digest())
    }

    /// Since when the views of the members we talk to have differed from ours, if they do.
    pub fn differing_since(&self) -> Option<Moment> {
        self.pace.differing_since()
    }

    /// Whether we are part of the mesh, or the whole of it.
    pub fn is_joined(&self) -> bool {
        self.seeking.is_settled()
    }

    /// How many members there are, ourselves included.
    fn members(&self) -> usize {
        self.roster.live() + 1
    }

    /// Signs our alive record anew, with the summary of our records as they are and with what `change` changes.
    fn sign_anew(&mut self, turn: &mut Turn<'_>, change: impl FnOnce(&mut AliveBody)) {
        let mut body = self.alive.body().clone();
        body.incarnation = body.incarnation.next();
        body.summary = self.own.summary();
        change(&mut body);
        self.alive = Arc::new(Alive::sign(body, self.mesh, &*self.signer));
        turn.notice(Notice::Myself(self.alive.clone()));
        turn.courier(ForCourier::Put(self.alive.clone()));
        self.tell_alive(&self.alive.clone(), turn);
    }
}

#[cfg(test)]
mod tests;
