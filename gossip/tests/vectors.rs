//! Replays what the existing registry and SDK answered to random inputs: `tests/vectors/README.md` says what each file
//! is, `RESOLVER_VECTORS` may name another directory. Ours have to be the same answers.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_gossip::catalog::{AgentId, Catalog, Offers, Owner, Tool};
use mesh_gossip::id::MemberId;
use mesh_gossip::resolve::llm::{self, Asker, ToolFilter};
use mesh_gossip::resolve::resolve;
use mesh_gossip::resolve::selector::{SchemaWish, Selector};
use mesh_gossip::resolve::version::Version;
use mesh_gossip::schema::canonical::{NotCanonical, canonicalise};
use mesh_gossip::schema::{Digest, NoBodies};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The agent that asked when the answers were recorded, and the one tool it offered itself.
const CONSUMER: &str = "consumer-0";
const CONSUMERS_CAPABILITY: &str = "zz-chat";

/// Replays one row of a kind; the rows about models share the tools of one mesh.
type Replay = fn(&Value, &MeshTools) -> Result<(), String>;

const KINDS: [(&str, Replay); 8] = [
    ("tags", selection),
    ("versions", selection),
    ("ranking", selection),
    ("schema", selection),
    ("required", required),
    ("llm_filter", llm_filter),
    ("llm_provider", llm_provider),
    ("schema_digest", schema_digest),
];

/// The tools that `llm_filter.jsonl` begins with.
struct MeshTools(Vec<Value>);

#[test]
fn recorded_answers_are_ours() {
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let directory = std::env::var_os("RESOLVER_VECTORS").map_or_else(|| copy.clone(), PathBuf::from);
    let tools = MeshTools::of(&directory).or_else(|| MeshTools::of(&copy)).expect("the copy has the tools");
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    assert!(!files.is_empty(), "no recorded answers in {}", directory.display());

    // Written to the stream itself, because what a passing test prints is not shown.
    let mut report = std::io::stdout();
    writeln!(report).unwrap();
    let mut failed = false;
    for file in files {
        let kind = file.file_stem().unwrap().to_str().unwrap();
        let (_, replay) = KINDS.iter().find(|(known, _)| *known == kind).unwrap_or_else(|| {
            panic!("{}: nobody knows how to replay this kind", file.display());
        });
        let text = std::fs::read_to_string(&file).unwrap();
        let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.retain(|row| row["id"] != "tools");
        assert!(!rows.is_empty(), "{} holds no answers", file.display());
        let wrong: Vec<String> = rows.iter().filter_map(|row| replay(row, &tools).err()).collect();
        writeln!(report, "{kind}: {}/{}", rows.len() - wrong.len(), rows.len()).unwrap();
        wrong.iter().take(5).for_each(|wrong| writeln!(report, "  {wrong}").unwrap());
        failed |= !wrong.is_empty();
    }
    assert!(!failed, "not all recorded answers are ours");
}

impl MeshTools {
    fn of(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join("llm_filter.jsonl")).ok()?;
        let first: Value = serde_json::from_str(text.lines().next()?).unwrap();
        first["tools"].as_array().cloned().map(Self)
    }

    /// The tool that `agent` offers; nothing for the agent that asked, which is not in the list.
    fn tool_of(&self, agent: &Value) -> Option<&Value> {
        self.0.iter().find(|tool| tool["agent"] == *agent)
    }
}

/// One tool as the rows have it.
#[derive(Clone, Deserialize)]
struct RecordedTool {
    agent: AgentId,
    #[serde(default)]
    function_name: Option<Arc<str>>,
    #[serde(default)]
    capability: Option<Arc<str>>,
    #[serde(default)]
    version: Version,
    #[serde(default)]
    tags: Vec<Arc<str>>,
    #[serde(default)]
    dependencies: Vec<mesh_gossip::catalog::Dependency>,
    #[serde(default, rename = "inputSchema")]
    input: Option<Value>,
    #[serde(default, rename = "schema")]
    output: Option<Value>,
}

#[derive(Default)]
struct World {
    catalog: Catalog,
    bodies: BTreeMap<Digest, Arc<Value>>,
}

impl World {
    fn of(tools: &[Value]) -> Self {
        let mut world = Self::default();
        tools.iter().for_each(|tool| world.add(tool));
        world
    }

    fn add(&mut self, recorded: &Value) {
        let recorded: RecordedTool = serde_json::from_value(recorded.clone()).unwrap();
        let function = recorded.function_name.unwrap_or_else(|| "run".into());
        let mut tool = Tool::new(function, recorded.capability.unwrap_or_else(|| "wanted".into()));
        tool.version = recorded.version;
        tool.tags = recorded.tags;
        tool.dependencies = recorded.dependencies;
        tool.input = recorded.input.map(|schema| self.publish(schema));
        tool.output = recorded.output.map(|schema| self.publish(schema));
        let mut offers = Offers::new(recorded.agent.clone(), recorded.agent.as_str());
        offers.tools.push(tool);
        let seed = MemberId::from_bytes([7; 16]);
        self.catalog.apply(&Owner { member: seed, agent: recorded.agent }, Some(Arc::new(offers))).unwrap();
    }

