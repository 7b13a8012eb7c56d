//! Asking members whether they are there.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::alive::Alive;
use crate::config::Doctrine;
use crate::detect::{Inquiry, Purpose, Stage};
use crate::effects::Standing;
use crate::id::{MemberId, MeshId};
use crate::moment::Moment;
use crate::packet::{Ack, AskFor, Message, Ping, Relayed, Rumour, Writer};
use crate::reject::Reject;
use crate::rumour::Pick;
use crate::timer::Timer;

use super::admit::Via;
use super::{Protocol, Turn};

/// The most questions relayed at once; one more is refused, and the asker finds no nack.
const RELAYS_MAX: usize = 4_096;

/// The most inquiries under way at once: enough for a third of a large mesh dying together.
const INQUIRIES_MAX: usize = 4_096;

/// How many of them may be about newcomers or the dead, so that invented ones cannot stop the probing of members.
const IDLE_INQUIRIES_MAX: usize = INQUIRIES_MAX / 2;

/// How many more newcomers are checked when they said hello themselves, from an address of theirs.
const HELLO_INQUIRIES: usize = INQUIRIES_MAX / 4;

/// The least time between two corrections: an unproven address is not to be showered.
const CORRECTION_PAUSE: Duration = Duration::from_millis(100);

/// While hundreds join, probes come so much rarer: each newcomer asks everybody anyway, which is more.
const CROWD_EASE: u32 = 3;

/// The longest that answers are waited for because others take long.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2);

/// A question we ask on behalf of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    asker: MemberId,
    reply_to: SocketAddr,
    nonce: u64,
    target: MemberId,
    expires: Moment,
}

impl Protocol {
    pub(super) fn begin_probing(&mut self, turn: &mut Turn<'_>) {
        let phase = self.rng.random_range(0.0..1.0);
        self.probe_due = turn.now.after(self.config.probe_period.mul_f64(phase));
        turn.wake(self.probe_due, Timer::Probe);
    }

    /// Probes the next member of the round (SWIM §3.1), and notices when we ourselves were away.
    pub(super) fn probe_next(&mut self, turn: &mut Turn<'_>) {
        self.notice_own_stall(self.probe_due, turn);
        let ease = if self.is_in_a_crowd() { CROWD_EASE } else { 1 };
        self.probe_due = turn.now.after(self.awareness.stretch(self.config.probe_period) * ease);
        turn.wake(self.probe_due, Timer::Probe);
        if self.has_left() {
            return;
        }
        if let Some(member) = self.roster.next_to_probe(&mut self.rng) {
            self.inquire(member, Purpose::Round, turn.now, turn);
        }
    }

    /// Starts asking after a member at `start`. Returns the nonce, unless too much is being asked already.
    pub(super) fn inquire(
        &mut self,
        member: MemberId,
        purpose: Purpose,
        start: Moment,
        turn: &mut Turn<'_>,
    ) -> Option<u64> {
        if !self.can_inquire(purpose) {
            return None;
        }
        let nonce = self.rng.next_u64();
        self.inquiries.insert(nonce, Inquiry::new(member, purpose, start));
        if start <= turn.now {
            self.advance_inquiry(nonce, turn);
        } else {
            turn.wake(start, Timer::Inquiry(nonce));
        }
        Some(nonce)
    }

    /// Whether a newcomer can be checked; one that came in person finds room that no rumours of others take up.
    pub(super) fn can_check_newcomer(&self, via: Via) -> bool {
        let bound = if via == Via::Hello { IDLE_INQUIRIES_MAX + HELLO_INQUIRIES } else { IDLE_INQUIRIES_MAX };
        self.inquiries.len() < bound
    }

    fn can_inquire(&self, purpose: Purpose) -> bool {
        let bound = match purpose {
            Purpose::Reunion => IDLE_INQUIRIES_MAX,
            Purpose::Newcomer | Purpose::Round | Purpose::Confirm | Purpose::Hearsay => INQUIRIES_MAX,
        };
        self.inquiries.len() < bound
    }

    /// Over how long first checks of newcomers are spread: longer when hundreds come at once.
    pub(super) fn newcomer_spread(&self) -> Duration {
        self.config.newcomer_jitter.mul_f64(1.0 + self.inquiries.len() as f64 / 256.0)
    }

