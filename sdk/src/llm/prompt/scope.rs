//! What a template can know: the arguments of its tool, and the fields of its context.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use mesh_node::tool::JsonObject;

/// How deep references among schemas are followed.
const DEPTH: usize = 16;

/// The names that a template can use, with the schemas of what they stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    names: BTreeMap<String, Name>,
}

#[derive(Clone, Debug)]
struct Name {
    schema: Value,
    /// Where its references lead.
    definitions: Map<String, Value>,
}

impl Known {
    /// The members of the object that `schema` describes are names.
    pub(crate) fn add(&mut self, schema: &JsonObject) {
        let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, schema) in properties {
            let name_of = Name { schema: schema.clone(), definitions: definitions.clone() };
            self.names.insert(name.clone(), name_of);
        }
    }

    /// Whether `path` can lead to something: `["trip", "budget"]`.
    pub(crate) fn can_have(&self, path: &[&str]) -> bool {
        let Some((root, rest)) = path.split_first() else { return true };
        self.names.get(*root).is_some_and(|name| can_have(&name.schema, &name.definitions, rest, DEPTH))
    }

    /// All names, for people.
    pub(crate) fn said(&self) -> String {
        let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
        if names.is_empty() { "no variables at all".into() } else { names.join(", ") }
    }
}

/// Whether a value of this schema can have a member at `path`. What a schema does not say may be.
fn can_have(schema: &Value, definitions: &Map<String, Value>, path: &[&str], depth: usize) -> bool {
    let (Some((member, rest)), Some(schema)) = (path.split_first(), schema.as_object()) else { return true };
    let Some(depth) = depth.checked_sub(1) else { return true };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix("#/$defs/").and_then(|name| definitions.get(name));
        return target.is_none_or(|target| can_have(target, definitions, path, depth));
    }
    for alternatives in ["anyOf", "oneOf", "allOf"] {
        if let Some(alternatives) = schema.get(alternatives).and_then(Value::as_array) {
            return alternatives.iter().any(|schema| can_have(schema, definitions, path, depth));
        }
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object)
        && let Some(schema) = properties.get(*member)
    {
        return can_have(schema, definitions, rest, depth);
    }
    match schema.get("type") {
        // An object with other members than those that are named.
        Some(Value::String(kind)) if kind == "object" => {
            !schema.contains_key("properties") || is_open(schema.get("additionalProperties"))
        }
        Some(Value::String(_)) => false,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => true,
    }
}

fn is_open(additional: Option<&Value>) -> bool {
    additional.is_some_and(|additional| *additional != Value::Bool(false))
}
