//! What meshctl says: results on standard output, errors on standard error, colour only where somebody looks.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process;

use serde::Serialize;

/// A colour that means something in tables and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As it should be.
    Green,
    /// Worth a look.
    Yellow,
    /// Broken.
    Red,
    /// Beside the point.
    Grey,
    /// Names things.
    Cyan,
    /// The head of something.
    Bold,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Grey => "90",
            Self::Cyan => "36",
            Self::Bold => "1",
        }
    }
}

/// `text` in `colour` when standard output is a terminal and `NO_COLOR` is not set, else as it is.
pub(crate) fn paint(colour: Colour, text: impl Display) -> String {
    if coloured() { format!("\x1b[{}m{text}\x1b[0m", colour.code()) } else { text.to_string() }
}

/// Whether standard output is looked at in colour.
pub(crate) fn coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes one line to standard output.
pub(crate) fn say(text: impl Display) {
    write(format_args!("{text}\n"));
}

/// Writes `text` to standard output as it is, without adding a line's end, and flushes.
pub(crate) fn write(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let done = write!(stdout, "{text}").and_then(|()| stdout.flush());
    if let Err(error) = done {
        // Whoever read this (`head`, a pager) has seen enough; any other failure must not look like success.
        let enough = error.kind() == io::ErrorKind::BrokenPipe;
        if !enough {
            complain(&anyhow::Error::new(error).context("cannot write to standard output"));
        }
        process::exit(i32::from(!enough));
    }
}

/// Writes `value` as JSON, indented by two spaces, to standard output.
///
/// # Errors
/// When `value` cannot be JSON, which is a mistake of ours.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes a note for people to standard error. Only for what is not success: scripts merge the two streams.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a remark beside a success to standard error, if that is a terminal: scripts take any output there for an error.
pub(crate) fn remark(text: impl Display) {
    if io::stderr().is_terminal() {
        note(text);
    }
}

/// Writes `error` with its causes to standard error, as all errors of meshctl look.
pub(crate) fn complain(error: &anyhow::Error) {
    note(format_args!("Error: {error:#}"));
}
