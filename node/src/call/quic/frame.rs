//! What a callee sends back: updates, then exactly one outcome.
//!
//! A frame is a tag, the length of its body (four bytes, little endian) and the body. Frames with unknown tags are
//! skipped, so that newer versions can say more.

use bincode::{Decode, Encode};
use bytes::{Bytes, BytesMut};
use mesh_gossip::wire;
use quinn::{ReadError, RecvStream};

use crate::context::{MAX_PAYLOAD_BYTES, Update};
use crate::tool::{Fault, FaultKind, Payload};

const PROGRESS: u8 = 1;
const CHUNK: u8 = 2;
const LOG: u8 = 3;
const VALUE: u8 = 16;
const CONTENT: u8 = 17;
const FAULT: u8 = 18;

/// Bytes of tag and length.
const HEAD_BYTES: usize = 5;

/// The most bytes of a body that is neither result nor chunk: words about something.
const MAX_WORDS_BYTES: usize = 1 << 20;

/// What decoding such a body may allocate.
const DECODE_LIMIT: usize = 2 * MAX_WORDS_BYTES;

/// How much room is made for a body before its bytes have come.
const FIRST_ROOM_BYTES: usize = 256 << 10;

/// MCP's levels, in the order of their numbers on the wire.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Kinds of faults, in the order of their numbers on the wire.
const KINDS: [FaultKind; 12] = [
    FaultKind::Failed,
    FaultKind::InvalidArguments,
    FaultKind::UnknownTool,
    FaultKind::DependencyUnavailable,
    FaultKind::Panicked,
    FaultKind::Forbidden,
    FaultKind::Overloaded,
    FaultKind::Draining,
    FaultKind::TimedOut,
    FaultKind::Cancelled,
    FaultKind::TooLarge,
    FaultKind::Lost,
];

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// More will come.
    Update(Update),
    /// The last one.
    Outcome(Result<Payload, Fault>),
}

/// Why there is no next frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The stream broke.
    #[error(transparent)]
    Broken(#[from] ReadError),
    /// What came is not a frame, or the stream ended before the outcome.
    #[error("what the member sent is not an answer")]
    Malformed,
}

#[derive(Encode, Decode)]
struct ProgressForm {
    progress: f64,
    total: Option<f64>,
    message: Option<String>,
}

#[derive(Encode, Decode)]
struct LogForm {
    level: u8,
    logger: Option<String>,
    data: Vec<u8>,
}

#[derive(Encode, Decode)]
struct FaultForm {
    kind: u8,
    message: String,
    data: Option<Vec<u8>>,
}

/// The frame of an update: head and body.
///
/// # Errors
/// [`FaultKind::TooLarge`] for one that cannot travel: how the call then ends.
pub fn update(update: Update) -> Result<[Bytes; 2], Fault> {
    let (tag, body, limit) = match update {
        Update::Chunk(chunk) => (CHUNK, chunk, MAX_PAYLOAD_BYTES),
        Update::Progress { progress, total, message } => {
            (PROGRESS, wire::encode(&ProgressForm { progress, total, message }).into(), MAX_WORDS_BYTES)
        }
        Update::Log { level, logger, data } => {
            let level = LEVELS.iter().position(|&known| known == level).unwrap_or_default();
            let level = u8::try_from(level).unwrap_or_default();
            (LOG, wire::encode(&LogForm { level, logger, data: data.into() }).into(), MAX_WORDS_BYTES)
        }
    };
    if body.len() > limit {
        return Err(too_large("an update", body.len(), limit));
    }
    Ok(framed(tag, body))
}

