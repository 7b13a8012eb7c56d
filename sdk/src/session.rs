//! Sessions: calls under one key are served by the same replica while it lives.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use mesh_node::context::{NotASessionKey, SessionKey};
pub use mesh_node::mcp::inbound::SESSION_KEY_HEADER as SESSION_HEADER;

/// The session of an HTTP request: that of its header `X-Session-Id`, or a new one. Give the key back to the client, so
/// that it can say it the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    key: SessionKey,
    is_new: bool,
}

impl Session {
    /// A new session with a random key.
    pub fn random() -> Self {
        let key = format!("{:032x}", rand::random::<u128>());
        Self { key: SessionKey::try_from(key.as_str()).expect("32 digits are a key"), is_new: true }
    }

    /// The session that `headers` name.
    fn said(headers: &HeaderMap) -> Option<SessionKey> {
        headers.get(SESSION_HEADER).and_then(|value| SessionKey::try_from(value.to_str().ok()?).ok())
    }

    /// The session called `key`.
    ///
    /// # Errors
    /// [`NotASessionKey`].
    pub fn new(key: &str) -> Result<Self, NotASessionKey> {
        Ok(Self { key: SessionKey::try_from(key)?, is_new: false })
    }

    /// Its key.
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Whether it began with this request.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

impl AsRef<str> for Session {
    fn as_ref(&self) -> &str {
        self.key()
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::said(&parts.headers).map_or_else(Self::random, |key| Self { key, is_new: false }))
    }
}
