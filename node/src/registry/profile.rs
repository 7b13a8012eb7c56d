//! What is known of an agent that was registered over HTTP: its registration, checked, completed and merged with what
//! it said before.

use std::collections::BTreeMap;

use mesh_gossip::catalog::{AgentId, AgentType};
use mesh_gossip::schema::Digest;
use mesh_gossip::schema::canonical::{self, canonicalise};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registration::{Registration, Surface, ToolEntry, Wanted};
use crate::admin::timestamp::Timestamp;

/// The most letters of a description; what is longer is cut.
pub const MAX_DESCRIPTION: usize = 256;

/// The most bytes of an agent's name and of a namespace.
const MAX_NAME_BYTES: usize = 63;

/// The most bytes of an id: what fits into the key of a record.
const MAX_ID_BYTES: usize = 121;

/// The most bytes of a host name.
const MAX_HOST_BYTES: usize = 253;

const DEFAULT_TYPE: &str = "mcp_agent";
const DEFAULT_RUNTIME: &str = "python";
const DEFAULT_NAMESPACE: &str = "default";
const DEFAULT_VERSION: &str = "1.0.0";

/// An agent that was registered over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its id.
    pub agent: AgentId,
    /// What kind of agent it is.
    pub agent_type: AgentType,
    /// What it is written in.
    pub runtime: String,
    /// The name that its replicas share.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it is for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it offers and looks.
    pub namespace: String,
    /// Under which host others reach it; empty when nobody does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Under which port; 0 when nobody does.
    #[serde(default)]
    pub port: u16,
    /// Whether it is called over TLS: it showed a certificate that is trusted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_over_tls: bool,
    /// Whether it offers skills over the agent-to-agent protocol.
    #[serde(default)]
    pub a2a_producer: bool,
    /// Whether it uses such skills.
    #[serde(default)]
    pub a2a_consumer: bool,
    /// Its tools and routes.
    #[serde(default)]
    pub tools: Vec<ProfileTool>,
    /// What it shows over the agent-to-agent protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<Surface>,
}

/// A tool or route of such an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileTool {
    /// The name by which it is called; never empty.
    pub function: String,
    /// What it provides; empty for routes.
    pub capability: String,
    /// Its version.
    pub version: String,
    /// What it does, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Wanted>,
    /// The schema of its arguments as it was sent, with the words that models need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// What that is called in canonical form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Digest>,
    /// What the schema of its result is called in canonical form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
    /// Which tools its model is shown, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_filter: Option<Value>,
    /// Who runs its model, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_provider: Option<Value>,
    /// What consumers are told on top.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
}

/// What was read of a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The agent.
    pub profile: Profile,
    /// The canonical schemas that came with it, by their names.
    pub schemas: BTreeMap<Digest, String>,
    /// What to tell its author.
    pub warnings: Vec<String>,
}

/// Why a registration is refused. What was known of the agent stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProfile {
    /// It says of no agent.
    #[error("agent_id is required")]
    NoId,
    /// The time cannot be read.
    #[error("Invalid JSON payload: timestamp: {0:?} is not RFC 3339")]
    Timestamp(String),
    /// A field has a value that it cannot have.
    #[error("validation failed: {field}: {wrong}")]
    Field {
        /// The field as it is called over the wire.
        field: &'static str,
        /// What is wrong with it.
        wrong: String,
    },
}

impl Profile {
    /// The agent that `told` speaks of, with what was `known` of it before.
    ///
    /// # Errors
    /// [`BadProfile`] says which field is wrong.
    pub fn read(told: &Registration, known: Option<&Self>) -> Result<Reading, BadProfile> {
        let id = told.agent_id.as_deref().filter(|id| !id.is_empty()).ok_or(BadProfile::NoId)?;
        if let Some(text) = told.timestamp.as_deref().filter(|text| !is_moment(text)) {
            return Err(BadProfile::Timestamp(shortened(text)));
        }
        let agent = name("agent_id", id, MAX_ID_BYTES)?.parse().map_err(|_| bad("agent_id", NOT_A_NAME))?;
        let profile = known.cloned().unwrap_or_else(|| Self::unknown(agent, id));
        let mut reading = Reading { profile, schemas: BTreeMap::new(), warnings: Vec::new() };
        reading.merge(told, id)?;
        Ok(reading)
    }

