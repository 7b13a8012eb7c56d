//! One JSON-RPC request to an agent's own MCP server, wherever it runs, and its answer.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use mesh_gossip::{Gossip, MemberId};
use rmcp::ErrorData;
use rmcp::model::ErrorCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::directory::Replica;
use crate::call::exchange::{self, Exchange};
use crate::offers::{TRANSPORT_LABEL, TRANSPORT_MESH};
use crate::tool::JsonObject;

/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

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
    /// The agent was not reached, or broke off: another replica may do.
    #[error("{0}")]
    Unreachable(String),
    /// The agent refused.
    #[error("{}", .0.message)]
    Refused(ErrorData),
}

impl Wire {
    pub(super) fn new(gossip: Arc<Gossip>, own: Arc<dyn exchange::Answer>) -> Self {
        Self { gossip, own, http: reqwest::Client::new() }
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
        let late = |_| Unanswered::Unreachable("no answer in time".to_owned());
        timeout_at(deadline, self.exchange(replica, method, params)).await.map_err(late)?
    }

    async fn exchange(&self, replica: &Replica, method: &str, params: JsonObject) -> Result<JsonObject, Unanswered> {
        let broken = |error: &dyn std::fmt::Display| Unanswered::Unreachable(error.to_string());
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let text = if replica.is_native() {
            let mut request = Request::post("/mcp").body(Body::from(body)).map_err(|error| broken(&error))?;
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            let response = self.native(replica.owner.member, request).await.map_err(|error| broken(&error))?;
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
            body.collect().await.map_err(|error| broken(&error))?.to_bytes()
        } else {
            self.foreign(replica, body).await?
        };
        read(&text)
    }
}

impl Wire {
    async fn native(
        &self,
        member: MemberId,
        request: Request<Body>,
    ) -> Result<Response<Body>, exchange::ExchangeError> {
        if member == self.gossip.me() {
            return Ok(self.own.answer(member, request).await);
        }
        Exchange::open(&self.gossip, member).await?.send(request).await
    }

    async fn foreign(&self, replica: &Replica, body: String) -> Result<Bytes, Unanswered> {
        let broken = |error: reqwest::Error| Unanswered::Unreachable(error.to_string());
        let Some(endpoint) = replica.offers.endpoints.first() else {
            return Err(Unanswered::Unreachable("the agent says nowhere how to reach it".to_owned()));
        };
        let url = format!("{}/mcp", endpoint.trim_end_matches('/'));
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let mut response =
            request.header(ACCEPT, "application/json, text/event-stream").send().await.map_err(broken)?;
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            if text.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(Unanswered::Unreachable(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        Ok(text.into())
    }
}

impl Replica {
    /// Whether it runs on a node of ours.
    pub(super) fn is_native(&self) -> bool {
        self.offers.labels.get(TRANSPORT_LABEL).is_some_and(|transport| transport == TRANSPORT_MESH)
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
        _ => Err(Unanswered::Unreachable("the answer is not MCP's".to_owned())),
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
            Unanswered::Unreachable(why) => Self::new(ErrorCode::INTERNAL_ERROR, why, None),
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
        assert!(matches!(read(b"<html>"), Err(Unanswered::Unreachable(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&text);
        }
    }
}
