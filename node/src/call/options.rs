//! How a capability wants to be called, and how a consumer wants to call it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::tool::ToolDescriptor;

/// The longest time-out that counts; longer ones are cut to it.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Options of a dependency. A tool advertises them (in the `kwargs` of its offer); a consumer may tighten them. What is
/// `None` or empty was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long a call may take. The shorter one counts.
    pub timeout: Option<Duration>,
    /// How often a call may be repeated that may have run or has failed. The smaller one counts. A call that nobody
    /// received goes on to the next provider whatever this says.
    pub retry_count: Option<u32>,
    /// Whether a call whose fate is unknown may be repeated. Both have to agree when both say something.
    pub idempotent: Option<bool>,
    /// Whether results come in chunks.
    pub streaming: Option<bool>,
    /// Headers that go with every call, names in lower case.
    pub custom_headers: BTreeMap<String, String>,
    /// Whether calls without a session key are refused.
    pub session_required: Option<bool>,
    /// Whether calls without credentials are refused.
    pub auth_required: Option<bool>,
}

/// Something in the `kwargs` of an offer that is not what it has to be. It is ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` {wrong}; it is ignored")]
pub struct Ignored {
    /// The option.
    pub option: &'static str,
    /// What is wrong with it.
    pub wrong: &'static str,
}

const TIMEOUT: &str = "timeout";
const RETRY_COUNT: &str = "retry_count";
const IDEMPOTENT: &str = "idempotent";
const STREAMING: &str = "streaming";
const CUSTOM_HEADERS: &str = "custom_headers";
const SESSION_REQUIRED: &str = "session_required";
const AUTH_REQUIRED: &str = "auth_required";
const ANNOTATIONS: &str = "annotations";
const HINTS: [&str; 2] = ["idempotentHint", "readOnlyHint"];

impl CallOptions {
    /// The options as an offer advertises them.
    pub fn to_kwargs(&self) -> BTreeMap<String, Value> {
        let mut kwargs = BTreeMap::new();
        let mut say = |name: &str, value: Option<Value>| {
            kwargs.extend(value.map(|value| (name.to_owned(), value)));
        };
        say(TIMEOUT, self.timeout.map(seconds));
        say(RETRY_COUNT, self.retry_count.map(Value::from));
        say(IDEMPOTENT, self.idempotent.map(Value::from));
        say(STREAMING, self.streaming.map(Value::from));
        let headers = self.custom_headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        say(CUSTOM_HEADERS, (!self.custom_headers.is_empty()).then(|| Value::Object(headers.collect())));
        say(SESSION_REQUIRED, self.session_required.map(Value::from));
        say(AUTH_REQUIRED, self.auth_required.map(Value::from));
        kwargs
    }

    /// The options that an offer advertises, and what in it was ignored. MCP's hints `idempotentHint` and `readOnlyHint`
    /// (plain or under `annotations`) count where `idempotent` is not said.
    pub fn from_kwargs(kwargs: &BTreeMap<String, Value>) -> (Self, Vec<Ignored>) {
        let mut reading = Reading { kwargs, ignored: Vec::new() };
        let options = Self {
            timeout: reading.read(TIMEOUT, "is not a positive number of seconds", as_duration),
            retry_count: reading.read(RETRY_COUNT, "is not a small whole number", as_count),
            idempotent: reading.read(IDEMPOTENT, NOT_A_BOOL, Value::as_bool).or_else(|| hinted(kwargs)),
            streaming: reading.read(STREAMING, NOT_A_BOOL, Value::as_bool),
            custom_headers: reading
                .read(CUSTOM_HEADERS, "is not an object of texts that can be headers", as_headers)
                .unwrap_or_default(),
            session_required: reading.read(SESSION_REQUIRED, NOT_A_BOOL, Value::as_bool),
            auth_required: reading.read(AUTH_REQUIRED, NOT_A_BOOL, Value::as_bool),
        };
        (options, reading.ignored)
    }

    /// What counts when a producer advertises these and its consumer asks for `wish`: never more than the producer allows.
    #[must_use]
    pub fn tightened(&self, wish: &Self) -> Self {
        let mut custom_headers = self.custom_headers.clone();
        custom_headers.extend(wish.custom_headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self {
            timeout: both(self.timeout, wish.timeout, Duration::min),
            retry_count: both(self.retry_count, wish.retry_count, u32::min),
            idempotent: both(self.idempotent, wish.idempotent, |a, b| a && b),
            streaming: both(self.streaming, wish.streaming, |a, b| a && b),
            custom_headers,
            session_required: both(self.session_required, wish.session_required, |a, b| a || b),
            auth_required: both(self.auth_required, wish.auth_required, |a, b| a || b),
        }
    }
}

/// The `kwargs` of the offer of `tool`: what its author wants consumers to be told, its options, and whether it may be
/// called twice.
pub fn advertised(tool: &ToolDescriptor) -> BTreeMap<String, Value> {
    let mut kwargs = tool.kwargs.clone();
    kwargs.extend(tool.options.to_kwargs());
    if tool.is_repeatable() {
        kwargs.insert(IDEMPOTENT.into(), Value::Bool(true));
    }
    kwargs
}

const NOT_A_BOOL: &str = "is neither true nor false";

struct Reading<'a> {
    kwargs: &'a BTreeMap<String, Value>,
    ignored: Vec<Ignored>,
}

