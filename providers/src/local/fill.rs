//! Values for JSON Schemas, out of what is known.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::facts::{Facts, number, plain};

/// How deep a value goes: schemas may refer to themselves.
const MAX_DEPTH: usize = 12;

/// How many items a list is given that may have any number.
const ITEMS: usize = 2;

/// The most items of a list, whatever its schema demands.
const MAX_ITEMS: u64 = 100;

/// The most values within one: lists of lists grow fast.
const MAX_VALUES: usize = 2000;

/// How far a text is made longer because its schema wants it so.
const MAX_PADDING: usize = 4096;

/// Names that mean the same.
const ALIKE: [&[&str]; 5] = [
    &["destination", "location", "city", "place", "town", "where", "area", "region", "country"],
    &["budget", "max_price", "price_limit", "budget_usd", "total", "total_estimated", "total_cost"],
    &[
        "date",
        "dates",
        "day",
        "when",
        "start",
        "start_date",
        "checkin",
        "check_in",
        "from_date",
        "departure_date",
        "depart",
    ],
    &["end", "end_date", "checkout", "check_out", "to_date", "return_date", "until"],
    &["query", "question", "message", "text", "task", "prompt", "topic", "input", "content", "request", "q"],
];
const PLACE: usize = 0;
const BEGIN: usize = 2;
const END: usize = 3;
const WORDS: usize = 4;

/// What the value is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To call a tool: what is not known is left out, or plain.
    Arguments,
    /// To answer: what is not known is put into words.
    Answer,
}

struct Filler<'a> {
    root: &'a Map<String, Value>,
    facts: &'a Facts,
    purpose: Purpose,
    /// How many numbers without a name were used.
    numbers: Cell<usize>,
    /// How many things were named.
    things: Cell<usize>,
    /// How many values were made.
    values: Cell<usize>,
}

/// Arguments for a tool that takes `schema`.
pub(super) fn arguments(schema: &Map<String, Value>, facts: &Facts) -> Value {
    fill(schema, facts, Purpose::Arguments)
}

/// An answer in the shape of `schema`.
pub(super) fn answer(schema: &Map<String, Value>, facts: &Facts) -> Value {
    fill(schema, facts, Purpose::Answer)
}

fn fill(schema: &Map<String, Value>, facts: &Facts, purpose: Purpose) -> Value {
    let filler =
        Filler { root: schema, facts, purpose, numbers: Cell::new(0), things: Cell::new(0), values: Cell::new(0) };
    let value = filler.value(schema, "", 0);
    match purpose {
        Purpose::Arguments if !value.is_object() => json!({}),
        _ => value,
    }
}

