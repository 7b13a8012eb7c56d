//! What happened, one thing after the other, for those whom the newest view alone does not tell enough.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::effects::Standing;
use crate::id::MemberId;
use crate::order::SignedOrder;
use crate::record::Record;

/// How many events wait for a slow subscriber; older ones are lost to it.
pub(super) const EVENTS_KEPT: usize = 256;

/// One change. The view that [`super::Gossip::view`] gives contains it already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A member came, changed its alive record or its standing.
    Member {
        /// Which.
        member: MemberId,
        /// What it is in our eyes now.
        standing: Standing,
    },
    /// Nobody listens where a member of this machine was, says the system: its process has ended. Its standing changes
    /// once others have looked as well. Told again with whatever is sent there.
    Refused(MemberId),
    /// A member is no longer in the view.
    Forgotten(MemberId),
    /// Records of a member (perhaps our own) were set or removed.
    Records {
        /// Whose.
        member: MemberId,
        /// The new records, oldest first; see [`crate::record::Value::Removed`].
        changed: Arc<[Arc<Record>]>,
    },
    /// Records of a member count no longer: it restarted, or took them back while we did not listen.
    Dropped {
        /// Whose.
        member: MemberId,
        /// Those that counted until now.
        dropped: Arc<[Arc<Record>]>,
    },
    /// A blob that a record names is here; see [`super::Gossip::value`].
    BlobArrived {
        /// Whose record names it.
        member: MemberId,
        /// Its hash.
        hash: [u8; 32],
    },
    /// An order of the operator is in force.
    Ordered(Arc<SignedOrder>),
    /// We are part of the mesh.
    Joined,
    /// Another process has our key: we go on under another one, and join anew.
    Moved {
        /// Our new id.
        to: MemberId,
    },
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub struct Events(pub(super) broadcast::Receiver<Event>);

/// Why there is no next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// This subscriber was too slow. Look at the view, and go on: the next call continues with what is still there.
    #[error("{0} events were missed: look at the view, and go on from there")]
    Lagged(u64),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl Events {
    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`EventsError`] says whether to go on.
    pub async fn next(&mut self) -> Result<Event, EventsError> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(missed) => EventsError::Lagged(missed),
            broadcast::error::RecvError::Closed => EventsError::Stopped,
        })
    }
}
