//! Alive records: newcomers, restarts, two processes with one key, and forgetting.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use crate::alive::{Address, Alive, AliveError, KeyLife, Life, Presence};
use crate::detect::Purpose;
use crate::effects::{ForCourier, Notice, Standing};
use crate::id::MemberId;
use crate::packet::{Message, Rumour, Writer};
use crate::pull::Urgency;
use crate::reject::Reject;
use crate::roster::{Member, Proof, State};
use crate::rumour::Subject;
use crate::timer::Timer;

use super::{Protocol, Turn};

const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(1);

/// How long a member that was forgotten for its silence is not taken back in the same life.
const FORGOTTEN_FOR: Duration = Duration::from_secs(15);

/// The most lives remembered as forgotten. When full, the one to expire first makes room.
const FORGOTTEN_MAX: usize = 8_192;

/// How long the memory of a member that left is kept, so that old records of it are known as old.
const LEFT_KEPT_FOR: Duration = Duration::from_secs(3600);

/// How an alive record came to us, and so what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// As a rumour: it is news to others too.
    Rumour,
    /// In the member's own hello, from an address that it advertises.
    Hello,
    /// In a bulk answer or through the courier: others most likely know it.
    Bulk,
    /// In the answer to our hello. It carries our nonce, but a record that anybody may have at hand: worth a question at
    /// once, and no proof.
    Welcome,
}

impl Protocol {
    pub(super) fn hear_alive(&mut self, bytes: &[u8], teller: MemberId, turn: &mut Turn<'_>) {
        if let Some((id, held, told)) = self.compare_lives(bytes)
            && held >= told
        {
            if held == told {
                self.rumours.heard_again(&Subject::Alive(id));
            }
            return;
        }
        match Alive::verify(bytes, self.mesh, &*self.verifier) {
            Ok(alive) => self.admit(&Arc::new(alive), teller, Via::Rumour, turn),
            Err(AliveError::Malformed) => turn.reject(Reject::Malformed),
            Err(AliveError::Forged) => turn.reject(Reject::Forged),
        }
    }

    /// Whether these are the very bytes we hold already, or older ones: most rumours are, and need no signature checked.
    pub(super) fn knows_exactly(&self, bytes: &[u8]) -> bool {
        self.compare_lives(bytes).is_some_and(|(_, held, told)| held >= told)
    }

    /// Whose record these bytes claim to be, which life of it we hold, and which one they claim.
    fn compare_lives(&self, bytes: &[u8]) -> Option<(MemberId, Life, Life)> {
        let (id, told) = Alive::peek(bytes).ok()?;
        let known = if id == self.me { &self.alive } else { &self.roster.get(&id)?.alive };
        Some((id, known.life(), told))
    }

    /// Takes in a verified alive record.
    pub(super) fn admit(&mut self, alive: &Arc<Alive>, teller: MemberId, via: Via, turn: &mut Turn<'_>) {
        let id = alive.id();
        if id == self.me {
            return self.meet_myself(alive, turn);
        }
        if self.orders.is_banned(&id) {
            return turn.reject(Reject::Banned);
        }
        if self.orders.forgotten(&id).is_some_and(|life| life >= alive.life()) {
            return;
        }
        match self.roster.get(&id).map(|member| alive.age(&member.alive)) {
            None => self.admit_newcomer(alive, via, turn),
            Some(Ordering::Greater) => self.renew(alive, via, turn),
            Some(Ordering::Less | Ordering::Equal) => return,
        }
        let told = matches!(via, Via::Rumour | Via::Hello);
        let urgency = if told { Urgency::MayComeByItself } else { Urgency::Now };
        self.compare_records(id, teller, urgency, turn);
    }

