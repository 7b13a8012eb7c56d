//! Arguments: read for a tool, written for a call.

use std::fmt;

use bytes::Bytes;
use mesh_node::tool::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// What can be a parameter of a tool.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a tool",
    label = "not something that JSON is read into",
    note = "give it `#[derive(serde::Deserialize, schemars::JsonSchema)]`"
)]
pub trait Argument: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> Argument for T {}

/// The arguments of one call, split by name and not read any further.
#[derive(Debug)]
pub struct Arguments<'a> {
    tool: &'a str,
    given: Vec<(String, &'a RawValue)>,
}

/// Arguments that cannot be sent: they are no object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadArguments {
    /// They are something else than a JSON object.
    #[error("arguments are an object: use `args! {{ name: value }}`, a struct, or `()` for none; these are {0}")]
    NotAnObject(String),
    /// They cannot be JSON.
    #[error("arguments cannot be written as JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl<'a> Arguments<'a> {
    /// Splits `text`, the arguments of a call of `tool`, whose parameters are `known`.
    pub(crate) fn split(tool: &'a str, known: &[&str], text: &'a [u8]) -> Result<Self, Fault> {
        let text = if text.is_empty() { b"{}" } else { text };
        let wrong = |why: String| Fault::new(FaultKind::InvalidArguments, format!("{tool}: {why}"));
        let Object(given) = serde_json::from_slice(text)
            .map_err(|error| wrong(format!("the arguments are no JSON object: {error}")))?;
        for (place, (name, _)) in given.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let takes =
                    if known.is_empty() { "it takes none".into() } else { format!("it takes {}", known.join(", ")) };
                return Err(wrong(format!("unknown argument `{name}`; {takes}")));
            }
            if given[..place].iter().any(|(other, _)| other == name) {
                return Err(wrong(format!("argument `{name}` is given twice")));
            }
        }
        Ok(Self { tool, given })
    }

    /// The argument `name`.
    ///
    /// # Errors
    /// A [`Fault`] when it is missing, or not a `T`.
    pub fn required<T: Argument>(&self, name: &str) -> Result<T, Fault> {
        match self.raw(name) {
            Some(raw) => self.read(name, raw),
            None => Err(self.wrong(format!("argument `{name}` is missing: {}", expected::<T>()))),
        }
    }

    /// The argument `name`, or what `default` gives when it is missing.
    ///
    /// # Errors
    /// A [`Fault`] when it is not a `T`.
    pub fn or<T: Argument>(&self, name: &str, default: impl FnOnce() -> T) -> Result<T, Fault> {
        self.raw(name).map_or_else(|| Ok(default()), |raw| self.read(name, raw))
    }

    /// The argument `name`, if it is there and not `null`.
    ///
    /// # Errors
    /// A [`Fault`] when it is not a `T`.
    pub fn optional<T: Argument>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.raw(name).filter(|raw| raw.get() != "null").map(|raw| self.read(name, raw)).transpose()
    }

    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, raw)| *raw)
    }

    fn read<T: Argument>(&self, name: &str, raw: &'a RawValue) -> Result<T, Fault> {
        // What does not fit is read again to find out where: keeping track of the place costs as much as reading.
        if let Ok(value) = serde_json::from_str(raw.get()) {
            return Ok(value);
        }
        let reader = &mut serde_json::Deserializer::from_str(raw.get());
        serde_path_to_error::deserialize(reader).map_err(|error| {
            let path = error.path().to_string();
            let at = if path == "." { name.to_owned() } else { format!("{name}.{path}") };
            // The position within the one argument would only mislead.
            let why = error.into_inner().to_string();
            let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
            self.wrong(format!("argument `{at}`: {why}"))
        })
    }

    fn wrong(&self, why: String) -> Fault {
        Fault::new(FaultKind::InvalidArguments, format!("{}: {why}", self.tool))
    }
}

