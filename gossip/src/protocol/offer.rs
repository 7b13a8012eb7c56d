//! Records: what we offer ourselves, and what we hear that others offer.

use std::sync::Arc;

use bytes::Bytes;

use crate::blob::{BLOBS_BYTES, NamedBy};
use crate::effects::{Effects, Notice};
use crate::id::MemberId;
use crate::moment::Moment;
use crate::packet::{Holding, MAX_BODY, RUMOUR_OVERHEAD, Rumour};
use crate::pull::Urgency;
use crate::record::{Key, Record, RecordError, TooLarge, Value};
use crate::records::{Accepted, Held, SetError};
use crate::reject::Reject;
use crate::rumour::Subject;

use super::{Protocol, Turn};

/// The most bytes of a record that travels inside datagrams, its alive record beside it. A larger one is announced, and
/// pulled over a stream.
const MAX_TOLD_BYTES: usize = MAX_BODY - 3 - 2 * RUMOUR_OVERHEAD - 16 - 200;

/// To how many times the usual fan-out a holding is told at first.
const HOLDING_FANOUT: usize = 5;

impl Protocol {
    /// Offers `value` under `key` from now on, in place of what was there. Tells the mesh unless nothing changes.
    ///
    /// # Errors
    /// [`SetError`] when the value or all records together are beyond their bounds; nothing has changed then.
    pub fn set(&mut self, now: Moment, key: Key, value: Bytes, out: &mut Effects) -> Result<(), SetError> {
        self.set_all(now, vec![(key, value)], out)
    }

    /// The same for several records, of which the mesh is told at once: one alive record to sign, to send and to check
    /// for all of them.
    ///
    /// # Errors
    /// [`SetError`] of the first that is beyond its bounds; those before it are offered, those behind it are not.
    pub fn set_all(&mut self, now: Moment, all: Vec<(Key, Bytes)>, out: &mut Effects) -> Result<(), SetError> {
        let mut changed = Vec::new();
        let outcome = all.into_iter().try_for_each(|(key, value)| {
            changed.extend(self.put(key, value)?);
            Ok(())
        });
        self.offer(now, changed, out);
        outcome
    }

    /// Takes `value` in place of what was there, and gives what has to be told of.
    fn put(&mut self, key: Key, value: Bytes) -> Result<Vec<Arc<Record>>, SetError> {
        let bytes = value.clone();
        let value = Value::of(value).map_err(|TooLarge { .. }| SetError::TooLarge)?;
        let replaced = self.own.get(&key).map(|record| record.value().clone());
        // The blob is there before its record is, so that nothing has changed when there is no room for it.
        self.name_blob(&value, NamedBy::Us);
        let kept = match &value {
            Value::Blob { hash, .. } => {
                self.blobs.insert(*hash, bytes).map_err(|_| SetError::TooManyBytes(BLOBS_BYTES))
            }
            Value::Inline(_) | Value::Removed => Ok(()),
        };
        let set = kept.and_then(|()| self.own.set(key, value.clone(), &*self.signer));
        let Ok(changed) = set.as_ref().map(|changed| !changed.is_empty()) else {
            self.unname_blob(Some(&value), NamedBy::Us);
            return set;
        };
        self.unname_blob(if changed { replaced.as_ref() } else { Some(&value) }, NamedBy::Us);
        set
    }

    /// Withdraws what is offered under `key`. Tells the mesh if there was something.
    pub fn remove(&mut self, now: Moment, key: Key, out: &mut Effects) {
        let replaced = self.own.get(&key).map(|record| record.value().clone());
        let changed = self.own.remove(key, &*self.signer);
        self.unname_blob(replaced.as_ref(), NamedBy::Us);
        self.offer(now, changed, out);
    }

    fn offer(&mut self, now: Moment, changed: Vec<Arc<Record>>, out: &mut Effects) {
        if changed.is_empty() {
            return;
        }
        let turn = &mut Turn { now, out };
        self.sign_anew(turn, |_| {});
        for record in &changed {
            self.tell_record(self.me, record, turn);
        }
        turn.notice(Notice::Records { member: self.me, changed });
        self.push_fresh(turn);
    }

    /// Tells of a record: itself when it is small, else that it can be had here.
    fn tell_record(&mut self, member: MemberId, record: &Record, turn: &mut Turn<'_>) {
        let is_blob = matches!(record.value(), Value::Blob { .. });
        if record.bytes().len() <= MAX_TOLD_BYTES {
            let rumour = Rumour::Record { member, bytes: record.bytes().to_vec() };
            self.tell(Subject::Record(member, record.version()), &rumour, turn);
        }
        if is_blob || record.bytes().len() > MAX_TOLD_BYTES {
            self.tell_holding(member, record.version(), turn);
        }
    }

    /// Tells that all of a member's records up to `version` can be had here. To many at once: each hop of a pull takes
    /// several round trips, so few hops are worth many requests to whoever holds it.
    pub(super) fn tell_holding(&mut self, member: MemberId, version: u64, turn: &mut Turn<'_>) {
        let known =
            if member == self.me { Some(&self.alive) } else { self.roster.get(&member).map(|known| &known.alive) };
        let Some(alive) = known else { return };
        let alive = Rumour::Alive(alive.bytes().to_vec());
        let rumour = Rumour::Holding(Holding { member, version });
        self.tell(Subject::Holding(member), &rumour, turn);
        self.call_out(&[alive, rumour], HOLDING_FANOUT * self.config.push_fanout, turn);
    }

