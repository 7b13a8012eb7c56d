//! A link: one proved connection to one member.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::Connection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::config::{MEMBER_BYTES, STREAMS, WANTED_BYTES, WANTED_STREAMS};
use super::proof::Role;
use crate::id::{MemberId, Session};
use crate::keyring::KeyHash;

/// How long a link that was replaced has to be idle at least: a stream may be on its way.
pub(super) const LINGER: Duration = Duration::from_millis(50);

pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) member: MemberId,
    /// Which process of the member is at the other end.
    pub(super) session: Session,
    /// The mesh key that both ends proved.
    pub(super) key: KeyHash,
    /// Our own part in opening it.
    pub(super) role: Role,
    is_wide: AtomicBool,
    is_busy: AtomicBool,
    usage: watch::Sender<Usage>,
    retired: CancellationToken,
}

#[derive(Clone, Copy)]
pub(super) struct Usage {
    /// Streams under way, in both directions.
    pub(super) streams: usize,
    /// When the last one began or ended.
    pub(super) last: Instant,
}

/// Somebody's stream on a link; a link with none is idle.
pub(super) struct InUse(Arc<Link>);

impl Link {
    pub(super) fn new(
        connection: Connection,
        member: MemberId,
        session: Session,
        key: KeyHash,
        role: Role,
    ) -> Arc<Self> {
        let usage = watch::Sender::new(Usage { streams: 0, last: Instant::now() });
        let (is_wide, is_busy) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self {
            connection,
            member,
            session,
            key,
            role,
            is_wide,
            is_busy,
            usage,
            retired: CancellationToken::new(),
        })
    }

    /// Allows a proved member what members may do.
    pub(super) fn unlock(&self) {
        self.connection.set_receive_window(MEMBER_BYTES.into());
        self.connection.set_max_concurrent_bi_streams(STREAMS.into());
    }

    /// Makes room for much, because we asked for it. It stays: quinn adds credit each time a window grows, so that one
    /// made small and large in turns would have no bound.
    pub(super) fn widen(&self) {
        if !self.is_wide.swap(true, Ordering::Relaxed) {
            self.connection.set_receive_window(WANTED_BYTES.into());
        }
    }

    /// Lets the member open many streams, because it opened one that may take long. Not before: quinn keeps a place for each
    /// that is allowed, which costs more than the handshake did.
    pub(super) fn expect_many(&self) {
        self.widen();
        if !self.is_busy.swap(true, Ordering::Relaxed) {
            self.connection.set_max_concurrent_bi_streams(WANTED_STREAMS.into());
        }
    }

    /// Counts a stream as under way until the guard is dropped.
    pub(super) fn occupy(self: &Arc<Self>) -> InUse {
        self.count(|streams| streams + 1);
        InUse(Arc::clone(self))
    }

    /// Counts streams. Only who waits for the end of a retired link wants to hear of it, and begins to once it is retired.
    fn count(&self, streams: impl FnOnce(usize) -> usize) {
        self.usage.send_if_modified(|usage| {
            *usage = Usage { streams: streams(usage.streams), last: Instant::now() };
            self.retired.is_cancelled()
        });
    }

    pub(super) fn usage(&self) -> Usage {
        *self.usage.borrow()
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    pub(super) fn close(&self, reason: Close) {
        self.connection.close(reason.code(), b"");
    }

    /// Lets streams under way finish before the link is closed; nobody begins new ones on purpose.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Waits until the link has been retired and nobody needs it any more, however long its streams take. Dropping the
    /// future loses nothing.
    pub(super) async fn outlived(&self) {
        self.retired.cancelled().await;
        let mut usage = self.usage.subscribe();
        loop {
            // It cannot fail: we hold the sender.
            let _ = usage.wait_for(|usage| usage.streams == 0).await;
            // What the other end began before it knew may still be on its way.
            let linger = (4 * self.connection.rtt()).max(LINGER);
            let begun = usage.wait_for(|usage| usage.streams > 0);
            if tokio::time::timeout(linger, begun).await.is_err() {
                return;
            }
        }
    }
}

impl InUse {
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.count(|streams| streams - 1);
    }
}
