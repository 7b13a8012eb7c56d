//! Whether results have come to their callers.
//!
//! A result is acknowledged along with the next call of the same caller. Were a task woken for that, it would be in the
//! way of that call: so it is looked every now and then instead.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mesh_gossip::transport::quic::MemberStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::serve::Gone;
use crate::call::window::CallKey;
use crate::run::Dispatch;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(20);

/// How long a result may be on its way.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most results on their way; of one more the oldest is not followed any longer, and kept as one that is lost.
const MOST: usize = 4_096;

/// A result on its way to its caller.
pub(super) struct Receipt {
    pub(super) call: CallKey,
    /// Comes to its end once the caller has it, or never will.
    pub(super) gone: Pin<Box<dyn Future<Output = Gone> + Send>>,
    /// The connection counts as used meanwhile.
    pub(super) _stream: MemberStream,
    /// Whoever drains waits for us as well: a goodbye must not overtake the result.
    pub(super) _under_way: TaskTrackerToken,
}

/// All of them.
#[derive(Default)]
pub(super) struct Receipts {
    /// Until when each is waited for, oldest first.
    awaited: Mutex<VecDeque<(Instant, Receipt)>>,
    /// There is one, where there was none.
    begun: Notify,
}

impl Receipts {
    /// Follows one more.
    pub(super) fn follow(&self, receipt: Receipt) {
        let mut awaited = self.awaited();
        let oldest = if awaited.len() >= MOST { awaited.pop_front() } else { None };
        awaited.push_back((Instant::now() + PATIENCE, receipt));
        let is_first = awaited.len() == 1;
        drop(awaited);
        drop(oldest);
        if is_first {
            self.begun.notify_one();
        }
    }

    /// Tells `dispatch` of all that come to their callers, for as long as it is polled.
    pub(super) async fn tell(self: Arc<Self>, dispatch: Arc<dyn Dispatch>) {
        loop {
            self.begun.notified().await;
            while !self.awaited().is_empty() {
                sleep(EVERY).await;
                self.look(&*dispatch);
            }
        }
    }

    fn look(&self, dispatch: &dyn Dispatch) {
        let now = Instant::now();
        let looked_at = std::mem::take(&mut *self.awaited());
        let mut left = VecDeque::new();
        for (until, mut receipt) in looked_at {
            match receipt.gone.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Gone::GaveUp) => dispatch.delivered(&receipt.call),
                Poll::Ready(Gone::Lost) => {}
                Poll::Pending if now >= until => {}
                Poll::Pending => left.push_back((until, receipt)),
            }
        }
        let mut awaited = self.awaited();
        left.append(&mut awaited);
        *awaited = left;
    }

    fn awaited(&self) -> MutexGuard<'_, VecDeque<(Instant, Receipt)>> {
        self.awaited.lock().expect("nothing panics while it holds the receipts")
    }
}
