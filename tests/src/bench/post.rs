//! Raw POSTs of `tools/call`, which any server of MCP over HTTP understands.

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A server that is posted to, over connections that are kept.
#[derive(Clone, Debug)]
pub struct Post {
    client: reqwest::Client,
    url: String,
}

#[derive(Serialize)]
struct Request<'a, A> {
    jsonrpc: &'static str,
    id: u32,
    method: &'static str,
    params: Params<'a, A>,
}

#[derive(Serialize)]
struct Params<'a, A> {
    name: &'a str,
    arguments: &'a A,
}

#[derive(Deserialize)]
struct Response<R> {
    result: Outcome<R>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<R> {
    structured_content: R,
}

impl Post {
    /// Will post to `url`.
    pub fn to(url: &str) -> Self {
        Self { client: reqwest::Client::new(), url: url.to_owned() }
    }

    /// Calls `tool`: its structured content, parsed no further than to that.
    ///
    /// # Errors
    /// When there is no answer, another status than success, or content of another shape.
    pub async fn tool<A: Serialize, R: DeserializeOwned>(&self, tool: &str, arguments: &A) -> Result<R> {
        let params = Params { name: tool, arguments };
        let request = Request { jsonrpc: "2.0", id: 1, method: "tools/call", params };
        let response = self
            .client
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&request)
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(status.is_success(), "{}: {status} {}", self.url, String::from_utf8_lossy(&body));
        let response: Response<R> =
            serde_json::from_slice(&body).with_context(|| String::from_utf8_lossy(&body).into_owned())?;
        Ok(response.result.structured_content)
    }
}
