//! Suspicion, death, refutation, and what counts as evidence of life: a signed incarnation above the accused one, or an
//! answer to one's own nonce. Nothing else, because under a shared key a sender's id is only a claim.

use std::time::Duration;

use rand::RngExt;

use crate::config::Doctrine;
use crate::detect::{Evidence, Inquiry, Purpose, Suspicion};
use crate::effects::{Notice, Standing};
use crate::id::MemberId;
use crate::packet::{Accusation, Message, Rumour, Writer};
use crate::reject::Reject;
use crate::roster::{Proof, State};
use crate::rumour::Subject;
use crate::timer::Timer;

use super::{Protocol, Turn};

/// The most refutations of ours in a second: more are the work of a rogue, whom the others' own questions expose anyway.
const REFUTATIONS_PER_SECOND: u32 = 20;

impl Protocol {
    /// A member answered a question of our own: nothing held against it counts any longer.
    pub(super) fn conclude_answer(&mut self, nonce: u64, turn: &mut Turn<'_>) {
        let Some(inquiry) = self.close_inquiry(nonce) else { return };
        let id = inquiry.member;
        if inquiry.purpose == Purpose::Round {
            self.awareness.improve();
        }
        if let Some(accused) = self.accused.remove(&id) {
            self.close_inquiry(accused);
        }
        let before = self.roster.update(&id, |member| {
            let first = std::mem::replace(&mut member.proof, Proof::Answered) == Proof::None;
            let before = (member.standing(), first);
            if matches!(before.0, Standing::Suspect | Standing::Dead) {
                member.state = State::Alive;
            }
            before
        });
        if before.is_some_and(|(_, first)| first) {
            self.hand_to_courier(id, turn);
        }
        // Whatever we passed on against it, we now know better.
        self.rumours.forget(&Subject::Accused(id));
        match before.map(|(standing, _)| standing) {
            Some(Standing::Suspect) => {
                self.drop_verdicts(id);
                self.notice_standing(id, turn);
            }
            Some(Standing::Dead) => {
                self.notice_standing(id, turn);
                self.reunited(id, turn);
            }
            _ => {}
        }
    }

    /// There is evidence of life: confirm rounds that still wait for some are void, lest their silence counts against a
    /// later suspicion.
    pub(super) fn drop_verdicts(&mut self, id: MemberId) {
        let verdict = |inquiry: &Inquiry| inquiry.member == id && inquiry.purpose == Purpose::Confirm;
        let confirming = self.inquiries.iter().find(|(_, inquiry)| verdict(inquiry)).map(|(nonce, _)| *nonce);
        if let Some(nonce) = confirming {
            self.close_inquiry(nonce);
        }
    }

    /// A member did not answer any of an inquiry's tries.
    pub(super) fn conclude_silence(&mut self, nonce: u64, turn: &mut Turn<'_>) {
        let Some(inquiry) = self.close_inquiry(nonce) else { return };
        match inquiry.purpose {
            Purpose::Round => {
                self.awareness.worsen(missing_nacks(&inquiry));
                self.suspect(inquiry.member, Evidence::Own, self.me, turn);
            }
            Purpose::Confirm => self.accuse_of_death(inquiry.member, turn),
            Purpose::Hearsay => self.believe_dead(inquiry.member, turn),
            Purpose::Newcomer => self.disbelieve_newcomer(inquiry.member, turn),
            Purpose::Reunion => {}
        }
    }