/// The frame of an outcome: head and body. A result that cannot travel becomes a fault, and so does a fault.
pub fn outcome(outcome: Result<Payload, Fault>) -> [Bytes; 2] {
    let fault = match outcome {
        Ok(Payload::Value(value)) if value.len() <= MAX_PAYLOAD_BYTES => return framed(VALUE, value),
        Ok(Payload::Content(content)) if content.len() <= MAX_PAYLOAD_BYTES => return framed(CONTENT, content),
        Ok(Payload::Value(body) | Payload::Content(body)) => too_large("the result", body.len(), MAX_PAYLOAD_BYTES),
        Err(fault) => fault,
    };
    let Fault { kind, message, data } = fault;
    let bytes = message.len() + data.as_ref().map_or(0, Bytes::len);
    let kind = KINDS.iter().position(|&known| known == kind).unwrap_or_default();
    let mut form =
        FaultForm { kind: u8::try_from(kind).unwrap_or_default(), message, data: data.map(|data| data.into()) };
    // Room for the lengths.
    if bytes + 32 > MAX_WORDS_BYTES {
        form.data = None;
        form.message.truncate(form.message.floor_char_boundary(MAX_WORDS_BYTES / 2));
    }
    framed(FAULT, wire::encode(&form).into())
}

fn too_large(what: &str, bytes: usize, limit: usize) -> Fault {
    Fault::new(FaultKind::TooLarge, format!("{what} of {bytes} bytes is larger than the {limit} that can travel"))
}

fn framed(tag: u8, body: Bytes) -> [Bytes; 2] {
    let length = u32::try_from(body.len()).expect("bodies are bounded well below that");
    let mut head = [tag; HEAD_BYTES];
    head[1..].copy_from_slice(&length.to_le_bytes());
    [Bytes::copy_from_slice(&head), body]
}

/// Reads frames off a stream, and says so whenever something comes.
pub struct FrameReader<'a, H> {
    receive: &'a mut RecvStream,
    heard: H,
    /// What came and was not looked at yet.
    rest: Bytes,
}

impl<'a, H: Fn()> FrameReader<'a, H> {
    /// Reads what comes next, and calls `heard` for every piece of it.
    pub fn new(receive: &'a mut RecvStream, heard: H) -> Self {
        Self { receive, heard, rest: Bytes::new() }
    }

    /// The next frame. Nothing further is taken off the stream until it is asked for, so that a callee whose updates
    /// nobody wants comes to a halt. Dropping the future loses the frame.
    ///
    /// # Errors
    /// [`FrameError`].
    pub async fn next(&mut self) -> Result<Frame, FrameError> {
        loop {
            let head = self.take(HEAD_BYTES).await?;
            let tag = head[0];
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let limit = match tag {
                CHUNK | VALUE | CONTENT => MAX_PAYLOAD_BYTES,
                _ => MAX_WORDS_BYTES,
            };
            if length > limit {
                return Err(FrameError::Malformed);
            }
            let body = self.take(length).await?;
            if let Some(frame) = parse(tag, body)? {
                if matches!(frame, Frame::Outcome(_)) {
                    self.end().await?;
                }
                return Ok(frame);
            }
        }
    }

    /// The next `length` bytes, in memory of their own: a piece of the stream may keep a much larger buffer.
    async fn take(&mut self, length: usize) -> Result<Bytes, FrameError> {
        if self.rest.len() >= length {
            return Ok(Bytes::copy_from_slice(&self.rest.split_to(length)));
        }
        let mut taken = BytesMut::with_capacity(length.min(FIRST_ROOM_BYTES));
        loop {
            let part = self.rest.split_to(self.rest.len().min(length - taken.len()));
            taken.extend_from_slice(&part);
            if taken.len() == length {
                return Ok(taken.freeze());
            }
            let piece = self.receive.read_chunk(usize::MAX, true).await?;
            self.rest = piece.ok_or(FrameError::Malformed)?.bytes;
            (self.heard)();
        }
    }

    /// Takes the end of the stream, which has come along: unread, it would have to be stopped.
    async fn end(&mut self) -> Result<(), FrameError> {
        let nothing = self.rest.is_empty() && self.receive.read_chunk(usize::MAX, true).await?.is_none();
        if nothing { Ok(()) } else { Err(FrameError::Malformed) }
    }
}

