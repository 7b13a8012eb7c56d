//! Becoming and staying one mesh: hellos to seeds, strangers and remembered addresses, and reunions with the dead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::alive::{Address, Alive, AliveError, MAX_ADDRESSES, MAX_ALIVE_BYTES, Presence};
use crate::detect::Purpose;
use crate::effects::{Notice, Standing};
use crate::id::MemberId;
use crate::moment::Moment;
use crate::packet::{Hello, Message, Rumour, Welcome, Writer};
use crate::reject::Reject;
use crate::timer::Timer;

use super::admit::Via;
use super::{Protocol, Turn};

/// The most hellos under way.
const HELLOS_MAX: usize = 256;

/// The most addresses tried as seeds: the newest ones are left out beyond that.
const SEEDS_MAX: usize = 1_024;

/// How many hellos leave in one go.
const HELLOS_AT_ONCE: usize = 16;

/// After how long without any answer the user is told.
const ALONE_AFTER: Duration = Duration::from_secs(3);

/// How often and how long apart the whole other side is tried once two parts have met.
const REUNION_ROUNDS: u8 = 3;
const REUNION_PAUSE: Duration = Duration::from_millis(700);

/// Where we look for the mesh, and how that is going.
#[derive(Debug)]
pub(super) struct Seeking {
    /// `None` until somebody said where seeds are, or that there are none.
    seeds: Option<Vec<SocketAddr>>,
    /// Members of an earlier life, until we are settled; later the addresses of members forgotten too soon.
    remembered: Vec<SocketAddr>,
    /// Addresses at which we met ourselves.
    own: BTreeSet<SocketAddr>,
    /// Hellos without an answer yet, by nonce.
    hellos: BTreeMap<u64, (SocketAddr, Moment)>,
    retry: Duration,
    /// When to say hello next; timers of other moments are out of date.
    due: Moment,
    state: Settling,
    since: Moment,
    said_alone: bool,
    reunion: (Moment, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settling {
    /// Nobody has answered.
    Alone,
    /// Somebody has; the first view is on its way.
    Welcomed,
    /// We are part of the mesh, or the whole of it.
    Settled,
}

impl Seeking {
    pub(super) fn new(remembered: Vec<SocketAddr>) -> Self {
        Self {
            seeds: None,
            remembered,
            own: BTreeSet::new(),
            hellos: BTreeMap::new(),
            retry: Duration::ZERO,
            due: Moment::ZERO,
            state: Settling::Alone,
            since: Moment::ZERO,
            said_alone: false,
            reunion: (Moment::ZERO, REUNION_ROUNDS),
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.state == Settling::Settled
    }

    pub(super) fn settle(&mut self) {
        self.state = Settling::Settled;
    }
}

impl Protocol {
    pub(super) fn begin_joining(&mut self, turn: &mut Turn<'_>) {
        self.seeking.since = turn.now;
        self.seek_now(turn);
        turn.wake(turn.now.after(self.reunion_period()), Timer::Reunion);
        turn.wake(turn.now.after(Duration::from_secs(1)), Timer::Housekeeping);
    }

    pub(super) fn take_seeds(&mut self, addresses: &[SocketAddr], turn: &mut Turn<'_>) {
        let seeds: Vec<SocketAddr> = addresses.iter().take(SEEDS_MAX).copied().collect();
        let known = self.seeking.seeds.as_deref();
        let new = known.is_none_or(|known| seeds.iter().any(|address| !known.contains(address)));
        self.seeking.seeds = Some(seeds);
        if new {
            self.seek_now(turn);
        }
    }

    pub(super) fn seek_now(&mut self, turn: &mut Turn<'_>) {
        self.seeking.retry = self.config.seed_retry_min;
        self.seek_at(turn.now, turn);
    }

    fn seek_at(&mut self, due: Moment, turn: &mut Turn<'_>) {
        self.seeking.due = due;
        turn.wake(due, Timer::Seeds);
    }

    /// Says hello wherever a seed should be and no live member is known to be.
    pub(super) fn seek(&mut self, turn: &mut Turn<'_>) {
        if turn.now < self.seeking.due {
            return;
        }
        let missing: Vec<SocketAddr> = self.missing_seeds();
        if missing.is_empty() && self.seeking.state == Settling::Alone && self.seeking.seeds.is_some() {
            self.settle_or_ask_again(turn);
        }
        let start = if missing.is_empty() { 0 } else { self.rng.random_range(0..missing.len()) };
        for step in 0..missing.len().min(HELLOS_AT_ONCE) {
            self.say_hello(missing[(start + step) % missing.len()], turn);
        }
        let jitter = self.rng.random_range(0.8..1.2);
        self.seek_at(turn.now.after(self.seeking.retry.mul_f64(jitter)), turn);
        self.seeking.retry = (self.seeking.retry * 2).min(self.config.seed_retry_max);
    }

    /// No seed is missing. Either there is nobody to look for and we are the first, or those who welcomed us have not told
    /// whom they know.
    fn settle_or_ask_again(&mut self, turn: &mut Turn<'_>) {
        match self.roster.choose(&mut self.rng, 1, |_| true).first() {
            None => self.settle(turn),
            Some(member) => {
                self.seeking.state = Settling::Welcomed;
                self.pull_members(*member, turn);
            }
        }
    }

    fn missing_seeds(&self) -> Vec<SocketAddr> {
        let remembered = if self.seeking.is_settled() { &[] } else { self.seeking.remembered.as_slice() };
        let wanted = self.seeking.seeds.iter().flatten().chain(remembered);
        wanted
            .filter(|address| !self.seeking.own.contains(address) && !self.is_ours(**address))
            .filter(|address| !self.roster.lives_at(**address))
            .copied()
            .collect()
    }

    fn is_ours(&self, address: SocketAddr) -> bool {
        self.alive.body().addresses.iter().any(|own| own.gossip() == address)
    }

    fn say_hello(&mut self, to: SocketAddr, turn: &mut Turn<'_>) {
        if self.seeking.hellos.len() >= HELLOS_MAX || self.has_left() {
            return;
        }
        let nonce = self.rng.next_u64();
        self.seeking.hellos.insert(nonce, (to, turn.now));
        let alive = self.alive.bytes().to_vec();
        // The answer holds a record of the other's and our address: it must not be longer than the question.
        let padding = vec![0; (MAX_ALIVE_BYTES + 24).saturating_sub(alive.len())];
        let members = u32::try_from(self.members()).unwrap_or(u32::MAX);
        let hello = Hello { nonce, alive, members, padding };
        turn.send(to, Writer::new(&Message::Hello(hello)).finish());
    }

    /// Somebody we do not know pinged us: perhaps we forgot it, perhaps its record never reached us.
    pub(super) fn meet_stranger(&mut self, from: SocketAddr, turn: &mut Turn<'_>) {
        let greeted = self.seeking.hellos.values().any(|(to, _)| *to == from);
        if !greeted && self.seeking.hellos.len() < HELLOS_AT_ONCE {
            self.say_hello(from, turn);
        }
    }

    pub(super) fn take_hello(&mut self, hello: &Hello, from: SocketAddr, turn: &mut Turn<'_>) {
        match Alive::verify(&hello.alive, self.mesh, &*self.verifier) {
            Ok(alive) if alive.id() == self.me => {
                if let Some((to, _)) = self.seeking.hellos.remove(&hello.nonce) {
                    self.seeking.own.insert(to);
                } else {
                    self.admit(&Arc::new(alive), self.me, Via::Rumour, turn);
                }
            }
            Ok(alive) => self.welcome(alive, hello, from, turn),
            Err(AliveError::Malformed) => turn.reject(Reject::Malformed),
            Err(AliveError::Forged) => turn.reject(Reject::Forged),
        }
    }

    fn welcome(&mut self, alive: Alive, hello: &Hello, from: SocketAddr, turn: &mut Turn<'_>) {
        let id = alive.id();
        if self.orders.is_banned(&id) {
            return turn.reject(Reject::Banned);
        }
        let welcome = Welcome { nonce: hello.nonce, alive: self.alive.bytes().to_vec(), observed: from };
        turn.send(from, Writer::new(&Message::Welcome(welcome)).finish());
        let stranger = self.roster.get(&id).is_none();
        self.forgotten.remove(&id);
        let in_person = alive.body().addresses.iter().any(|address| address.gossip() == from);
        self.admit(&Arc::new(alive), id, if in_person { Via::Hello } else { Via::Rumour }, turn);
        let is_found = self.seeking.state == Settling::Alone;
        if hello.members > 1 && (stranger || is_found) {
            if is_found {
                // The mesh has come to us, whatever became of the seeds we were told.
                self.seeking.state = Settling::Welcomed;
            }
            // An island of its own comes with it.
            self.pull_members(id, turn);
        }
    }

    pub(super) fn take_welcome(&mut self, welcome: &Welcome, turn: &mut Turn<'_>) {
        let Some((to, _)) = self.seeking.hellos.remove(&welcome.nonce) else { return turn.reject(Reject::Unasked) };
        let alive = match Alive::verify(&welcome.alive, self.mesh, &*self.verifier) {
            Ok(alive) => Arc::new(alive),
            Err(AliveError::Malformed) => return turn.reject(Reject::Malformed),
            Err(AliveError::Forged) => return turn.reject(Reject::Forged),
        };
        let id = alive.id();
        if id == self.me {
            self.seeking.own.insert(to);
            return;
        }
        // Only where the user sent us: anybody can ping us from an address and be greeted there.
        if self.seeking.seeds.iter().flatten().any(|seed| *seed == to) {
            turn.notice(Notice::Observed { address: welcome.observed, by: id });
        }
        let stranger = self.roster.get(&id).is_none();
        self.admit(&alive, id, Via::Welcome, turn);
        if self.roster.get(&id).is_some_and(|member| member.standing() == Standing::Dead) {
            self.inquire(id, Purpose::Reunion, turn.now, turn);
        }
        if self.seeking.state == Settling::Alone {
            self.seeking.state = Settling::Welcomed;
            self.pull_members(id, turn);
        } else if stranger {
            self.pull_members(id, turn);
        }
    }

    /// A member's whole list of members has arrived, or cannot be had.
    pub(super) fn members_pulled(&mut self, turn: &mut Turn<'_>) {
        if self.seeking.state == Settling::Welcomed {
            self.settle(turn);
        }
    }

    pub(super) fn members_not_pulled(&mut self, turn: &mut Turn<'_>) {
        if self.seeking.state == Settling::Welcomed {
            self.seeking.state = Settling::Alone;
            self.seek_now(turn);
        }
    }

    fn settle(&mut self, turn: &mut Turn<'_>) {
        self.seeking.state = Settling::Settled;
        self.seeking.remembered.clear();
        turn.notice(Notice::Joined { members: self.members() });
    }

    pub(super) fn expire_hellos(&mut self, now: Moment) {
        let patience = self.config.ask_timeout * 4;
        self.seeking.hellos.retain(|_, (_, said)| now.since(*said) < patience);
    }

    pub(super) fn say_if_still_alone(&mut self, turn: &mut Turn<'_>) {
        let trying = turn.now.since(self.seeking.since);
        if self.seeking.state == Settling::Alone && trying >= ALONE_AFTER && !self.seeking.said_alone {
            self.seeking.said_alone = true;
            turn.notice(Notice::StillAlone { trying });
        }
    }

    /// Keeps the address of a member whose key we forget: somebody may live there again.
    pub(super) fn remember_address(&mut self, id: MemberId) {
        let address = self.roster.get(&id).and_then(|member| self.address_of(&member.alive));
        if let Some(address) = address
            && self.seeking.remembered.len() < SEEDS_MAX
            && !self.seeking.remembered.contains(&address)
        {
            self.seeking.remembered.push(address);
        }
    }

    fn reunion_period(&self) -> Duration {
        Duration::from_secs_f64(self.members() as f64 / self.config.reunions_per_second)
    }

    /// Now and then some member tries one of the dead again, so that a healed partition meets.
    pub(super) fn try_a_reunion(&mut self, turn: &mut Turn<'_>) {
        let period = self.reunion_period().mul_f64(self.rng.random_range(0.5..1.5));
        turn.wake(turn.now.after(period), Timer::Reunion);
        if self.has_left() {
            return;
        }
        if self.roster.len() > self.roster.live() {
            let dead = self.roster.choose_where(&mut self.rng, |member| member.standing() == Standing::Dead);
            if let Some(dead) = dead {
                self.inquire(dead, Purpose::Reunion, turn.now, turn);
            }
        }
        if self.seeking.is_settled() && !self.seeking.remembered.is_empty() {
            let at = self.rng.random_range(0..self.seeking.remembered.len());
            let address = self.seeking.remembered[at];
            if self.roster.lives_at(address) {
                self.seeking.remembered.swap_remove(at);
            } else {
                self.say_hello(address, turn);
            }
        }
    }

    /// Somebody we think dead sends us something. That proves nothing, but is worth a question.
    pub(super) fn notice_the_dead_speaking(&mut self, sender: MemberId, turn: &mut Turn<'_>) {
        if self.roster.get(&sender).is_some_and(|member| member.standing() == Standing::Dead)
            && !self.inquiries.values().any(|inquiry| inquiry.member == sender)
        {
            self.inquire(sender, Purpose::Reunion, turn.now, turn);
        }
    }

    /// A member we thought dead is there: perhaps a partition has healed. Its list of members is worth having, and all
    /// whom we think dead are worth a question, at once.
    pub(super) fn reunited(&mut self, with: MemberId, turn: &mut Turn<'_>) {
        let (at, rounds) = self.seeking.reunion;
        if rounds < REUNION_ROUNDS || turn.now.since(at) < REUNION_PAUSE * u32::from(REUNION_ROUNDS) {
            return;
        }
        self.seeking.reunion = (turn.now, 0);
        self.pull_members(with, turn);
        self.ask_all_the_dead(turn);
    }

    /// Whether all the dead are being asked.
    pub(super) fn meets_again(&self) -> bool {
        self.seeking.reunion.1 < REUNION_ROUNDS
    }

    /// One round of asking all the dead; the next follows when this one had time to be answered.
    pub(super) fn ask_all_the_dead(&mut self, turn: &mut Turn<'_>) {
        let (at, rounds) = self.seeking.reunion;
        if rounds >= REUNION_ROUNDS || turn.now < at {
            return;
        }
        let dead: Vec<MemberId> =
            self.roster.iter().filter(|(_, member)| member.standing() == Standing::Dead).map(|(id, _)| *id).collect();
        let spread = Duration::from_micros(500) * u32::try_from(dead.len()).unwrap_or(u32::MAX);
        for id in dead {
            let wait = spread.mul_f64(self.rng.random_range(0.0..1.0));
            self.inquire(id, Purpose::Reunion, turn.now.after(wait), turn);
        }
        self.seeking.reunion = (turn.now.after(spread + REUNION_PAUSE), rounds + 1);
    }

    pub(super) fn has_left(&self) -> bool {
        self.alive.body().presence == Presence::Left
    }

    /// Says goodbye to many at once.
    pub(super) fn leave(&mut self, turn: &mut Turn<'_>) {
        if self.has_left() {
            return;
        }
        self.sign_anew(turn, |body| body.presence = Presence::Left);
        self.call_out(&[Rumour::Alive(self.alive.bytes().to_vec())], 2 * self.config.push_fanout, turn);
    }

    pub(super) fn advertise(&mut self, mut addresses: Vec<Address>, turn: &mut Turn<'_>) {
        // Others would refuse a record with more.
        addresses.truncate(MAX_ADDRESSES);
        if addresses != self.alive.body().addresses {
            self.sign_anew(turn, |body| body.addresses = addresses);
        }
    }
}