    /// The next stage of an inquiry, or its end in silence.
    pub(super) fn advance_inquiry(&mut self, nonce: u64, turn: &mut Turn<'_>) {
        let Some(inquiry) = self.inquiries.get(&nonce) else { return };
        if turn.now < inquiry.due {
            return;
        }
        let is_newcomers = inquiry.purpose == Purpose::Newcomer;
        if !is_newcomers && self.notice_own_stall(inquiry.due, turn) {
            return;
        }
        if self.is_moot(nonce) {
            self.close_inquiry(nonce);
            return;
        }
        let patience = self.patience(is_newcomers);
        let Some(inquiry) = self.inquiries.get_mut(&nonce) else { return };
        let Some(plan) = Inquiry::plan(inquiry.purpose, inquiry.stage, &self.config) else {
            return self.conclude_silence(nonce, turn);
        };
        if inquiry.stage == 0 {
            inquiry.sent = turn.now;
        }
        inquiry.stage += 1;
        inquiry.due = turn.now.after(patience);
        turn.wake(inquiry.due, Timer::Inquiry(nonce));
        let member = inquiry.member;
        if plan != Stage::Indirect {
            self.ping(member, nonce, turn);
        }
        if plan != Stage::Direct {
            self.ask_others(member, nonce, turn);
        }
    }

    /// How long to wait for an answer: longer while we are slow ourselves, and where all others are, as hundreds are that
    /// start on one machine, or take now this long and now that (RFC 6298's time-out, but slower to believe in variance, so
    /// that single losses do not look like it). Who never answers makes nobody wait longer.
    pub(super) fn patience(&self, is_newcomers: bool) -> Duration {
        let timeout = self.config.probe_timeout;
        let own = if is_newcomers { timeout } else { self.awareness.stretch(timeout) };
        let spread = self.answers_take.max(4 * self.answers_vary);
        own.max((self.answers_take + spread).min(LONGEST_PATIENCE))
    }

    pub(super) fn answer_took(&mut self, time: Duration) {
        if self.config.doctrine == Doctrine::Careful {
            self.answers_vary = (7 * self.answers_vary + time.abs_diff(self.answers_take)) / 8;
            self.answers_take = (7 * self.answers_take + time) / 8;
        }
    }

    /// Whether nothing follows from an inquiry any more: its member was forgotten, has left, or is dead already. Its
    /// silence then says nothing about our own health either.
    fn is_moot(&self, nonce: u64) -> bool {
        let Some(inquiry) = self.inquiries.get(&nonce) else { return true };
        match (self.roster.get(&inquiry.member), inquiry.purpose) {
            (None, _) => true,
            (Some(member), Purpose::Round | Purpose::Confirm | Purpose::Hearsay) => !member.is_live(),
            (Some(_), Purpose::Newcomer | Purpose::Reunion) => false,
        }
    }

    fn ping(&mut self, target: MemberId, nonce: u64, turn: &mut Turn<'_>) {
        let Some(member) = self.roster.get(&target) else { return };
        let Some(to) = self.address_of(&member.alive) else { return };
        let purpose = self.inquiries.get(&nonce).map(|inquiry| inquiry.purpose);
        let accused = match member.standing() {
            Standing::Suspect => true,
            // When two parts meet again, hundreds would refute at once what everybody finds out by asking.
            Standing::Dead => !self.meets_again(),
            Standing::Alive | Standing::Left => purpose == Some(Purpose::Hearsay),
        };
        let doubt = accused.then_some(member.alive.life().incarnation);
        let ping = Ping { target, nonce, digest: self.digest(), behalf: None, doubt };
        let mut packet = Writer::new(&Message::Ping(ping));
        self.fill(&mut packet, Pick::Untold);
        turn.send(to, packet.finish());
    }

    fn ask_others(&mut self, target: MemberId, nonce: u64, turn: &mut Turn<'_>) {
        let helpers = self.roster.choose(&mut self.rng, self.config.indirect_probes, |id| *id != target);
        let relay_nonce = self.rng.next_u64();
        let Some(inquiry) = self.inquiries.get_mut(&nonce) else { return };
        // Words that answer an earlier try are still good: its nonce stays in the table.
        inquiry.relay_nonces.push(relay_nonce);
        inquiry.helpers += helpers.len();
        self.relay_nonces.insert(relay_nonce, nonce);
        for helper in helpers {
            if let Some(to) = self.roster.get(&helper).and_then(|member| self.address_of(&member.alive)) {
                let mut packet = Writer::new(&Message::AskFor(AskFor { target, nonce: relay_nonce }));
                self.fill(&mut packet, Pick::Untold);
                turn.send(to, packet.finish());
            }
        }
    }