impl<'a> Filler<'a> {
    fn value(&self, schema: &'a Map<String, Value>, name: &str, depth: usize) -> Value {
        let schema = self.followed(schema);
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return self.choice(choices, name);
        }
        for key in ["anyOf", "oneOf"] {
            if depth <= MAX_DEPTH
                && let Some(branch) = self.branch(schema.get(key))
            {
                return self.value(branch, name, depth + 1);
            }
        }
        let kind = kind(schema);
        self.values.set(self.values.get() + 1);
        if depth > MAX_DEPTH || self.values.get() > MAX_VALUES {
            return nothing(kind);
        }
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.list(schema, name, depth),
            "integer" => self.integer(schema, name),
            "number" => json!(self.number(schema, name)),
            "boolean" => {
                self.known(name).and_then(as_bool).or(default(schema).and_then(as_bool)).unwrap_or(false).into()
            }
            "null" => Value::Null,
            _ => self.text(schema, name).into(),
        }
    }

    /// The schema that a reference means, and the first of `allOf`.
    fn followed(&self, schema: &'a Map<String, Value>) -> &'a Map<String, Value> {
        let mut schema = schema;
        for _ in 0..MAX_DEPTH {
            let referred = schema.get("$ref").and_then(Value::as_str).and_then(|path| self.referred(path));
            let next = referred.or_else(|| schema.get("allOf")?.as_array()?.first());
            match next.and_then(Value::as_object) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn referred(&self, path: &str) -> Option<&'a Value> {
        let mut parts = path.strip_prefix("#/")?.split('/');
        let first = self.root.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The first branch that is not `null`.
    fn branch(&self, branches: Option<&'a Value>) -> Option<&'a Map<String, Value>> {
        let branches = branches?.as_array()?.iter().filter_map(Value::as_object);
        let mut branches = branches.filter(|branch| branch.get("type").and_then(Value::as_str) != Some("null"));
        branches.next()
    }

    fn object(&self, schema: &'a Map<String, Value>, depth: usize) -> Value {
        let mut object = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in properties.into_iter().flatten() {
            let Some(property) = property.as_object() else { continue };
            let is_wanted = required.contains(&name.as_str())
                || self.purpose == Purpose::Answer
                || self.facts.named(&plain(name)).is_some();
            if is_wanted {
                object.insert(name.clone(), self.value(property, name, depth + 1));
            }
        }
        for name in required {
            // Whatever it may be.
            object.entry(name.to_owned()).or_insert_with(|| self.prose(name).into());
        }
        Value::Object(object)
    }

    fn list(&self, schema: &'a Map<String, Value>, name: &str, depth: usize) -> Value {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|count| count.min(MAX_ITEMS));
        let least = bound("minItems").unwrap_or(0);
        let usual = if self.purpose == Purpose::Answer { ITEMS as u64 } else { 0 };
        let count = usual.max(least).min(bound("maxItems").unwrap_or(MAX_ITEMS));
        let items = schema.get("items").and_then(Value::as_object);
        let item = |number: u64| match items.map(|items| self.value(items, name, depth + 1)) {
            Some(Value::String(text)) if number > 0 => format!("{text} ({})", number + 1).into(),
            Some(Value::Number(_)) if matches!(name, "day" | "number" | "rank") => (number + 1).into(),
            Some(value) => numbered(value, number),
            None => self.prose(name).into(),
        };
        (0..count).map(item).collect()
    }

    fn integer(&self, schema: &Map<String, Value>, name: &str) -> Value {
        let number = self.number(schema, name);
        let whole = if schema.get("minimum").and_then(Value::as_f64).is_some_and(|least| number.trunc() < least) {
            number.ceil()
        } else {
            number.trunc()
        };
        // A cast to an integer saturates.
        Value::from(whole as i64)
    }

    fn number(&self, schema: &Map<String, Value>, name: &str) -> f64 {
        let known = self.known(name).and_then(as_number).or_else(|| default(schema).and_then(as_number));
        let number = known.or_else(|| self.next_number()).unwrap_or(1.0);
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + 1.0));
        let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - 1.0));
        let number = least.map_or(number, |least| number.max(least));
        most.map_or(number, |most| number.min(most))
    }

    /// The next number that was said without a name: `add 2 and 3`.
    fn next_number(&self) -> Option<f64> {
        let at = self.numbers.get();
        let number = self.facts.numbers.get(at).copied()?;
        self.numbers.set(at + 1);
        Some(number)
    }

    fn text(&self, schema: &Map<String, Value>, name: &str) -> String {
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date") => self.date(0).unwrap_or_else(|| "2026-01-01".into()),
            Some("date-time") => self.date(0).unwrap_or_else(|| "2026-01-01".into()) + "T00:00:00Z",
            Some("email") => "demonstration@example.org".into(),
            Some("uri") => "https://example.org/".into(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".into(),
            _ => self.words(schema, name),
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let least = bound("minLength").unwrap_or(0).min(MAX_PADDING);
        let mut text: String = text.chars().take(bound("maxLength").unwrap_or(usize::MAX)).collect();
        while text.chars().count() < least {
            text.push('.');
        }
        text
    }

    fn words(&self, schema: &Map<String, Value>, name: &str) -> String {
        if let Some(known) = self.known(name).and_then(as_text) {
            return known;
        }
        if let Some(default) = default(schema).and_then(as_text) {
            return default;
        }
        if plain(name) == "name"
            && let Some(thing) = self.facts.things.get(self.things.get())
        {
            self.things.set(self.things.get() + 1);
            return thing.clone();
        }
        let alike = |group: usize| ALIKE[group].contains(&plain(name).as_str());
        match self.purpose {
            _ if alike(BEGIN) => self.date(0),
            _ if alike(END) => self.date(usize::MAX),
            Purpose::Arguments if alike(WORDS) => Some(self.facts.question.clone()),
            Purpose::Arguments => Some("unspecified".to_owned()),
            Purpose::Answer => None,
        }
        .unwrap_or_else(|| self.prose(name))
    }

    /// A sentence about what nothing is known of.
    fn prose(&self, name: &str) -> String {
        let about = match plain(name).replace('_', " ") {
            name if name.is_empty() => "An answer".to_owned(),
            name => name,
        };
        format!("{about} for {} (local demonstration model)", self.facts.subject())
    }

    fn choice(&self, choices: &[Value], name: &str) -> Value {
        let question = self.facts.question.to_lowercase();
        let known = self.known(name).filter(|known| choices.contains(known));
        let said = || choices.iter().find(|it| it.as_str().is_some_and(|it| question.contains(&it.to_lowercase())));
        known.or_else(said).or(choices.first()).cloned().unwrap_or_default()
    }

    /// What is known under this name, or one that means the same.
    fn known(&self, name: &str) -> Option<&'a Value> {
        let name = plain(name);
        let group = ALIKE.iter().position(|group| group.contains(&name.as_str()));
        // What was asked is no argument of its own: the newest question is.
        if self.purpose == Purpose::Arguments && group == Some(WORDS) {
            return None;
        }
        let alike = || ALIKE[group?].iter().find_map(|name| self.facts.named(name));
        self.facts.named(&name).or_else(alike).or_else(|| self.place(group))
    }

    fn place(&self, group: Option<usize>) -> Option<&'a Value> {
        (group == Some(PLACE)).then(|| self.facts.place()).flatten()
    }

    fn date(&self, at: usize) -> Option<String> {
        let last = self.facts.dates.len().checked_sub(1)?;
        Some(self.facts.dates[at.min(last)].clone())
    }
}