    /// Begins or confirms a suspicion.
    pub(super) fn suspect(&mut self, id: MemberId, evidence: Evidence, accuser: MemberId, turn: &mut Turn<'_>) {
        let epoch = self.next_epoch;
        let wanted = self.config.suspicion_confirmations;
        let outcome = self.roster.update(&id, |member| {
            let life = member.alive.life();
            let suspicion = match &mut member.state {
                State::Alive => {
                    member.state = State::Suspect(Box::new(Suspicion::new(turn.now, epoch, evidence, accuser)));
                    return Some((life, epoch, true));
                }
                State::Suspect(suspicion) => suspicion,
                State::Dead { .. } | State::Left { .. } => return None,
            };
            let newly_ours = evidence == Evidence::Own && suspicion.evidence == Evidence::Hearsay;
            if newly_ours {
                suspicion.evidence = Evidence::Own;
            }
            (suspicion.confirm(accuser, wanted) || newly_ours).then_some((life, suspicion.epoch, false))
        });
        let Some(Some((life, at_epoch, begun))) = outcome else { return };
        if begun {
            self.next_epoch = self.next_epoch.wrapping_add(1);
            self.notice_standing(id, turn);
        }
        self.schedule_suspicion(id, at_epoch, turn);
        let accusation = Accusation { member: id, life, accuser };
        // While we ask after a death we tell of the death, which says more.
        if !self.accused.contains_key(&id) {
            self.tell(Subject::Accused(id), &Rumour::Suspect(accusation), turn);
        }
        if evidence == Evidence::Own {
            self.tell_the_accused(id, &Rumour::Suspect(accusation), turn);
        }
    }

    /// The accused hears of it first, so that it can refute while others still ask.
    fn tell_the_accused(&self, id: MemberId, accusation: &Rumour, turn: &mut Turn<'_>) {
        if let Some(to) = self.roster.get(&id).and_then(|member| self.address_of(&member.alive)) {
            let mut packet = Writer::new(&Message::Gossip);
            packet.push(&accusation.encode());
            turn.send(to, packet.finish());
        }
    }

    fn schedule_suspicion(&mut self, id: MemberId, epoch: u32, turn: &mut Turn<'_>) {
        let Some(State::Suspect(suspicion)) = self.roster.get(&id).map(|member| &member.state) else { return };
        let due = suspicion.due(self.suspicion_lasts(suspicion));
        turn.wake(due.max(turn.now), Timer::Suspicion(id, epoch));
    }

    /// How long this suspicion lasts with the confirmations it has. Who has no failed probe of its own leaves the verdict
    /// to those who have, and looks itself when that is overdue: a verdict is there after a third of the longest suspicion
    /// or so, unless its rumour missed us.
    fn suspicion_lasts(&self, suspicion: &Suspicion) -> Duration {
        match (suspicion.evidence, self.config.doctrine) {
            (Evidence::Hearsay, Doctrine::Careful) => self.config.suspicion(self.members(), 0).mul_f64(0.6),
            _ => self.config.suspicion(self.members(), suspicion.confirmations()),
        }
    }

    /// A suspicion's time may be up: confirm before accusing.
    pub(super) fn suspicion_due(&mut self, id: MemberId, epoch: u32, turn: &mut Turn<'_>) {
        let Some(State::Suspect(suspicion)) = self.roster.get(&id).map(|member| &member.state) else { return };
        if suspicion.epoch != epoch {
            return;
        }
        if turn.now < suspicion.due(self.suspicion_lasts(suspicion)) {
            // The mesh has grown meanwhile, and suspicion lasts longer in a larger one.
            return self.schedule_suspicion(id, epoch, turn);
        }
        if self.config.confirm_tries == 0 {
            return self.accuse_of_death(id, turn);
        }
        let asking = |inquiry: &Inquiry| inquiry.member == id && inquiry.purpose == Purpose::Confirm;
        if !self.inquiries.values().any(asking) && self.inquire(id, Purpose::Confirm, turn.now, turn).is_none() {
            turn.wake(turn.now.after(self.config.probe_timeout), Timer::Suspicion(id, epoch));
        }
    }

    /// After an absence of our own: every suspicion that rests on our ears starts over.
    pub(super) fn restart_suspicions(&mut self, turn: &mut Turn<'_>) {
        let suspects: Vec<MemberId> = self
            .roster
            .iter()
            .filter(|(_, member)| member.standing() == Standing::Suspect)
            .map(|(id, _)| *id)
            .collect();
        for id in suspects {
            let epoch = self.next_epoch;
            self.next_epoch = self.next_epoch.wrapping_add(1);
            self.roster.update(&id, |member| {
                if let State::Suspect(suspicion) = &mut member.state {
                    suspicion.since = turn.now;
                    suspicion.epoch = epoch;
                }
            });
            self.schedule_suspicion(id, epoch, turn);
        }
    }

