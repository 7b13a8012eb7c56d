#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{PIECE_BYTES, bounded, budget, passed};

const BUDGET: Duration = Duration::from_secs(7);

/// Two pieces, and then nothing more for ever.
fn endless(kind: &'static str) -> Response {
    let pieces = stream::iter([Ok::<_, std::io::Error>("data: 1\n\n"), Ok("data: 2\n\n")]).chain(stream::pending());
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_that_takes_too_long_ends_with_a_frame_that_says_so() {
    let answer = bounded(endless("text/event-stream; charset=utf-8"), BUDGET, Instant::now() + BUDGET);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "data: 1\n\ndata: 2\n\n\n: mesh-proxy-timeout budget=7s\n\n");
}

#[tokio::test(start_paused = true)]
async fn anything_else_that_takes_too_long_breaks_off() {
    let answer = bounded(endless("application/json"), BUDGET, Instant::now() + BUDGET);
    answer.into_body().collect().await.unwrap_err();
}

#[tokio::test]
async fn large_pieces_become_small_ones_and_a_slow_reader_is_not_read_ahead_for() {
    let (taken, asked) = (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), 10);
    let count = std::sync::Arc::clone(&taken);
    let source = stream::iter(0..asked).map(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 3 * PIECE_BYTES]))
    });
    let answer = bounded(Response::new(Body::from_stream(source)), BUDGET, Instant::now() + BUDGET);
    let mut pieces = answer.into_body().into_data_stream();
    assert_eq!(pieces.next().await.unwrap().unwrap().len(), PIECE_BYTES);
    assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), 1);
    let rest: usize = pieces.map(|piece| piece.unwrap().len()).fold(0, |sum, bytes| async move { sum + bytes }).await;
    assert_eq!(rest, (3 * asked - 1) * PIECE_BYTES);
}

#[test]
fn only_listed_headers_pass_and_the_budget_is_bounded() {
    let propagation = crate::propagation::Propagation::new(["x-tenant-*"]);
    let mut headers = HeaderMap::new();
    for name in ["content-type", "x-trace-id", "authorization", "cookie", "x-tenant-a", "host", "connection", "x-other"]
    {
        headers.append(name, HeaderValue::from_static("1"));
    }
    headers.append("x-tenant-a", HeaderValue::from_static("2"));
    let passed = passed(&headers, &propagation);
    let mut names: Vec<&str> = passed.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "x-tenant-a", "x-trace-id"]);
    assert_eq!(passed.get_all("x-tenant-a").iter().count(), 2);
    for (said, seconds) in [("5", 5), ("601", 600), ("0", 60), ("-1", 60), ("x", 60), ("99999999999999999999", 60)] {
        let headers = HeaderMap::from_iter([("x-mesh-timeout".parse().unwrap(), said.parse().unwrap())]);
        assert_eq!(budget(&headers, Duration::from_secs(60)), Duration::from_secs(seconds), "{said}");
    }
}