/// What a schema is about; without a word on it, whatever its keywords suggest.
fn kind(schema: &Map<String, Value>) -> &str {
    let first = |value: &'_ Value| match value {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").map(str::to_owned),
        other => other.as_str().map(str::to_owned),
    };
    match schema.get("type").and_then(first).as_deref() {
        Some("object") => "object",
        Some("array") => "array",
        Some("integer") => "integer",
        Some("number") => "number",
        Some("boolean") => "boolean",
        Some("null") => "null",
        Some(_) => "string",
        None if schema.contains_key("properties") => "object",
        None if schema.contains_key("items") => "array",
        None => "string",
    }
}

/// What is as little as possible.
fn nothing(kind: &str) -> Value {
    match kind {
        "object" => json!({}),
        "array" => json!([]),
        "integer" | "number" => json!(0),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => json!(""),
    }
}

/// Items of one list are told apart: by their day, or a number behind what they are called.
fn numbered(value: Value, number: u64) -> Value {
    let Value::Object(mut fields) = value else { return value };
    if let Some(Value::Number(day)) = fields.get_mut("day") {
        *day = (number + 1).into();
    }
    Value::Object(fields)
}

fn default(schema: &Map<String, Value>) -> Option<&Value> {
    schema.get("default").or_else(|| schema.get("examples")?.get(0)).filter(|value| !value.is_null())
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.split_whitespace().find_map(number))
}

fn as_bool(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match value.as_str()?.to_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    })
}
