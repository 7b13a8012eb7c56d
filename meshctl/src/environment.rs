//! The environment of what is started: files of variables, and `KEY=VALUE` as typed.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// Reads `KEY=VALUE`; the value may hold anything, commas and `=` included.
///
/// # Errors
/// When there is no `=`, or no name before it.
pub(crate) fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("{text:?} is no variable: write NAME=value"),
    }
}

/// As [`pair`], for clap's `value_parser`.
///
/// # Errors
/// When there is no `=`, or no name before it.
pub(crate) fn argument(text: &str) -> Result<(String, String), String> {
    pair(text).map_err(|error| error.to_string())
}

/// The variables of a file: a `NAME=value` a line, `export` before it and quotes around the value allowed, `#` begins a
/// comment.
///
/// # Errors
/// When it cannot be read, or a line is no variable; the error names the line.
pub(crate) fn file(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = pair(line).with_context(|| format!("{}, line {}", path.display(), number + 1))?;
        variables.push((name.trim_end().to_owned(), value_of(&value)));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    let name = name.trim();
    !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains('\0')
}

/// Without the quotes around it; without a comment behind it when there are none.
fn value_of(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((value, _)) = text.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return value.to_owned();
        }
    }
    text.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{file, pair};

    #[test]
    fn a_value_keeps_its_commas_and_equal_signs() {
        assert_eq!(pair("A=b,c=d").unwrap(), ("A".into(), "b,c=d".into()));
        assert!(pair("A").is_err());
        assert!(pair("=b").is_err());
    }

    #[test]
    fn a_file_of_variables_may_have_comments_quotes_and_exports() {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), "# head\n\nA=1 # one\nexport B=\"two # 2\"\nC='x'\nD=\n").unwrap();
        let read = file(path.path()).unwrap();
        let expected = [("A", "1"), ("B", "two # 2"), ("C", "x"), ("D", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        std::fs::write(path.path(), "A=1\nnonsense\n").unwrap();
        assert!(format!("{:#}", file(path.path()).unwrap_err()).contains("line 2"));
    }
}
