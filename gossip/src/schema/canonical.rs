//! The canonical form of a JSON Schema: what Python, TypeScript, Java and Rust agree on for the same type.
//!
//! Rule by rule the form that stock agents compute, because `strict` matching compares digests across languages.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Digest;
use super::definitions::{Definitions, local_name, local_reference};
use super::name::camel_case;

/// Keys that say nothing about the shape of a value. They are dropped from every object, also from the one that lists
/// the properties: the mistake that [`super::subset`] makes up for.
const DROPPED: [&str; 10] = [
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
];

/// A schema in canonical form.
#[derive(Clone, Debug, PartialEq)]
pub struct Canonical {
    /// The form itself.
    pub schema: Value,
    /// The digest of its text.
    pub digest: Digest,
    /// What the form could not carry, in words for the author; empty when nothing was lost.
    pub warnings: Vec<String>,
}

/// A schema that has no canonical form. Fix the schema; it cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// The text is not JSON.
    #[error("invalid JSON input: {0}")]
    NotJson(String),
    /// With its definitions inlined it is too large or too deep.
    #[error("{TooLarge}")]
    TooLarge,
}

/// A schema that grows beyond its bounds when its definitions are inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema is too large or too deep with its definitions inlined")]
pub(super) struct TooLarge;

impl From<TooLarge> for NotCanonical {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// The canonical form of the schema that `raw` is the JSON text of.
///
/// # Errors
/// [`NotCanonical`] when it is not JSON, or would grow out of bounds.
pub fn canonicalise(raw: &str) -> Result<Canonical, NotCanonical> {
    let raw: Value = serde_json::from_str(raw).map_err(|error| NotCanonical::NotJson(error.to_string()))?;
    let mut definitions = Definitions::of(&raw);
    let inlined = definitions.inline(&raw)?;
    let mut warnings = Vec::new();
    let mut schema = tidy(inlined, &mut warnings);

    let mut recursive = BTreeMap::new();
    for (name, body) in definitions.recursive() {
        recursive.insert(name, tidy(definitions.inline(body)?, &mut warnings));
    }
    if !recursive.is_empty() {
        let names = recursive.iter().map(|(name, body)| (*name, stable_name(body))).collect();
        schema = rename_references(schema, &names);
        if let Value::Object(root) = &mut schema {
            let bodies =
                recursive.iter().map(|(name, body)| (names[name].clone(), rename_references(body.clone(), &names)));
            root.insert("$defs".into(), Value::Object(bodies.collect()));
        }
    }
    let mut all_warnings = definitions.warnings;
    all_warnings.append(&mut warnings);
    Ok(Canonical { digest: Digest::of(&schema), schema, warnings: all_warnings })
}

/// The text that is hashed: compact JSON, keys sorted bytewise.
pub fn text(canonical: &Value) -> String {
    let mut text = String::new();
    write(canonical, &mut text);
    text
}

// Sorted here rather than left to the map: whether serde_json's map sorts is decided by whoever else is in the build.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (at, (key, value)) in entries.into_iter().enumerate() {
                text.push(if at == 0 { '{' } else { ',' });
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn tidy(value: Value, warnings: &mut Vec<String>) -> Value {
    match value {
        Value::Object(node) => Value::Object(tidy_object(node, warnings)),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| tidy(item, warnings)).collect()),
        other => other,
    }
}

fn tidy_object(mut node: Map<String, Value>, warnings: &mut Vec<String>) -> Map<String, Value> {
    if node.get("nullable") == Some(&Value::Bool(true)) {
        node.remove("nullable");
        make_nullable(&mut node);
    }
    tidy_union(&mut node, "anyOf");
    tidy_union(&mut node, "oneOf");
    sort_types(&mut node);
    for key in DROPPED {
        node.remove(key);
    }
    if let Some(Value::Array(branches)) = node.remove("oneOf") {
        node.insert("anyOf".into(), Value::Array(branches));
    }
    if node.remove("additionalProperties") == Some(Value::Bool(true)) {
        warnings.push("stripped additionalProperties: true (lossy)".into());
    }
    tidy_enum(&mut node);
    rename_properties(&mut node, warnings);
    let tidied = node.into_iter().map(|(key, value)| {
        let value = if matches!(key.as_str(), "enum" | "required" | "type") { value } else { tidy(value, warnings) };
        (key, value)
    });
    tidied.collect()
}

