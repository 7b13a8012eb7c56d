//! `/mesh/mcp/<agent>`: one agent's whole MCP surface, wherever it runs.
//!
//! The HTTP exchange itself is passed on, to the agent's node over QUIC or to an agent that only speaks HTTP, so that
//! whatever MCP has, now or later, works through any node. A session stays with its replica: the id that the client sees
//! names it, so that nothing has to be remembered here and every node can go on with it.

pub(super) mod proxy;
pub(super) mod replica;
#[cfg(test)]
mod tests;
mod ticket;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, StatusCode, Uri};
use mesh_gossip::Gossip;
use serde_json::json;

use self::replica::Replica;
use self::ticket::Ticket;
use super::endpoint::{Endpoint, SESSION_HEADER};
use super::inbound::SESSION_KEY_HEADER;
use crate::call::exchange::{self, Exchange, ExchangeError};

/// How many replicas are tried before the client is told that none can be reached.
const MOST_TRIED: usize = 4;

/// The way from this node to the MCP surface of any agent. Cheap to clone.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    gossip: Arc<Gossip>,
    own: Endpoint,
    http: reqwest::Client,
}

/// Why a request was not passed on. The client reads it as JSON.
#[derive(Debug, thiserror::Error)]
enum NotRelayed {
    #[error("nobody is called {wanted}; {}", if near.is_empty() { "no agent can be reached".into() } else { format!("there is {}", near.join(", ")) })]
    UnknownAgent { wanted: String, near: Vec<String> },
    #[error("this session has ended, or the replica that kept it is gone: initialize again")]
    SessionLost,
    #[error("{wanted} cannot be reached now: {why}; try again")]
    Unreachable { wanted: String, why: String },
    #[error("{0}")]
    TooLarge(ExchangeError),
}

impl Relay {
    /// Passes requests on to whatever agents `gossip` knows; this node's own is `own`, agents that speak HTTP only are
    /// asked through `http`.
    pub fn new(gossip: Arc<Gossip>, own: Endpoint, http: reqwest::Client) -> Self {
        Self(Arc::new(Inner { gossip, own, http }))
    }

    /// `/mesh/mcp/<agent>`, for an agent's name or id. Who may call is for others to check: see [`super::access`].
    pub fn router(&self) -> Router {
        let paths = Router::new().route("/mesh/mcp/{agent}", any(relay)).route("/mesh/mcp/{agent}/", any(relay));
        paths.with_state(self.clone())
    }

    async fn serve(&self, wanted: &str, peer: Option<IpAddr>, mut request: Request) -> Result<Response, NotRelayed> {
        let unknown = |near| NotRelayed::UnknownAgent { wanted: wanted.to_owned(), near };
        let mut replicas = replica::of(&self.0.gossip.view(), wanted).map_err(unknown)?;
        match Ticket::of(request.headers()) {
            Some(ticket) => {
                replicas.retain(|replica| *replica.owner.agent.as_str() == *ticket.agent);
                ticket.unwrap_into(request.headers_mut());
                if replicas.is_empty() {
                    return Err(NotRelayed::SessionLost);
                }
            }
            None if request.headers().contains_key(SESSION_HEADER) => return Err(NotRelayed::SessionLost),
            None => replica::order(&mut replicas, &customer(request.headers(), peer)),
        }
        *request.uri_mut() = Uri::from_static("/mcp");
        let mut why = String::new();
        for replica in replicas.into_iter().take(MOST_TRIED) {
            let line = match self.line(&replica).await {
                Ok(line) => line,
                Err(error) => {
                    why = error.to_string();
                    continue;
                }
            };
            let unreachable = |why| NotRelayed::Unreachable { wanted: wanted.to_owned(), why };
            let mut response = line.send(request).await.map_err(|error| match error {
                SendError::Exchange(error @ ExchangeError::TooLarge { .. }) => NotRelayed::TooLarge(error),
                error => unreachable(error.to_string()),
            })?;
            ticket::stamp(response.headers_mut(), replica.owner.agent.as_str());
            return Ok(response);
        }
        Err(NotRelayed::Unreachable { wanted: wanted.to_owned(), why })
    }

    /// The way to a replica, which has seen nothing of the request yet.
    async fn line(&self, replica: &Replica) -> Result<Line<'_>, ExchangeError> {
        match &replica.url {
            Some(url) => Ok(Line::Http(&self.0.http, url.clone())),
            None if replica.owner.member == self.0.gossip.me() => Ok(Line::Own(&self.0.own)),
            None => Ok(Line::Member(Exchange::open(&self.0.gossip, replica.owner.member, exchange::KIND).await?)),
        }
    }
}

/// How a replica is reached.
enum Line<'a> {
    Own(&'a Endpoint),
    Member(Exchange),
    Http(&'a reqwest::Client, String),
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl Line<'_> {
    async fn send(self, request: Request) -> Result<Response, SendError> {
        match self {
            Self::Own(endpoint) => Ok(endpoint.serve(request).await),
            Self::Member(exchange) => Ok(exchange.send(request).await?),
            Self::Http(client, url) => Ok(proxy::send(client, &url, request).await?),
        }
    }
}

impl IntoResponse for NotRelayed {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownAgent { .. } | Self::SessionLost => StatusCode::NOT_FOUND,
            Self::Unreachable { .. } => StatusCode::BAD_GATEWAY,
            Self::TooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        };
        let near = if let Self::UnknownAgent { near, .. } = &self { near.clone() } else { Vec::new() };
        let mut body = json!({"error": self.to_string()});
        if !near.is_empty() {
            body["agents"] = near.into();
        }
        (status, axum::Json(body)).into_response()
    }
}

async fn relay(State(relay): State<Relay>, Path(agent): Path<String>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    match relay.serve(&agent, peer, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

/// Who is asked for the same replica again as long as that lives, also outside of sessions: tasks live there.
pub(super) fn customer(headers: &HeaderMap, peer: Option<IpAddr>) -> String {
    let said = headers.get(SESSION_KEY_HEADER).and_then(|key| key.to_str().ok());
    said.map(str::to_owned).unwrap_or_else(|| peer.map(|peer| peer.to_string()).unwrap_or_default())
}