    /// A record came as a rumour.
    pub(super) fn hear_record(&mut self, member: MemberId, bytes: &[u8], teller: MemberId, turn: &mut Turn<'_>) {
        if let Some(version) = self.held_version(member, bytes) {
            return self.rumours.heard_again(&Subject::Record(member, version));
        }
        let Some(record) = self.verify_record(member, bytes, turn) else { return };
        if self.take_record(record.clone(), teller, turn) {
            let rumour = Rumour::Record { member, bytes: bytes.to_vec() };
            self.tell(Subject::Record(member, record.version()), &rumour, turn);
        }
    }

    /// The version of a record of `id` that is here already.
    fn held_version(&self, id: MemberId, bytes: &[u8]) -> Option<u64> {
        let held = self.roster.get(&id)?.records.as_ref()?;
        Record::peek(bytes).ok().filter(|version| held.holds(*version))
    }

    /// Checks a record of a member that we know, unless it is here or its version void.
    pub(super) fn verify_record(&self, id: MemberId, bytes: &[u8], turn: &mut Turn<'_>) -> Option<Arc<Record>> {
        let member = self.roster.get(&id)?;
        let life = (member.alive.life().generation, member.alive.life().session);
        if self.held_version(id, bytes).is_some() {
            return None;
        }
        match Record::verify(bytes, &member.alive.body().key, life, self.mesh, &*self.verifier) {
            Ok(record) => Some(Arc::new(record)),
            Err(error) => {
                turn.reject(match error {
                    RecordError::Forged => Reject::Forged,
                    RecordError::OtherLife => Reject::VoidRecord,
                    _ => Reject::Malformed,
                });
                None
            }
        }
    }

    /// Puts a verified record where it belongs. Whether it was news.
    pub(super) fn take_record(&mut self, record: Arc<Record>, teller: MemberId, turn: &mut Turn<'_>) -> bool {
        let id = record.body().member;
        let bounds = self.bounds;
        let accepted = self.roster.update(&id, |member| {
            let life = (member.alive.life().generation, member.alive.life().session);
            let summary = member.alive.body().summary;
            let held = member.records.get_or_insert_with(|| Box::new(Held::new(life, summary)));
            let accepted = held.accept(record.clone(), &bounds);
            (accepted, held.is_missing())
        });
        let Some((accepted, missing)) = accepted else { return false };
        if !missing {
            self.pull.satisfied_records(id);
        }
        match accepted {
            Accepted::Newer { replaced } => {
                self.name_blob(record.value(), NamedBy::Others);
                self.unname_blob(replaced.as_ref().map(|replaced| replaced.value()), NamedBy::Others);
                if let Value::Blob { hash, .. } = record.value()
                    && self.blobs.is_missing(hash)
                {
                    self.lack_blob(*hash, teller, id, turn);
                }
                turn.notice(Notice::Records { member: id, changed: vec![record] });
                true
            }
            Accepted::Known => false,
            Accepted::Void => {
                turn.reject(Reject::VoidRecord);
                false
            }
            Accepted::OverBound => {
                turn.reject(Reject::TooManyRecords);
                false
            }
        }
    }

    /// Takes note of the summary in a member's newest alive record, and asks for what is missing.
    pub(super) fn compare_records(&mut self, id: MemberId, teller: MemberId, urgency: Urgency, turn: &mut Turn<'_>) {
        let missing = self.roster.update(&id, |member| {
            let summary = member.alive.body().summary;
            match &mut member.records {
                Some(held) => {
                    held.know(summary);
                    held.is_missing()
                }
                None => {
                    let life = (member.alive.life().generation, member.alive.life().session);
                    let held = Held::new(life, summary);
                    let missing = held.is_missing();
                    member.records = missing.then(|| Box::new(held));
                    missing
                }
            }
        });
        if missing == Some(true) {
            self.lack_records(id, teller, urgency, turn);
        }
        self.drop_void_records(id, turn);
    }

    /// What a member no longer offers, now that nothing newer is awaited.
    pub(super) fn drop_void_records(&mut self, id: MemberId, turn: &mut Turn<'_>) {
        let held = |member: &mut crate::roster::Member| member.records.as_mut().map(|held| held.drop_void());
        let dropped = self.roster.update(&id, held).flatten().unwrap_or_default();
        for record in &dropped {
            self.unname_blob(Some(record.value()), NamedBy::Others);
        }
        if !dropped.is_empty() {
            turn.notice(Notice::RecordsDropped { member: id, dropped });
        }
    }

    fn name_blob(&mut self, value: &Value, by: NamedBy) {
        if let Value::Blob { hash, .. } = value {
            self.blobs.name(*hash, by);
        }
    }

    fn unname_blob(&mut self, value: Option<&Value>, by: NamedBy) {
        if let Some(Value::Blob { hash, .. }) = value {
            self.blobs.unname(*hash, by);
            if !self.blobs.is_missing(hash) {
                self.pull.satisfied_blob(*hash);
                self.blob_owners.remove(hash);
            }
        }
    }

    /// All records of a member are void.
    pub(super) fn void_records(&mut self, id: MemberId, held: Option<&Held>) {
        self.pull.satisfied_records(id);
        self.heralded.remove(&id);
        for record in held.into_iter().flat_map(Held::iter) {
            self.unname_blob(Some(record.value()), NamedBy::Others);
        }
    }

    /// Somebody holds what does not fit datagrams.
    pub(super) fn hear_holding(&mut self, holding: Holding, teller: MemberId, turn: &mut Turn<'_>) {
        self.lack_what_is_held(holding.member, holding.version, teller, turn);
    }
}
