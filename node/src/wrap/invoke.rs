//! One call to a wrapped server.

use bytes::Bytes;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ErrorCode, RequestMetaObject, ServerResult,
};
use rmcp::service::ServiceError;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::exchange::Exchange;
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope};
use crate::tool::{Fault, FaultKind, JsonObject, Payload};

/// What a call brings along.
pub(super) struct Along<'a> {
    pub(super) scope: &'a Scope,
    pub(super) cancelled: &'a CancellationToken,
    pub(super) outlet: &'a Outlet,
}

/// Calls `tool` at the server of `session` and brings back what it says. When the caller gives up, the deadline passes
/// or the future is dropped, the server is told to cancel.
pub(super) async fn call(
    name: &str,
    session: Option<&Session>,
    tool: &str,
    arguments: &[u8],
    along: Along<'_>,
) -> Result<Payload, Fault> {
    let Some(session) = session else { return Err(away(name)) };
    let arguments: JsonObject = serde_json::from_slice(arguments)
        .map_err(|error| Fault::new(FaultKind::InvalidArguments, format!("arguments are no JSON object: {error}")))?;
    let original = session.originals.get(tool).cloned().unwrap_or_else(|| tool.to_owned());
    let request = CallToolRequest::new(CallToolRequestParams::new(original).with_arguments(arguments));
    let request = ClientRequest::CallToolRequest(request);
    let mut exchange = Exchange::begin(session, request, meta(along.scope)).await.map_err(|_| away(name))?;
    let deadline = async {
        match along.scope.deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let answer = tokio::select! {
        answer = exchange.answer(along.outlet) => answer,
        () = along.cancelled.cancelled() => return Err(Fault::new(FaultKind::Cancelled, "the caller gave up")),
        () = deadline => return Err(Fault::new(FaultKind::TimedOut, format!("{name} did not answer in time"))),
    };
    let failed = |what: &str| Err(Fault::new(FaultKind::Failed, format!("{name} {what}")));
    match answer {
        Ok(ServerResult::CallToolResult(result)) => payload(&result),
        Ok(ServerResult::InputRequiredResult(_)) => failed("wants to ask its client, which only an MCP client answers"),
        Ok(_) => failed("answered with something else than the result of a tool"),
        Err(ServiceError::McpError(error)) => {
            let kind = match error.code {
                ErrorCode::INVALID_PARAMS => FaultKind::InvalidArguments,
                ErrorCode::METHOD_NOT_FOUND => FaultKind::UnknownTool,
                _ => FaultKind::Failed,
            };
            let data = error.data.map(|data| data.to_string().into());
            Err(Fault { kind, message: error.message.into_owned(), data })
        }
        Err(ServiceError::TransportSend(_)) => Err(away(name)),
        Err(ServiceError::TransportClosed) => failed("went away while the tool ran: it may have run"),
        Err(error) => failed(&error.to_string()),
    }
}

fn away(name: &str) -> Fault {
    Fault::new(FaultKind::DependencyUnavailable, format!("the MCP server behind {name} is not there at the moment"))
}

/// What goes along with the call, as MCP has it: the trace along.
fn meta(scope: &Scope) -> RequestMetaObject {
    let mut meta = RequestMetaObject::new();
    if let Some(trace) = scope.trace {
        meta.set_traceparent(trace.to_string());
    }
    if let Some(state) = &scope.trace_state {
        meta.set_tracestate(&**state);
    }
    meta
}

/// An MCP result as ours: a value where the structured content says it all, a fault where an error is but words.
fn payload(result: &CallToolResult) -> Result<Payload, Fault> {
    let texts: Option<Vec<&str>> =
        result.content.iter().map(|block| block.as_text().map(|text| text.text.as_str())).collect();
    if result.is_error == Some(true) && result.structured_content.is_none() {
        if let Some(texts) = texts {
            return Err(Fault::new(FaultKind::Failed, texts.join("\n")));
        }
    } else if let Some(value) = result.structured_content.as_ref().filter(|_| result.is_error != Some(true)) {
        // A server repeats its structured content as text for clients that do not know it.
        let repeated = |text: &&str| serde_json::from_str::<serde_json::Value>(text).is_ok_and(|text| text == *value);
        if result.meta.is_none() && texts.is_some_and(|texts| texts.iter().all(repeated)) {
            return bounded(value).map(Payload::Value);
        }
    }
    bounded(result).map(Payload::Content)
}

fn bounded(result: &impl serde::Serialize) -> Result<Bytes, Fault> {
    let text = serde_json::to_vec(result).map_err(|error| Fault::new(FaultKind::Failed, error.to_string()))?;
    if text.len() > MAX_PAYLOAD_BYTES {
        let message = format!("the result of {} bytes is larger than the {MAX_PAYLOAD_BYTES} that travel", text.len());
        return Err(Fault::new(FaultKind::TooLarge, message));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn payload_of(result: serde_json::Value) -> Result<Payload, Fault> {
        payload(&serde_json::from_value(result).unwrap())
    }

    #[test]
    fn structured_content_with_its_copy_as_text_is_a_value() {
        let result = json!({"content": [{"type": "text", "text": "{ \"sum\": 3 }"}], "structuredContent": {"sum": 3}});
        assert_eq!(payload_of(result), Ok(Payload::Value(r#"{"sum":3}"#.into())));
    }

    #[test]
    fn content_that_says_more_than_the_value_survives() {
        let image = json!({"type": "image", "data": "AA==", "mimeType": "image/png"});
        for result in [
            json!({"content": [image], "structuredContent": {"sum": 3}}),
            json!({"content": [{"type": "text", "text": "hello"}]}),
            json!({"content": [image], "isError": true}),
        ] {
            let Ok(Payload::Content(text)) = payload_of(result.clone()) else { panic!("{result} lost its content") };
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), result);
        }
    }

    #[test]
    fn an_error_in_words_is_a_fault_of_the_tool() {
        let result = json!({"content": [{"type": "text", "text": "no such file"}], "isError": true});
        assert_eq!(payload_of(result), Err(Fault::new(FaultKind::Failed, "no such file")));
    }
}
