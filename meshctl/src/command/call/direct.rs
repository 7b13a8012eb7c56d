//! Calling an MCP server over HTTP, with nobody in between.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use mesh_node::trace::{TraceContext, X_TRACE_ID};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{http_client, reason};

/// The most bytes of an answer: a result of 64 MiB, and what is around it.
const MAX_BYTES: usize = 80 << 20;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// A new trace, 32 hex digits.
pub(super) fn trace_id() -> anyhow::Result<String> {
    Ok(format!("{:032x}", TraceContext::root().trace_id))
}

/// The text of the result of calling `tool` at `url`.
pub(super) async fn call(
    url: &str,
    tool: &str,
    arguments: &str,
    headers: &[(String, String)],
    trace: Option<&str>,
    timeout: Duration,
) -> anyhow::Result<String> {
    if url.starts_with("stdio:") {
        bail!("the agent has no HTTP endpoint of its own: leave out --direct");
    }
    let url = format!("{}/mcp", url.trim_end_matches('/').trim_end_matches("/mcp"));
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).with_context(|| format!("the value of the header {name}"))?;
        sent.append(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    // What is sent in any case wins over what was asked for.
    sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sent.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    sent.insert("x-mesh-timeout", timeout.as_secs().max(1).into());
    if let Some(trace) = trace {
        sent.insert(X_TRACE_ID, HeaderValue::from_str(trace)?);
    }
    let name = serde_json::to_string(tool)?;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name},"arguments":{arguments}}}}}"#
    );
    let request = http_client(&url, false)?.post(&url).headers(sent).timeout(timeout).body(body);
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => anyhow!("MCP call failed: no result after {timeout:?}"),
        false => anyhow!("MCP call failed: {url}: {}", reason(&error)),
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    let text = read(response, is_stream, failed).await?;
    if !status.is_success() {
        bail!("agent returned status {status}: {}", text.chars().take(400).collect::<String>());
    }
    result(&text)
}

/// The body; of a stream of events no more than up to the one that holds the answer.
async fn read(
    mut response: reqwest::Response,
    is_stream: bool,
    failed: impl Fn(reqwest::Error) -> anyhow::Error,
) -> anyhow::Result<String> {
    let mut held = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(&failed)? {
        held.extend_from_slice(&bytes);
        if held.len() > MAX_BYTES {
            bail!("MCP call failed: the answer is larger than {MAX_BYTES} bytes");
        }
        if is_stream
            && bytes.contains(&b'\n')
            && let Some(answer) = answer_in(&String::from_utf8_lossy(&held))
        {
            return Ok(answer);
        }
    }
    let text = String::from_utf8(held).context("the answer is no text")?;
    if is_stream {
        return answer_in(&text).ok_or_else(|| anyhow!("MCP call failed: the agent sent no answer"));
    }
    Ok(text)
}

/// The first whole event that holds a result or an error.
fn answer_in(stream: &str) -> Option<String> {
    let text = stream.replace("\r\n", "\n");
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    whole.split("\n\n").find_map(|event| {
        let data: Vec<&str> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        let data = data.join("\n");
        let answer: Answer<'_> = serde_json::from_str(&data).ok()?;
        (answer.result.is_some() || answer.error.is_some()).then_some(data.clone())
    })
}

fn result(text: &str) -> anyhow::Result<String> {
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(text) else { return Ok(text.to_owned()) };
    match (answer.result, answer.error) {
        (_, Some(error)) => {
            let data = error.data.map(|data| format!(": {}", data.get())).unwrap_or_default();
            bail!("MCP call failed: {}{data}", error.message)
        }
        (Some(result), None) => Ok(result.get().to_owned()),
        (None, None) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{answer_in, result};

    #[test]
    fn the_result_stays_as_it_was_written() {
        assert_eq!(result(r#"{"id":1,"result":{"b":1.0, "a":2}}"#).unwrap(), r#"{"b":1.0, "a":2}"#);
        let error = result(r#"{"id":1,"error":{"code":1,"message":"no","data":{"x":1}}}"#).unwrap_err();
        assert_eq!(error.to_string(), r#"MCP call failed: no: {"x":1}"#);
    }

    #[test]
    fn the_answer_in_a_stream_is_the_first_event_with_one() {
        let before = ": hello\n\ndata: {\"method\":\"notifications/progress\"}\n\n";
        assert_eq!(answer_in(before), None);
        assert_eq!(answer_in(&format!("{before}event: message\r\ndata: {{\"result\":1}}\r\n")), None);
        let whole = format!("{before}event: message\r\ndata: {{\"result\":1}}\r\n\r\n");
        assert_eq!(answer_in(&whole).unwrap(), "{\"result\":1}");
    }
}
