//! Server-sent events, of which MCP uses only the data.

/// The most bytes of one event: a result of 64 MiB, and what is around it.
const MAX_EVENT_BYTES: usize = 160 << 20;

/// Takes a stream apart into the data of its events.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
}

/// A stream whose events are larger than any message can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {MAX_EVENT_BYTES} bytes")]
pub(super) struct TooLarge;

impl Events {
    /// The data of the events that `piece` completes.
    ///
    /// # Errors
    /// [`TooLarge`]; the stream is of no use any more.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(TooLarge);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_of(line.trim_ascii_end()));
            }
        }
        Ok(complete)
    }

    fn end_of(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        if line.is_empty() {
            return (!self.data.is_empty()).then(|| std::mem::take(&mut self.data));
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            // Several lines of data are one JSON text, in which a line break is as good as a space.
            if !self.data.is_empty() {
                self.data.push(b' ');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::Events;

    #[test]
    fn data_is_found_wherever_the_stream_is_cut() {
        let stream = b": hello\nevent: message\nid: 1\ndata: {\"a\":1}\n\nid: 2\ndata:\n\ndata: {\ndata: }\r\n\r\n";
        for cut in 0..stream.len() {
            let mut events = Events::default();
            let mut data = events.take(&stream[..cut]).unwrap();
            data.extend(events.take(&stream[cut..]).unwrap());
            assert_eq!(data, [b"{\"a\":1}".to_vec(), b"{ }".to_vec()], "cut at {cut}");
        }
    }
}
