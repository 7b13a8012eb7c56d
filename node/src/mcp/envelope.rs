//! The outside of a JSON-RPC request: enough to see what it is, without looking into what it carries.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON-RPC request as text. Notifications and answers are none.
#[derive(Clone, Debug, Deserialize)]
pub struct Envelope<'a> {
    /// Always `2.0`.
    #[serde(borrow)]
    pub jsonrpc: Cow<'a, str>,
    /// What the answer has to repeat.
    #[serde(borrow)]
    pub id: &'a RawValue,
    /// What is wanted.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The rest.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// The parameters of `tools/call`, of which only the name is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolCall<'a> {
    /// The tool.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// A JSON object, if anything.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// What the client says about the request.
    #[serde(rename = "_meta", default)]
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
}

impl<'a> Envelope<'a> {
    /// Reads `text`, if it is a request.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(text).ok()?;
        let first = *envelope.id.get().as_bytes().first()?;
        let has_id = first == b'"' || first == b'-' || first.is_ascii_digit();
        (envelope.jsonrpc == "2.0" && has_id).then_some(envelope)
    }

    /// The call of a tool that it is, unless it is something else or has parameters that a plain call has not.
    pub fn tool_call(&self) -> Option<ToolCall<'a>> {
        if self.method != "tools/call" {
            return None;
        }
        let call: ToolCall<'a> = serde_json::from_str(self.params?.get()).ok()?;
        call.arguments.is_none_or(|arguments| arguments.get().starts_with('{')).then_some(call)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn a_plain_call_is_seen() {
        let text = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":[1]}}}"#;
        let envelope = Envelope::read(text).unwrap();
        assert_eq!((envelope.id.get(), envelope.method.as_ref()), ("7", "tools/call"));
        let call = envelope.tool_call().unwrap();
        assert_eq!((call.name.as_ref(), call.arguments.unwrap().get()), ("add", r#"{"a":[1]}"#));
    }

    #[test]
    fn what_is_no_plain_call_is_left_to_others() {
        let calls = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
            Envelope::read(text.as_bytes()).and_then(|envelope| envelope.tool_call()).is_some()
        };
        assert!(calls(r#"{"name":"add"}"#));
        assert!(!calls(r#"{"name":"add","arguments":[]}"#));
        assert!(!calls(r#"{"name":"add","requestState":"s"}"#));
        assert!(!calls("[]"));
    }

    #[test]
    fn notifications_and_batches_are_no_requests() {
        assert!(Envelope::read(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).is_none());
        assert!(Envelope::read(br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#).is_none());
        assert!(Envelope::read(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#).is_none());
    }

    #[test]
    fn a_megabyte_of_nesting_does_no_harm() {
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}"#, "[".repeat(1 << 20));
        assert!(Envelope::read(deep.as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn no_text_stops_it(text: Vec<u8>, number in any::<u64>()) {
            let _ = Envelope::read(&text);
            let text = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":"#);
            let _ = Envelope::read(&[text.as_bytes(), b"{\"name\":", &number.to_le_bytes(), b"}}"].concat());
        }
    }
}