    fn publish(&mut self, schema: Value) -> Digest {
        let digest = Digest::of(&schema);
        self.bodies.insert(digest, Arc::new(schema));
        digest
    }

    fn chosen(&self, selector: &Selector) -> Value {
        let resolution = resolve(&self.catalog, &self.bodies, selector);
        resolution.best().map_or(Value::Null, |best| best.offer.agent().as_str().into())
    }
}

fn same(row: &Value, expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{}: expected {expected}, found {found}", row["id"])) }
}

fn selection(row: &Value, _: &MeshTools) -> Result<(), String> {
    let mut world = World::of(row["offers"].as_array().unwrap());
    let wanted = row["selector"].as_object().unwrap();
    let field = |name: &str| wanted.get(name).map_or(Value::Null, Value::clone);
    let mut selector = Map::from_iter([("capability".to_owned(), json!("wanted"))]);
    selector
        .extend(["tags", "version"].iter().filter_map(|name| Some(((*name).to_owned(), wanted.get(*name)?.clone()))));
    let mut selector: Selector = serde_json::from_value(selector.into()).unwrap();
    if let Some(mode) = wanted.get("matchMode") {
        let expected = field("expectedSchemaCanonical");
        let digest: Digest = serde_json::from_value(field("expectedSchemaHash")).unwrap();
        same(row, &json!(digest), &json!(world.publish(expected)))?;
        let mode = serde_json::from_value(mode.clone()).unwrap();
        selector.schema = Some(SchemaWish { mode, digest });
    }
    same(row, &row["chosen"], &world.chosen(&selector))
}

fn required(row: &Value, _: &MeshTools) -> Result<(), String> {
    let world = World::of(row["registered_in_order"].as_array().unwrap());
    let expected = row["chosen"].as_object().unwrap();
    let found =
        expected.keys().map(|capability| (capability.clone(), world.chosen(&Selector::new(capability.as_str()))));
    same(row, &row["chosen"], &Value::Object(found.collect()))
}

/// What was selected, as sets; of several that are equal in `best_match`, any.
fn llm_filter(row: &Value, tools: &MeshTools) -> Result<(), String> {
    let mut world = World::of(&tools.0);
    world.add(&json!({"agent": CONSUMER, "capability": CONSUMERS_CAPABILITY, "function_name": "chat",
        "inputSchema": {"type": "object"}}));
    let (filter, mode) = (&row["llm_filter"]["filter"], row["llm_filter"]["filter_mode"].as_str().unwrap_or("all"));
    let Ok(filter) = ToolFilter::from_json(filter, mode) else {
        return same(row, &row["selected"], &Value::Null);
    };
    let consumer: AgentId = CONSUMER.parse().unwrap();
    let asker = Asker { agent: Some(&consumer), namespace: "default" };
    let found = llm::tools(&world.catalog, &world.bodies, &filter, asker);
    let found = found.tools.iter().map(|choice| {
        let offer = &choice.candidates[0].offer;
        let tool = offer.tool();
        json!({"agent": offer.agent().as_str(), "function": &*tool.function, "capability": &*tool.capability})
    });
    let Some(expected) = row["selected"].as_array() else {
        return same(row, &row["selected"], &found.collect());
    };
    // The existing registry shows a model the tool that the model itself runs in. We do not: docs/resolution.md.
    let expected = expected.iter().filter(|tool| tools.tool_of(&tool["agent"]).is_some());
    let identity = |tool: Value| {
        if mode != "best_match" {
            return tool.to_string();
        }
        let known = tools.tool_of(&tool["agent"]).unwrap();
        let tags = known["tags"].as_array().unwrap().len();
        format!("{} {} with {tags} tags", known["capability"], known["version"])
    };
    let expected: BTreeSet<String> = expected.cloned().map(identity).collect();
    let found: BTreeSet<String> = found.map(identity).collect();
    same(row, &json!(expected), &json!(found))
}

fn llm_provider(row: &Value, tools: &MeshTools) -> Result<(), String> {
    let world = World::of(&tools.0);
    let selector: Selector = serde_json::from_value(row["llm_provider"].clone()).unwrap();
    let resolution = llm::provider(&world.catalog, &NoBodies, &selector);
    let found = resolution.best().map_or(Value::Null, |best| best.offer.agent().as_str().into());
    same(row, &row["chosen"], &found)
}

fn schema_digest(row: &Value, _: &MeshTools) -> Result<(), String> {
    let set = |warnings: &mut dyn Iterator<Item = String>| json!(warnings.collect::<BTreeSet<_>>());
    let found = match canonicalise(&row["raw"].to_string()) {
        Ok(canonical) => {
            let verdict = if canonical.warnings.is_empty() { "OK" } else { "WARN" };
            let warnings = set(&mut canonical.warnings.into_iter());
            json!([canonical.schema, canonical.digest, verdict, warnings])
        }
        Err(error @ (NotCanonical::NotJson(_) | NotCanonical::TooLarge)) => {
            json!([null, "", "BLOCK", [error.to_string()]])
        }
    };
    let warnings = row["warnings"].as_array().unwrap().iter();
    let warnings = set(&mut warnings.map(|warning| warning.as_str().unwrap().to_owned()));
    same(row, &json!([row["canonical"], row["hash"], row["verdict"], warnings]), &found)
}
