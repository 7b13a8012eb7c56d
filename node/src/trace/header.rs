//! Trace context as headers carry it: W3C Trace Context (<https://www.w3.org/TR/trace-context/>), and the pair of headers
//! of the existing system.

use std::str::FromStr;

use super::{TraceContext, id};

/// The header that carries a [`TraceContext`].
pub const TRACEPARENT: &str = "traceparent";

/// The header in which other tracing systems keep their part; it rides along unread.
pub const TRACESTATE: &str = "tracestate";

/// The trace, in the headers of the existing system: 32 hex digits.
pub const X_TRACE_ID: &str = "x-trace-id";

/// The calling span, in the headers of the existing system: 16 hex digits.
pub const X_PARENT_SPAN: &str = "x-parent-span";

/// A text that is no `traceparent`. The call begins a trace of its own then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, neither id all zero")]
pub struct NotATraceparent;

impl FromStr for TraceContext {
    type Err = NotATraceparent;

    /// Reads a `traceparent`. Later versions may have more fields behind the four that are known, as the standard says.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let mut fields = text.split('-');
        let mut field = |digits| fields.next().and_then(|field| hex(field, digits)).ok_or(NotATraceparent);
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let is_whole = match version {
            0 => fields.next().is_none(),
            0xff => false,
            _ => true,
        };
        if !is_whole || trace_id == 0 || span_id == 0 {
            return Err(NotATraceparent);
        }
        let span_id = u64::try_from(span_id).map_err(|_| NotATraceparent)?;
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

impl TraceContext {
    /// What the existing system's headers (or arguments) say: a trace, and the span that called if it is known.
    pub fn from_mesh(trace_id: &str, parent_span: Option<&str>) -> Option<Self> {
        let trace_id = any_case_hex(trace_id, 32).filter(|id| *id != 0)?;
        let span_id = parent_span.and_then(|span| any_case_hex(span, 16)).and_then(|id| u64::try_from(id).ok());
        Some(Self { trace_id, span_id: span_id.filter(|id| *id != 0).unwrap_or_else(id::span), sampled: true })
    }

    /// What the headers of a request say, `traceparent` first. `header` finds one by its name in lower case.
    pub fn from_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let w3c = header(TRACEPARENT).and_then(|text| text.trim().parse().ok());
        w3c.or_else(|| Self::from_mesh(header(X_TRACE_ID)?, header(X_PARENT_SPAN)))
    }

    /// The trace as [`X_TRACE_ID`] has it.
    pub fn trace_hex(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span as [`X_PARENT_SPAN`] has it.
    pub fn span_hex(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

/// A number of exactly `digits` lower-case hex digits, at most 32.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Stock agents write lower case; others have been seen to write UUIDs in capitals.
fn any_case_hex(text: &str, digits: usize) -> Option<u128> {
    hex(&text.to_ascii_lowercase(), digits)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::{NotATraceparent, TraceContext};

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_printed() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!((context.trace_hex().as_str(), context.sampled), ("4bf92f3577b34da6a3ce929d0e0e4736", true));
        assert_eq!(context.span_hex(), "00f067aa0ba902b7");
        assert_eq!(context.to_string(), EXAMPLE);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let zeros = "0".repeat(32);
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(NotATraceparent), "{bad}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more";
        assert!(!later.parse::<TraceContext>().unwrap().sampled);
    }

    #[test]
    fn headers_of_the_existing_system_will_do_where_there_is_no_traceparent() {
        let trace = "aaaabbbbccccddddaaaabbbbccccdddd";
        let header = |name: &str| match name {
            "x-trace-id" => Some(trace),
            "x-parent-span" => Some("1111222233334444"),
            _ => None,
        };
        let context = TraceContext::from_headers(header).unwrap();
        assert_eq!((context.trace_hex().as_str(), context.span_hex().as_str()), (trace, "1111222233334444"));
        assert_eq!(TraceContext::from_headers(|name| (name == "traceparent").then_some("nonsense")), None);
        assert_eq!(TraceContext::from_mesh("no hex", None), None);
        assert_ne!(TraceContext::from_mesh(trace, Some("too short")).unwrap().span_id, 0);
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let root = TraceContext::root();
        let child = root.child();
        assert_eq!(child.trace_id, root.trace_id);
        assert_ne!(child.span_id, root.span_id);
        assert_ne!(TraceContext::below(None).trace_id, root.trace_id);
    }

    proptest! {
        #[test]
        fn reading_any_text_does_not_panic_and_what_is_read_prints_the_same(text in "[0-9a-f-]{0,60}|\\PC*") {
            if let Ok(context) = text.parse::<TraceContext>() {
                prop_assert_eq!(context.to_string().parse(), Ok(context));
            }
        }
    }
}
