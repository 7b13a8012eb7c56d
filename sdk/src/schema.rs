//! JSON Schemas of Rust types, as tools publish them.

use mesh_node::tool::JsonObject;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// The schema of what is read into a `T`.
pub(crate) fn of_input<T: JsonSchema>() -> JsonObject {
    object(reader().into_root_schema_for::<T>())
}

/// The schema of what a `T` is written as.
pub(crate) fn of_output<T: JsonSchema>() -> JsonObject {
    object(settings().for_serialize().into_generator().into_root_schema_for::<T>())
}

/// Generates schemas of what is read.
pub(crate) fn reader() -> SchemaGenerator {
    settings().for_deserialize().into_generator()
}

/// A schema as an object; `true`, which allows everything, is the empty one.
pub(crate) fn object(schema: Schema) -> JsonObject {
    match schema.to_value() {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

/// Numbers lose what only Rust knows about them (`uint32`, `double`): other languages' schemas do not say it, and one
/// that does would match none of theirs.
#[derive(Clone)]
pub(crate) struct PlainNumbers;

impl Transform for PlainNumbers {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let width = |format: &str| {
            let digits = format.trim_start_matches("uint").trim_start_matches("int");
            format == "double"
                || format == "float"
                || (digits != format && digits.bytes().all(|it| it.is_ascii_digit()))
        };
        if schema.get("format").and_then(Value::as_str).is_some_and(width) {
            schema.remove("format");
        }
    }
}

fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12().with_transform(PlainNumbers);
    // The dialect that MCP takes for granted.
    settings.meta_schema = None;
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    struct Place {
        name: String,
        floor: u8,
        #[serde(default)]
        height: f64,
    }

    #[test]
    fn numbers_are_plain() {
        let schema = of_output::<Place>();
        assert_eq!(schema["properties"]["height"], json!({ "type": "number", "default": 0.0 }));
        assert_eq!(schema["properties"]["floor"]["format"], Value::Null);
        assert_eq!(schema.get("$schema"), None);
    }

    #[test]
    fn what_has_a_default_is_always_written_and_need_not_be_read() {
        assert_eq!(of_output::<Place>()["required"], json!(["name", "floor", "height"]));
        assert_eq!(of_input::<Place>()["required"], json!(["name", "floor"]));
    }

    #[test]
    fn a_value_of_any_kind_has_an_empty_schema() {
        assert!(!of_output::<Value>().contains_key("type"));
    }
}
