//! Orders of the operator.

use std::sync::Arc;

use crate::effects::Notice;
use crate::order::{OrderBody, SignedOrder};
use crate::packet::Rumour;
use crate::rumour::Subject;

use super::{Protocol, Turn};

impl Protocol {
    /// An order from whoever passed it on. `false` when the operator did not sign it, or we know no operator.
    pub(super) fn take_order(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> bool {
        if self.orders.iter().any(|known| **known.bytes() == *bytes) {
            return true;
        }
        let Some(operator) = self.operator else { return false };
        match SignedOrder::verify(bytes, self.mesh, &operator, &*self.verifier) {
            Ok(order) => {
                self.obey(Arc::new(order), turn);
                true
            }
            Err(_) => false,
        }
    }

    /// Carries out and passes on an order, unless it changes nothing.
    pub(super) fn obey(&mut self, order: Arc<SignedOrder>, turn: &mut Turn<'_>) {
        if !self.orders.apply(SignedOrder::clone(&order)) {
            return;
        }
        self.tell(Subject::Order(order.order().number), &Rumour::Order(order.bytes().to_vec()), turn);
        match order.order().body {
            OrderBody::Ban(id) => self.forget(id, turn),
            OrderBody::Forget(id, life) if id == self.me => {
                if life >= self.alive.life() {
                    self.sign_anew(turn, |body| body.incarnation = life.incarnation.next());
                }
            }
            OrderBody::Forget(id, life) => {
                if self.roster.get(&id).is_some_and(|member| member.alive.life() <= life) {
                    self.forget(id, turn);
                }
            }
            OrderBody::Install(_) | OrderBody::Use(_) | OrderBody::Remove(_) | OrderBody::Unban(_) => {}
        }
        turn.notice(Notice::Ordered(order));
    }
}
