//! The arguments of a call, from wherever they come.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use mesh_node::context::MAX_PAYLOAD_BYTES;
use serde_json::Value;
use serde_json::value::RawValue;

/// Where the arguments of a call come from.
#[derive(Debug, Default, Args)]
pub(crate) struct ArgumentArgs {
    /// The arguments as a JSON object, @file, or - for standard input; none is {}
    #[arg(value_name = "JSON")]
    json: Option<String>,
    /// A file with the arguments as a JSON object
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    file: Option<PathBuf>,
    /// One argument, of the type that the tool's schema asks for; may be repeated
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    single: Vec<String>,
}

impl ArgumentArgs {
    /// Whether the schema of the tool has a say in what the arguments mean.
    pub(crate) fn needs_schema(&self) -> bool {
        !self.single.is_empty()
    }

    /// The text of the arguments. What was given as JSON stays as it was written.
    ///
    /// # Errors
    /// When it cannot be read, or is no JSON object.
    pub(crate) async fn text(&self, schema: Option<&Value>) -> anyhow::Result<String> {
        let text = self.given()?;
        let Ok(mut named) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&text) else {
            let start: String = text.chars().take(60).collect();
            bail!(
                "invalid JSON arguments: {start:?} is no JSON object; write for example '{{\"name\": \"value\"}}', or \
                 --arg name=value"
            );
        };
        if self.single.is_empty() {
            return Ok(text);
        }
        for single in &self.single {
            let (name, value) = single.split_once('=').with_context(|| format!("--arg {single}: write NAME=VALUE"))?;
            let value = typed(name, value, schema).with_context(|| format!("--arg {single}"))?;
            named.insert(name.to_owned(), value);
        }
        Ok(serde_json::to_string(&named)?)
    }

    fn given(&self) -> anyhow::Result<String> {
        let file = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("cannot read arguments from {}", path.display()))
        };
        if let Some(path) = &self.file {
            return file(path.clone());
        }
        match self.json.as_deref() {
            None => Ok("{}".into()),
            Some("-") => {
                let mut text = String::new();
                let bound = MAX_PAYLOAD_BYTES as u64 + 1;
                std::io::stdin().take(bound).read_to_string(&mut text).context("cannot read standard input")?;
                Ok(text)
            }
            Some(text) => text.strip_prefix('@').map_or_else(|| Ok(text.to_owned()), |path| file(path.into())),
        }
    }
}

/// `value` as the schema wants the property `name`: text where it says so; otherwise JSON, or text if it is none.
fn typed(name: &str, value: &str, schema: Option<&Value>) -> anyhow::Result<Box<RawValue>> {
    let wanted = schema.and_then(|schema| schema.get("properties")?.get(name)?.get("type"));
    let is_wanted = |kind: &str| match wanted {
        Some(Value::String(wanted)) => wanted == kind,
        Some(Value::Array(wanted)) => wanted.iter().any(|wanted| wanted == kind),
        _ => false,
    };
    let text = || Ok(serde_json::value::to_raw_value(value)?);
    if is_wanted("string") && !(value == "null" && is_wanted("null")) {
        return text();
    }
    match RawValue::from_string(value.to_owned()) {
        Ok(json) => Ok(json),
        Err(_) if wanted.is_none() => text(),
        Err(_) => bail!("the tool wants {} there", wanted.map(Value::to_string).unwrap_or_default()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::ArgumentArgs;

    fn given(json: &str, single: &[&str]) -> ArgumentArgs {
        let single = single.iter().map(|text| (*text).to_owned()).collect();
        ArgumentArgs { json: Some(json.into()), file: None, single }
    }

    #[tokio::test]
    async fn what_is_json_stays_as_it_was_written() {
        assert_eq!(given(r#"{"b": 1.0, "a": 1e2}"#, &[]).text(None).await.unwrap(), r#"{"b": 1.0, "a": 1e2}"#);
        assert_eq!(ArgumentArgs::default().text(None).await.unwrap(), "{}");
        for wrong in ["", "[]", "1", "{", "name=x"] {
            given(wrong, &[]).text(None).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn single_arguments_have_the_type_that_the_schema_asks_for() {
        let schema = json!({"properties": {"name": {"type": "string"}, "n": {"type": ["integer", "null"]}}});
        let arguments = given(r#"{"z":1.50}"#, &["name=7", "n=7", "other=x=y", "list=[1]"]);
        let text = arguments.text(Some(&schema)).await.unwrap();
        assert_eq!(text, r#"{"list":[1],"n":7,"name":"7","other":"x=y","z":1.50}"#);
        given("{}", &["n=seven"]).text(Some(&schema)).await.unwrap_err();
    }
}