    fn admit_newcomer(&mut self, alive: &Arc<Alive>, via: Via, turn: &mut Turn<'_>) {
        let id = alive.id();
        let forgotten = self.forgotten.get(&id).is_some_and(|(life, _)| *life >= alive.life());
        if alive.body().presence == Presence::Left || (forgotten && via != Via::Welcome) {
            return;
        }
        let is_full = self.roster.len() >= self.config.members_max;
        if !self.can_check_newcomer(via) || (is_full && !self.make_room(turn)) {
            return turn.reject(Reject::RosterFull);
        }
        self.roster.insert(id, Member::new(alive.clone(), turn.now), &mut self.rng);
        turn.notice(Notice::Member { alive: alive.clone(), standing: Standing::Alive });
        // Who is told of in bulk has been there before us.
        if via != Via::Bulk {
            self.rumours.welcome(turn.now);
        }
        self.pass_on(alive, via, turn);
        let share = if via == Via::Welcome { 0.0 } else { self.rng.random_range(0.0..1.0) };
        let start = turn.now.after(self.newcomer_spread().mul_f64(share));
        self.inquire(id, Purpose::Newcomer, start, turn);
    }

    /// A newer word of a member we know: it restarted, refuted, changed or left.
    fn renew(&mut self, alive: &Arc<Alive>, via: Via, turn: &mut Turn<'_>) {
        let id = alive.id();
        let left = alive.body().presence == Presence::Left;
        let changed = self.roster.update(&id, |member| {
            let before = member.standing();
            let life = (member.alive.life().generation, member.alive.life().session);
            let restarted = life != (alive.life().generation, alive.life().session);
            let void = if restarted { member.records.take() } else { None };
            if restarted {
                member.round_trip = None;
            }
            member.alive = alive.clone();
            member.state = if left { State::Left { since: turn.now } } else { State::Alive };
            (before, restarted, void)
        });
        let Some((before, restarted, void)) = changed else { return };
        if let Some(nonce) = self.accused.remove(&id) {
            self.close_inquiry(nonce);
        }
        if before == Standing::Suspect {
            self.drop_verdicts(id);
        }
        self.rumours.forget(&Subject::Accused(id));
        if restarted {
            self.void_records(id, void.as_deref());
            self.rumours.forget(&Subject::Holding(id));
            turn.notice(Notice::RecordsVoid(id));
        }
        self.drop_void_records(id, turn);
        self.notice_standing(id, turn);
        self.hand_to_courier(id, turn);
        self.pass_on(alive, via, turn);
        if before == Standing::Dead && !left && !restarted {
            self.reunited(id, turn);
        }
    }

    /// The courier carries members that answered us: what was invented does not travel with it.
    pub(super) fn hand_to_courier(&self, id: MemberId, turn: &mut Turn<'_>) {
        if let Some(member) = self.roster.get(&id).filter(|member| member.proof == Proof::Answered) {
            turn.courier(ForCourier::Put(member.alive.clone()));
        }
    }

    fn pass_on(&mut self, alive: &Alive, via: Via, turn: &mut Turn<'_>) {
        if via != Via::Bulk || self.seeking.is_settled() {
            self.tell_alive(alive, turn);
        }
    }

    /// Another process with our key, or an echo of an earlier life of ours.
    fn meet_myself(&mut self, other: &Arc<Alive>, turn: &mut Turn<'_>) {
        let (ours, theirs) = (self.alive.life(), other.life());
        if (theirs.generation, theirs.session) > (ours.generation, ours.session) {
            return turn.notice(Notice::Superseded { by: other.clone() });
        }
        if (theirs.generation, theirs.session) == (ours.generation, ours.session) {
            if theirs.incarnation > ours.incarnation {
                self.sign_anew(turn, |body| body.incarnation = theirs.incarnation.next());
            }
            return;
        }
        // An older self is still talked about, or still runs: both should hear of us.
        self.tell_alive(&self.alive.clone(), turn);
        if let Some(address) = self.reachable(other).map(Address::gossip) {
            let mut packet = Writer::new(&Message::Gossip);
            packet.push(&Rumour::Alive(self.alive.bytes().to_vec()).encode());
            turn.send(address, packet.finish());
        }
    }

