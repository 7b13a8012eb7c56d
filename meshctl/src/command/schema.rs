//! `meshctl schema`: what tells two published schemas apart.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mesh_node::admin::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{NodeArgs, OpenClient};
use crate::output::{self, Colour, paint, say};

/// How wide the line under the title is.
const RULE: usize = 80;

/// Compares schemas that tools publish.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows which fields two schemas do not have in common, and where their types differ.
    Diff {
        /// The hash of one, as `list --schemas` and `audit` show it
        a: String,
        /// The hash of the other
        b: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Deserialize, Serialize)]
struct Entry {
    hash: String,
    canonical: Value,
    runtime_origin: String,
    created_at: Timestamp,
}

#[derive(Serialize)]
struct Report<'a> {
    a: &'a Entry,
    b: &'a Entry,
    diff: Difference,
}

/// What the top levels of two schemas do not have in common.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    only_in_a: Vec<Field>,
    only_in_b: Vec<Field>,
    type_changed: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_a: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_b: Option<BTreeSet<String>>,
    hash_equal: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Field {
    name: String,
    r#type: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Change {
    name: String,
    a: String,
    b: String,
}

impl Schema {
    /// Compares them.
    ///
    /// # Errors
    /// When no registry answers, or it does not know one of them.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Action::Diff { a, b, node, json } = self.action;
        let client = node.open()?;
        let (a, b) = (entry(&client, &a).await?, entry(&client, &b).await?);
        let diff = Difference::of(&a.canonical, &b.canonical, a.hash == b.hash);
        if json {
            output::json(&Report { a: &a, b: &b, diff })?;
        } else {
            say(format_args!("Schema diff\n{}", "=".repeat(RULE)));
            for (name, entry) in [("A", &a), ("B", &b)] {
                let Entry { hash, runtime_origin, created_at, .. } = entry;
                say(format_args!("  {name}: {hash}  origin={runtime_origin}  created={created_at}"));
            }
            say("");
            diff.show();
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn entry(client: &OpenClient, hash: &str) -> anyhow::Result<Entry> {
    client.ask(reqwest::Method::GET, &format!("/schemas/{hash}")).await
}

impl Difference {
    fn of(a: &Value, b: &Value, hash_equal: bool) -> Self {
        let (left, right) = (fields(a), fields(b));
        let only = |here: &BTreeMap<String, String>, there: &BTreeMap<String, String>| {
            let only = here.iter().filter(|(name, _)| !there.contains_key(*name));
            only.map(|(name, kind)| Field { name: name.clone(), r#type: kind.clone() }).collect()
        };
        let common = left.iter().filter_map(|(name, kind)| Some((name, kind, right.get(name)?)));
        let changed = common.filter(|(_, a, b)| a != b);
        let type_changed =
            changed.map(|(name, a, b)| Change { name: name.clone(), a: a.clone(), b: b.clone() }).collect();
        let (required_a, required_b) = (required(a), required(b));
        let differ = required_a != required_b;
        Self {
            only_in_a: only(&left, &right),
            only_in_b: only(&right, &left),
            type_changed,
            required_a: differ.then_some(required_a),
            required_b: differ.then_some(required_b),
            hash_equal,
        }
    }

    fn show(&self) {
        if self.hash_equal {
            say("Both are the same schema");
            return;
        }
        let list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                say(format_args!("{title}\n  {}", lines.join("\n  ")));
            }
        };
        let field = |sign: char, colour: Colour| {
            move |field: &Field| paint(colour, format_args!("{sign} {} ({})", field.name, field.r#type))
        };
        list("Fields only in A:", self.only_in_a.iter().map(field('-', Colour::Red)).collect());
        list("Fields only in B:", self.only_in_b.iter().map(field('+', Colour::Green)).collect());
        let change =
            |change: &Change| paint(Colour::Yellow, format_args!("~ {}: {} → {}", change.name, change.a, change.b));
        list("Type changes:", self.type_changed.iter().map(change).collect());
        if let (Some(a), Some(b)) = (&self.required_a, &self.required_b) {
            let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            list("Required fields:", vec![format!("A: [{}]", names(a)), format!("B: [{}]", names(b))]);
        }
        let alike = self.only_in_a.is_empty() && self.only_in_b.is_empty() && self.type_changed.is_empty();
        if alike && self.required_a.is_none() {
            say("Their top levels are alike; they differ further down");
        }
    }
}

/// The names of a schema's properties, with their types.
fn fields(schema: &Value) -> BTreeMap<String, String> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, schema)| (name.clone(), kind(schema))).collect()
}

fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        _ => "any".to_owned(),
    }
}

fn required(schema: &Value) -> BTreeSet<String> {
    schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, Difference, Field};

    #[test]
    fn two_schemas_differ_in_fields_types_and_what_is_required() {
        let a = json!({"properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]});
        let b = json!({"properties": {"name": {"type": ["string", "null"]}, "team": {}}, "required": ["name", "team"]});
        let found = Difference::of(&a, &b, false);
        assert_eq!(found.only_in_a, [Field { name: "age".into(), r#type: "integer".into() }]);
        assert_eq!(found.only_in_b, [Field { name: "team".into(), r#type: "any".into() }]);
        let change = Change { name: "name".into(), a: "string".into(), b: "string|null".into() };
        assert_eq!(found.type_changed, [change]);
        assert_eq!(found.required_b.map(|names| names.len()), Some(2));
        let same = Difference::of(&a, &a, true);
        assert!(same.hash_equal && same.only_in_a.is_empty() && same.required_a.is_none());
    }
}
