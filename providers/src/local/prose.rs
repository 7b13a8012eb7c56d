//! Results in words.

use std::fmt::Write;

use serde_json::Value;

use super::conversation::Conversation;
use super::facts::plain;

/// What every answer in words begins with.
pub(super) const SIGN: &str = "[local demonstration model]";

/// How many items of a list are told, and how many fields of each.
const MAX_ITEMS: usize = 8;
const MAX_FIELDS: usize = 12;

/// How much of the question is repeated.
const MAX_QUESTION: usize = 240;

/// How much of one value is told.
const MAX_VALUE: usize = 400;

/// An answer to what was asked, out of what the tools gave.
pub(super) fn answer(conversation: &Conversation) -> String {
    let question = cut(conversation.question().trim(), MAX_QUESTION);
    let mut text = format!("{SIGN} ");
    // A write into a string cannot fail.
    let _ = match (conversation.results.is_empty(), conversation.user.len()) {
        (true, 0 | 1) => write!(text, "You said: {question}"),
        (true, turns) => write!(text, "You said: {question}\n\nThat is turn {turns} of our conversation."),
        (false, _) => write!(text, "What the tools found about: {question}"),
    };
    for (name, result) in &conversation.results {
        let _ = write!(text, "\n\n## {}\n{}", title(name), told(result).trim_end());
    }
    text
}

fn title(name: &str) -> String {
    let words = plain(name).replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn told(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "Nothing was found.".to_owned(),
        Value::Array(items) => {
            let mut lines: Vec<String> = items.iter().take(MAX_ITEMS).map(|item| format!("- {}", line(item))).collect();
            if items.len() > MAX_ITEMS {
                lines.push(format!("- and {} more", items.len() - MAX_ITEMS));
            }
            lines.join("\n")
        }
        Value::Object(fields) => {
            let lines = fields.iter().take(MAX_FIELDS).map(|(name, value)| match value {
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    format!("- {}:\n  {}", words(name), told(value).replace('\n', "\n  "))
                }
                _ => format!("- {}: {}", words(name), line(value)),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        other => line(other),
    }
}

/// A value on one line.
fn line(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text, MAX_VALUE).replace('\n', " "),
        Value::Array(items) => items.iter().take(MAX_ITEMS).map(line).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().take(MAX_FIELDS).map(|(name, value)| format!("{} {}", words(name), line(value)));
            cut(&fields.collect::<Vec<_>>().join(", "), MAX_VALUE)
        }
        other => other.to_string(),
    }
}

fn words(name: &str) -> String {
    plain(name).replace('_', " ")
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
