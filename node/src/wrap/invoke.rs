//! One call to a wrapped server.
#![expect(deprecated, reason = "MCP is about to drop logging; servers that log are about to stay")]

use bytes::Bytes;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ErrorCode, InputRequest, InputRequests,
    InputResponses, LoggingLevel, MetaObject, RequestMetaObject, ServerResult,
};
use rmcp::service::ServiceError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use serde_json::json;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::Session;
use super::exchange::Exchange;
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope};
use crate::mcp::client::{AskError, Asked, ClientHandle, Round};
use crate::tool::{Fault, FaultKind, JsonObject, Payload};

/// How often a server may answer that it wants to know more first.
const ROUNDS: usize = 10;

/// What a call brings along.
#[derive(Clone, Copy)]
pub(super) struct Along<'a> {
    pub(super) scope: &'a Scope,
    pub(super) cancelled: &'a CancellationToken,
    pub(super) outlet: &'a Outlet,
    /// Who called, if it can be asked something.
    pub(super) client: Option<&'a ClientHandle>,
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
    let params = CallToolRequestParams::new(original).with_arguments(arguments);
    let deadline = async {
        match along.scope.deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        answer = in_rounds(name, session, params, along) => answer,
        () = along.cancelled.cancelled() => Err(Fault::new(FaultKind::Cancelled, "the caller gave up")),
        () = deadline => Err(Fault::new(FaultKind::TimedOut, format!("{name} did not answer in time"))),
    }
}

/// Calls until the server wants to know nothing more. A client that is asked by results is given the question as it is.
async fn in_rounds(
    name: &str,
    session: &Session,
    mut params: CallToolRequestParams,
    along: Along<'_>,
) -> Result<Payload, Fault> {
    let by_result = along.client.filter(|client| client.asked() == Asked::ByResult);
    if let Some(client) = by_result {
        let Round { responses, state } = client.round().clone();
        (params.input_responses, params.request_state) = (responses, state);
    }
    for _ in 0..ROUNDS {
        let question = match once(name, session, params.clone(), along).await? {
            ServerResult::CallToolResult(result) => return payload(&result),
            ServerResult::InputRequiredResult(question) if by_result.is_some() => {
                return bounded(&question).map(Payload::Content);
            }
            ServerResult::CreateTaskResult(task) if by_result.is_some() => return bounded(&task).map(Payload::Content),
            ServerResult::InputRequiredResult(question) => question,
            _ => return Err(failed(name, "answered with something else than the result of a tool")),
        };
        let Some(client) = along.client else {
            return Err(failed(
                name,
                "wants to ask its client something: only who calls it as an MCP client can answer",
            ));
        };
        params.request_state = question.request_state;
        let answers = answers(client, question.input_requests.unwrap_or_default()).await;
        params.input_responses = Some(answers.map_err(|error| failed(name, &format!("asked its client: {error}")))?);
    }
    Err(failed(name, &format!("asked its client {ROUNDS} times and still wants to know more")))
}

async fn once(
    name: &str,
    session: &Session,
    params: CallToolRequestParams,
    along: Along<'_>,
) -> Result<ServerResult, Fault> {
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let meta = meta(session, along);
    let exchange = Exchange::begin(session, request, meta, along.client.cloned()).await;
    let answer = exchange.map_err(|_| away(name))?.answer(along.outlet).await;
    answer.map_err(|error| match error {
        ServiceError::McpError(error) => {
            let kind = match error.code {
                ErrorCode::INVALID_PARAMS => FaultKind::InvalidArguments,
                ErrorCode::METHOD_NOT_FOUND => FaultKind::UnknownTool,
                _ => FaultKind::Failed,
            };
            let data = error.data.map(|data| data.to_string().into());
            Fault { kind, message: error.message.into_owned(), data }
        }
        ServiceError::TransportSend(error) if was_not_sent(&error) => away(name),
        ServiceError::TransportSend(_) | ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
            Fault::new(FaultKind::Lost, format!("{name} went away while the tool ran: it may have run"))
        }
        error => failed(name, &error.to_string()),
    })
}

/// Whether nothing of a request can have reached the server. Over HTTP that is sure only when there was no connection.
fn was_not_sent(error: &DynamicTransportError) -> bool {
    match error.error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => error.is_connect(),
        Some(StreamableHttpError::SessionExpired | StreamableHttpError::TransportChannelClosed) => true,
        Some(_) => false,
        None => true,
    }
}

/// Has `client` answer all of it.
async fn answers(client: &ClientHandle, questions: InputRequests) -> Result<InputResponses, AskError> {
    let mut answers = InputResponses::new();
    for (key, question) in questions {
        let answer = match question {
            InputRequest::Elicitation(question) => json!(client.elicit(question.params).await?),
            InputRequest::CreateMessage(question) => json!(client.sample(question.params).await?),
            InputRequest::ListRoots(_) => json!(client.roots().await?),
            _ => return Err(AskError::Strange),
        };
        answers.insert(key, answer);
    }
    Ok(answers)
}

fn failed(name: &str, what: &str) -> Fault {
    Fault::new(FaultKind::Failed, format!("{name} {what}"))
}

fn away(name: &str) -> Fault {
    Fault::new(FaultKind::DependencyUnavailable, format!("the MCP server behind {name} is not there at the moment"))
}

/// What goes along with the call, as MCP has it: the trace, and where the protocol has every request say so, what the
/// client can do and wants to be logged.
fn meta(session: &Session, along: Along<'_>) -> RequestMetaObject {
    let mut meta = RequestMetaObject::new();
    if let Some(trace) = along.scope.trace {
        meta.set_traceparent(trace.to_string());
    }
    if let Some(state) = &along.scope.trace_state {
        meta.set_tracestate(&**state);
    }
    if session.is_modern() {
        meta.set_client_capabilities(along.client.map(ClientHandle::capabilities).unwrap_or_default());
        // Of a client that calls through another node only that one knows what it wants to be logged, and leaves out the rest.
        let level =
            along.client.map_or_else(|| along.outlet.is_open().then_some(LoggingLevel::Debug), ClientHandle::level);
        if let Some(level) = level {
            meta.set_log_level(level);
        }
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
        if result.meta.as_ref().is_none_or(says_nothing) && texts.is_some_and(|texts| texts.iter().all(repeated)) {
            return bounded(value).map(Payload::Value);
        }
    }
    bounded(result).map(Payload::Content)
}

/// Whether all of it is what servers of the newest protocol say of themselves with every result.
fn says_nothing(meta: &MetaObject) -> bool {
    meta.keys().all(|key| key.starts_with("io.modelcontextprotocol/"))
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
        let mut result =
            json!({"content": [{"type": "text", "text": "{ \"sum\": 3 }"}], "structuredContent": {"sum": 3}});
        assert_eq!(payload_of(result.clone()), Ok(Payload::Value(r#"{"sum":3}"#.into())));
        result["_meta"] = json!({"io.modelcontextprotocol/serverInfo": {"name": "adder", "version": "1"}});
        assert_eq!(payload_of(result.clone()), Ok(Payload::Value(r#"{"sum":3}"#.into())));
        result["_meta"]["cost"] = json!(7);
        assert!(matches!(payload_of(result), Ok(Payload::Content(_))));
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
