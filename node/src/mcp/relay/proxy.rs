//! Requests to agents that speak HTTP only, passed on as they are.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, ORIGIN};

use crate::call::exchange::travelling;

/// What a client told this node, or the page it came from, and nobody else.
pub(in crate::mcp) const OURS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, ORIGIN];

/// Sends `request` to `url` and streams the response back. Dropping the response's body ends it.
pub(in crate::mcp) async fn send(
    client: &reqwest::Client,
    url: &str,
    request: Request,
) -> Result<Response, reqwest::Error> {
    let (head, body) = request.into_parts();
    let mut headers = travelling(&head.headers);
    for name in OURS {
        headers.remove(name);
    }
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let answer = client.request(head.method, url).headers(headers).body(body).send().await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = travelling(answer.headers());
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    Ok(response)
}
