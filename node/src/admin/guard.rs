//! Who gets through to the administration: whoever signs under a mesh key, and nobody else, from loopback neither.
//!
//! The order of the checks is the order of what they cost: a browser's request, a missing or foreign nonce and a wrong
//! key are refused before a byte of the body is read.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mesh_gossip::Gossip;

use super::challenge::{Challenges, GOOD_FOR, Rejected};
use super::signing::{ANSWER_HEADER, Credentials, NEXT_HEADER, Signer};
use super::wire::{Challenge, PREFIX, Problem};
use super::{MAX_BODY_BYTES, MAX_CALL_BYTES, UPLOAD_TIME};

/// What the guard needs.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) challenges: Arc<Challenges>,
    pub(super) gossip: Arc<Gossip>,
}

/// Marks an answer whose body is signed frame by frame.
#[derive(Clone, Copy)]
pub(super) struct Framed;

/// A refusal: what is said instead of an answer.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) Problem);

impl Refused {
    pub(super) fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        Self(status, Problem::new(error, message))
    }

    /// The request makes no sense.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(self.1)).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Mesh"));
        }
        response
    }
}

/// Hands out a nonce. The one thing that needs no signature: it costs nothing and tells nothing.
pub(super) async fn challenge(State(guard): State<Guard>) -> impl IntoResponse {
    let keys = guard.gossip.mesh_keys().iter().map(|key| key.hash().to_string()).collect();
    let challenge = Challenge { nonce: guard.challenges.make().to_string(), keys };
    ([(CACHE_CONTROL, "no-store")], Json(challenge))
}

/// No page may ask, whatever it knows.
pub(super) async fn no_browser(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        let why = "the mesh's administration does not answer web pages: use meshctl";
        return Refused::new(StatusCode::FORBIDDEN, "origin", why).into_response();
    }
    next.run(request).await
}

/// Lets through what is signed, and signs the answer.
pub(super) async fn signed(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let admitted = match guard.admit(request).await {
        Ok(admitted) => admitted,
        Err(refused) => return refused.into_response(),
    };
    let (request, signer) = admitted;
    let response = next.run(request).await;
    let mut response = sign(&signer, response).await;
    if let Ok(next) = HeaderValue::try_from(guard.challenges.make().to_string()) {
        response.headers_mut().insert(NEXT_HEADER, next);
    }
    response
}

impl Guard {
    async fn admit(&self, request: Request) -> Result<(Request, Signer), Refused> {
        let (mut parts, body) = request.into_parts();
        let credentials = parts.headers.get(AUTHORIZATION).ok_or_else(unsigned)?;
        let credentials: Credentials =
            credentials.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(unsigned)?;
        self.challenges.check(&credentials.nonce).map_err(rejected)?;
        let keys = self.gossip.mesh_keys();
        let key = keys.iter().find(|key| key.hash() == credentials.key).ok_or_else(|| unknown_key(&credentials))?;
        let signer = Signer::new(key, credentials.nonce);
        let target = parts.uri.path_and_query().map_or(PREFIX, |target| target.as_str());
        if !signer.accepts(&credentials, parts.method.as_str(), target) {
            return Err(wrong_signature());
        }
        self.challenges.spend(&credentials.nonce).map_err(rejected)?;
        let limit = if target.starts_with("/mesh/admin/v1/call") { MAX_CALL_BYTES } else { MAX_BODY_BYTES };
        let body = read(body, limit).await?;
        if blake3::hash(&body) != credentials.body {
            return Err(wrong_signature());
        }
        parts.extensions.insert(signer.clone());
        Ok((Request::from_parts(parts, Body::from(body)), signer))
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refused> {
    let collected = tokio::time::timeout(UPLOAD_TIME, Limited::new(body, limit).collect()).await;
    let too_slow = |_| Refused::new(StatusCode::REQUEST_TIMEOUT, "slow", "the request did not arrive in time");
    let collected = collected.map_err(too_slow)?.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("a request to this path has at most {limit} bytes");
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        } else {
            Refused::bad_request(format!("the request broke off: {error}"))
        }
    })?;
    Ok(collected.to_bytes())
}

async fn sign(signer: &Signer, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    if parts.extensions.get::<Framed>().is_some() {
        parts.headers.insert(ANSWER_HEADER, mac(signer, status, b""));
        return Response::from_parts(parts, body);
    }
    // The handlers made it: it is in memory and cannot fail.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.insert(ANSWER_HEADER, mac(signer, status, &body));
    Response::from_parts(parts, Body::from(body))
}

fn mac(signer: &Signer, status: u16, body: &[u8]) -> HeaderValue {
    HeaderValue::from_str(signer.answer(status, body).to_hex().as_str()).expect("hex is visible")
}

fn unsigned() -> Refused {
    let message = "this request is not signed: the mesh's administration answers holders of the mesh key only, on \
        loopback too. Ask with meshctl, which finds the key in --mesh-key, MESH_KEY, or mesh.key in the state folder of \
        its home; the protocol begins with GET /mesh/admin/v1/challenge";
    Refused::new(StatusCode::UNAUTHORIZED, "unsigned", message)
}

fn unknown_key(credentials: &Credentials) -> Refused {
    let message = format!("this node does not hold the mesh key {}: give the key of its mesh", credentials.key);
    Refused::new(StatusCode::UNAUTHORIZED, "unknown_key", message)
}

fn wrong_signature() -> Refused {
    let message =
        "the signature does not fit the request: it was changed on its way, or is not signed with the key it names";
    Refused::new(StatusCode::UNAUTHORIZED, "wrong_signature", message)
}

fn rejected(why: Rejected) -> Refused {
    let (status, error, message) = match why {
        Rejected::Foreign => {
            (StatusCode::UNAUTHORIZED, "foreign_nonce", "the nonce is not of this node: ask it for one")
        }
        Rejected::Stale => {
            let message = format!("the nonce is older than {GOOD_FOR:?}: ask for another one");
            return Refused::new(StatusCode::UNAUTHORIZED, "stale_nonce", message);
        }
        Rejected::Used => (StatusCode::UNAUTHORIZED, "replayed", "the nonce was used: every request needs its own"),
        Rejected::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests of late: repeat this one later"),
    };
    Refused::new(status, error, message)
}
