//! What has to be known of a JSON-RPC message to send it over HTTP.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// The parts of a message that decide how it travels.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    /// Requests and answers have one.
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    /// Requests and notifications have one.
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta", default)]
    meta: Meta<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    /// Reads one, if it is one.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether it waits for an answer.
    pub(super) fn is_request(&self) -> bool {
        self.id.is_some() && self.method.is_some()
    }

    /// Whether it is of this method.
    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// The protocol version that it names itself, as all requests of protocols without sessions do.
    pub(super) fn version(&self) -> Option<&str> {
        self.params.meta.version.as_deref()
    }

    /// What the method is about, as such protocols have it in a header.
    pub(super) fn subject(&self) -> Option<&str> {
        match self.method.as_deref()? {
            "tools/call" | "prompts/get" => self.params.name.as_deref(),
            "resources/read" => self.params.uri.as_deref(),
            _ => None,
        }
    }

    /// Which request it cancels, if that is what it does.
    pub(super) fn cancels(&self) -> Option<&str> {
        self.is("notifications/cancelled").then_some(self.params.request_id?.get())
    }
}

/// The answer to the request `id` that could not be passed on.
pub(super) fn failure(id: &str, why: &str) -> Vec<u8> {
    let why = json!(why);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32603,"message":{why}}}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{Message, failure};

    #[test]
    fn what_decides_how_a_message_travels_is_read() {
        let line = br#"{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":{"name":"add","arguments":{"x":[1]},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let message = Message::read(line).unwrap();
        assert!(message.is_request());
        assert_eq!((message.version(), message.subject()), (Some("2026-07-28"), Some("add")));
        let failure = failure(message.id.unwrap().get(), "no \"way\"");
        assert_eq!(Message::read(&failure).unwrap().id.unwrap().get(), r#""a\"b""#);
        let cancel = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(Message::read(cancel).unwrap().cancels(), Some("7"));
        assert!(!Message::read(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap().is_request());
        assert!(Message::read(b"[]").is_none() && Message::read(b"nonsense").is_none());
    }
}
