//! Carries out what the core wants done.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::driver::{Done, Driver};
use crate::effects::{Ask, AskFailed, Effects, ForCourier, Send, Ship};
use crate::transport::quic::AskError;

/// The most questions under way at a time; the planner of the core asks for less.
const ASKS_MAX: usize = 128;

/// The most large messages of the courier under way at a time. What is dropped is repaired by the next exchange.
const SHIPS_MAX: usize = 16;

/// How long a large message of the courier may take.
const SHIP_WITHIN: Duration = Duration::from_secs(10);

impl Driver {
    pub(super) fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for (at, timer) in effects.timers.drain(..) {
            self.timers.add(at, timer);
        }
        for Send { to, body } in effects.sends.drain(..) {
            self.send(to, &body);
        }
        for reject in effects.rejects.drain(..) {
            *self.rejects.entry(reject).or_default() += 1;
        }
        for ask in effects.asks.drain(..) {
            self.ask(ask);
        }
        for ship in effects.ships.drain(..) {
            self.ship(ship);
        }
        for work in effects.courier.drain(..) {
            self.employ_courier(work);
        }
        // A reply that nobody waits for: only the question at hand is answered, by whoever handed it over.
        effects.replies.clear();
        for notice in effects.notices.drain(..) {
            self.take_notice(notice);
        }
        // Taking a notice may have made the core want more, which is carried out by then.
        debug_assert!(is_empty(&self.effects));
        self.effects = effects;
    }

    fn send(&mut self, to: SocketAddr, body: &[u8]) {
        match self.life.sealer.seal_into(body, &mut self.datagram) {
            Ok(()) => self.ports.send(to, &self.datagram),
            Err(too_long) => debug_assert!(false, "{too_long}"),
        }
    }

    fn ask(&mut self, ask: Ask) {
        let Ask { ask, member, at, request, limit, within } = ask;
        self.counts.asks += 1;
        self.under_way.asks += 1;
        let free = self.under_way.asks <= ASKS_MAX;
        self.counts.dropped_busy += u64::from(!free);
        let quic = self.life.quic_for(at).filter(|_| free);
        self.tasks.spawn(async move {
            let answer = match quic {
                Some(quic) => quic.ask(member, at, request.into(), limit, within).await.map_err(|error| {
                    tracing::debug!(%member, %at, %error, "a question has no answer");
                    failed(error)
                }),
                None => Err(AskFailed::Unreachable),
            };
            Done::Asked { ask, at, answer }
        });
    }

    fn ship(&mut self, ship: Ship) {
        let Ship { member, at, bytes } = ship;
        let Some(quic) = self.life.quic_for(at).filter(|_| self.under_way.ships < SHIPS_MAX) else {
            self.counts.dropped_busy += 1;
            return;
        };
        self.counts.ships += 1;
        self.under_way.ships += 1;
        self.tasks.spawn(async move {
            if let Err(error) = quic.ship(member, at, Bytes::from(bytes), SHIP_WITHIN).await {
                tracing::debug!(%member, %error, "a courier message was lost");
            }
            Done::Shipped
        });
    }

    fn employ_courier(&mut self, work: ForCourier) {
        let courier = &self.life.courier;
        match work {
            ForCourier::Put(alive) => {
                // Full is logged by the courier; neither that nor a record it cannot carry makes a member less of one.
                let _ = courier.put(&alive);
            }
            ForCourier::Remove(member) => courier.remove(member),
            ForCourier::Exchange(member) => courier.exchange_with(member),
            ForCourier::Received { from, bytes } => {
                // Counted by the courier.
                let _ = courier.received(from, bytes);
            }
        }
    }
}

fn failed(error: AskError) -> AskFailed {
    match error {
        AskError::Dial(_) => AskFailed::Unreachable,
        _ => AskFailed::NoAnswer,
    }
}

fn is_empty(effects: &Effects) -> bool {
    effects.sends.is_empty() && effects.notices.is_empty() && effects.asks.is_empty() && effects.timers.is_empty()
}