/// What a `T` is, in a few words: the type of its schema, or its name.
fn expected<T: JsonSchema>() -> String {
    let schema = crate::schema::of_input::<T>();
    match schema.get("type").and_then(serde_json::Value::as_str) {
        Some("object") | None => format!("expected {}", T::schema_name()),
        Some(kind @ ("integer" | "array")) => format!("expected an {kind}"),
        Some(kind) => format!("expected a {kind}"),
    }
}

/// The text of `arguments`, which have to be an object; `()` is the empty one.
pub(crate) fn written(arguments: &impl Serialize) -> Result<Bytes, BadArguments> {
    let text = serde_json::to_vec(arguments)?;
    match text.first() {
        Some(b'{') => Ok(text.into()),
        _ if text == b"null" => Ok(Bytes::from_static(b"{}")),
        _ => {
            let shown: String = String::from_utf8_lossy(&text).chars().take(40).collect();
            Err(BadArguments::NotAnObject(shown))
        }
    }
}

/// The members of a JSON object in their order, twice given ones included.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    // More than any tool has parameters; whoever sends them means harm.
                    if members.len() == 1024 {
                        return Err(serde::de::Error::custom("more than 1024 arguments"));
                    }
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        reader.deserialize_map(Members)
    }
}

/// Arguments of a call by name: `args! { city: "Rome", days: 3 }`.
///
/// ```
/// let days = 3;
/// let arguments = mesh::args! { city: "Rome", days };
/// assert_eq!(arguments.to_string(), r#"{"city":"Rome","days":3}"#);
/// ```
///
/// # Panics
/// When a value cannot be JSON: a map whose keys are no strings, for example.
#[macro_export]
macro_rules! args {
    ($($name:ident $(: $value:expr)?),* $(,)?) => {
        $crate::glue::object([$((
            stringify!($name),
            $crate::glue::json(stringify!($name), &$crate::args!(@value $name $(, $value)?)),
        )),*])
    };
    (@value $name:ident) => { $name };
    (@value $name:ident, $value:expr) => { $value };
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Address {
        street: String,
    }

    fn split(text: &str) -> Result<Arguments<'_>, Fault> {
        Arguments::split("visit", &["name", "address", "times"], text.as_bytes())
    }

    #[test]
    fn arguments_are_read_by_name() {
        let arguments = split(r#"{"times": 2, "name": "Ada", "address": {"street": "Main"}}"#).unwrap();
        assert_eq!(arguments.required::<String>("name").unwrap(), "Ada");
        assert_eq!(arguments.required::<Address>("address").unwrap(), Address { street: "Main".into() });
        assert_eq!(arguments.optional::<u8>("times").unwrap(), Some(2));
        assert_eq!(split("").unwrap().or("times", || 7).unwrap(), 7);
        assert_eq!(split(r#"{"times":null}"#).unwrap().optional::<u8>("times").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_was_expected() {
        let said = |text: &str| {
            let arguments = split(text)?;
            arguments.required::<String>("name")?;
            arguments.required::<Address>("address")?;
            arguments.or::<u8>("times", || 1)
        };
        let message = |text: &str| said(text).unwrap_err().message;
        assert_eq!(message("{}"), "visit: argument `name` is missing: expected a string");
        assert_eq!(
            message(r#"{"name": "Ada", "address": {"street": 5}}"#),
            "visit: argument `address.street`: invalid type: integer `5`, expected a string"
        );
        assert_eq!(message(r#"{"nam": "Ada"}"#), "visit: unknown argument `nam`; it takes name, address, times");
        assert_eq!(message(r#"{"name": "Ada", "name": "Bob"}"#), "visit: argument `name` is given twice");
        assert!(message("[]").starts_with("visit: the arguments are no JSON object"), "{}", message("[]"));
        let nested = format!(r#"{{"name": {}1{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert!(message(&nested).starts_with("visit: argument `name`: invalid type"));
    }

    #[test]
    fn only_objects_are_sent_and_nothing_is_the_empty_one() {
        assert_eq!(written(&()).unwrap(), "{}");
        assert_eq!(written(&json!({"a": 1})).unwrap(), r#"{"a":1}"#);
        assert!(matches!(written(&[1, 2]), Err(BadArguments::NotAnObject(_))));
    }
}
