//! What travels over streams between hosts: questions and their answers, and parcels.

use std::net::SocketAddr;
use std::time::Duration;

use mesh_gossip::id::MemberId;

use super::{Pending, Watch, World, micros};
use crate::host::{AskFailure, Host, Parcel, Question, host_at};
use crate::stream::End;

/// A question that has no answer yet.
pub(super) struct Open {
    asker: End,
    pub(super) asker_id: MemberId,
    answerer: End,
    pub(super) ask: u64,
    pub(super) request: Vec<u8>,
    pub(super) limit: usize,
}

impl<H: Host, W: Watch> World<H, W> {
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
    fn destination(&self, at: SocketAddr, member: MemberId) -> Option<u32> {
        let to = host_at(at).filter(|to| *to < self.len())?;
        self.host(to).is_none_or(|host| host.id() == member).then_some(to)
    }

    pub(super) fn ask(&mut self, index: u32, asker_id: MemberId, question: Question) {
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

    pub(super) fn reply(&mut self, index: u32, key: u64, answer: Vec<u8>) {
        let Some(open) = self.questions.get(&key) else { return };
        let (asker, answerer) = (open.asker, open.answerer);
        if answerer.host != index || self.end(asker.host) != asker {
            return;
        }
        if let Some(arrives) = self.carry(answerer, asker, answer.len(), Duration::from_secs(1)) {
            self.schedule(arrives, asker.host, Pending::Answered(key, answer));
        }
    }

    pub(super) fn ship(&mut self, index: u32, sender: MemberId, parcel: Parcel) {
        let Some(to) = self.destination(parcel.at, parcel.member) else {
            return;
        };
        let ends = (self.end(index), self.end(to));
        if let Some(arrives) = self.carry(ends.0, ends.1, parcel.bytes.len(), Duration::from_secs(1)) {
            self.schedule(arrives, to, Pending::Shipped { from: sender, bytes: parcel.bytes });
        }
    }
}
