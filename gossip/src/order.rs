//! Orders: what the operator decides for the whole mesh. Signed, numbered, spread like any news, and kept for newcomers.
//!
//! An order that installs a key contains it. Orders therefore travel inside sealed datagrams and proven connections
//! only, and are shown without the key.

mod book;

use std::sync::Arc;

use bincode::{Decode, Encode};

pub use self::book::{MAX_BANS, MAX_FORGOTTEN, MAX_KEY_ORDERS, OrderBook};
use crate::alive::Life;
use crate::id::{MemberId, MeshId, PublicKey};
use crate::keyring::{KeyHash, MeshKey};
use crate::signature::{Signature, Signer, Verifier};
use crate::wire::{self, Malformed};

/// The most bytes an encoded, signed order takes.
pub const MAX_ORDER_BYTES: usize = 160;

/// What the operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OrderBody {
    /// Open datagrams under this key as well.
    Install(MeshKey),
    /// Seal with this key from now on.
    Use(KeyHash),
    /// Open nothing under this key any more.
    Remove(KeyHash),
    /// Have nothing to do with this member, whatever it says.
    Ban(MemberId),
    /// Take a ban back.
    Unban(MemberId),
    /// Forget this life of a member, and all before it. A later one (it may refute) is welcome.
    Forget(MemberId, Life),
}

/// One decision, with its place in the order of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    /// Milliseconds since 1970 when it was given, or one more than the last order's number if that is higher. Of two
    /// orders about one thing the higher number counts.
    pub number: u64,
    /// What to do.
    pub body: OrderBody,
}

/// An order whose signature has been checked. Keeps the bytes that travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOrder {
    order: Order,
    bytes: Arc<[u8]>,
}

#[derive(Encode, Decode)]
struct Signed {
    order: Order,
    signature: Signature,
}

/// Why an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Not an order that this version knows.
    #[error("the order is malformed")]
    Malformed,
    /// Not signed by the operator, or for another mesh.
    #[error("the order is not signed by the operator of this mesh")]
    Forged,
}

impl From<Malformed> for OrderError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl SignedOrder {
    /// Signs an order with the operator's key, for one mesh.
    pub fn sign(order: Order, mesh: MeshId, operator: &dyn Signer) -> Self {
        let signature = operator.sign(&signed_message(&order, mesh));
        let signed = Signed { order, signature };
        let bytes = wire::encode(&signed).into();
        Self { order: signed.order, bytes }
    }

    /// Decodes and checks what somebody sent, or what was read from disk.
    ///
    /// # Errors
    /// [`OrderError`] says whether the bytes or the signature are wrong.
    pub fn verify(
        bytes: &[u8],
        mesh: MeshId,
        operator: &PublicKey,
        verifier: &dyn Verifier,
    ) -> Result<Self, OrderError> {
        if bytes.len() > MAX_ORDER_BYTES {
            return Err(OrderError::Malformed);
        }
        let Signed { order, signature } = wire::decode::<Signed, MAX_ORDER_BYTES>(bytes)?;
        if !verifier.verify(operator, &signed_message(&order, mesh), &signature) {
            return Err(OrderError::Forged);
        }
        Ok(Self { order, bytes: bytes.into() })
    }

    /// What it says.
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// The bytes that travel. They may contain a key.
    pub const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

fn signed_message(order: &Order, mesh: MeshId) -> Vec<u8> {
    let mut message = b"mesh order 1".to_vec();
    message.extend_from_slice(&mesh.0);
    message.extend(wire::encode(order));
    message
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
