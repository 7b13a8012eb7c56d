//! What a model is to answer with, and whether it did.

use std::fmt;

use jsonschema::Validator;
use mesh_node::tool::JsonObject;
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::returned::is_text;
use crate::schema;

/// The member that holds an answer which is no object: vendors take schemas of objects only.
const RESULT: &str = "result";

/// At how many places of a text it is looked for JSON.
const PLACES: usize = 16;

/// How many mistakes the model is told at once.
const MISTAKES: usize = 5;

/// The most characters of one mistake.
const MISTAKE: usize = 300;

/// What a model is to answer with.
pub(crate) enum Expected {
    /// Words.
    Text,
    /// JSON of this shape.
    Json(Box<Shape>),
}

/// What the JSON has to be like.
pub(crate) struct Shape {
    /// The schema that the model is shown: of an object.
    pub(crate) schema: JsonObject,
    /// What it is called.
    pub(crate) name: String,
    validator: Validator,
    is_wrapped: bool,
}

impl Expected {
    /// A `T`.
    ///
    /// # Errors
    /// In words, why its schema is none.
    pub(crate) fn of<T: JsonSchema>() -> Result<Self, String> {
        let schema = schema::of_input::<T>();
        if is_text(&schema) {
            return Ok(Self::Text);
        }
        let is_wrapped = schema.get("type") != Some(&Value::from("object"));
        let schema = if is_wrapped { wrapped(schema) } else { schema };
        let validator = jsonschema::validator_for(&Value::Object(schema.clone())).map_err(|why| why.to_string())?;
        let name: String = T::schema_name().chars().filter(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
        Ok(Self::Json(Box::new(Shape { schema, name, validator, is_wrapped })))
    }

    /// The answer that `text` is.
    ///
    /// # Errors
    /// What is wrong with it, in words for the model.
    pub(crate) fn read(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::from(text)),
            Self::Json(shape) => shape.read(text),
        }
    }

    /// What the model is shown, if it is shown anything.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        match self {
            Self::Text => None,
            Self::Json(shape) => Some(shape),
        }
    }
}

impl Shape {
    fn read(&self, text: &str) -> Result<Value, String> {
        let found = found(text);
        if found.is_empty() {
            let broken = serde_json::from_str::<Value>(unfenced(text)).err().map(|why| why.to_string());
            return Err(format!("the answer is no JSON: {}", broken.unwrap_or_default()));
        }
        let read = |value: &Value| self.forms(value).into_iter().find(|form| self.validator.is_valid(form));
        if let Some(value) = found.iter().find_map(read) {
            return Ok(self.unwrapped(value));
        }
        // Whatever stands last is most likely to be meant.
        let meant = &found[found.len() - 1];
        let mistakes = self.validator.iter_errors(meant).take(MISTAKES).map(|mistake| {
            let place = mistake.instance_path().to_string();
            let said: String = mistake.to_string().chars().take(MISTAKE).collect();
            if place.is_empty() { said } else { format!("at `{place}`: {said}") }
        });
        Err(mistakes.collect::<Vec<_>>().join("; "))
    }

    /// The ways in which models mean `value`: as it is, inside an envelope of one member, without ours.
    fn forms(&self, value: &Value) -> Vec<Value> {
        let mut forms = vec![value.clone()];
        if self.is_wrapped {
            forms.push(json!({ RESULT: value }));
        }
        if let Some(inner) = value.as_object().filter(|object| object.len() == 1).and_then(|it| it.values().next()) {
            forms.push(inner.clone());
        }
        forms
    }

    fn unwrapped(&self, value: Value) -> Value {
        match value {
            Value::Object(mut object) if self.is_wrapped => object.remove(RESULT).unwrap_or_default(),
            other => other,
        }
    }
}

/// An object with a `schema` in it.
fn wrapped(mut schema: JsonObject) -> JsonObject {
    let mut whole = JsonObject::new();
    // References are written from the root.
    if let Some(definitions) = schema.remove("$defs") {
        whole.insert("$defs".into(), definitions);
    }
    whole.insert("type".into(), "object".into());
    whole.insert("properties".into(), json!({ RESULT: schema }));
    whole.insert("required".into(), json!([RESULT]));
    whole.insert("additionalProperties".into(), false.into());
    whole
}

/// The JSON in `text`: all of it, what is fenced, or objects and lists among words.
fn found(text: &str) -> Vec<Value> {
    if let Ok(value) = serde_json::from_str(unfenced(text)) {
        return vec![value];
    }
    let (mut values, mut from, mut places) = (Vec::new(), 0, 0);
    while let Some(at) = text[from..].find(['{', '[']).map(|at| from + at)
        && places < PLACES
    {
        places += 1;
        let mut reader = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        match reader.next() {
            Some(Ok(value)) => {
                from = at + reader.byte_offset();
                values.push(value);
            }
            _ => from = at + 1,
        }
    }
    values
}

/// What is between the first fences, or all of it.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some((_, rest)) = text.split_once("```") else { return text };
    let Some((_, inside)) = rest.split_once('\n') else { return text };
    inside.split_once("```").map_or(inside, |(inside, _)| inside).trim()
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Json(shape) => write!(f, "a {}", shape.name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "its schema is what counts")]
    struct Plan {
        title: String,
        days: Vec<u8>,
    }

    fn plan(text: &str) -> Result<Value, String> {
        Expected::of::<Plan>().unwrap().read(text)
    }

    #[test]
    fn json_is_found_wherever_models_put_it() {
        let expected = json!({ "title": "Rome", "days": [1, 2] });
        let plain = r#"{"title":"Rome","days":[1,2]}"#;
        for text in [
            plain.to_owned(),
            format!("```json\n{plain}\n```"),
            format!("Here you are:\n```\n{plain}\n```\nEnjoy!"),
            format!("Of {{course}}: {plain} Have fun [really]."),
            format!(r#"{{"Plan": {plain}}}"#),
        ] {
            assert_eq!(plan(&text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_said_with_its_place() {
        let why = plan(r#"{"title":"Rome","days":["one"]}"#).unwrap_err();
        assert!(why.starts_with("at `/days/0`: \"one\" is not of type"), "{why}");
        let why = plan("{}").unwrap_err();
        assert!(why.contains("\"title\" is a required property"), "{why}");
        assert!(plan("I would rather not.").unwrap_err().starts_with("the answer is no JSON: expected value"));
        assert!(plan(r#"{"title": "Ro"#).unwrap_err().starts_with("the answer is no JSON: EOF"));
    }

    #[test]
    fn what_is_no_object_is_asked_for_inside_of_one() {
        let list = Expected::of::<Vec<u8>>().unwrap();
        let schema = &list.shape().unwrap().schema;
        assert_eq!((&schema["type"], &schema["required"]), (&json!("object"), &json!(["result"])));
        assert_eq!(list.read(r#"{"result":[1]}"#), Ok(json!([1])));
        assert_eq!(list.read("[1]"), Ok(json!([1])));
        assert!(list.read(r#"{"result":["a"]}"#).is_err());
    }

    #[test]
    fn a_text_is_whatever_was_said() {
        let text = Expected::of::<String>().unwrap();
        assert!(text.shape().is_none());
        assert_eq!(text.read("{}"), Ok(json!("{}")));
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer_or_a_mistake(text in "\\PC{0,80}|[\\[{\"a:1}\\]` \n]{0,60}") {
            let _ = plan(&text);
        }
    }
}
