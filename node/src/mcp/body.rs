//! Bodies of HTTP requests, read within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyRefused {
    /// Larger than allowed. Send less.
    #[error("the body is larger than the {0} bytes that one request carries")]
    TooLarge(usize),
    /// It did not arrive. Send it again.
    #[error("the body did not arrive: {0}")]
    Broken(String),
    /// It stopped arriving. Send it again.
    #[error("the body paused for longer than {PAUSE:?}")]
    TooSlow,
}

impl BodyRefused {
    pub(super) fn response(&self) -> Response {
        let status = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        (status, axum::Json(json!({"error": self.to_string()}))).into_response()
    }
}

/// All of `body`, at most `limit` bytes. A body that came in one piece is not copied.
pub(super) async fn read(mut body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, BodyRefused> {
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > limit) {
        return Err(BodyRefused::TooLarge(limit));
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(piece) = next(&mut body).await? {
        if all.len() + first.len() + piece.len() > limit {
            return Err(BodyRefused::TooLarge(limit));
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            // What a client announces is only a hint: memory follows what has arrived.
            all.reserve(said.unwrap_or(0).min(first.len() * 4));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyRefused> {
    loop {
        let frame = tokio::time::timeout(PAUSE, body.frame()).await.map_err(|_| BodyRefused::TooSlow)?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(BodyRefused::Broken(error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use futures::stream;

    use super::*;

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<std::io::Result<&'static str>> = pieces.iter().copied().map(Ok).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn pieces_come_together() {
        let read = read(pieces(&["a", "", "bc", "d"]), &HeaderMap::new(), 4).await;
        assert_eq!(read.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn a_byte_too_many_is_refused_even_when_nobody_announced_it() {
        let read = read(pieces(&["abc", "de"]), &HeaderMap::new(), 4).await;
        assert_eq!(read.unwrap_err(), BodyRefused::TooLarge(4));
    }

    #[tokio::test]
    async fn what_announces_itself_too_large_is_not_even_read() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, "5".parse().unwrap())]);
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(endless, &headers, 4).await.unwrap_err(), BodyRefused::TooLarge(4));
    }
}