    fn unknown(agent: AgentId, id: &str) -> Self {
        Self {
            agent,
            agent_type: AgentType::Mcp,
            runtime: DEFAULT_RUNTIME.into(),
            name: id.into(),
            version: DEFAULT_VERSION.into(),
            description: String::new(),
            namespace: DEFAULT_NAMESPACE.into(),
            host: String::new(),
            port: 0,
            is_over_tls: false,
            a2a_producer: false,
            a2a_consumer: false,
            tools: Vec::new(),
            surfaces: Vec::new(),
        }
    }

    /// Where it is called, as the existing system writes it.
    pub fn endpoint(&self) -> String {
        self.url().unwrap_or_else(|| format!("stdio://{}", self.agent))
    }

    /// Its address, when it has one.
    pub fn url(&self) -> Option<String> {
        if self.host.is_empty() || self.port == 0 {
            return None;
        }
        let is_bare_v6 = self.host.contains(':') && !self.host.starts_with('[');
        let host = if is_bare_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        let scheme = if self.is_over_tls { "https" } else { "http" };
        Some(format!("{scheme}://{host}:{}", self.port))
    }

    /// Whether somebody answers where it says that it lives: API and agent-to-agent processes may listen elsewhere.
    pub fn is_probed(&self) -> bool {
        self.agent_type == AgentType::Mcp
    }
}

impl Reading {
    /// As in the existing system a value that is the default changes nothing of what was said before.
    fn merge(&mut self, told: &Registration, id: &str) -> Result<(), BadProfile> {
        let profile = &mut self.profile;
        if let Some(text) = said(&told.agent_type, DEFAULT_TYPE) {
            profile.agent_type = agent_type(text)?;
        }
        if let Some(text) = said(&told.runtime, DEFAULT_RUNTIME) {
            profile.runtime = name("runtime", text, MAX_NAME_BYTES)?.to_owned();
        }
        if let Some(text) = said(&told.name, id) {
            text.clone_into(&mut profile.name);
        }
        name("name", &profile.name, MAX_NAME_BYTES)?;
        if let Some(text) = said(&told.namespace, DEFAULT_NAMESPACE) {
            profile.namespace = name("namespace", text, MAX_NAME_BYTES)?.to_owned();
        }
        if let Some(text) = said(&told.version, "") {
            profile.version = at_most("version", text, MAX_NAME_BYTES)?.to_owned();
        }
        if let Some(text) = &told.description {
            profile.description = described(text, &mut self.warnings);
        }
        if let Some(text) = said(&told.http_host, "") {
            profile.host = host(text)?.to_owned();
        }
        if let Some(port) = told.http_port.filter(|port| *port != 0) {
            profile.port = port.try_into().map_err(|_| bad("http_port", format!("{port} is no port")))?;
        }
        profile.is_over_tls = told.is_over_tls;
        profile.a2a_producer = told.a2a_producer.unwrap_or(profile.a2a_producer);
        profile.a2a_consumer = told.a2a_consumer.unwrap_or(profile.a2a_consumer);
        if let Some(surfaces) = &told.surfaces {
            profile.surfaces.clone_from(surfaces);
        }
        if let Some(tools) = &told.tools {
            self.profile.tools = tools.iter().filter_map(|entry| self.tool(entry)).collect();
        }
        Ok(())
    }

