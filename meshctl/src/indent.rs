//! JSON texts laid out anew, with nothing in them changed: order of keys, numbers and escapes stay as they were written.

/// How a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One value a line, indented by two spaces.
    Indented,
    /// No blanks at all.
    Compact,
}

/// `text`, which has to be JSON, laid out anew.
pub(crate) fn lay_out(text: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut depth: usize = 0;
    let mut rest = text.trim();
    let line = |out: &mut String, depth: usize| {
        if layout == Layout::Indented {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '"' => {
                taken = string_length(rest);
                out.push_str(&rest[..taken]);
            }
            '{' | '[' => {
                let inner = rest[1..].trim_start();
                out.push(first);
                if inner.starts_with(['}', ']']) {
                    out.push_str(&inner[..1]);
                    taken = rest.len() - inner.len() + 1;
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(first);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(if layout == Layout::Indented { ": " } else { ":" }),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
        rest = &rest[taken..];
    }
    out
}

/// How many bytes the string takes that `text` begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};
    use serde_json::Value;

    use super::{Layout, lay_out};

    #[test]
    fn only_blanks_change() {
        let text = r#"{"b":1.0,"a":[1e2,{ },[ ],"\u00e9\"{,}",-0],  "c" : {"d":null}}"#;
        let indented = "{\n  \"b\": 1.0,\n  \"a\": [\n    1e2,\n    {},\n    [],\n    \"\\u00e9\\\"{,}\",\n    -0\n  ],\n  \
            \"c\": {\n    \"d\": null\n  }\n}";
        assert_eq!(lay_out(text, Layout::Indented), indented);
        let compact = r#"{"b":1.0,"a":[1e2,{},[],"\u00e9\"{,}",-0],"c":{"d":null}}"#;
        assert_eq!(lay_out(indented, Layout::Compact), compact);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = (lay_out(&text, Layout::Indented), lay_out(&text, Layout::Compact));
        }

        #[test]
        fn the_value_stays_the_same(keys in proptest::collection::btree_map("\\PC{0,4}", -9..9_i32, 0..4)) {
            let value = serde_json::to_value(vec![keys]).unwrap();
            let text = lay_out(&value.to_string(), Layout::Indented);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value.clone());
            prop_assert_eq!(&text, &serde_json::to_string_pretty(&value).unwrap());
        }
    }
}
