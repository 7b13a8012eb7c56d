//! Orders of the operator, signed where the operator is and handed to any node.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use mesh_gossip::gossip::OrderRefused;
use mesh_gossip::identity::operator::public_text;
use serde::Deserialize;

use super::guard::Refused;
use super::signing::Signer;
use super::wire::{Ground, MemberGround};
use super::{Answer, Asked, Desk};

/// Whom the order will be about.
#[derive(Debug, Deserialize)]
pub(super) struct GroundQuery {
    #[serde(default)]
    member: Option<String>,
}

/// What an order has to be signed on.
pub(super) async fn ground(State(desk): State<Arc<Desk>>, Asked(query): Asked<GroundQuery>) -> Answer<Ground> {
    let member = match query.member.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|error| Refused::bad_request(format!("{error}")))?),
    };
    let ground = desk.gossip.order_ground(member).await.map_err(stopped)?;
    let keys = desk.gossip.keys().await.map_err(stopped)?;
    let about = member.zip(ground.life).map(|(member, life)| MemberGround {
        id: member.to_string(),
        generation: life.generation.0,
        session: life.session.0,
        incarnation: life.incarnation.0,
    });
    Ok(Json(Ground {
        mesh: ground.mesh.0,
        number: ground.number,
        operator: ground.operator.as_ref().map(public_text),
        member: about,
        keys: keys.iter().map(ToString::to_string).collect(),
    }))
}

/// Carries an order out and spreads it. It comes sealed, since it may hold a key.
pub(super) async fn obey(
    State(desk): State<Arc<Desk>>,
    Extension(signer): Extension<Signer>,
    body: Bytes,
) -> Answer<()> {
    let order = signer.open(&body).map_err(|error| Refused::bad_request(format!("the order is {error}")))?;
    desk.gossip.obey(&order).await.map_err(|error| match error {
        OrderRefused::Stopped(error) => stopped(error),
        other => Refused::new(StatusCode::FORBIDDEN, "order_refused", other.to_string()),
    })?;
    Ok(Json(()))
}

fn stopped(error: mesh_gossip::gossip::Stopped) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", error.to_string())
}