fn make_nullable(node: &mut Map<String, Value>) {
    if let Some(kind) = node.get("type").and_then(or_null) {
        node.insert("type".into(), kind);
    }
}

/// A `type` with `null` added; `None` when it is there already, or the type is not one.
fn or_null(kind: &Value) -> Option<Value> {
    let null = Value::from("null");
    match kind {
        Value::Array(kinds) if !kinds.contains(&null) => Some(kinds.iter().cloned().chain([null]).collect()),
        Value::String(_) if *kind != null => Some(Value::Array(vec![kind.clone(), null])),
        _ => None,
    }
}

/// A union in one spelling: without unions in it, `null` once and last; a union of one schema and `null` is that schema
/// with `null` among its types, if it has any.
fn tidy_union(node: &mut Map<String, Value>, key: &str) {
    let Some(Value::Array(branches)) = node.get(key) else {
        return;
    };
    let mut flat = Vec::new();
    branches.iter().for_each(|branch| flatten(branch, &mut flat));
    let all = flat.len();
    flat.retain(|branch| branch["type"] != "null");
    if flat.len() < all {
        if let [Value::Object(only)] = &flat[..]
            && let Some(kind) = only.get("type").or_else(|| node.get("type")).cloned().or_else(|| pinned_type(only))
        {
            node.remove(key);
            node.extend(only.clone());
            node.insert("type".into(), or_null(&kind).unwrap_or(kind));
            return;
        }
        flat.push(Map::from_iter([("type".to_owned(), "null".into())]).into());
    }
    node.insert(key.into(), Value::Array(flat));
}

/// Takes a branch that says nothing but another union for the branches of that union.
fn flatten(branch: &Value, into: &mut Vec<Value>) {
    let mut said = branch.as_object().into_iter().flatten().filter(|(key, _)| !DROPPED.contains(&key.as_str()));
    match (said.next(), said.next()) {
        (Some((key, Value::Array(branches))), None) if key == "anyOf" || key == "oneOf" => {
            branches.iter().for_each(|branch| flatten(branch, into));
        }
        _ => into.push(branch.clone()),
    }
}

/// The type of a schema that lists its values instead.
fn pinned_type(schema: &Map<String, Value>) -> Option<Value> {
    let kind = match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => common_type(values),
        (_, Some(value)) => primitive_type(value),
        _ => None,
    };
    kind.map(Value::from)
}

fn sort_types(node: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = node.get_mut("type") else {
        return;
    };
    types.retain(Value::is_string);
    types.sort_by(|a, b| {
        let rank = |kind: &Value| kind == "null";
        rank(a).cmp(&rank(b)).then_with(|| a.as_str().cmp(&b.as_str()))
    });
    // `null` counts once however often it was said; other types are kept as they were.
    let nulls = types.iter().filter(|kind| *kind == "null").count();
    types.truncate(types.len() - nulls.saturating_sub(1));
}

fn tidy_enum(node: &mut Map<String, Value>) {
    let Some(Value::Array(values)) = node.get_mut("enum") else {
        return;
    };
    if !values.is_empty() && values.iter().all(Value::is_string) {
        values.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    if let Some(kind) = common_type(values) {
        node.entry("type").or_insert_with(|| kind.into());
    }
}

fn common_type(values: &[Value]) -> Option<&'static str> {
    let mut kinds = values.iter().map(primitive_type);
    let first = kinds.next().flatten()?;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}

