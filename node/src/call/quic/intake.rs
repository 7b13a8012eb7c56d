//! Reading a call off its stream, without ever holding more than agreed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::RecvStream;
use tokio::time::timeout;

use super::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use crate::context::MAX_PAYLOAD_BYTES;
use crate::tool::{Fault, FaultKind};

/// How long the caller may let us wait for the next piece.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much room is made for arguments before their bytes have come.
const FIRST_ROOM_BYTES: usize = 256 << 10;

/// How many bytes of arguments all callers together have us hold.
#[derive(Debug)]
pub(super) struct Intake {
    limit: usize,
    held: AtomicUsize,
}

/// One call's part of it, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    intake: Arc<Intake>,
    bytes: usize,
}

/// Why there is no call.
#[derive(Debug)]
pub(super) enum NoCall {
    /// The caller went away, or its words ended in the middle: nobody to tell.
    Gone,
    /// It cannot be served; the caller is told.
    Refused(Fault),
}

impl Intake {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The whole call: it ends where the caller finishes its half.
    pub(super) async fn read(self: &Arc<Self>, receive: &mut RecvStream) -> Result<(Envelope, Bytes, Held), NoCall> {
        let mut reader = Reader { receive, rest: Bytes::new() };
        let length = reader.take(2).await?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        if length > MAX_ENVELOPE_BYTES {
            return Err(refused(FaultKind::InvalidArguments, "the envelope of the call is too long"));
        }
        let envelope = Envelope::decode(&reader.take(length).await?);
        let envelope = envelope.map_err(|error| refused(FaultKind::InvalidArguments, error.to_string()))?;
        let announced = envelope.argument_bytes;
        if announced > MAX_PAYLOAD_BYTES {
            let what =
                format!("arguments of {announced} bytes are larger than the {MAX_PAYLOAD_BYTES} that can travel");
            return Err(refused(FaultKind::TooLarge, what));
        }
        let mut held = Held { intake: Arc::clone(self), bytes: 0 };
        let mut arguments = BytesMut::with_capacity(announced.min(FIRST_ROOM_BYTES));
        loop {
            held.more(reader.rest.len())?;
            if arguments.len() + reader.rest.len() > announced {
                return Err(refused(FaultKind::InvalidArguments, "more arguments came than were announced"));
            }
            arguments.extend_from_slice(&reader.rest);
            if !reader.fill().await? {
                break;
            }
        }
        if arguments.len() < announced {
            return Err(NoCall::Gone);
        }
        Ok((envelope, arguments.freeze(), held))
    }
}

impl Held {
    fn more(&mut self, bytes: usize) -> Result<(), NoCall> {
        self.bytes += bytes;
        let held = self.intake.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held <= self.intake.limit {
            return Ok(());
        }
        let limit = self.intake.limit;
        Err(refused(FaultKind::Overloaded, format!("calls under way hold {limit} bytes of arguments here already")))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.intake.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Reader<'a> {
    receive: &'a mut RecvStream,
    rest: Bytes,
}

impl Reader<'_> {
    /// Replaces what was looked at by what comes next; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, NoCall> {
        let piece = timeout(PATIENCE, self.receive.read_chunk(usize::MAX, true)).await;
        let piece = piece.map_err(|_| NoCall::Gone)?.map_err(|_| NoCall::Gone)?;
        let is_piece = piece.is_some();
        self.rest = piece.map(|piece| piece.bytes).unwrap_or_default();
        Ok(is_piece)
    }

    /// A few bytes that may have come in pieces.
    async fn take(&mut self, length: usize) -> Result<Bytes, NoCall> {
        if self.rest.len() < length {
            let mut taken = BytesMut::with_capacity(length);
            taken.extend_from_slice(&self.rest);
            while taken.len() < length {
                if !self.fill().await? {
                    return Err(NoCall::Gone);
                }
                let part = self.rest.split_to(self.rest.len().min(length - taken.len()));
                taken.extend_from_slice(&part);
            }
            return Ok(taken.freeze());
        }
        Ok(self.rest.split_to(length))
    }
}

fn refused(kind: FaultKind, message: impl Into<String>) -> NoCall {
    NoCall::Refused(Fault::new(kind, message))
}
