//! What a caller sends ahead of the arguments.
//!
//! On the stream: the length of the envelope (two bytes, little endian), the envelope, the arguments, the end. A newer
//! version may append fields to the envelope, which older ones skip; what they cannot skip is a new format.

use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};
use mesh_gossip::catalog::AgentId;
use mesh_gossip::wire;

use crate::context::{Headers, MAX_TRACE_STATE_BYTES, Scope, SessionKey};
use crate::run::CallId;
use crate::trace::TraceContext;

/// The most bytes of an envelope; its length has two bytes.
pub const MAX_ENVELOPE_BYTES: usize = 32 << 10;

/// The most headers that travel with a call.
pub const MAX_HEADERS: usize = 64;

/// The most bytes of all their names and values.
pub const MAX_HEADER_BYTES: usize = 16 << 10;

/// The most bytes of a tool's name.
pub const MAX_TOOL_BYTES: usize = 128;

const FORMAT: u8 = 1;
const SAMPLED: u8 = 1;
const LISTENS: u8 = 2;

/// What decoding may allocate: the texts, and the table of the headers.
const DECODE_LIMIT: usize = 2 * MAX_ENVELOPE_BYTES;

/// What a callee is told about a call besides its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Which call.
    pub id: CallId,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// Which agent of the callee is meant.
    pub agent: Option<AgentId>,
    /// The tool, at most [`MAX_TOOL_BYTES`].
    pub tool: Arc<str>,
    /// How long the caller will wait from now on.
    pub remaining: Option<Duration>,
    /// The span of the attempt.
    pub trace: Option<TraceContext>,
    /// At most [`MAX_TRACE_STATE_BYTES`]; a longer one does not travel.
    pub trace_state: Option<Arc<str>>,
    /// The session.
    pub session: Option<SessionKey>,
    /// At most [`MAX_HEADERS`] with [`MAX_HEADER_BYTES`].
    pub headers: Headers,
    /// Whether the caller has a use for updates.
    pub listens: bool,
    /// How many bytes of arguments follow.
    pub argument_bytes: usize,
}

/// Something that does not fit into an envelope. The caller has to send less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {bytes} bytes is longer than {limit}")]
pub struct TooLong {
    /// What.
    pub what: &'static str,
    /// How long it is.
    pub bytes: usize,
    /// How long it may be.
    pub limit: usize,
}

/// Why an envelope cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The caller's software is newer than that; one of both has to change.
    #[error("calls in format {0} are not understood here, only in format {FORMAT}")]
    Format(u8),
    /// Not an envelope.
    #[error("the envelope of the call is malformed")]
    Malformed,
}

/// As it stands on the wire.
#[derive(Encode, Decode)]
struct Form {
    format: u8,
    id: [u8; 16],
    attempt: u32,
    agent: Option<Arc<str>>,
    tool: Arc<str>,
    remaining_ms: Option<u64>,
    trace: Option<(u128, u64)>,
    trace_state: Option<Arc<str>>,
    session: Option<Arc<str>>,
    headers: Headers,
    flags: u8,
    argument_bytes: u64,
}

impl Envelope {
    /// The bytes that open a call: length and envelope.
    ///
    /// # Errors
    /// [`TooLong`] for a tool's name or headers beyond their bounds.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        check("tool name", self.tool.len(), MAX_TOOL_BYTES)?;
        check("number of headers", self.headers.len(), MAX_HEADERS)?;
        check("headers", bytes_of(&self.headers), MAX_HEADER_BYTES)?;
        let sampled = self.trace.is_some_and(|trace| trace.sampled);
        let form = wire::encode(&Form {
            format: FORMAT,
            id: self.id.0,
            attempt: self.attempt,
            agent: self.agent.as_ref().map(|agent| agent.as_str().into()),
            tool: Arc::clone(&self.tool),
            remaining_ms: self.remaining.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            trace: self.trace.map(|trace| (trace.trace_id, trace.span_id)),
            trace_state: self.trace_state.clone().filter(|state| state.len() <= MAX_TRACE_STATE_BYTES),
            session: self.session.as_ref().map(|session| session.as_str().into()),
            headers: self.headers.clone(),
            flags: if sampled { SAMPLED } else { 0 } | if self.listens { LISTENS } else { 0 },
            argument_bytes: self.argument_bytes as u64,
        });
        let length = u16::try_from(form.len()).ok().filter(|&length| usize::from(length) <= MAX_ENVELOPE_BYTES);
        let too_long = TooLong { what: "envelope", bytes: form.len(), limit: MAX_ENVELOPE_BYTES };
        let mut bytes = Vec::with_capacity(2 + form.len());
        bytes.extend_from_slice(&length.ok_or(too_long)?.to_le_bytes());
        bytes.extend_from_slice(&form);
        Ok(bytes)
    }

    /// The envelope that `bytes`, without their length, begin with.
    ///
    /// # Errors
    /// [`EnvelopeError`], for the caller to be told.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(&format) => return Err(EnvelopeError::Format(format)),
            None => return Err(EnvelopeError::Malformed),
        }
        let form = wire::decode_prefix::<Form, DECODE_LIMIT>(bytes).map_err(|_| EnvelopeError::Malformed)?;
        form.checked().ok_or(EnvelopeError::Malformed)
    }

    /// What the callee's tools inherit. The time on the way is the caller's loss.
    pub fn scope(&self) -> Scope {
        Scope {
            deadline: self.remaining.and_then(|remaining| tokio::time::Instant::now().checked_add(remaining)),
            trace: self.trace,
            trace_state: self.trace_state.clone(),
            session: self.session.clone(),
            headers: self.headers.clone(),
        }
    }
}

