//! Between seeds: what an agent says to one of them is passed on to the one that speaks for it, over QUIC.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use mesh_gossip::catalog::AgentId;
use mesh_gossip::{Gossip, MemberId};
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Registry, Unavailable};
use crate::call::exchange::{Answer, Exchange};

/// The kind of stream that such requests travel on.
pub(crate) const KIND: u8 = 20;

/// How many requests of other members wait to be answered.
pub(super) const REQUESTS_WAITING: usize = 256;

/// How long another seed may take.
const FORWARD_WITHIN: Duration = Duration::from_secs(5);

/// Answers what other members pass on.
pub(super) struct Forwarded(Router);

impl Forwarded {
    pub(super) fn new(registry: &Registry) -> Arc<Self> {
        Arc::new(Self(super::routes::for_members(registry.for_members())))
    }
}

#[async_trait]
impl Answer for Forwarded {
    async fn answer(&self, _: MemberId, request: Request<Body>) -> Response<Body> {
        match self.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Passes a request on to `member`. Dropping the future leaves open whether it arrived.
///
/// # Errors
/// [`Unavailable`] when it does not answer.
pub(super) async fn forward(
    gossip: &Gossip,
    member: MemberId,
    method: Method,
    path: &str,
    body: Body,
) -> Result<Response<Body>, Unavailable> {
    let request = Request::builder().method(method).uri(path).body(body).map_err(|_| Unavailable)?;
    let answered = async {
        let exchange = Exchange::open(gossip, member, KIND).await.map_err(|_| Unavailable)?;
        exchange.send(request).await.map_err(|_| Unavailable)
    };
    timeout(FORWARD_WITHIN, answered).await.map_err(|_| Unavailable)?
}

/// Tells the seed that speaks for `agent` that it could not be reached.
///
/// # Errors
/// [`Unavailable`] when the seed does not answer.
pub(crate) async fn doubt(gossip: &Gossip, seed: MemberId, agent: &AgentId) -> Result<(), Unavailable> {
    forward(gossip, seed, Method::POST, &format!("/doubt/{agent}"), Body::empty()).await.map(drop)
}