    /// A tool without a name is no tool, as in the existing system.
    fn tool(&mut self, entry: &ToolEntry) -> Option<ProfileTool> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let function = entry.function_name.clone().filter(|name| !name.is_empty())?;
        let input_schema = entry.input_schema.clone().filter(|schema| !schema.is_null());
        let said = self.schema(entry.input_canonical.as_ref(), entry.input_hash.as_deref(), &function);
        let input = said.or_else(|| self.work_out(input_schema.as_ref()?, &function));
        let output = self.schema(entry.output_canonical.as_ref(), entry.output_hash.as_deref(), &function);
        let dependencies = entry.dependencies.clone().unwrap_or_default();
        for wanted in &dependencies {
            self.schema(wanted.expected_canonical.as_ref(), wanted.expected_hash.as_deref(), &function);
        }
        Some(ProfileTool {
            capability: text(&entry.capability),
            version: entry.version.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| DEFAULT_VERSION.into()),
            description: text(&entry.description),
            tags: entry.tags.clone().unwrap_or_default(),
            dependencies,
            input_schema,
            input,
            output,
            llm_filter: entry.llm_filter.clone().filter(|filter| !filter.is_null()),
            llm_provider: entry.llm_provider.clone().filter(|provider| !provider.is_null()),
            kwargs: entry.kwargs.clone().unwrap_or_default(),
            function,
        })
    }

    /// The name of a canonical schema that came with its digest. Digests are compared as they are; only a body that is
    /// what its digest says is handed on.
    fn schema(&mut self, canonical: Option<&Value>, digest: Option<&str>, tool: &str) -> Option<Digest> {
        let (canonical, digest) = (canonical?, digest?);
        let Ok(named) = digest.parse::<Digest>() else {
            self.warnings.push(format!("{tool}: {:?} is no schema digest", shortened(digest)));
            return None;
        };
        if Digest::of(canonical) == named {
            self.schemas.insert(named, canonical::text(canonical));
        } else {
            self.warnings.push(format!("{tool}: a canonical schema is not what its digest says"));
        }
        Some(named)
    }

    fn work_out(&mut self, schema: &Value, tool: &str) -> Option<Digest> {
        match canonicalise(&schema.to_string()) {
            Ok(canonical) => {
                self.schemas.insert(canonical.digest, canonical::text(&canonical.schema));
                Some(canonical.digest)
            }
            Err(why) => {
                self.warnings.push(format!("{tool}: the schema of its arguments is of no use: {why}"));
                None
            }
        }
    }
}

const NOT_A_NAME: &str = "must be lower-case letters, digits and inner hyphens";

/// What was said beyond nothing and beyond what goes without saying.
fn said<'a>(text: &'a Option<String>, goes_without_saying: &str) -> Option<&'a str> {
    text.as_deref().filter(|text| !text.is_empty() && *text != goes_without_saying)
}

fn name<'a>(field: &'static str, text: &'a str, most: usize) -> Result<&'a str, BadProfile> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
        return Err(bad(field, format!("{:?} {NOT_A_NAME}", shortened(text))));
    }
    at_most(field, text, most)
}

fn at_most<'a>(field: &'static str, text: &'a str, most: usize) -> Result<&'a str, BadProfile> {
    if text.len() > most { Err(bad(field, format!("has more than {most} bytes"))) } else { Ok(text) }
}

fn agent_type(text: &str) -> Result<AgentType, BadProfile> {
    match text {
        DEFAULT_TYPE | "api" | "a2a" | "mesh_tool" | "decorator_agent" => Ok(AgentType::from(text.to_owned())),
        _ => Err(bad("agent_type", format!("{:?} is none of mcp_agent, api and a2a", shortened(text)))),
    }
}

/// Nothing but a host: what is put between `http://` and the port must not turn into anything else.
fn host(text: &str) -> Result<&str, BadProfile> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if !text.bytes().all(fits) {
        return Err(bad("http_host", format!("{:?} is no host name or address", shortened(text))));
    }
    at_most("http_host", text, MAX_HOST_BYTES)
}

fn described(text: &str, warnings: &mut Vec<String>) -> String {
    let text = text.trim();
    let letters = text.chars().count();
    if letters <= MAX_DESCRIPTION {
        return text.to_owned();
    }
    warnings.push(format!("description truncated from {letters} to {MAX_DESCRIPTION} chars"));
    text.chars().take(MAX_DESCRIPTION).collect()
}

/// Whether it is RFC 3339: as we write it, or with an offset in place of `Z`.
fn is_moment(text: &str) -> bool {
    let utc = match text.len().checked_sub(6).map(|at| text.split_at_checked(at)) {
        Some(Some((moment, offset))) if is_offset(offset) => format!("{moment}Z"),
        _ => text.to_owned(),
    };
    utc.parse::<Timestamp>().is_ok()
}

