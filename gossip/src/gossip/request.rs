//! What the handle asks of the driver; each with a way to answer. Asking something of a driver that is gone fails.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::metrics::Metrics;
use crate::alive::Life;
use crate::id::{MemberId, MeshId, PublicKey};
use crate::keyring::Keyring;
use crate::order::SignedOrder;
use crate::record::Key;
use crate::records::SetError;
use crate::transport::quic::{Handler, KindTaken};

pub(super) enum Request {
    Set {
        records: Vec<(Key, Bytes)>,
        done: oneshot::Sender<Result<(), SetError>>,
    },
    Remove {
        key: Key,
        done: oneshot::Sender<()>,
    },
    Value {
        member: MemberId,
        key: Key,
        done: oneshot::Sender<Option<Bytes>>,
    },
    /// What one must know to sign an order about `member`.
    Standing {
        member: Option<MemberId>,
        done: oneshot::Sender<Ground>,
    },
    Obey {
        order: SignedOrder,
        done: oneshot::Sender<()>,
    },
    Register {
        kind: u8,
        handler: Arc<dyn Handler>,
        done: oneshot::Sender<Result<(), KindTaken>>,
    },
    Seek {
        addresses: Vec<SocketAddr>,
        done: oneshot::Sender<()>,
    },
    Metrics {
        done: oneshot::Sender<Metrics>,
    },
    Leave {
        done: oneshot::Sender<()>,
    },
}

/// What an order is signed on.
pub(super) struct Ground {
    pub(super) mesh: MeshId,
    pub(super) number: u64,
    pub(super) operator: Option<PublicKey>,
    /// The newest life of the member in question.
    pub(super) life: Option<Life>,
    pub(super) keys: Keyring,
}