impl Form {
    fn checked(self) -> Option<Envelope> {
        let fits = !self.tool.is_empty()
            && self.tool.len() <= MAX_TOOL_BYTES
            && self.headers.len() <= MAX_HEADERS
            && bytes_of(&self.headers) <= MAX_HEADER_BYTES
            && self.trace_state.as_ref().is_none_or(|state| state.len() <= MAX_TRACE_STATE_BYTES);
        let trace = match self.trace {
            Some((trace_id, span_id)) if trace_id != 0 && span_id != 0 => {
                Some(TraceContext { trace_id, span_id, sampled: self.flags & SAMPLED != 0 })
            }
            Some(_) => return None,
            None => None,
        };
        fits.then_some(())?;
        Some(Envelope {
            id: CallId(self.id),
            attempt: self.attempt,
            agent: self.agent.map(AgentId::try_from).transpose().ok()?,
            tool: self.tool,
            remaining: self.remaining_ms.map(Duration::from_millis),
            trace,
            trace_state: self.trace_state,
            session: self.session.as_deref().map(SessionKey::try_from).transpose().ok()?,
            headers: self.headers,
            listens: self.flags & LISTENS != 0,
            argument_bytes: usize::try_from(self.argument_bytes).ok()?,
        })
    }
}

fn check(what: &'static str, bytes: usize, limit: usize) -> Result<(), TooLong> {
    if bytes <= limit { Ok(()) } else { Err(TooLong { what, bytes, limit }) }
}

fn bytes_of(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn full() -> Envelope {
        Envelope {
            id: CallId(*b"sixteen bytes id"),
            attempt: 2,
            agent: None,
            tool: "greet".into(),
            remaining: Some(Duration::from_millis(1_500)),
            trace: Some(TraceContext { trace_id: 7, span_id: 8, sampled: true }),
            trace_state: Some("a=b".into()),
            session: Some(SessionKey::try_from("s1").unwrap()),
            headers: vec![("x-a".into(), "1".into())],
            listens: true,
            argument_bytes: 300,
        }
    }

    #[test]
    fn its_bytes_are_pinned_since_other_versions_read_them() {
        let bytes = full().encode().unwrap();
        let expected: Vec<u8> = [
            &[52, 0, 1][..],
            b"sixteen bytes id",
            &[2, 0, 5],
            b"greet",
            &[1, 251, 220, 5, 1, 7, 8, 1, 3],
            b"a=b",
            &[1, 2],
            b"s1",
            &[1, 3],
            b"x-a",
            &[1],
            b"1",
            &[3, 251, 44, 1],
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(Envelope::decode(&bytes[2..]), Ok(full()));
    }

    #[test]
    fn what_a_newer_version_appends_is_skipped_and_a_newer_format_is_named() {
        let mut bytes = full().encode().unwrap();
        bytes.extend_from_slice(b"news");
        assert_eq!(Envelope::decode(&bytes[2..]), Ok(full()));
        bytes[2] = 9;
        assert_eq!(Envelope::decode(&bytes[2..]), Err(EnvelopeError::Format(9)));
        assert_eq!(Envelope::decode(&[]), Err(EnvelopeError::Malformed));
    }

    #[test]
    fn what_is_too_long_is_refused_where_it_is_sent_and_a_long_tracestate_is_left_behind() {
        let long = Envelope { tool: "t".repeat(129).into(), ..full() };
        assert_eq!(long.encode(), Err(TooLong { what: "tool name", bytes: 129, limit: 128 }));
        let many = Envelope { headers: vec![("a".into(), "b".into()); 65], ..full() };
        assert_eq!(many.encode().unwrap_err().what, "number of headers");
        let large = Envelope { headers: vec![("a".into(), "b".repeat(MAX_HEADER_BYTES).into())], ..full() };
        assert_eq!(large.encode().unwrap_err().what, "headers");
        let state = Envelope { trace_state: Some("s".repeat(513).into()), ..full() };
        assert_eq!(Envelope::decode(&state.encode().unwrap()[2..]).unwrap().trace_state, None);
    }

    #[test]
    fn a_count_of_headers_that_lies_allocates_nothing() {
        let bytes = Envelope { headers: Vec::new(), ..full() }.encode().unwrap();
        let at = bytes.len() - 5;
        let lying = [&bytes[2..at], &[253, 255, 255, 255, 255, 255, 255, 255, 255]].concat();
        assert_eq!(Envelope::decode(&lying), Err(EnvelopeError::Malformed));
    }

    proptest! {
        #[test]
        fn damaged_envelopes_are_read_or_refused(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let whole = full().encode().unwrap()[2..].to_vec();
            let mut bytes = whole.clone();
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(read) = Envelope::decode(&bytes) {
                let again = read.encode().unwrap();
                prop_assert_eq!(Envelope::decode(&again[2..]), Ok(read));
            }
            // What was damaged may say that it is shorter, and be right.
            prop_assert_eq!(Envelope::decode(&whole[..cut.index(whole.len())]).is_err(), true);
        }

        #[test]
        fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::decode(&bytes);
        }
    }
}
