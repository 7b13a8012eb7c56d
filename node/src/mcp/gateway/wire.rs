//! One JSON-RPC request to an agent's own MCP server, wherever it runs, and its answer.

use std::sync::Arc;

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use mesh_gossip::Gossip;
use mesh_gossip::catalog::{Owner, Standing};
use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::directory::Replica;
use crate::call::exchange::{self, Exchange};
use crate::mcp::relay::proxy;
use crate::mcp::relay::replica::{Candidate, mcp_url};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use crate::tls::Clients;
use crate::tool::JsonObject;

/// The most bytes of an answer.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The ways to other agents' MCP servers.
#[derive(Clone)]
pub(super) struct Wire {
    gossip: Arc<Gossip>,
    /// Who answers for this node itself.
    own: Arc<dyn exchange::Answer>,
    http: reqwest::Client,
}

/// Why there is no result.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The agent was not reached; another replica may do.
    #[error("{0}")]
    Unreachable(String),
    /// The agent broke off: it may have done what it was asked.
    #[error("{0}")]
    Lost(String),
    /// The agent refused.
    #[error("{}", .0.message)]
    Refused(ErrorData),
}

impl Wire {
    pub(super) fn new(gossip: Arc<Gossip>, own: Arc<dyn exchange::Answer>, clients: &Clients) -> Self {
        let http = clients.builder().build().expect("a client that needs nothing of the system can be built");
        Self { gossip, own, http }
    }

    /// Asks `replica`, outside of any session.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn ask(
        &self,
        replica: &Replica,
        method: &str,
        params: JsonObject,
        deadline: Instant,
    ) -> Result<JsonObject, Unanswered> {
        let late = |_| Unanswered::Lost("no answer in time".to_owned());
        timeout_at(deadline, self.exchange(replica, method, params)).await.map_err(late)?
    }

    async fn exchange(&self, replica: &Replica, method: &str, params: JsonObject) -> Result<JsonObject, Unanswered> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let response = self.send(replica, request).await?;
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let text = body.collect().await.map_err(|error| Unanswered::Lost(error.to_string()))?;
        read(&text.to_bytes())
    }

    /// Sends one HTTP request to the MCP server of `replica`; what comes back is its head, and a body on its way.
    ///
    /// # Errors
    /// [`Unanswered`], but never that it was refused.
    pub(super) async fn send(
        &self,
        replica: &Replica,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Unanswered> {
        if !replica.is_native() {
            let url = replica.offers.endpoints.first().and_then(|endpoint| mcp_url(endpoint));
            let nowhere = || Unanswered::Unreachable("the agent says nowhere how to reach it".to_owned());
            let sent = proxy::send(&self.http, &url.ok_or_else(nowhere)?, request).await;
            return sent.map_err(|error| match error.is_connect() {
                true => Unanswered::Unreachable(error.to_string()),
                false => Unanswered::Lost(error.to_string()),
            });
        }
        *request.uri_mut() = Uri::from_static("/mcp");
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let member = replica.owner.member;
        if member == self.gossip.me() {
            return Ok(self.own.answer(member, request).await);
        }
        let line = Exchange::open(&self.gossip, member, exchange::KIND).await;
        let line = line.map_err(|error| Unanswered::Unreachable(error.to_string()))?;
        line.send(request).await.map_err(|error| Unanswered::Lost(error.to_string()))
    }
}

impl Replica {
    /// Whether it runs on a node of ours.
    pub(super) fn is_native(&self) -> bool {
        self.offers.labels.get(TRANSPORT_LABEL).is_some_and(|transport| transport == TRANSPORT_MESH)
    }
}

impl Candidate for &Replica {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn may_be_dead(&self) -> bool {
        self.standing == Standing::Suspect
    }
}

#[derive(Deserialize)]
struct Answered {
    result: Option<JsonObject>,
    error: Option<ErrorData>,
}

/// The result in `text`: JSON, or a stream of events of which the last is the answer.
fn read(text: &[u8]) -> Result<JsonObject, Unanswered> {
    let answer = serde_json::from_slice::<Answered>(text).ok().or_else(|| {
        let lines = text.split(|byte| *byte == b'\n').rev().filter_map(|line| line.strip_prefix(b"data:"));
        lines.filter_map(|data| serde_json::from_slice::<Answered>(data).ok()).find(Answered::is_one)
    });
    match answer {
        Some(Answered { result: Some(result), .. }) => Ok(result),
        Some(Answered { error: Some(error), .. }) => Err(Unanswered::Refused(error)),
        _ => Err(Unanswered::Lost("the answer is not MCP's".to_owned())),
    }
}

impl Unanswered {
    /// Whether no other replica would answer otherwise.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl Answered {
    fn is_one(&self) -> bool {
        self.result.is_some() || self.error.is_some()
    }
}

impl From<Unanswered> for ErrorData {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refused(error) => error,
            Unanswered::Unreachable(why) | Unanswered::Lost(why) => Self::new(ErrorCode::INTERNAL_ERROR, why, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn answers_come_as_json_or_as_the_last_of_several_events() {
        let json = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        assert!(read(json).is_ok());
        let events =
            [b"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\ndata: ", &json[..], b"\n\n"].concat();
        assert!(read(&events).is_ok());
        let refused = read(br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#);
        assert!(matches!(refused, Err(Unanswered::Refused(_))));
        assert!(matches!(read(b"<html>"), Err(Unanswered::Lost(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&text);
        }
    }
}
