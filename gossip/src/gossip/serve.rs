//! What the node's own user asks for. An asker that is gone is not missed, so answers may go nowhere.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::driver::{Driver, Leaving};
use super::metrics::Metrics;
use super::request::{Ground, Request};
use crate::effects::{Command, Input, Standing};
use crate::id::MemberId;
use crate::record::{Key, Value};
use crate::transport::quic::{Handler, KindTaken, QuicCounts};
use crate::transport::stream::FIRST_FREE_KIND;

/// For how many push periods a goodbye may spread before the node stops.
const GOODBYE_PERIODS: u32 = 12;

impl Driver {
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::Set { records, done } => {
                let outcome = self.life.protocol.set_all(self.timers.now(), records, &mut self.effects);
                self.carry_out();
                if let Some(orders) = self.unbegun.take() {
                    self.begin(orders);
                }
                let _ = done.send(outcome);
            }
            Request::Remove { key, done } => {
                self.life.protocol.remove(self.timers.now(), key, &mut self.effects);
                self.carry_out();
                let _ = done.send(());
            }
            Request::Value { member, key, done } => {
                let _ = done.send(self.value(&member, &key));
            }
            Request::Standing { member, done } => {
                let _ = done.send(self.ground(member));
            }
            Request::Obey { order, done } => {
                self.handle(Input::Command(Command::Obey(order.into())));
                let _ = done.send(());
            }
            Request::Register { kind, handler, done } => {
                let _ = done.send(self.register(kind, handler));
            }
            Request::Seek { addresses, done } => {
                self.search.hint(addresses);
                self.tell_seeds();
                let _ = done.send(());
            }
            Request::Metrics { done } => {
                let _ = done.send(self.metrics());
            }
            Request::Leave { done } => self.leave(done),
        }
    }

    fn value(&self, member: &MemberId, key: &Key) -> Option<Bytes> {
        match self.draft.get(member)?.record(key)?.value() {
            Value::Inline(value) => Some(value.clone()),
            Value::Blob { hash, .. } => self.life.protocol.blobs().peek(hash),
            Value::Removed => None,
        }
    }

    fn ground(&self, member: Option<MemberId>) -> Ground {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Ground {
            mesh: self.mesh,
            number: self.life.protocol.orders().next_number(unix_ms),
            operator: self.config.operator,
            life: member.and_then(|id| Some(self.draft.get(&id)?.alive().life())),
            keys: self.keys.clone(),
        }
    }

    fn leave(&mut self, done: tokio::sync::oneshot::Sender<()>) {
        if let Some(leaving) = &mut self.leaving {
            return leaving.done.push(done);
        }
        self.handle(Input::Command(Command::Leave));
        let spread = self.config.protocol.push_period * GOODBYE_PERIODS;
        let until = self.now().after(spread.max(Duration::from_millis(50)));
        self.leaving = Some(Leaving { until, done: vec![done] });
    }

    fn register(&mut self, kind: u8, handler: Arc<dyn Handler>) -> Result<(), KindTaken> {
        if kind < FIRST_FREE_KIND || self.kinds.get(&kind).is_some_and(|taken| !taken.is_closed()) {
            return Err(KindTaken(kind));
        }
        self.take_streams(kind, &handler)?;
        self.kinds.insert(kind, handler);
        Ok(())
    }

    /// Has streams of `kind` brought to whoever registered it, from all endpoints of this life.
    pub(super) fn take_streams(&self, kind: u8, handler: &Arc<dyn Handler>) -> Result<(), KindTaken> {
        for quic in &self.life.quic {
            quic.hand_to(kind, Arc::clone(handler))?;
        }
        Ok(())
    }

    fn metrics(&self) -> Metrics {
        let protocol = &self.life.protocol;
        let mut metrics = Metrics {
            health_score: protocol.awareness(),
            rumours: protocol.rumours(),
            blob_bytes: protocol.blobs().used_bytes(),
            counts: self.counts.clone(),
            datagrams: self.ports.counts(),
            quic: self.life.quic.iter().map(|quic| quic.counts()).reduce(sum).unwrap_or_default(),
            courier: self.life.courier.counts(),
            refused: self.gate.refused().clone(),
            rejects: self.rejects.clone(),
            convergence_lag: protocol.differing_since().map_or(Duration::ZERO, |since| self.now().since(since)),
            ..Metrics::default()
        };
        metrics.members.insert(Standing::Alive, 1);
        for (_, member) in protocol.roster().iter() {
            *metrics.members.entry(member.standing()).or_default() += 1;
        }
        if metrics.datagrams.oversized > 0 {
            metrics.refused.insert("oversized", metrics.datagrams.oversized);
        }
        metrics
    }
}

/// Bytes and deeds of several endpoints together; what was refused, and why, is told of the first only.
fn sum(mut first: QuicCounts, next: QuicCounts) -> QuicCounts {
    first.sent_bytes += next.sent_bytes;
    first.received_bytes += next.received_bytes;
    first.dialled += next.dialled;
    first.accepted += next.accepted;
    first.dials_failed += next.dials_failed;
    first.retries += next.retries;
    first.served += next.served;
    first
}
