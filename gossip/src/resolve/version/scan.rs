//! Reads versions out of text.

/// A position in a text.
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

/// A version as spelled; parts after the first may be absent.
pub(super) struct Spelled<'a> {
    pub(super) parts: [Option<&'a str>; 3],
    pub(super) pre: Option<&'a str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Takes `token` if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes white space; whether there was some.
    pub(super) fn spaces(&mut self) -> bool {
        self.take(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).is_some()
    }

    /// A version: up to three parts of digits or wildcards, a pre-release, build metadata. `None` takes nothing that
    /// anybody can use: the text is no version.
    pub(super) fn version(&mut self) -> Option<Spelled<'a>> {
        self.eat("v");
        let mut parts = [Some(self.take(is_part)?), None, None];
        for part in &mut parts[1..] {
            *part = self.after(b'.', is_part);
            if part.is_none() {
                break;
            }
        }
        let pre = self.dotted(b'-');
        self.dotted(b'+');
        Some(Spelled { parts, pre })
    }

    /// Identifiers joined by dots, behind `mark`; a dot with nothing behind it is left.
    fn dotted(&mut self, mark: u8) -> Option<&'a str> {
        let start = self.rest;
        let first = self.after(mark, is_identifier)?;
        let mut length = first.len();
        while let Some(next) = self.after(b'.', is_identifier) {
            length += 1 + next.len();
        }
        Some(&start[1..=length])
    }

    fn after(&mut self, mark: u8, test: fn(u8) -> bool) -> Option<&'a str> {
        let start = self.rest;
        if start.as_bytes().first() != Some(&mark) {
            return None;
        }
        self.rest = &start[1..];
        let taken = self.take(test);
        if taken.is_none() {
            self.rest = start;
        }
        taken
    }

    fn take(&mut self, test: fn(u8) -> bool) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(|byte| test(*byte)).count();
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then_some(taken)
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*')
}

fn is_identifier(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}
