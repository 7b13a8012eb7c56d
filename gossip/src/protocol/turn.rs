//! One call of the core: the present moment, and where its wishes go.

use std::net::SocketAddr;

use crate::effects::{Effects, ForCourier, Notice, Send};
use crate::moment::Moment;
use crate::reject::Reject;
use crate::timer::Timer;

/// The present moment and the effects of one [`super::Protocol::handle`].
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    pub(super) out: &'a mut Effects,
}

impl Turn<'_> {
    pub(super) fn send(&mut self, to: SocketAddr, body: Vec<u8>) {
        self.out.sends.push(Send { to, body });
    }

    pub(super) fn wake(&mut self, at: Moment, timer: Timer) {
        self.out.timers.push((at, timer));
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.out.notices.push(notice);
    }

    pub(super) fn courier(&mut self, work: ForCourier) {
        self.out.courier.push(work);
    }

    pub(super) fn reject(&mut self, reason: Reject) {
        self.out.rejects.push(reason);
    }
}