fn is_offset(text: &str) -> bool {
    let bytes = text.as_bytes();
    let two = |at: usize| bytes[at..at + 2].iter().all(u8::is_ascii_digit);
    bytes.len() == 6 && matches!(bytes[0], b'+' | b'-') && bytes[3] == b':' && two(1) && two(4)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn bad(field: &'static str, wrong: impl Into<String>) -> BadProfile {
    BadProfile::Field { field, wrong: wrong.into() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::{AgentType, BadProfile, Profile};

    fn read(told: Value, known: Option<&Profile>) -> Result<(Profile, Vec<String>), BadProfile> {
        let reading = Profile::read(&serde_json::from_value(told).unwrap(), known)?;
        Ok((reading.profile, reading.warnings))
    }

    fn refusal(told: Value) -> String {
        read(told, None).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let (profile, warnings) = read(json!({"agent_id": "a-12345678"}), None).unwrap();
        assert_eq!((profile.name.as_str(), profile.namespace.as_str()), ("a-12345678", "default"));
        assert_eq!((profile.runtime.as_str(), profile.version.as_str()), ("python", "1.0.0"));
        assert_eq!(profile.agent_type, AgentType::Mcp);
        assert_eq!(profile.endpoint(), "stdio://a-12345678");
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_later_registration_changes_only_what_it_says() {
        let first = json!({"agent_id": "a-1", "name": "a", "namespace": "prod", "http_host": "h", "http_port": 9,
            "agent_type": "api", "tools": [{"function_name": "f", "capability": "c"}], "a2a_producer": true});
        let (first, _) = read(first, None).unwrap();
        let (same, _) = read(json!({"agent_id": "a-1", "name": "a-1", "namespace": "default"}), Some(&first)).unwrap();
        assert_eq!(same, first);
        let (moved, _) = read(json!({"agent_id": "a-1", "http_port": 10, "tools": []}), Some(&first)).unwrap();
        assert_eq!((moved.endpoint().as_str(), moved.tools.len()), ("http://h:10", 0));
    }

    #[test]
    fn a_refusal_names_the_field() {
        assert_eq!(refusal(json!({})), "agent_id is required");
        assert_eq!(refusal(json!({"agent_id": ""})), "agent_id is required");
        let id = |id: &str| refusal(json!({"agent_id": id}));
        let long = "a".repeat(122);
        for wrong in ["A", "a_b", "-a", "a-", "a b", "ä", long.as_str()] {
            assert!(id(wrong).starts_with("validation failed: agent_id: "), "{wrong}");
        }
        let field = |name: &str, value: Value| refusal(json!({"agent_id": "a", (name): value}));
        assert!(field("name", json!("x".repeat(64))).contains("name: "));
        assert!(field("namespace", json!("No")).contains("namespace: "));
        assert!(field("http_port", json!(65536)).contains("http_port: "));
        assert!(field("http_port", json!(-1)).contains("http_port: "));
        assert!(field("agent_type", json!("robot")).contains("agent_type: "));
        for wrong in ["a/b", "a@b", "a#", "a?x", "a b", "a\nb"] {
            assert!(field("http_host", json!(wrong)).contains("http_host: "), "{wrong}");
        }
        assert!(field("timestamp", json!("yesterday")).contains("timestamp"));
    }

    #[test]
    fn heartbeats_of_any_time_are_taken() {
        for moment in ["2099-01-01T00:00:00Z", "1999-01-01T00:00:00.123456+05:30", "2026-11-20T17:02:58-00:00"] {
            read(json!({"agent_id": "a", "timestamp": moment}), None).unwrap();
        }
    }

    #[test]
    fn a_long_description_is_cut_and_said_so() {
        let (profile, warnings) = read(json!({"agent_id": "a", "description": "ä".repeat(300)}), None).unwrap();
        assert_eq!(profile.description.chars().count(), 256);
        assert_eq!(warnings, ["description truncated from 300 to 256 chars"]);
    }

    #[test]
    fn an_address_of_version_six_is_written_in_brackets() {
        let (profile, _) = read(json!({"agent_id": "a", "http_host": "::1", "http_port": 80}), None).unwrap();
        assert_eq!(profile.url().unwrap(), "http://[::1]:80");
    }
}
