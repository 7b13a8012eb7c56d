//! Orders to the whole mesh, signed with the operator's key of this machine and handed to a node.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use mesh_gossip::MemberId;
use mesh_gossip::alive::Life;
use mesh_gossip::id::{Generation, Incarnation, MeshId, Session};
use mesh_gossip::identity::operator::{OperatorKey, public_text};
use mesh_gossip::order::{Order, OrderBody, SignedOrder};
use mesh_gossip::signature::Signer;
use mesh_node::admin::wire::Ground;

use crate::client::Client;
use crate::home::Home;

/// Where the operator's key is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct OperatorArgs {
    /// The folder with operator.key; without one, the state folder of the home
    #[arg(long, value_name = "FOLDER")]
    operator: Option<PathBuf>,
}

impl OperatorArgs {
    /// The key.
    ///
    /// # Errors
    /// When there is none, with what to do.
    pub(crate) fn key(&self) -> anyhow::Result<OperatorKey> {
        let folder = match &self.operator {
            Some(folder) => folder.clone(),
            None => Home::of_user()?.state(),
        };
        OperatorKey::load(&folder).context(
            "only the operator of the mesh can do that: `meshctl init` makes the operator's key, on one machine; run this \
             there, or name the folder with --operator",
        )
    }
}

/// What the next order has to be signed on; `member` is whom it is about.
///
/// # Errors
/// When the node does not answer.
pub(crate) async fn ground(client: &mut Client, member: Option<&str>) -> anyhow::Result<Ground> {
    let about: Vec<(&str, &str)> = member.iter().map(|member| ("member", *member)).collect();
    client.get("ground", &about).await
}

/// Signs `body` and hands it to the node, which carries it out and tells the mesh.
///
/// # Errors
/// When the node obeys somebody else, or nobody.
pub(crate) async fn give(
    client: &mut Client,
    operator: &OperatorKey,
    ground: &Ground,
    body: OrderBody,
) -> anyhow::Result<()> {
    match &ground.operator {
        None => bail!(
            "the mesh has no operator: `meshctl init` makes one, and every machine needs its operator.pub in the state \
             folder of its home before its nodes obey"
        ),
        Some(obeyed) if *obeyed != public_text(&operator.public_key()) => {
            bail!("the node at {} obeys another operator than the one whose key is here", client.base())
        }
        Some(_) => {}
    }
    let order = SignedOrder::sign(Order { number: ground.number, body }, MeshId(ground.mesh), operator);
    client.post_sealed("orders", order.bytes()).await
}

/// An order to forget the member that `ground` is about.
///
/// # Errors
/// When the node does not know that member.
pub(crate) fn forget(ground: &Ground) -> anyhow::Result<OrderBody> {
    let member = ground.member.as_ref().ok_or_else(|| anyhow!("the node knows no such member any more"))?;
    let id: MemberId = member.id.parse()?;
    let life = Life {
        generation: Generation(member.generation),
        session: Session(member.session),
        incarnation: Incarnation(member.incarnation),
    };
    Ok(OrderBody::Forget(id, life))
}