impl Reading<'_> {
    fn read<T>(&mut self, option: &'static str, wrong: &'static str, read: fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.kwargs.get(option).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.ignored.push(Ignored { option, wrong });
        }
        read
    }
}

fn both<T>(one: Option<T>, other: Option<T>, join: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

fn seconds(timeout: Duration) -> Value {
    if timeout.subsec_nanos() == 0 { timeout.as_secs().into() } else { timeout.as_secs_f64().into() }
}

fn as_duration(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(MAX_TIMEOUT).min(MAX_TIMEOUT))
}

fn as_count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok())
}

fn as_headers(value: &Value) -> Option<BTreeMap<String, String>> {
    let header = |(name, value): (&String, &Value)| {
        let name = http::HeaderName::try_from(name.as_str()).ok()?;
        let value = value.as_str().filter(|value| http::HeaderValue::from_str(value).is_ok())?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    value.as_object()?.iter().map(header).collect()
}

fn hinted(kwargs: &BTreeMap<String, Value>) -> Option<bool> {
    let annotations = kwargs.get(ANNOTATIONS);
    let hint = |name: &str| kwargs.get(name).or_else(|| annotations?.get(name)).and_then(Value::as_bool);
    let hints: Vec<bool> = HINTS.into_iter().filter_map(hint).collect();
    (!hints.is_empty()).then(|| hints.contains(&true))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{CallOptions, MAX_TIMEOUT, advertised};
    use crate::tool::ToolDescriptor;

    fn read(kwargs: Value) -> (CallOptions, Vec<String>) {
        let kwargs = serde_json::from_value(kwargs).unwrap();
        let (options, ignored) = CallOptions::from_kwargs(&kwargs);
        (options, ignored.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_advertised_is_what_is_read() {
        let options = CallOptions {
            timeout: Some(Duration::from_millis(1500)),
            retry_count: Some(3),
            idempotent: Some(true),
            streaming: Some(false),
            custom_headers: [("x-team".to_owned(), "red".to_owned())].into(),
            session_required: Some(true),
            auth_required: Some(false),
        };
        assert_eq!(CallOptions::from_kwargs(&options.to_kwargs()), (options, Vec::new()));
        assert!(CallOptions::default().to_kwargs().is_empty());
    }

    #[test]
    fn foreign_values_of_a_wrong_type_are_ignored_and_said() {
        let (options, ignored) = read(json!({
            "timeout": "soon", "retry_count": -1, "idempotent": 1, "streaming": null, "custom_headers": {"a b": "x"},
            "session_required": "yes", "vendor": "acme",
        }));
        assert_eq!(options, CallOptions::default());
        assert_eq!(ignored.len(), 5, "{ignored:?}");
        assert_eq!(ignored[0], "option `timeout` is not a positive number of seconds; it is ignored");
        assert_eq!(read(json!({"timeout": 1e300})).0.timeout, Some(MAX_TIMEOUT));
    }

    #[test]
    fn hints_of_mcp_count_where_nothing_else_is_said() {
        assert_eq!(read(json!({"annotations": {"readOnlyHint": true}})).0.idempotent, Some(true));
        assert_eq!(read(json!({"idempotentHint": false})).0.idempotent, Some(false));
        assert_eq!(read(json!({"idempotent": false, "readOnlyHint": true})).0.idempotent, Some(false));
        let mut tool = ToolDescriptor::new("look");
        tool.annotations.read_only = Some(true);
        assert_eq!(advertised(&tool).get("idempotent"), Some(&Value::Bool(true)));
    }

    #[test]
    fn a_consumer_may_tighten_and_never_loosen() {
        let producer = read(json!({"timeout": 10, "retry_count": 1, "idempotent": false, "session_required": true})).0;
        let wish = read(json!({"timeout": 30, "retry_count": 5, "idempotent": true, "session_required": false})).0;
        assert_eq!(producer.tightened(&wish), producer);
        let tight = read(json!({"timeout": 1, "custom_headers": {"X-A": "1"}})).0;
        let both = producer.tightened(&tight);
        assert_eq!(both.timeout, Some(Duration::from_secs(1)));
        assert_eq!(both.custom_headers.get("x-a").unwrap(), "1");
    }
}
