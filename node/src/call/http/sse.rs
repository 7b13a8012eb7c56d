//! Server-sent events, as far as MCP uses them (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): the data
//! of each event, in bounded memory.

/// An event is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {0} bytes")]
pub(crate) struct TooLong(usize);

/// Takes a stream apart.
#[derive(Debug)]
pub(crate) struct Events {
    limit: usize,
    /// A line that has not ended.
    line: Vec<u8>,
    /// The data of an event that has not ended.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
}

impl Events {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), data: Vec::new(), has_data: false, after_return: false }
    }

    /// Takes the next bytes; gives the data of the events that end in them.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut ended = Vec::new();
        if std::mem::take(&mut self.after_return) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.hold(&bytes[..end])?;
            let is_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_return {
                self.after_return = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            ended.extend(self.end_line());
        }
        self.hold(bytes)?;
        Ok(ended)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.data.len() + bytes.len() > self.limit {
            return Err(TooLong(self.limit));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        let value = line.strip_prefix(b"data").and_then(|rest| match rest.first() {
            None => Some(rest),
            Some(b':') => Some(rest[1..].strip_prefix(b" ").unwrap_or(&rest[1..])),
            Some(_) => None,
        });
        if let Some(value) = value {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
            self.has_data = true;
        }
        None
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::{Events, TooLong};

    fn read(pieces: &[&str]) -> Vec<String> {
        let mut events = Events::new(1000);
        let read = pieces.iter().flat_map(|piece| events.take(piece.as_bytes()).unwrap());
        read.map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn data_is_found_among_everything_else() {
        let text = ": hello\n\nevent: message\nid: 7\ndata: {\"a\":1}\nretry: 3\n\ndata:x\ndata: y\n\ndatum: no\n\ndata\n\ndata: cut";
        assert_eq!(read(&[text]), ["{\"a\":1}", "x\ny", ""]);
    }

    #[test]
    fn all_three_kinds_of_line_ends_will_do() {
        assert_eq!(read(&["data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n"]), ["1", "2", "3"]);
        assert_eq!(read(&["data: 1\r", "\n\r", "\ndata: 2\r", "\n\r\n"]), ["1", "2"]);
    }

    #[test]
    fn an_event_without_end_is_refused_before_it_fills_the_memory() {
        let mut events = Events::new(10);
        assert_eq!(events.take(b"data: 1234567"), Err(TooLong(10)));
        let mut events = Events::new(10);
        let lines = (0..10).map(|_| events.take(b"data: 123\n")).find(Result::is_err);
        assert_eq!(lines, Some(Err(TooLong(10))));
    }

    proptest! {
        #[test]
        fn how_the_bytes_come_makes_no_difference(text in "(data: [a-c]{0,3}|:x|\r|\n|\r\n|id){0,20}", cut in 0_usize..60) {
            let (one, two) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(read(&[one, two]), read(&[&text]));
        }
    }
}