    pub(super) fn take_ping(&mut self, ping: Ping, from: SocketAddr, sender: MemberId, turn: &mut Turn<'_>) {
        if ping.target != self.me {
            turn.reject(Reject::NotForUs);
            return turn.send(from, Writer::new(&Message::NotMe { nonce: ping.nonce }).finish());
        }
        if ping.doubt == Some(self.alive.life().incarnation) {
            self.refute(turn);
        }
        let word = ping.behalf.map(|(asker, nonce)| self.signer.sign(&word(self.mesh, nonce, asker, self.me)));
        let digest = self.digest();
        let mut packet = Writer::new(&Message::Ack(Ack { nonce: ping.nonce, digest, word }));
        // Rumours go only where the claimed sender is known to live: a forged source address gains nothing by us.
        if self.lives_at(sender, from) {
            let pick = if ping.digest == digest { Pick::Untold } else { Pick::Fresh };
            self.fill(&mut packet, pick);
            self.compare_views(sender, ping.digest == digest, turn);
        }
        turn.send(from, packet.finish());
        self.correct_the_pinger(sender, from, turn);
    }

    /// A ping from somebody we do not know, or from an address where the claimed sender does not live any more: a member
    /// whose record never reached us, or a process whose key another has taken over. Either should hear of it.
    fn correct_the_pinger(&mut self, sender: MemberId, from: SocketAddr, turn: &mut Turn<'_>) {
        let Some(known) = self.roster.get(&sender).map(|member| member.alive.clone()) else {
            return self.meet_stranger(from, turn);
        };
        let elsewhere = !self.lives_at(sender, from) && sender != self.me;
        if elsewhere && turn.now.since(self.corrected) >= CORRECTION_PAUSE {
            self.corrected = turn.now;
            let mut packet = Writer::new(&Message::Gossip);
            packet.push(&Rumour::Alive(known.bytes().to_vec()).encode());
            turn.send(from, packet.finish());
        }
    }

    pub(super) fn take_ack(&mut self, ack: &Ack, sender: MemberId, turn: &mut Turn<'_>) {
        if let Some(relay) = self.relays.get(&ack.nonce) {
            if let (Some(word), true) = (ack.word, relay.target == sender) {
                let relayed = Relayed { nonce: relay.nonce, word };
                let reply_to = relay.reply_to;
                self.relays.remove(&ack.nonce);
                turn.send(reply_to, Writer::new(&Message::Relayed(relayed)).finish());
            }
            return;
        }
        let Some(inquiry) = self.inquiries.get(&ack.nonce) else { return turn.reject(Reject::Unasked) };
        if inquiry.member != sender {
            return turn.reject(Reject::Unasked);
        }
        let took = turn.now.since(inquiry.sent);
        // Only a first try tells the round trip: of later ones nobody knows which was answered (Karn's rule).
        let round_trip = (inquiry.stage == 1).then_some(took);
        self.answer_took(took);
        if let Some(round_trip) = round_trip {
            self.roster.update(&sender, |member| member.measured(round_trip));
        }
        self.conclude_answer(ack.nonce, turn);
        let same = ack.digest == self.digest();
        self.compare_views(sender, same, turn);
        if !same {
            self.repeat_news(sender, turn);
        }
    }

    /// Somebody wants to know through us whether `ask.target` is there (SWIM's ping-req).
    pub(super) fn relay(&mut self, ask: &AskFor, from: SocketAddr, sender: MemberId, turn: &mut Turn<'_>) {
        let target = self.roster.get(&ask.target).and_then(|member| self.address_of(&member.alive));
        let Some(to) = target else {
            return turn.send(from, Writer::new(&Message::Nack { nonce: ask.nonce }).finish());
        };
        if self.relays.len() >= RELAYS_MAX {
            return turn.reject(Reject::TooManyRelays);
        }
        let nonce = self.rng.next_u64();
        let expires = turn.now.after(self.config.probe_timeout * 4);
        let relay = Relay { asker: sender, reply_to: from, nonce: ask.nonce, target: ask.target, expires };
        self.relays.insert(nonce, relay);
        let ping = Ping {
            target: ask.target,
            nonce,
            digest: self.digest(),
            behalf: Some((relay.asker, relay.nonce)),
            doubt: None,
        };
        turn.send(to, Writer::new(&Message::Ping(ping)).finish());
        // Lifeguard §3: the nack leaves in time to arrive before the asker gives up.
        turn.wake(turn.now.after(self.config.probe_timeout.mul_f64(0.6)), Timer::Relay(nonce));
    }

    pub(super) fn relay_due(&mut self, nonce: u64, turn: &mut Turn<'_>) {
        if let Some(relay) = self.relays.get(&nonce) {
            turn.send(relay.reply_to, Writer::new(&Message::Nack { nonce: relay.nonce }).finish());
        }
    }

