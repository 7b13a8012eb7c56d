//! What an agent says of itself in `POST /heartbeat`, as it comes over the wire.
//!
//! Everything may be missing, and `null` is as good as missing; a value of the wrong type is refused. Keys that nobody
//! knows are ignored, as agents of other versions send them.

use mesh_gossip::resolve::tags::TagWishes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The body of `POST /heartbeat`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Registration {
    /// The agent's id, by custom its name and eight hex digits.
    pub agent_id: Option<String>,
    /// `mcp_agent`, `api` or `a2a`.
    pub agent_type: Option<String>,
    /// What it is written in.
    pub runtime: Option<String>,
    /// The name that its replicas share.
    pub name: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// What it is for, in words.
    pub description: Option<String>,
    /// Where it offers and looks.
    pub namespace: Option<String>,
    /// Under which host others reach it.
    pub http_host: Option<String>,
    /// Under which port; 0 or nothing for an agent that cannot be reached over HTTP.
    pub http_port: Option<i64>,
    /// When it was sent. Checked and otherwise of no use: clocks differ.
    pub timestamp: Option<String>,
    /// Whether it offers skills to others over the agent-to-agent protocol.
    pub a2a_producer: Option<bool>,
    /// Whether it uses such skills.
    pub a2a_consumer: Option<bool>,
    /// Its tools; missing in a heartbeat that changes none.
    pub tools: Option<Vec<ToolEntry>>,
    /// What it shows over the agent-to-agent protocol.
    pub surfaces: Option<Vec<Surface>>,
    /// Whether it came over TLS with a certificate that is trusted; nothing that an agent says.
    #[serde(skip)]
    pub is_over_tls: bool,
}

/// One tool of a registration.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ToolEntry {
    /// The name by which it is called.
    pub function_name: Option<String>,
    /// What it provides.
    pub capability: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// What it does, in words.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// What it depends on, in the order of its parameters.
    pub dependencies: Option<Vec<Wanted>>,
    /// The schema of its arguments, as models are shown it.
    #[serde(rename = "inputSchema")]
    pub input_schema: Option<Value>,
    /// The schema of its arguments in canonical form.
    #[serde(rename = "inputSchemaCanonical")]
    pub input_canonical: Option<Value>,
    /// The digest of that.
    #[serde(rename = "inputSchemaHash")]
    pub input_hash: Option<String>,
    /// The schema of its result in canonical form.
    #[serde(rename = "outputSchemaCanonical")]
    pub output_canonical: Option<Value>,
    /// The digest of that.
    #[serde(rename = "outputSchemaHash")]
    pub output_hash: Option<String>,
    /// What the canonical form could not carry.
    #[serde(rename = "schemaWarnings")]
    pub schema_warnings: Option<Vec<String>>,
    /// Which tools its model is shown.
    pub llm_filter: Option<Value>,
    /// Who runs its model.
    pub llm_provider: Option<Value>,
    /// What consumers are told on top.
    pub kwargs: Option<Map<String, Value>>,
}

/// Something that a tool depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// The capability.
    pub capability: Option<String>,
    /// Whether the tool is of no use without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What is asked of the tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagWishes>,
    /// What is asked of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How closely the schema of the result has to match: `subset` or `strict`.
    #[serde(rename = "matchMode", skip_serializing_if = "Option::is_none")]
    pub match_mode: Option<String>,
    /// The digest of the schema that is expected.
    #[serde(rename = "expectedSchemaHash", skip_serializing_if = "Option::is_none")]
    pub expected_hash: Option<String>,
    /// That schema in canonical form.
    #[serde(rename = "expectedSchemaCanonical", skip_serializing)]
    pub expected_canonical: Option<Value>,
}

/// A skill that an agent shows over the agent-to-agent protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// Where, below the agent's address.
    pub path: Option<String>,
    /// The skill.
    pub skill_id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Media types that it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_modes: Option<Vec<String>>,
    /// Media types that it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_modes: Option<Vec<String>>,
    /// Its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Registration;

    fn read(text: &str) -> Result<Registration, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn everything_may_be_missing_or_null_and_strangers_are_ignored() {
        let empty = read("{}").unwrap();
        assert!(empty.agent_id.is_none() && empty.tools.is_none());
        let nulls = r#"{"agent_id":null,"http_port":null,"tools":[{"tags":null,"kwargs":null,"dependencies":null}]}"#;
        assert_eq!(read(nulls).unwrap().tools.unwrap().len(), 1);
        assert!(read(r#"{"status":"healthy","llm_agents":[{"x":1}],"mood":{}}"#).is_ok());
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_place() {
        for text in [
            r#"{"agent_id":7}"#,
            r#"{"http_port":"80"}"#,
            r#"{"tools":{}}"#,
            r#"{"tools":[{"tags":"fast"}]}"#,
            r#"{"tools":[{"dependencies":[[{"capability":"x"}]]}]}"#,
            r#"{"tools":[{"dependencies":[{"capability":"x","tags":[1]}]}]}"#,
            r#"{"tools":[{"kwargs":[]}]}"#,
            r#"{"agent_id":"a","agent_id":"b"}"#,
            "[]",
            "",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("column"), "{text}: {error}");
        }
    }
}