    /// The roster is full: a member that left goes, else one that never answered, else one that is dead.
    fn make_room(&mut self, turn: &mut Turn<'_>) -> bool {
        let left = |member: &Member| member.standing() == Standing::Left;
        let unproven = |member: &Member| member.proof == Proof::None;
        let gone = |member: &Member| !member.is_live();
        let victim = self
            .roster
            .choose_where(&mut self.rng, left)
            .or_else(|| self.roster.choose_where(&mut self.rng, unproven))
            .or_else(|| self.roster.choose_where(&mut self.rng, gone));
        victim.is_some_and(|id| {
            self.forget(id, turn);
            true
        })
    }

    /// A newcomer never answered: it is not there, or was invented.
    pub(super) fn disbelieve_newcomer(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.roster.get(&id) else { return };
        if member.proof == Proof::None {
            self.remember_forgotten(id, turn);
            self.forget(id, turn);
        }
    }

    /// Not to be taken back in its present life by hearsay for a while.
    pub(super) fn remember_forgotten(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        let Some(life) = self.roster.get(&id).map(|member| member.alive.life()) else { return };
        if self.forgotten.len() >= FORGOTTEN_MAX {
            let first = self.forgotten.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| *id);
            if let Some(first) = first {
                self.forgotten.remove(&first);
            }
        }
        self.forgotten.insert(id, (life, turn.now.after(FORGOTTEN_FOR)));
    }

    pub(super) fn forget(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        if let Some(nonce) = self.accused.remove(&id) {
            self.close_inquiry(nonce);
        }
        if let Some(member) = self.roster.remove(&id) {
            self.rumours.forget(&Subject::Alive(id));
            self.rumours.forget(&Subject::Accused(id));
            self.rumours.forget(&Subject::Holding(id));
            self.void_records(id, member.records.as_deref());
            turn.courier(ForCourier::Remove(id));
            turn.notice(Notice::Forgotten(id));
        }
    }

    pub(super) fn keep_house(&mut self, turn: &mut Turn<'_>) {
        turn.wake(turn.now.after(HOUSEKEEPING_PERIOD), Timer::Housekeeping);
        let limit = self.config.retransmits(self.members());
        self.rumours.expire(turn.now, limit, self.config.news_window);
        self.expire_relays(turn.now);
        self.expire_hellos(turn.now);
        self.forgotten.retain(|_, (_, until)| *until > turn.now);
        if self.roster.len() > self.roster.live() {
            self.forget_the_long_gone(turn);
        }
        self.say_if_still_alone(turn);
        self.ask_all_the_dead(turn);
    }

    fn forget_the_long_gone(&mut self, turn: &mut Turn<'_>) {
        let kept_for = |member: &Member| match member.alive.body().key_life {
            KeyLife::Kept => self.config.forget_dead_after,
            KeyLife::Ephemeral => self.config.forget_ephemeral_after,
        };
        let long_gone: Vec<MemberId> = self
            .roster
            .iter()
            .filter(|(_, member)| match member.state {
                State::Dead { since } => turn.now.since(since) > kept_for(member),
                State::Left { since } => turn.now.since(since) > LEFT_KEPT_FOR.min(kept_for(member)),
                State::Alive | State::Suspect(_) => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in long_gone {
            self.remember_address(id);
            self.forget(id, turn);
        }
    }

    /// The address of a member that we can best reach: of a kind that we have ourselves, else its first.
    pub(super) fn reachable<'a>(&self, alive: &'a Alive) -> Option<&'a Address> {
        let ours = &self.alive.body().addresses;
        let theirs = &alive.body().addresses;
        let same_kind = |address: &&Address| ours.iter().any(|own| own.ip.is_ipv4() == address.ip.is_ipv4());
        theirs.iter().find(same_kind).or_else(|| theirs.first())
    }
}
