//! What literals of the attributes have to look like. The mesh reads them more generously; an author's typo is found here.

use std::time::Duration;

use syn::{Error, LitStr, Result};

/// A capability: `weather`, `travel.flight_search`.
pub(crate) fn capability(literal: &LitStr) -> Result<()> {
    let is_segment = |segment: &str| {
        segment.starts_with(|it: char| it.is_ascii_alphabetic())
            && segment.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-')
    };
    let text = literal.value();
    if text.split('.').all(is_segment) {
        return Ok(());
    }
    let rule = "segments between dots, each a letter followed by letters, digits, `_` and `-`";
    Err(Error::new(literal.span(), format!("`{text}` is no capability: {rule}")))
}

/// A tool's name.
pub(crate) fn name(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    let fits = text.chars().all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it));
    if fits && (1..=128).contains(&text.len()) {
        return Ok(());
    }
    let rule = "1 to 128 letters, digits, `_`, `.` and `-`";
    Err(Error::new(literal.span(), format!("`{text}` is no name of a tool: {rule}")))
}

/// A tag that a tool has.
pub(crate) fn tag(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    if text.starts_with(['+', '-']) {
        let plain = text.trim_start_matches(['+', '-']);
        return Err(Error::new(
            literal.span(),
            format!("a tool simply has its tags: `{plain}`; `+` and `-` are for whoever looks for one"),
        ));
    }
    plain_tag(literal, &text)
}

/// A wish about tags: `fast`, `+fast`, `-fast`.
pub(crate) fn wish(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    plain_tag(literal, text.strip_prefix(['+', '-']).unwrap_or(&text))
}

fn plain_tag(literal: &LitStr, tag: &str) -> Result<()> {
    let fits = !tag.is_empty() && !tag.contains(|it: char| it.is_whitespace() || "()|\",".contains(it));
    if fits {
        return Ok(());
    }
    Err(Error::new(
        literal.span(),
        format!("`{}` is no tag: a word without spaces, `,`, `|` and brackets", literal.value()),
    ))
}

/// A version: `1`, `1.2`, `1.2.3-beta+build`.
pub(crate) fn version(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    if is_version(&text, Wildcards::No) {
        return Ok(());
    }
    Err(Error::new(literal.span(), format!("`{text}` is no version: three numbers, such as `1.2.3`")))
}

/// A constraint on versions: `>=1.2 <2`, `^1.2`, `1.x || >=3`.
pub(crate) fn constraint(literal: &LitStr) -> Result<()> {
    let text = literal.value();
    if text.split("||").all(is_conjunction) {
        return Ok(());
    }
    let rule = "comparisons such as `>=1.2 <2`, `^1.2`, `~1.2.3` or `1.x`, alternatives between `||`";
    Err(Error::new(literal.span(), format!("`{text}` is no version constraint: {rule}")))
}

/// A duration: `250ms`, `5s`, `2m`.
pub(crate) fn duration(literal: &LitStr) -> Result<Duration> {
    let text = literal.value();
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => 0,
    };
    match digits.parse::<u64>().ok().and_then(|count| count.checked_mul(milliseconds)) {
        Some(total @ 1..) => Ok(Duration::from_millis(total)),
        _ => Err(Error::new(literal.span(), format!("`{text}` is no duration: `250ms`, `5s` or `2m`"))),
    }
}

fn is_conjunction(text: &str) -> bool {
    let text = text.trim();
    if let Some((low, high)) = text.split_once(" - ") {
        return is_version(low.trim(), Wildcards::Yes) && is_version(high.trim(), Wildcards::Yes);
    }
    // An operator may stand apart from its version.
    let mut awaiting = true;
    let mut any = false;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let version = word.trim_start_matches(['=', '!', '>', '<', '~', '^']);
        let operator = &word[..word.len() - version.len()];
        if !["", "=", "!=", ">", ">=", "=>", "<", "<=", "=<", "~", "~>", "^"].contains(&operator) {
            return false;
        }
        match version {
            "" => awaiting = true,
            version if is_version(version, Wildcards::Yes) => {
                awaiting = false;
                any = true;
            }
            _ => return false,
        }
    }
    any && !awaiting
}

#[derive(Clone, Copy, PartialEq)]
enum Wildcards {
    Yes,
    No,
}

fn is_version(text: &str, wildcards: Wildcards) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').unwrap_or((text, "0"));
    let (numbers, pre) = text.split_once('-').unwrap_or((text, "0"));
    let is_word = |it: &str| !it.is_empty() && it.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    let is_number = |it: &str| {
        let wild = wildcards == Wildcards::Yes && ["x", "X", "*"].contains(&it);
        wild || (!it.is_empty() && it.len() < 20 && it.bytes().all(|it| it.is_ascii_digit()))
    };
    (1..=3).contains(&numbers.split('.').count())
        && numbers.split('.').all(is_number)
        && pre.split('.').all(is_word)
        && build.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn literal(text: &str) -> LitStr {
        LitStr::new(text, Span::call_site())
    }

    #[test]
    fn what_the_mesh_reads_passes_and_typos_do_not() {
        for good in [">=1.2 <2", "^1.2.3", "~1", "1.x", "*", "1.2 - 2.0", ">= 1.2, < 2 || 3.0.0-beta.1", "=>1", "!=1.5"]
        {
            assert!(constraint(&literal(good)).is_ok(), "{good}");
        }
        for bad in ["", ">=", ">==1", "one", ">=1.2.3.4", "1.2 ||", "1..2", "<>1"] {
            assert!(constraint(&literal(bad)).is_err(), "{bad}");
        }
        for good in ["1", "v1.2", "1.2.3-rc.1+build.7"] {
            assert!(version(&literal(good)).is_ok(), "{good}");
        }
        for bad in ["", "1.x", "latest", "1.2.3.4", "1.2.3-"] {
            assert!(version(&literal(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn capabilities_and_tags_have_their_grammar() {
        for good in ["greeting", "travel.flight_search", "a-b"] {
            assert!(capability(&literal(good)).is_ok(), "{good}");
        }
        for bad in ["", "1st", "a b", "a..b", "_x", "é"] {
            assert!(capability(&literal(bad)).is_err(), "{bad}");
        }
        assert!(tag(&literal("+fast")).is_err());
        assert!(wish(&literal("+fast")).is_ok() && wish(&literal("+")).is_err());
    }

    #[test]
    fn durations_have_a_unit_and_are_not_nothing() {
        assert_eq!(duration(&literal("250ms")).ok(), Some(Duration::from_millis(250)));
        assert_eq!(duration(&literal("2m")).ok(), Some(Duration::from_secs(120)));
        for bad in ["5", "0s", "s", "5h", "-1s", "99999999999999999999s"] {
            assert!(duration(&literal(bad)).is_err(), "{bad}");
        }
    }
}
