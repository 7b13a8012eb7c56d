//! What only the operator of the mesh may do: orders, signed with the operator's key and obeyed by every member.

use super::request::{Ground, Request};
use super::setup::shared_verifier;
use super::{Gossip, Stopped};
use crate::alive::Life;
use crate::id::MemberId;
use crate::id::{MeshId, PublicKey};
use crate::identity::operator::OperatorKey;
use crate::keyring::{KeyHash, Keyring, KeyringError, MeshKey};
use crate::order::{Order, OrderBody, OrderError, SignedOrder};
use crate::signature::Signer;

/// Why an order was not given. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderRefused {
    /// This node obeys nobody.
    #[error("this node has no operator: put `operator.pub` into its state directory, or configure `operator`")]
    NoOperator,
    /// This node obeys somebody else.
    #[error("this node has another operator: use the key that belongs to its `operator.pub`")]
    OtherOperator,
    /// Nobody is called that.
    #[error("there is no member {0} in this node's view")]
    UnknownMember(MemberId),
    /// What came is no order of the operator's.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The keyring cannot follow.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// There is no node any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What an order is signed on by an operator who is elsewhere; see [`Gossip::obey`].
#[derive(Clone, Debug)]
pub struct OrderGround {
    /// The mesh.
    pub mesh: MeshId,
    /// The number of the next order.
    pub number: u64,
    /// Whose orders are obeyed.
    pub operator: Option<PublicKey>,
    /// The newest life of the member that was asked about.
    pub life: Option<Life>,
}

impl Gossip {
    /// What the next order has to be signed on; `member` is whom it will be about.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn order_ground(&self, member: Option<MemberId>) -> Result<OrderGround, Stopped> {
        let ground = self.request(|done| Request::Standing { member, done }).await?;
        let Ground { mesh, number, operator, life, .. } = ground;
        Ok(OrderGround { mesh, number, operator, life })
    }

    /// Carries out and spreads an order that the operator signed elsewhere, as [`SignedOrder::bytes`].
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn obey(&self, order: &[u8]) -> Result<(), OrderRefused> {
        let mut ground = self.request(|done| Request::Standing { member: None, done }).await?;
        let operator = ground.operator.ok_or(OrderRefused::NoOperator)?;
        let order = SignedOrder::verify(order, ground.mesh, &operator, &*shared_verifier())?;
        match order.order().body.clone() {
            OrderBody::Install(key) => ground.keys.install(key)?,
            OrderBody::Use(key) => ground.keys.use_key(key)?,
            OrderBody::Remove(key) => ground.keys.remove(key)?,
            OrderBody::Ban(_) | OrderBody::Unban(_) | OrderBody::Forget(..) => {}
        }
        Ok(self.request(|done| Request::Obey { order, done }).await?)
    }

    /// Has the whole mesh forget `member` as it is now, for when it is known to be gone. If it is not, it refutes and is
    /// back: to keep somebody out, [`Gossip::ban`] them.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn force_out(&self, operator: &OperatorKey, member: MemberId) -> Result<(), OrderRefused> {
        let ground = self.ground(operator, Some(member)).await?;
        let life = ground.life.ok_or(OrderRefused::UnknownMember(member))?;
        self.order(operator, &ground, OrderBody::Forget(member, life)).await
    }

    /// Has the whole mesh refuse `member`, whatever it says, until [`Gossip::unban`]. It still holds the mesh key: turn
    /// the keys as well when it is not to read along.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn ban(&self, operator: &OperatorKey, member: MemberId) -> Result<(), OrderRefused> {
        let ground = self.ground(operator, None).await?;
        self.order(operator, &ground, OrderBody::Ban(member)).await
    }

    /// Takes a ban back.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn unban(&self, operator: &OperatorKey, member: MemberId) -> Result<(), OrderRefused> {
        let ground = self.ground(operator, None).await?;
        self.order(operator, &ground, OrderBody::Unban(member)).await
    }

    /// First step of a rotation: every member opens under `key` as well.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn install_key(&self, operator: &OperatorKey, key: MeshKey) -> Result<(), OrderRefused> {
        let try_it = key.clone();
        self.turn(operator, OrderBody::Install(key), |ring| ring.install(try_it)).await
    }

    /// Second step, once every member has the key: they seal with it.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn use_key(&self, operator: &OperatorKey, key: KeyHash) -> Result<(), OrderRefused> {
        self.turn(operator, OrderBody::Use(key), |ring| ring.use_key(key)).await
    }

    /// Last step, once every member seals with another key: nobody opens under `key` any more.
    ///
    /// # Errors
    /// [`OrderRefused`] says what to do.
    pub async fn remove_key(&self, operator: &OperatorKey, key: KeyHash) -> Result<(), OrderRefused> {
        self.turn(operator, OrderBody::Remove(key), |ring| ring.remove(key)).await
    }

    /// The public names of the mesh keys this node holds, the one that seals first.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn keys(&self) -> Result<Vec<KeyHash>, Stopped> {
        let ground = self.request(|done| Request::Standing { member: None, done }).await?;
        Ok(ground.keys.list())
    }

    async fn turn(
        &self,
        operator: &OperatorKey,
        body: OrderBody,
        try_it: impl FnOnce(&mut Keyring) -> Result<(), KeyringError>,
    ) -> Result<(), OrderRefused> {
        let mut ground = self.ground(operator, None).await?;
        try_it(&mut ground.keys)?;
        self.order(operator, &ground, body).await
    }

    async fn ground(&self, operator: &OperatorKey, member: Option<MemberId>) -> Result<Ground, OrderRefused> {
        let ground = self.request(|done| Request::Standing { member, done }).await?;
        match ground.operator {
            None => Err(OrderRefused::NoOperator),
            Some(obeyed) if obeyed != operator.public_key() => Err(OrderRefused::OtherOperator),
            Some(_) => Ok(ground),
        }
    }

    async fn order(&self, operator: &OperatorKey, ground: &Ground, body: OrderBody) -> Result<(), OrderRefused> {
        let order = SignedOrder::sign(Order { number: ground.number, body }, ground.mesh, operator);
        Ok(self.request(|done| Request::Obey { order, done }).await?)
    }
}