fn primitive_type(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some("integer"),
        Value::Number(_) => Some("number"),
        Value::Null => Some("null"),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn rename_properties(node: &mut Map<String, Value>, warnings: &mut Vec<String>) {
    // Sorted first: of two names that become one, the same has to win everywhere.
    let mut renamed = BTreeMap::new();
    if let Some(Value::Object(properties)) = node.remove("properties") {
        let sorted: BTreeMap<_, _> = properties.into_iter().collect();
        let mut camel = Map::new();
        for (name, schema) in sorted {
            let new_name = camel_case(&name);
            if camel.insert(new_name.clone(), schema).is_some() {
                warnings.push(format!("two properties are called {new_name} in canonical form; {name} was kept"));
            }
            renamed.insert(name, new_name);
        }
        node.insert("properties".into(), Value::Object(camel));
    }
    if let Some(Value::Array(required)) = node.get_mut("required") {
        let names = required.iter().filter_map(Value::as_str);
        let mut names: Vec<String> = names.map(|name| renamed.get(name).map_or(name, String::as_str).into()).collect();
        names.sort();
        *required = names.into_iter().map(Value::String).collect();
    }
}

/// A name that two languages give the same recursive type: from its shape, with all references alike.
fn stable_name(body: &Value) -> String {
    let digest = Digest::of(&mask_references(body)).to_string();
    format!("Recursive_{}", &digest["sha256:".len()..][..12])
}

fn mask_references(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| {
                    let value = if key == "$ref" { "__CYCLIC__".into() } else { mask_references(value) };
                    (key.clone(), value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(mask_references).collect()),
        other => other.clone(),
    }
}

fn rename_references(value: Value, names: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::Object(map) => {
            let renamed = map.into_iter().map(|(key, value)| match value {
                Value::String(reference) if key == "$ref" => {
                    let name = local_name(&reference).and_then(|name| names.get(name));
                    let reference = name.map_or_else(|| reference.clone(), |name| local_reference(name));
                    (key, Value::String(reference))
                }
                // A property of that name: left alone.
                value if key == "$ref" => (key, value),
                value => (key, rename_references(value, names)),
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| rename_references(item, names)).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::{Strategy, any, proptest};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_explodes_when_inlined_is_refused() {
        let mut definitions = Map::new();
        for n in 0..40 {
            let next = format!("#/$defs/D{}", n + 1);
            definitions.insert(format!("D{n}"), json!({"a": {"$ref": next}, "b": {"$ref": next}}));
        }
        let schema = json!({"$ref": "#/$defs/D0", "$defs": definitions});
        assert_eq!(canonicalise(&schema.to_string()), Err(NotCanonical::TooLarge));
    }

    #[test]
    fn a_chain_of_definitions_deeper_than_the_bound_is_refused() {
        let mut definitions = Map::new();
        for n in 0..5_000 {
            definitions.insert(format!("D{n}"), json!({"items": {"$ref": format!("#/$defs/D{}", n + 1)}}));
        }
        let schema = json!({"$ref": "#/$defs/D0", "$defs": definitions});
        assert_eq!(canonicalise(&schema.to_string()), Err(NotCanonical::TooLarge));
    }

    #[test]
    fn the_names_of_recursive_types_do_not_count() {
        let tree = |name: &str| {
            let reference = format!("#/$defs/{name}");
            let body = json!({"type": "object", "properties": {"left": {"$ref": reference}}});
            let schema = json!({"$ref": reference, "$defs": {name: body}});
            canonicalise(&schema.to_string()).unwrap()
        };
        assert_eq!(tree("Tree"), tree("Baum"));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let word = proptest::sample::select(vec![
            "type",
            "null",
            "object",
            "$ref",
            "#/$defs/a",
            "#/definitions/b",
            "$defs",
            "definitions",
            "a",
            "b",
            "anyOf",
            "oneOf",
            "enum",
            "required",
            "properties",
            "nullable",
            "title",
            "user_id",
            "additionalProperties",
            "items",
        ]);
        let leaf = proptest::prop_oneof![
            word.clone().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            proptest::prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((word.clone(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_has_a_canonical_form_or_an_error(raw in json_value()) {
            let _ = canonicalise(&raw.to_string());
        }

        #[test]
        fn the_text_of_a_form_reads_back_as_the_form(raw in json_value()) {
            let read: Value = serde_json::from_str(&text(&raw)).unwrap();
            proptest::prop_assert_eq!(read, raw);
        }
    }
}
