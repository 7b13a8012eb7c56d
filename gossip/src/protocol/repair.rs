//! What we lack and ask for, what others ask of us, and the work of the courier.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::alive::{Alive, AliveError};
use crate::courier::pace::Views;
use crate::effects::{Ask, AskFailed, AskId, ForCourier, Notice, Ship, Standing};
use crate::id::MemberId;
use crate::packet::{MAX_BODY, Message, Writer};
use crate::pull::message::{Answer, MAX_ANSWER_BYTES, Question, QuestionError, Repute, ToldRecords, Want};
use crate::pull::page::{self, Offer};
use crate::pull::{PlannedAsk, PlannedQuestion, PlannedWant, Ticket, Urgency};
use crate::record::Value;
use crate::reject::Reject;
use crate::roster::{Member, Proof};
use crate::timer::Timer;

use super::admit::Via;
use super::{Protocol, Turn};

/// How many bytes of an answer we give at once: as many as the asker checks signatures of in some 50 ms.
const PAGE_BYTES: usize = 256 << 10;

/// How often to look whether an exchange is due.
const EXCHANGE_LOOK: Duration = Duration::from_millis(500);

/// After so many exchanges that brought no view like ours, the difference is not in the alive records.
const FRUITLESS_EXCHANGES: u8 = 2;

/// The most members whose large records we remember having been told of.
const HERALDED_MAX: usize = 1_024;

/// A question of ours under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    ticket: Ticket,
    teller: MemberId,
    about_members: bool,
}

impl Protocol {
    pub(super) fn begin_repairing(&mut self, turn: &mut Turn<'_>) {
        turn.wake(turn.now.after(EXCHANGE_LOOK), Timer::Courier);
    }

    /// `from` may know members that we do not.
    pub(super) fn pull_members(&mut self, from: MemberId, turn: &mut Turn<'_>) {
        self.pull.lack_members(turn.now, from, Urgency::Now, &mut self.rng);
    }

    /// Something of `id` is missing; `teller` may have it.
    pub(super) fn lack_records(&mut self, id: MemberId, teller: MemberId, urgency: Urgency, turn: &mut Turn<'_>) {
        self.pull.lack_records(turn.now, id, teller, urgency, &mut self.rng);
    }

    pub(super) fn lack_blob(&mut self, hash: [u8; 32], teller: MemberId, owner: MemberId, turn: &mut Turn<'_>) {
        self.blob_owners.insert(hash, owner);
        self.pull.lack_blob(turn.now, hash, teller, owner, &mut self.rng);
    }

    /// `teller` holds what `id` offers up to `version`: whatever we lack of it is worth asking for at once, and telling
    /// others of when it is here.
    pub(super) fn lack_what_is_held(&mut self, id: MemberId, version: u64, teller: MemberId, turn: &mut Turn<'_>) {
        let Some(member) = self.roster.get(&id) else { return };
        let settled = member.records.as_ref().map_or(0, |held| held.settled());
        let blobs = self.missing_blobs(member);
        if settled >= version && blobs.is_empty() {
            return;
        }
        if self.heralded.len() < HERALDED_MAX || self.heralded.contains_key(&id) {
            self.heralded.insert(id, version);
        }
        if settled < version {
            self.lack_records(id, teller, Urgency::Now, turn);
        }
        for hash in blobs {
            self.lack_blob(hash, teller, id, turn);
        }
    }

    fn missing_blobs(&self, member: &Member) -> Vec<[u8; 32]> {
        let held = member.records.iter().flat_map(|held| held.iter());
        held.filter_map(|record| match record.value() {
            Value::Blob { hash, .. } if self.blobs.is_missing(hash) => Some(*hash),
            _ => None,
        })
        .collect()
    }

    /// When all that was announced of a member has arrived, it can be had here too.
    fn herald(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        let Some(version) = self.heralded.get(&id).copied() else { return };
        let Some(member) = self.roster.get(&id) else {
            self.heralded.remove(&id);
            return;
        };
        let settled = member.records.as_ref().map_or(0, |held| held.settled());
        // Nobody holds more than the owner offers, whatever was announced.
        let version = version.min(member.alive.body().summary.last);
        if settled >= version && self.missing_blobs(member).is_empty() {
            self.heralded.remove(&id);
            self.tell_holding(id, version, turn);
        }
    }

    /// Asks what is due to be asked. Called at the end of every turn.
    pub(super) fn plan_pulls(&mut self, turn: &mut Turn<'_>) {
        while self.pull.next().is_some_and(|due| due <= turn.now) {
            let others = self.roster.choose(&mut self.rng, 3, |_| true);
            let planned = self.pull.due(turn.now, &others, &mut self.rng);
            if planned.is_empty() {
                break;
            }
            for ask in planned {
                self.ask(ask, turn);
            }
        }
        if let Some(due) = self.pull.next().map(|due| due.max(turn.now))
            && self.pull_due.is_none_or(|planned| due < planned)
        {
            self.pull_due = Some(due);
            turn.wake(due, Timer::Pull);
        }
    }

