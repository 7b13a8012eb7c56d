//! Telling rumours: piggybacked on every datagram, pushed to a few at once when they are fresh, repeated to whoever
//! shows another view.

use std::time::Duration;

use crate::alive::Alive;
use crate::id::MemberId;
use crate::packet::{Message, Rumour, Writer};
use crate::reject::Reject;
use crate::rumour::{Pick, Subject};
use crate::timer::Timer;

use super::{Protocol, Turn};

/// News that come within this time of a push wait for each other.
const PUSH_GATHERING: Duration = Duration::from_millis(2);

impl Protocol {
    /// Something a sender told along with its message.
    pub(super) fn hear(&mut self, rumour: Rumour, sender: MemberId, turn: &mut Turn<'_>) {
        match rumour {
            Rumour::Alive(bytes) => self.hear_alive(&bytes, sender, turn),
            Rumour::Suspect(accusation) => self.hear_suspicion(accusation, turn),
            Rumour::Dead(accusation) => self.hear_death(accusation, turn),
            Rumour::Record { member, bytes } => self.hear_record(member, &bytes, sender, turn),
            Rumour::Holding(holding) => self.hear_holding(holding, sender, turn),
            Rumour::Order(bytes) => self.hear_order(&bytes, turn),
        }
    }

    /// Starts telling, and sees to it that the first push leaves with this turn.
    pub(super) fn tell(&mut self, subject: Subject, rumour: &Rumour, turn: &mut Turn<'_>) {
        self.rumours.tell(turn.now, subject, rumour);
        self.fresh = true;
    }

    pub(super) fn tell_alive(&mut self, alive: &Alive, turn: &mut Turn<'_>) {
        self.rumours.forget(&Subject::Accused(alive.id()));
        self.tell(Subject::Alive(alive.id()), &Rumour::Alive(alive.bytes().to_vec()), turn);
    }

    /// Lets rumours ride along in what room a packet has.
    pub(super) fn fill(&mut self, packet: &mut Writer, pick: Pick) -> usize {
        let limit = self.config.retransmits(self.members());
        self.rumours.fill(packet, limit, pick)
    }

    /// Ends a turn: what became news in it is pushed on, at once unless the last push was a moment ago.
    pub(super) fn push_fresh(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        if turn.now.since(self.pushed) >= PUSH_GATHERING {
            self.push(Duration::ZERO, turn);
        } else {
            self.push_at(self.pushed.after(PUSH_GATHERING), turn);
        }
    }

    pub(super) fn push_again(&mut self, turn: &mut Turn<'_>) {
        if let Some(due) = self.push_due.take_if(|due| *due <= turn.now) {
            self.push(turn.now.since(due), turn);
        }
    }

    fn push_at(&mut self, due: crate::moment::Moment, turn: &mut Turn<'_>) {
        if self.push_due.is_none_or(|planned| due < planned) {
            self.push_due = Some(due);
            turn.wake(due, Timer::Push);
        }
    }

    /// Sends fresh rumours to a few members drawn at random; to more of them the more there is to tell, and to fewer the
    /// later we come to it: where hundreds share a machine that has too much to do, they would only keep each other from it.
    fn push(&mut self, late: Duration, turn: &mut Turn<'_>) {
        self.pushed = turn.now;
        let limit = self.config.retransmits(self.members());
        if !self.rumours.has_untold(limit) {
            return;
        }
        let backlog_packets = self.rumours.backlog_bytes(limit) / crate::packet::MAX_BODY + 1;
        let packets = (self.config.push_fanout * backlog_packets).min(self.config.push_packets);
        let packets = (packets as f64 / (1.0 + late.div_duration_f64(self.config.push_period))).ceil() as usize;
        let targets = self.roster.choose(&mut self.rng, packets, |_| true);
        for target in &targets {
            let Some(to) = self.roster.get(target).and_then(|member| self.address_of(&member.alive)) else { continue };
            let mut packet = Writer::new(&Message::Gossip);
            if self.rumours.fill(&mut packet, limit, Pick::Untold) == 0 {
                break;
            }
            turn.send(to, packet.finish());
        }
        if self.rumours.has_untold(limit) && !targets.is_empty() {
            self.push_at(turn.now.after(self.config.push_period), turn);
        }
    }

    /// Tells these rumours to `count` members at once, whatever else waits to be told.
    pub(super) fn call_out(&mut self, rumours: &[Rumour], count: usize, turn: &mut Turn<'_>) {
        let encoded: Vec<Vec<u8>> = rumours.iter().map(Rumour::encode).collect();
        for id in self.roster.choose(&mut self.rng, count, |_| true) {
            let Some(to) = self.roster.get(&id).and_then(|member| self.address_of(&member.alive)) else { continue };
            let mut packet = Writer::new(&Message::Gossip);
            for rumour in &encoded {
                packet.push(rumour);
            }
            turn.send(to, packet.finish());
        }
    }

    /// A member that just answered sees another mesh than we do: if we have fresh news, that is probably why. Not while
    /// hundreds join, when everybody sees another mesh and is told all the time.
    pub(super) fn repeat_news(&mut self, to: MemberId, turn: &mut Turn<'_>) {
        if self.rumours.are_many() {
            return;
        }
        let Some(to) = self.roster.get(&to).and_then(|member| self.address_of(&member.alive)) else { return };
        let mut packet = Writer::new(&Message::Gossip);
        if self.fill(&mut packet, Pick::Fresh) > 0 {
            turn.send(to, packet.finish());
        }
    }

    /// An order of the operator, from whoever passed it on.
    fn hear_order(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        if !self.take_order(bytes, turn) {
            turn.reject(Reject::BadOrder);
        }
    }
}