    fn accuse_of_death(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.roster.get(&id) else { return };
        if member.standing() != Standing::Suspect {
            return;
        }
        let accusation = Accusation { member: id, life: member.alive.life(), accuser: self.me };
        self.tell(Subject::Accused(id), &Rumour::Dead(accusation), turn);
        self.tell_the_accused(accusation.member, &Rumour::Dead(accusation), turn);
        self.believe_dead(id, turn);
    }

    pub(super) fn believe_dead(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        if self.roster.get(&id).is_some_and(|member| member.proof == Proof::None) {
            return self.disbelieve_newcomer(id, turn);
        }
        let died = self.roster.update(&id, |member| {
            let live = member.is_live();
            if live {
                member.state = State::Dead { since: turn.now };
            }
            live
        });
        if died == Some(true) {
            self.notice_standing(id, turn);
        }
    }

    /// Somebody suspects somebody.
    pub(super) fn hear_suspicion(&mut self, accusation: Accusation, turn: &mut Turn<'_>) {
        if self.is_news(&accusation, turn) && accusation.accuser != self.me {
            self.suspect(accusation.member, Evidence::Hearsay, accusation.accuser, turn);
        }
    }

    /// Somebody says that somebody is dead: spread it at once, believe it only after asking oneself.
    pub(super) fn hear_death(&mut self, accusation: Accusation, turn: &mut Turn<'_>) {
        let id = accusation.member;
        if !self.is_news(&accusation, turn) || self.accused.contains_key(&id) {
            return;
        }
        if self.roster.get(&id).is_none_or(|member| !member.is_live()) {
            return;
        }
        if self.config.hearsay_tries == 0 {
            self.tell(Subject::Accused(id), &Rumour::Dead(accusation), turn);
            return self.believe_dead(id, turn);
        }
        let wait = self.config.hearsay_jitter.mul_f64(self.rng.random_range(0.0..1.0));
        if let Some(nonce) = self.inquire(id, Purpose::Hearsay, turn.now.after(wait), turn) {
            self.accused.insert(id, nonce);
            self.tell(Subject::Accused(id), &Rumour::Dead(accusation), turn);
        }
    }

    /// Whether an accusation is about somebody else, in the life we know; one of ourselves is refuted.
    fn is_news(&mut self, accusation: &Accusation, turn: &mut Turn<'_>) -> bool {
        if accusation.member == self.me {
            if accusation.life == self.alive.life() {
                self.refute(turn);
            }
            return false;
        }
        let known = self.roster.get(&accusation.member).map(|member| member.alive.life());
        if known != Some(accusation.life) {
            turn.reject(Reject::StaleAccusation);
            return false;
        }
        true
    }

    /// We are not dead: sign a higher incarnation and tell everybody.
    pub(super) fn refute(&mut self, turn: &mut Turn<'_>) {
        if self.has_left() {
            return;
        }
        let (since, count) = self.refutations;
        if turn.now.since(since) >= Duration::from_secs(1) {
            self.refutations = (turn.now, 1);
            // Once a second at most: a rogue that accuses us again and again must not make us slow.
            self.awareness.worsen(1);
        } else if count >= REFUTATIONS_PER_SECOND {
            return turn.reject(Reject::RefutedEnough);
        } else {
            self.refutations.1 += 1;
        }
        self.sign_anew(turn, |_| {});
    }

    /// Tells the user what a member is in our eyes now.
    pub(super) fn notice_standing(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        if let Some(member) = self.roster.get(&id) {
            turn.notice(Notice::Member { alive: member.alive.clone(), standing: member.standing() });
        }
    }
}

/// How much a failed probe says about ourselves: helpers that did not even nack, or one when nobody could be asked.
fn missing_nacks(inquiry: &Inquiry) -> usize {
    if inquiry.helpers == 0 { 1 } else { inquiry.helpers.saturating_sub(inquiry.nacks) }
}