    fn ask(&mut self, planned: PlannedAsk, turn: &mut Turn<'_>) {
        let question = match &planned.question {
            PlannedQuestion::Members { after } => Question::Members { after: *after },
            PlannedQuestion::Blob { hash } => Question::Blob { hash: *hash },
            PlannedQuestion::Records(wants) => {
                Question::Records { wants: wants.iter().filter_map(|want| self.want(want)).collect() }
            }
        };
        let Some(at) = self.quic_address(&planned.teller) else {
            return self.pull.failed(turn.now, planned.ticket, &mut self.rng);
        };
        let ask = AskId(self.next_ask);
        self.next_ask += 1;
        let about_members = matches!(question, Question::Members { .. });
        self.asks.insert(ask, Asked { ticket: planned.ticket, teller: planned.teller, about_members });
        turn.out.asks.push(Ask {
            ask,
            member: planned.teller,
            at,
            request: question.encode(),
            limit: MAX_ANSWER_BYTES,
            within: planned.within,
        });
    }

    fn want(&self, planned: &PlannedWant) -> Option<Want> {
        let member = self.roster.get(&planned.member)?;
        let life = member.alive.life();
        let settled = member.records.as_ref().map_or(0, |held| held.settled());
        Some(Want {
            member: planned.member,
            generation: life.generation,
            session: life.session,
            above: planned.above.max(settled),
        })
    }

    fn quic_address(&self, id: &MemberId) -> Option<SocketAddr> {
        let member = self.roster.get(id)?;
        self.reachable(&member.alive).map(|address| address.quic())
    }

    /// An answer to a question of ours, or none.
    pub(super) fn take_answer(&mut self, ask: AskId, answer: Result<&[u8], AskFailed>, turn: &mut Turn<'_>) {
        let Some(asked) = self.asks.remove(&ask) else { return turn.reject(Reject::Unasked) };
        let answer = answer.ok().map(Answer::decode);
        let Some(Ok(answer)) = answer else {
            if answer.is_some() {
                turn.reject(Reject::Malformed);
            }
            self.pull.failed(turn.now, asked.ticket, &mut self.rng);
            if asked.about_members {
                self.members_not_pulled(turn);
            }
            return;
        };
        match &answer {
            Answer::Members(page) => {
                for told in &page.members {
                    self.take_told_alive(&told.alive, asked.teller, turn);
                }
                for order in &page.orders {
                    if !self.take_order(order, turn) {
                        turn.reject(Reject::BadOrder);
                    }
                }
                if page.more_after.is_none() {
                    self.members_pulled(turn);
                }
            }
            Answer::Records(records) => {
                for told in &records.told {
                    self.take_told_records(told, asked.teller, turn);
                }
            }
            Answer::Blob(bytes) => self.take_blob(bytes, turn),
            Answer::Missing | Answer::Unsupported => {}
        }
        self.pull.answered(turn.now, asked.ticket, &answer, &mut self.rng);
    }

    fn take_told_alive(&mut self, bytes: &[u8], teller: MemberId, turn: &mut Turn<'_>) {
        if self.knows_exactly(bytes) {
            return;
        }
        match Alive::verify(bytes, self.mesh, &*self.verifier) {
            Ok(alive) => self.admit(&Arc::new(alive), teller, Via::Bulk, turn),
            Err(AliveError::Malformed) => turn.reject(Reject::Malformed),
            Err(AliveError::Forged) => turn.reject(Reject::Forged),
        }
    }

    fn take_told_records(&mut self, told: &ToldRecords, teller: MemberId, turn: &mut Turn<'_>) {
        if !told.alive.is_empty() {
            self.take_told_alive(&told.alive, teller, turn);
        }
        for bytes in &told.records {
            if let Some(record) = self.verify_record(told.member, bytes, turn) {
                self.take_record(record, teller, turn);
            }
        }
        self.drop_void_records(told.member, turn);
        // What was announced may never have been: the owner's summary says whether anything is lacking.
        let held = self.roster.get(&told.member).and_then(|member| member.records.as_ref());
        if held.is_none_or(|held| !held.is_missing()) {
            self.pull.satisfied_records(told.member);
        }
        self.herald(told.member, turn);
    }

    fn take_blob(&mut self, bytes: &bytes::Bytes, turn: &mut Turn<'_>) {
        let hash = *blake3::hash(bytes).as_bytes();
        if self.blobs.insert(hash, bytes.clone()).is_err() {
            return turn.reject(Reject::Unasked);
        }
        self.pull.satisfied_blob(hash);
        if let Some(member) = self.blob_owners.remove(&hash) {
            turn.notice(Notice::BlobArrived { member, hash });
            self.herald(member, turn);
        }
    }