fn parse(tag: u8, body: Bytes) -> Result<Option<Frame>, FrameError> {
    let frame = match tag {
        PROGRESS => {
            let ProgressForm { progress, total, message } = words(&body)?;
            Frame::Update(Update::Progress { progress, total, message })
        }
        CHUNK => Frame::Update(Update::Chunk(body)),
        LOG => {
            let LogForm { level, logger, data } = words(&body)?;
            let level = LEVELS.get(usize::from(level)).copied().unwrap_or("info");
            Frame::Update(Update::Log { level, logger, data: data.into() })
        }
        VALUE => Frame::Outcome(Ok(Payload::Value(body))),
        CONTENT => Frame::Outcome(Ok(Payload::Content(body))),
        FAULT => {
            let FaultForm { kind, message, data } = words(&body)?;
            let kind = KINDS.get(usize::from(kind)).copied().unwrap_or(FaultKind::Failed);
            Frame::Outcome(Err(Fault { kind, message, data: data.map(Bytes::from) }))
        }
        _ => return Ok(None),
    };
    Ok(Some(frame))
}

fn words<T: Decode<()>>(body: &[u8]) -> Result<T, FrameError> {
    wire::decode_prefix::<T, DECODE_LIMIT>(body).map_err(|_| FrameError::Malformed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn parsed(frame: [Bytes; 2]) -> Frame {
        let [head, body] = frame;
        assert_eq!(u32::from_le_bytes(head[1..].try_into().unwrap()) as usize, body.len());
        parse(head[0], body).unwrap().unwrap()
    }

    #[test]
    fn their_bytes_are_pinned_since_other_versions_read_them() {
        let bytes = |frame: [Bytes; 2]| frame.concat();
        let value = Bytes::from_static(b"[1]");
        assert_eq!(bytes(outcome(Ok(Payload::Value(value.clone())))), b"\x10\x03\0\0\0[1]");
        assert_eq!(bytes(outcome(Ok(Payload::Content(value.clone())))), b"\x11\x03\0\0\0[1]");
        let fault = Fault { kind: FaultKind::Draining, message: "bye".into(), data: Some(value.clone()) };
        assert_eq!(bytes(outcome(Err(fault))), b"\x12\x0a\0\0\0\x07\x03bye\x01\x03[1]");
        assert_eq!(bytes(update(Update::Chunk(value.clone())).unwrap()), b"\x02\x03\0\0\0[1]");
        let log = Update::Log { level: "warning", logger: Some("me".into()), data: value };
        assert_eq!(bytes(update(log).unwrap()), b"\x03\x09\0\0\0\x03\x01\x02me\x03[1]");
        let progress = Update::Progress { progress: 0.5, total: None, message: Some("half".into()) };
        assert_eq!(bytes(update(progress).unwrap()), b"\x01\x0f\0\0\0\0\0\0\0\0\0\xe0\x3f\0\x01\x04half");
    }

    #[test]
    fn every_kind_of_fault_and_every_level_arrives_as_itself() {
        for kind in KINDS {
            let fault = Fault::new(kind, "why");
            assert_eq!(parsed(outcome(Err(fault.clone()))), Frame::Outcome(Err(fault)));
        }
        for level in LEVELS {
            let log = Update::Log { level, logger: None, data: Bytes::new() };
            assert_eq!(parsed(update(log.clone()).unwrap()), Frame::Update(log));
        }
    }

    #[test]
    fn what_cannot_travel_becomes_a_fault_that_can() {
        let large = Bytes::from(vec![b'1'; MAX_PAYLOAD_BYTES + 1]);
        let Frame::Outcome(Err(fault)) = parsed(outcome(Ok(Payload::Value(large.clone())))) else { panic!() };
        assert_eq!(fault.kind, FaultKind::TooLarge);
        assert_eq!(update(Update::Chunk(large.clone())).unwrap_err().kind, FaultKind::TooLarge);
        let wordy = Fault { kind: FaultKind::Failed, message: "ä".repeat(1 << 20), data: Some(large) };
        let [_, body] = outcome(Err(wordy));
        assert!(body.len() <= MAX_WORDS_BYTES);
        assert!(parse(99, body).unwrap().is_none(), "unknown frames are skipped");
    }

    proptest! {
        #[test]
        fn noise_is_parsed_or_refused(tag in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(tag, body.into());
        }
    }
}
