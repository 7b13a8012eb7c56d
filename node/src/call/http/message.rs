//! JSON-RPC as MCP uses it: what is said to a server, and what its answers mean to a caller.

use bytes::Bytes;
use mesh_gossip::catalog::Offers;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::context::Update;
use crate::tool::{Fault, FaultKind, Payload};

const INVALID_PARAMS: i64 = -32602;
const METHOD_NOT_FOUND: i64 = -32601;

/// What servers of this protocol understand without being asked what they speak.
pub(super) const PROTOCOL: &str = "2025-11-25";

/// Something a server says.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<RpcError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    data: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallToolResult<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    structured_content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(default, rename = "_meta")]
    meta: Option<Value>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// What stands in the text of a fault of the existing system.
#[derive(Deserialize)]
struct FaultText {
    error: String,
}

/// The request that calls a tool. `arguments` has been looked at, so that it cannot end the message early.
pub(super) fn call_tool(id: u64, tool: &str, arguments: &[u8], meta: &serde_json::Map<String, Value>) -> Bytes {
    let tool = Value::from(tool).to_string();
    let mut message =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":{tool}"#).into_bytes();
    message.extend_from_slice(br#","arguments":"#);
    message.extend_from_slice(arguments);
    if !meta.is_empty() {
        let meta = serde_json::to_string(meta).expect("a JSON object has a text");
        message.extend_from_slice(br#","_meta":"#);
        message.extend_from_slice(meta.as_bytes());
    }
    message.extend_from_slice(b"}}");
    message.into()
}

/// The request that begins a session.
pub(super) fn initialize(id: u64) -> Bytes {
    let client = concat!(r#"{"name":"mesh","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
    let params = format!(r#"{{"protocolVersion":"{PROTOCOL}","capabilities":{{}},"clientInfo":{client}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{params}}}"#).into()
}

/// What ends the beginning of a session.
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What a server is told whose answer to request `id` nobody waits for any more.
pub(super) fn cancelled(id: u64) -> Bytes {
    let params = format!(r#"{{"requestId":{id},"reason":"the caller gave up"}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#).into()
}

/// What an offer says of a tool that streams.
const STREAM_TYPE: &str = "stream_type";

/// How the pieces of a tool that streams are written in the messages of its progress notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Pieces {
    /// As they are.
    Text,
    /// As JSON.
    Json,
}

/// What a server is told that asks us something: that we are there, or that nobody who calls from here can be asked, as
/// [`initialize`] said.
pub(super) fn answer(id: &RawValue, method: &str) -> Bytes {
    let outcome = match method {
        "ping" => r#""result":{}"#.to_owned(),
        _ => {
            let why = Value::from(format!("{method} is not supported: an agent calls, and it has no client to ask"));
            format!(r#""error":{{"code":{METHOD_NOT_FOUND},"message":{why}}}"#)
        }
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},{outcome}}}"#, id.get()).into()
}

impl Pieces {
    /// What the offer of `tool` among `offers` says.
    pub(in crate::call) fn of(offers: &Offers, tool: &str) -> Option<Self> {
        let tool = offers.tools.iter().find(|offered| *offered.function == *tool)?;
        match tool.kwargs.get(STREAM_TYPE)?.as_str()? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// A piece as JSON. What is no JSON though it should be is taken for text.
    fn chunk(self, message: &str) -> Bytes {
        match self {
            Self::Json if serde_json::from_str::<&RawValue>(message).is_ok() => {
                Bytes::copy_from_slice(message.as_bytes())
            }
            Self::Json | Self::Text => Value::from(message).to_string().into(),
        }
    }
}

impl Message<'_> {
    /// Whether it answers request `id`.
    pub(super) fn answers(&self, id: u64) -> bool {
        let is_ours = self.id.is_some_and(|answered| answered.get().parse() == Ok(id));
        self.method.is_none() && is_ours && (self.result.is_some() || self.error.is_some())
    }

    /// What a notification of a tool that streams like `pieces`, if it streams, means to whoever waits for updates.
    pub(super) fn update(&self, pieces: Option<Pieces>) -> Option<Update> {
        let params: Value = serde_json::from_str(self.params?.get()).ok()?;
        let message = || params.get("message").and_then(Value::as_str);
        match (self.method.as_deref()?, pieces.zip(message())) {
            ("notifications/progress", Some((pieces, message))) => Some(Update::Chunk(pieces.chunk(message))),
            (method, _) => Self::other(method, &params),
        }
    }

    fn other(method: &str, params: &Value) -> Option<Update> {
        match method {
            "notifications/progress" => Some(Update::Progress {
                progress: params.get("progress")?.as_f64()?,
                total: params.get("total").and_then(Value::as_f64),
                message: params.get("message").and_then(Value::as_str).map(str::to_owned),
            }),
            "notifications/message" => {
                let level = params.get("level").and_then(Value::as_str).unwrap_or("info");
                let level = LEVELS.into_iter().find(|known| *known == level).unwrap_or("info");
                let logger = params.get("logger").and_then(Value::as_str).map(str::to_owned);
                let data = params.get("data").unwrap_or(&Value::Null).to_string().into();
                Some(Update::Log { level, logger, data })
            }
            _ => None,
        }
    }

    /// What the answer to a call of a tool means.
    pub(super) fn outcome(&self) -> Result<Payload, Fault> {
        if let Some(error) = &self.error {
            return Err(error.fault());
        }
        let text = self.result.map(RawValue::get).unwrap_or_default();
        let result: CallToolResult<'_> = serde_json::from_str(text)
            .map_err(|why| Fault::new(FaultKind::Failed, format!("the server's result makes no sense: {why}")))?;
        if result.is_error == Some(true) {
            return Err(result.fault(text));
        }
        let structured = result.structured_content.filter(|value| value.get() != "null");
        match structured {
            Some(structured) if result.is_all_text() => Ok(Payload::Value(result.unwrapped(structured))),
            _ => Ok(Payload::Content(Bytes::copy_from_slice(text.as_bytes()))),
        }
    }
}

/// MCP's levels of log messages.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl RpcError {
    /// What it means to whoever called a tool.
    pub(super) fn fault(&self) -> Fault {
        let kind = match self.code {
            INVALID_PARAMS if self.message.to_ascii_lowercase().contains("unknown tool") => FaultKind::UnknownTool,
            INVALID_PARAMS => FaultKind::InvalidArguments,
            METHOD_NOT_FOUND => FaultKind::UnknownTool,
            _ => FaultKind::Failed,
        };
        let data = self.data.as_ref().map(|data| Bytes::from(data.to_string()));
        Fault { kind, message: format!("{} ({})", self.message, self.code), data }
    }
}

impl CallToolResult<'_> {
    fn contents(&self) -> impl Iterator<Item = Content> {
        self.content.iter().filter_map(|content| serde_json::from_str(content.get()).ok())
    }

    /// Whether the contents say nothing that a value cannot.
    fn is_all_text(&self) -> bool {
        self.contents().all(|content| content.kind == "text")
    }

    /// The value itself, where an object was put around it because MCP wants one.
    fn unwrapped(&self, structured: &RawValue) -> Bytes {
        #[derive(Deserialize)]
        struct Wrapped<'a> {
            #[serde(borrow)]
            result: &'a RawValue,
        }
        let is_wrapped = self.meta.as_ref().and_then(|meta| meta.pointer("/fastmcp/wrap_result"));
        let wrapped = (is_wrapped == Some(&Value::Bool(true)))
            .then(|| serde_json::from_str::<Wrapped<'_>>(structured.get()).ok())
            .flatten();
        Bytes::copy_from_slice(wrapped.map_or(structured, |wrapped| wrapped.result).get().as_bytes())
    }

    fn fault(&self, whole: &str) -> Fault {
        let texts: Vec<String> = self.contents().filter_map(|content| content.text).collect();
        let message = texts.join("\n");
        let is_unavailable =
            serde_json::from_str::<FaultText>(&message).is_ok_and(|fault| fault.error == "dependency_unavailable");
        let kind = if is_unavailable { FaultKind::DependencyUnavailable } else { FaultKind::Failed };
        let message = if message.is_empty() { "the tool failed and says nothing about it".to_owned() } else { message };
        Fault { kind, message, data: Some(Bytes::copy_from_slice(whole.as_bytes())) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{Message, Pieces, answer, call_tool};
    use crate::context::Update;
    use crate::tool::{FaultKind, Payload};

    fn outcome(message: Value) -> Result<Payload, crate::tool::Fault> {
        let text = message.to_string();
        serde_json::from_str::<Message<'_>>(&text).unwrap().outcome()
    }

    fn value(text: &str) -> Result<Payload, crate::tool::Fault> {
        Ok(Payload::Value(text.to_owned().into()))
    }

    #[test]
    fn structured_content_is_the_value_and_is_unwrapped_only_where_the_server_says_so() {
        let text = json!([{"type": "text", "text": "7"}]);
        let result = json!({"result": {"content": text, "structuredContent": {"result": 7}}});
        assert_eq!(outcome(result), value(r#"{"result":7}"#));
        let marked = json!({"result": {"content": text, "structuredContent": {"result": 7},
            "_meta": {"fastmcp": {"wrap_result": true}}, "isError": false}});
        assert_eq!(outcome(marked), value("7"));
    }

    #[test]
    fn what_a_value_cannot_express_stays_content() {
        let image =
            json!({"content": [{"type": "image", "data": "", "mimeType": "image/png"}], "structuredContent": {}});
        assert!(matches!(outcome(json!({"result": image})), Ok(Payload::Content(text)) if text == image.to_string()));
        let plain = json!({"content": [{"type": "text", "text": "hi"}]});
        assert!(matches!(outcome(json!({"result": plain})), Ok(Payload::Content(_))));
    }

    #[test]
    fn errors_of_the_tool_and_of_the_protocol_are_faults() {
        let failed =
            json!({"isError": true, "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "way"}]});
        let fault = outcome(json!({"result": failed})).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Failed, "no\nway"));
        let lacking = json!({"isError": true, "content": [{"type": "text",
            "text": r#"{"error":"dependency_unavailable","capability":"x"}"#}]});
        assert_eq!(outcome(json!({"result": lacking})).unwrap_err().kind, FaultKind::DependencyUnavailable);
        for (code, message, kind) in [
            (-32602, "Unknown tool: x", FaultKind::UnknownTool),
            (-32602, "bad", FaultKind::InvalidArguments),
            (-32603, "bad", FaultKind::Failed),
        ] {
            assert_eq!(outcome(json!({"error": {"code": code, "message": message}})).unwrap_err().kind, kind);
        }
        assert_eq!(outcome(json!({"result": 7})).unwrap_err().kind, FaultKind::Failed);
    }

    #[test]
    fn notifications_are_updates() {
        let text =
            json!({"method": "notifications/progress", "params": {"progress": 1, "message": "chunk"}}).to_string();
        let update = serde_json::from_str::<Message<'_>>(&text).unwrap().update(None);
        assert_eq!(update, Some(Update::Progress { progress: 1.0, total: None, message: Some("chunk".into()) }));
        for (pieces, message, chunk) in
            [(Pieces::Text, "1", r#""1""#), (Pieces::Json, "[1]", "[1]"), (Pieces::Json, "one", r#""one""#)]
        {
            let text = json!({"method": "notifications/progress", "params": {"progress": 1, "message": message}});
            let update = serde_json::from_str::<Message<'_>>(&text.to_string()).unwrap().update(Some(pieces));
            assert_eq!(update, Some(Update::Chunk(chunk.into())));
        }
    }

    #[test]
    fn a_server_that_asks_is_told_that_nobody_can_be_asked_and_that_we_are_there() {
        let id = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let said = |text: &str, method| serde_json::from_slice::<Value>(&answer(&id(text), method)).unwrap();
        assert_eq!(said("7", "ping"), json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
        for method in ["sampling/createMessage", "elicitation/create", "roots/list", "\"\\"] {
            let refusal = said("\"a\"", method);
            assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("a"), &json!(-32601)));
            assert!(refusal["error"]["message"].as_str().unwrap().starts_with(method));
        }
    }

    #[test]
    fn a_request_is_json_whatever_the_tool_is_called() {
        let meta: Map<String, Value> = [("progressToken".to_owned(), Value::from(7))].into_iter().collect();
        let message: Value = serde_json::from_slice(&call_tool(7, "a\"b", br#"{"x":1}"#, &meta)).unwrap();
        assert_eq!(message["params"], json!({"name": "a\"b", "arguments": {"x": 1}, "_meta": {"progressToken": 7}}));
    }
}