    /// A member asks over a proved stream.
    pub(super) fn answer_stream(&mut self, from: MemberId, ask: AskId, request: &[u8], turn: &mut Turn<'_>) {
        if self.orders.is_banned(&from) {
            return turn.reject(Reject::Banned);
        }
        self.pull.meet(turn.now, from);
        let answer = match Question::decode(request) {
            Ok(Question::Members { after }) => self.tell_members(after),
            Ok(Question::Records { wants }) => page::records(&wants, PAGE_BYTES, |want| self.offer_for(want)),
            Ok(Question::Blob { hash }) => self.blobs.get(&hash).map_or(Answer::Missing, Answer::Blob),
            Err(QuestionError::Unsupported) => Answer::Unsupported,
            Err(_) => return turn.reject(Reject::Malformed),
        };
        turn.out.replies.push((ask, answer.encode()));
    }

    fn tell_members(&self, after: Option<MemberId>) -> Answer {
        // Only whom we met: an invented member is not to travel by our word.
        let met = |member: &Member| member.is_live() && member.proof == Proof::Answered;
        let others = self.roster.iter().filter(|(_, member)| met(member)).map(|(id, member)| {
            let repute = if member.standing() == Standing::Suspect { Repute::Suspect } else { Repute::Alive };
            (*id, &**member.alive.bytes(), repute)
        });
        let mut all: Vec<_> = others.chain([(self.me, &**self.alive.bytes(), Repute::Alive)]).collect();
        all.retain(|(id, _, _)| after.is_none_or(|after| *id > after));
        all.sort_unstable_by_key(|(id, _, _)| *id);
        let orders = self.orders.iter().filter(|_| after.is_none()).map(|order| &**order.bytes());
        page::members(all, orders, PAGE_BYTES)
    }

    fn offer_for(&self, want: &Want) -> Option<Offer<'_>> {
        let (alive, records): (&Alive, &[_]) = if want.member == self.me {
            (&self.alive, self.own.after(self.above(want, &self.alive)))
        } else {
            let member = self.roster.get(&want.member)?;
            let above = self.above(want, &member.alive);
            (&member.alive, member.records.as_ref().map_or(&[], |held| held.after(above)))
        };
        Some(Offer { alive: alive.bytes(), records })
    }

    /// Above which version to tell: all when we know a newer life than the asker does.
    fn above(&self, want: &Want, alive: &Alive) -> u64 {
        let life = alive.life();
        if (life.generation, life.session) == (want.generation, want.session) { want.above } else { 0 }
    }

    /// Takes note whether another's view is like ours.
    pub(super) fn compare_views(&mut self, with: MemberId, same: bool, turn: &mut Turn<'_>) {
        if same {
            self.fruitless_exchanges = 0;
        }
        self.pace.saw(turn.now, with, if same { Views::Equal } else { Views::Different });
    }

    /// Lets the couriers compare notes when views have differed for too long, and now and then anyway.
    pub(super) fn consider_exchange(&mut self, turn: &mut Turn<'_>) {
        turn.wake(turn.now.after(EXCHANGE_LOOK), Timer::Courier);
        if turn.now < self.pace.next() || self.has_left() {
            return;
        }
        let somebody = self.roster.choose(&mut self.rng, 1, |_| true);
        let Some(with) = self.pace.due(turn.now, somebody, &mut self.rng) else { return };
        turn.courier(ForCourier::Exchange(with));
        self.fruitless_exchanges = self.fruitless_exchanges.saturating_add(1);
        if self.fruitless_exchanges > FRUITLESS_EXCHANGES {
            self.pull_members(with, turn);
        }
    }

    /// Brings a courier message to a member: in a datagram when it fits, else over a stream.
    pub(super) fn carry(&mut self, to: MemberId, bytes: Vec<u8>, turn: &mut Turn<'_>) {
        let Some(member) = self.roster.get(&to) else { return };
        let Some(address) = self.reachable(&member.alive) else { return };
        if bytes.len() + 3 <= MAX_BODY {
            turn.send(address.gossip(), Writer::new(&Message::Courier(bytes)).finish());
        } else {
            turn.out.ships.push(Ship { member: to, at: address.quic(), bytes });
        }
    }

    /// The courier found alive records newer than what we gave it.
    pub(super) fn learn_from_courier(&mut self, learnt: &[Arc<Alive>], turn: &mut Turn<'_>) {
        for alive in learnt {
            // Nobody is named as teller, so the owner is asked for what it offers.
            self.admit(alive, alive.id(), Via::Bulk, turn);
        }
    }
}
