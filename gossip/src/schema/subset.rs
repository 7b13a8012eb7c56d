//! Whether a producer's schema gives a consumer everything it requires.
//!
//! Both schemas are canonical. Two things make this check milder than that of the existing system: a required field
//! whose name the canonical form cannot carry as a property (`title`, `description`, …) is not held against the
//! producer, and nothing else is. References, unions, enums and formats are not looked into, as there.

use std::fmt;

use serde_json::Value;

/// Property names that vanish from every canonical form, although `required` still lists them. That a producer's form
/// lacks one says nothing about the producer.
const NOT_CARRIED: [&str; 12] = [
    "title",
    "description",
    "examples",
    "default",
    "$schema",
    "$id",
    "$defs",
    "definitions",
    "markdownDescription",
    "discriminator",
    "oneOf",
    "additionalProperties",
];

/// One way in which a producer's schema falls short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where: field names joined by dots, `[]` for the items of an array; empty for the whole value.
    pub path: String,
    /// What is wrong there.
    pub kind: MismatchKind,
}

/// What is wrong at one place of a producer's schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MismatchKind {
    /// The producer gives another type.
    Type {
        /// The types that the consumer expects.
        expected: Vec<String>,
        /// The types that the producer declares.
        found: Vec<String>,
    },
    /// The producer does not give this required field.
    MissingField(String),
    /// The consumer says what the items of an array are, the producer does not.
    MissingItems,
}

/// All ways in which `producer` falls short of `consumer`; empty when it will do.
pub fn mismatches(consumer: &Value, producer: &Value) -> Vec<Mismatch> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), consumer, producer, &mut found);
    found
}

fn compare<'a>(path: &mut Vec<&'a str>, consumer: &'a Value, producer: &Value, found: &mut Vec<Mismatch>) {
    let (expected, given) = (types(consumer), types(producer));
    let fits = |kind: &&str| given.contains(kind) || *kind == "number" && given.contains(&"integer");
    if !given.is_empty() && !expected.iter().all(fits) {
        let owned = |types: &[&str]| types.iter().map(|kind| (*kind).to_owned()).collect();
        let kind = MismatchKind::Type { expected: owned(&expected), found: owned(&given) };
        found.push(Mismatch { path: path.join("."), kind });
    }
    let required = consumer.get("required").and_then(Value::as_array);
    for field in required.into_iter().flatten().filter_map(Value::as_str) {
        path.push(field);
        match producer.get("properties").and_then(|all| all.get(field)) {
            Some(given) => {
                let expected = consumer.get("properties").and_then(|all| all.get(field));
                if let Some(expected) = expected {
                    compare(path, expected, given, found);
                }
            }
            None if NOT_CARRIED.contains(&field) => {}
            None => {
                let kind = MismatchKind::MissingField(field.to_owned());
                found.push(Mismatch { path: path.join("."), kind });
            }
        }
        path.pop();
    }
    if let Some(expected) = consumer.get("items").filter(|items| items.is_object()) {
        path.push("[]");
        match producer.get("items").filter(|items| items.is_object()) {
            Some(given) => compare(path, expected, given, found),
            None => found.push(Mismatch { path: path.join("."), kind: MismatchKind::MissingItems }),
        }
        path.pop();
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) if !kind.is_empty() => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| !kind.is_empty()).collect(),
        _ => Vec::new(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the value" } else { &self.path };
        match &self.kind {
            MismatchKind::Type { expected, found } => {
                write!(f, "{place} is {}, not {}", found.join(" or "), expected.join(" or "))
            }
            MismatchKind::MissingField(_) => write!(f, "{place} is missing"),
            MismatchKind::MissingItems => write!(f, "{place} has no item schema"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_shortcomings_are_listed_with_their_places() {
        let consumer = json!({"type": "object", "required": ["id", "place"], "properties": {
            "id": {"type": "string"},
            "place": {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}, "items": {}},
        }});
        let producer = json!({"type": "object", "properties": {
            "id": {"type": "integer"}, "place": {"type": "object", "properties": {}},
        }});
        let found: Vec<String> = mismatches(&consumer, &producer).iter().map(Mismatch::to_string).collect();
        assert_eq!(found, ["id is integer, not string", "place.lat is missing", "place.[] has no item schema"]);
    }

    #[test]
    fn an_integer_is_a_number_but_not_the_other_way() {
        let (integer, number) = (json!({"type": "integer"}), json!({"type": "number"}));
        assert_eq!(mismatches(&number, &integer), []);
        assert_eq!(mismatches(&integer, &number).len(), 1);
        assert_eq!(mismatches(&integer, &json!({})), []);
    }

    #[test]
    fn a_property_that_no_canonical_form_carries_is_not_held_against_anybody() {
        let consumer = json!({"type": "object", "required": ["pages", "title"], "properties": {"pages": {}}});
        let producer = json!({"type": "object", "properties": {"pages": {}, "year": {}}});
        assert_eq!(mismatches(&consumer, &producer), []);
    }
}