    pub(super) fn take_relayed(&mut self, relayed: &Relayed, turn: &mut Turn<'_>) {
        let nonce = self.relay_nonces.get(&relayed.nonce).copied();
        let Some((nonce, inquiry)) = nonce.and_then(|nonce| Some((nonce, self.inquiries.get(&nonce)?))) else {
            return turn.reject(Reject::Unasked);
        };
        let Some(member) = self.roster.get(&inquiry.member) else { return turn.reject(Reject::Unasked) };
        let message = word(self.mesh, relayed.nonce, self.me, inquiry.member);
        if !self.verifier.verify(&member.alive.body().key, &message, &relayed.word) {
            return turn.reject(Reject::Forged);
        }
        self.conclude_answer(nonce, turn);
    }

    pub(super) fn take_nack(&mut self, relay_nonce: u64, turn: &mut Turn<'_>) {
        let nonce = self.relay_nonces.get(&relay_nonce);
        match nonce.and_then(|nonce| self.inquiries.get_mut(nonce)) {
            Some(inquiry) => inquiry.nacks += 1,
            None => turn.reject(Reject::Unasked),
        }
    }

    /// Somebody else lives where we pinged: as good as silence, and at once. But nobody is dead of it: where a verdict is
    /// asked for, others may still reach the member at another address, and all tries are made.
    pub(super) fn take_not_me(&mut self, nonce: u64, turn: &mut Turn<'_>) {
        if self.relays.contains_key(&nonce) {
            return;
        }
        let Some(inquiry) = self.inquiries.get_mut(&nonce) else { return turn.reject(Reject::Unasked) };
        if matches!(inquiry.purpose, Purpose::Confirm | Purpose::Hearsay) {
            return;
        }
        // No helper was needed, so none is missing.
        inquiry.nacks = inquiry.helpers.max(1);
        inquiry.helpers = inquiry.nacks;
        self.conclude_silence(nonce, turn);
    }

    /// Drops an inquiry and its nonces.
    pub(super) fn close_inquiry(&mut self, nonce: u64) -> Option<Inquiry> {
        let inquiry = self.inquiries.remove(&nonce)?;
        for relay_nonce in &inquiry.relay_nonces {
            self.relay_nonces.remove(relay_nonce);
        }
        if self.accused.get(&inquiry.member) == Some(&nonce) {
            self.accused.remove(&inquiry.member);
        }
        Some(inquiry)
    }

    /// When a timer comes far too late, we were not there to hear the answers: nothing that was silent meanwhile counts,
    /// and all that runs begins anew. Says whether it was so.
    fn notice_own_stall(&mut self, due: Moment, turn: &mut Turn<'_>) -> bool {
        let late = turn.now.since(due);
        if late <= self.config.probe_timeout || self.config.doctrine == Doctrine::Plain {
            return false;
        }
        let timeouts = late.as_micros() / self.config.probe_timeout.as_micros().max(1);
        self.awareness.worsen(usize::try_from(timeouts).unwrap_or(usize::MAX).min(3));
        // Newcomers are not spared: thousands of invented ones would hold out for as long as they keep us busy, and a real
        // one that is wronged comes back by itself.
        let spared = self.inquiries.iter_mut().filter(|(_, inquiry)| inquiry.purpose != Purpose::Newcomer);
        for (nonce, inquiry) in spared {
            inquiry.restart(turn.now);
            turn.wake(turn.now, Timer::Inquiry(*nonce));
        }
        self.relay_nonces.clear();
        self.restart_suspicions(turn);
        true
    }

    pub(super) fn expire_relays(&mut self, now: Moment) {
        self.relays.retain(|_, relay| relay.expires > now);
    }

    /// Where we would reach a member: its first address of a kind that we have ourselves, else its first.
    pub(super) fn address_of(&self, alive: &Alive) -> Option<SocketAddr> {
        self.reachable(alive).map(|address| address.gossip())
    }

    /// Whether `from` is an address that `sender` advertises.
    pub(super) fn lives_at(&self, sender: MemberId, from: SocketAddr) -> bool {
        self.roster
            .get(&sender)
            .is_some_and(|member| member.alive.body().addresses.iter().any(|address| address.gossip() == from))
    }
}

/// What a target signs for whoever asked through another.
fn word(mesh: MeshId, nonce: u64, asker: MemberId, target: MemberId) -> Vec<u8> {
    let mut message = b"mesh word 1".to_vec();
    message.extend_from_slice(&mesh.0);
    message.extend_from_slice(&nonce.to_le_bytes());
    message.extend_from_slice(asker.as_bytes());
    message.extend_from_slice(target.as_bytes());
    message
}
