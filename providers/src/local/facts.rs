//! What a conversation tells: values with a name, places, dates, numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::Conversation;

/// How deep results are looked into, and how many values are kept: results may be megabytes.
const MAX_DEPTH: usize = 6;
const MAX_NAMED: usize = 512;
const MAX_LISTED: usize = 64;

/// Bytes of a text that are read.
const MAX_READ: usize = 64 << 10;

/// Words that a place stands behind.
const BEFORE_PLACES: [&str; 6] = ["to", "in", "for", "at", "visit", "about"];

/// Months, which are no places.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Values by their name, in lower case with `_`; what the user said comes before what tools gave.
    named: BTreeMap<String, Value>,
    /// Names of things in the results of tools.
    pub(super) things: Vec<String>,
    /// Places, the first mentioned first.
    places: Vec<Value>,
    /// Days as `2026-06-01`.
    pub(super) dates: Vec<String>,
    /// Numbers that are part of no date.
    pub(super) numbers: Vec<f64>,
    /// What the user wants.
    pub(super) question: String,
}

impl Facts {
    pub(super) fn of(conversation: &Conversation) -> Self {
        let mut facts = Self { question: conversation.question().to_owned(), ..Self::default() };
        for text in conversation.user.iter().rev().chain([&conversation.system]) {
            facts.read(cut(text));
        }
        for (name, result) in &conversation.results {
            facts.keep(name, result, 0);
        }
        facts
    }

    /// The value called `name`, which is [`plain`].
    pub(super) fn named(&self, name: &str) -> Option<&Value> {
        self.named.get(name)
    }

    /// What the conversation is about, in a word or two.
    pub(super) fn subject(&self) -> &str {
        let said = ["destination", "location", "city", "topic", "subject", "name"];
        let named = said.iter().find_map(|name| self.named(name)?.as_str());
        named.or_else(|| self.place()?.as_str()).unwrap_or("what was asked")
    }

    /// The place that was mentioned first.
    pub(super) fn place(&self) -> Option<&Value> {
        self.places.first()
    }

    fn read(&mut self, text: &str) {
        if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
            self.keep("", &value, 0);
            return;
        }
        for line in text.lines() {
            if let Some((name, value)) = line.split_once([':', '=']) {
                let name = name.trim_matches(|it: char| !it.is_alphanumeric());
                let value = value.trim();
                // Longer ones are sentences with a colon in them.
                if !name.is_empty() && name.split_whitespace().count() <= 3 && !value.is_empty() && value.len() <= 200 {
                    self.name(name, Value::from(value));
                }
            }
        }
        self.read_words(text);
    }

    fn read_words(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut at = 0;
        while at < words.len() {
            let bare = words[at].trim_matches(|it: char| !it.is_alphanumeric());
            if is_date(bare) {
                push(&mut self.dates, bare.to_owned());
            } else if let Some(number) = number(words[at]) {
                if self.numbers.len() < MAX_LISTED {
                    self.numbers.push(number);
                }
            } else if BEFORE_PLACES.iter().any(|it| it.eq_ignore_ascii_case(bare)) {
                let place: Vec<&str> =
                    words[at + 1..].iter().copied().take(4).take_while(|it| is_capital(it)).collect();
                // A comma ends it: `Kyoto, Japan` is Kyoto.
                let end = place.iter().position(|it| it.ends_with([',', '.', ';', ':', '!', '?']));
                let place = &place[..end.map_or(place.len(), |end| end + 1)];
                let name = place.join(" ");
                let name = name.trim_matches(|it: char| !it.is_alphanumeric());
                if !name.is_empty() && !MONTHS.contains(&name) {
                    push(&mut self.places, Value::from(name));
                    at += place.len();
                }
            }
            at += 1;
        }
    }

    fn keep(&mut self, name: &str, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    if matches!(field.as_str(), "name" | "title")
                        && let Some(thing) = value.as_str()
                    {
                        push(&mut self.things, thing.to_owned());
                    }
                    self.keep(field, value, depth + 1);
                }
            }
            Value::Array(items) => items.iter().take(MAX_LISTED).for_each(|item| self.keep(name, item, depth + 1)),
            Value::Null => {}
            Value::String(text) if text.len() > 200 => {}
            _ if name.is_empty() => {}
            plain => self.name(name, plain.clone()),
        }
    }

    fn name(&mut self, name: &str, value: Value) {
        if self.named.len() < MAX_NAMED {
            self.named.entry(plain(name)).or_insert(value);
        }
    }
}

/// A name in lower case, its words joined by `_`.
pub(super) fn plain(name: &str) -> String {
    let is_plain_byte = |it: &u8| it.is_ascii_lowercase() || it.is_ascii_digit() || *it == b'_';
    if name.bytes().all(|it| is_plain_byte(&it)) && !name.contains("__") {
        return name.trim_matches('_').to_owned();
    }
    let mut plain = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for it in name.chars() {
        if it.is_alphanumeric() {
            if it.is_uppercase() && was_lower {
                plain.push('_');
            }
            plain.extend(it.to_lowercase());
        } else if !plain.ends_with('_') {
            plain.push('_');
        }
        was_lower = it.is_lowercase();
    }
    plain.trim_matches('_').to_owned()
}

/// The number in a word, with its currency or unit: `$2,000`, `1500.50€`, `3`.
pub(super) fn number(word: &str) -> Option<f64> {
    let bare = word.trim_matches(|it: char| !it.is_ascii_digit() && it != '-');
    if bare.is_empty() {
        return None;
    }
    bare.replace(',', "").parse().ok().filter(|number: &f64| number.is_finite())
}

fn is_date(word: &str) -> bool {
    let is_digit = |at: usize| word.as_bytes()[at].is_ascii_digit();
    word.len() == 10
        && word.is_ascii()
        && word.as_bytes()[4] == b'-'
        && word.as_bytes()[7] == b'-'
        && [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
}

fn is_capital(word: &str) -> bool {
    word.trim_start_matches(|it: char| !it.is_alphanumeric()).starts_with(char::is_uppercase)
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_LISTED && !list.contains(&item) {
        list.push(item);
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_READ)]
}
