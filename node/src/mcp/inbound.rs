//! What an MCP request over HTTP brings for its call: trace, deadline, session, headers that travel.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rmcp::model::MetaObject;
use tokio::time::Instant;

use crate::context::{MAX_TRACE_STATE_BYTES, Scope, SessionKey};
use crate::propagation::{MAX_HEADER_BYTES, MAX_HEADERS, Propagation};
use crate::trace::TraceContext;

/// How many seconds the caller still waits. A fraction is understood.
pub const TIMEOUT_HEADER: &str = "x-mesh-timeout";

/// Which replica a caller wants again: calls of the same session go to the same one.
pub const SESSION_KEY_HEADER: &str = "x-session-id";

/// The same in the `_meta` of a request, for clients that cannot set headers.
pub const SESSION_KEY_META: &str = "mesh/session";

/// No call is waited for longer than this, whatever a header says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What `headers` and `meta` of a request say about its call. What makes no sense is as if it were not there. Who the
/// client says it is (`authorization`) is among the headers; calls hand it on only to tools that demand it.
pub fn scope(headers: &HeaderMap, meta: Option<&MetaObject>, propagation: &Propagation) -> Scope {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let said = |key: &str| meta.and_then(|meta| meta.get(key)?.as_str());
    let of_meta = said("traceparent").and_then(|text| text.trim().parse::<TraceContext>().ok());
    let state = header("tracestate").or_else(|| said("tracestate"));
    let session = header(SESSION_KEY_HEADER).or_else(|| said(SESSION_KEY_META));
    let mut travelling =
        propagation.select(headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))));
    if let Some(shown) = header(AUTHORIZATION.as_str()).filter(|shown| shown.len() <= MAX_HEADER_BYTES / 2)
        && !travelling.iter().any(|(name, _)| AUTHORIZATION == **name)
    {
        travelling.truncate(MAX_HEADERS - 1);
        travelling.push((AUTHORIZATION.as_str().into(), shown.into()));
    }
    Scope {
        deadline: header(TIMEOUT_HEADER).and_then(patience).map(|patience| Instant::now() + patience),
        trace: TraceContext::from_headers(header).or(of_meta),
        trace_state: state.filter(|state| state.len() <= MAX_TRACE_STATE_BYTES).map(Into::into),
        session: session.and_then(|key| SessionKey::try_from(key).ok()),
        headers: travelling,
    }
}

fn patience(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    let patience = Duration::try_from_secs_f64(seconds).ok()?;
    (!patience.is_zero()).then_some(patience.min(LONGEST))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn read(headers: &[(&'static str, &str)], meta: serde_json::Value) -> Scope {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let serde_json::Value::Object(meta) = meta else { panic!("an object") };
        scope(&headers, Some(&MetaObject(meta)), &Propagation::new(["x-tenant"]))
    }

    #[test]
    fn headers_of_both_systems_are_understood() {
        let scope = read(
            &[
                ("x-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"),
                ("x-parent-span", "00f067aa0ba902b7"),
                ("x-mesh-timeout", "300"),
                ("x-session-id", "mine"),
                ("x-tenant", "t"),
                ("cookie", "no"),
                ("authorization", "Bearer x"),
            ],
            json!({}),
        );
        let trace = scope.trace.unwrap();
        assert_eq!((trace.trace_id, trace.span_id), (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7));
        let left = scope.deadline.unwrap() - Instant::now();
        assert!(left > Duration::from_secs(290) && left <= Duration::from_secs(300), "{left:?}");
        assert_eq!(scope.session.unwrap().as_str(), "mine");
        let names: Vec<&str> = scope.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["x-mesh-timeout", "x-tenant", "authorization"]);
    }

    #[test]
    fn a_client_without_headers_says_it_in_the_meta() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let scope = read(&[], json!({"traceparent": parent, "tracestate": "a=b", "mesh/session": "mine"}));
        assert_eq!(scope.trace.unwrap().to_string(), parent);
        assert_eq!((scope.trace_state.as_deref(), scope.session.unwrap().as_str()), (Some("a=b"), "mine"));
    }

    #[test]
    fn nonsense_is_as_if_it_were_not_there() {
        for timeout in ["-1", "0", "soon", "nan", "inf", "1e400"] {
            assert!(read(&[("x-mesh-timeout", timeout)], json!({})).deadline.is_none(), "{timeout}");
        }
        let scope = read(&[("traceparent", "00-0-0-0"), ("x-session-id", "")], json!({"mesh/session": 7}));
        assert!(scope.trace.is_none() && scope.session.is_none());
        let forever = read(&[("x-mesh-timeout", "1e15")], json!({})).deadline.unwrap();
        assert!(forever - Instant::now() <= LONGEST);
    }
}
