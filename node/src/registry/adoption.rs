//! From a registered agent to what the mesh is told of it: offers like anybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mesh_gossip::catalog::{Dependency, Offers, Tool};
use mesh_gossip::resolve::llm::ToolFilter;
use mesh_gossip::resolve::selector::{MatchMode, SchemaWish, Selector};
use mesh_gossip::resolve::version::{Constraint, Version};
use mesh_gossip::schema::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::profile::{Profile, ProfileTool};
use super::registration::Wanted;
use crate::admin::timestamp::Timestamp;
use crate::offers::{A2A_CONSUMER, A2A_LABEL, A2A_PRODUCER, CREATED_LABEL, RUNTIME_LABEL, VERSION_LABEL};

/// What a model's provider has to be, as agents say it.
#[derive(Deserialize)]
struct WantedProvider {
    capability: String,
    #[serde(default)]
    tags: Option<mesh_gossip::resolve::tags::TagWishes>,
    #[serde(default)]
    version: Option<String>,
}

/// What the agent of `profile` offers, which registered first when it was `created`.
pub(super) fn offers(profile: &Profile, created: Timestamp) -> Offers {
    let mut offers = Offers::new(profile.agent.clone(), profile.name.as_str());
    offers.agent_type = profile.agent_type.clone();
    offers.endpoints = profile.url().into_iter().collect();
    offers.description.clone_from(&profile.description);
    offers.namespace = profile.namespace.as_str().into();
    offers.labels = BTreeMap::from([
        (RUNTIME_LABEL.to_owned(), profile.runtime.clone()),
        (VERSION_LABEL.to_owned(), profile.version.clone()),
        (CREATED_LABEL.to_owned(), created.0.to_string()),
    ]);
    let manners = [(A2A_PRODUCER, profile.a2a_producer), (A2A_CONSUMER, profile.a2a_consumer)];
    let manners: Vec<&str> = manners.iter().filter(|(_, is_so)| *is_so).map(|(manner, _)| *manner).collect();
    if !manners.is_empty() {
        offers.labels.insert(A2A_LABEL.to_owned(), manners.join(","));
    }
    offers.tools = profile.tools.iter().map(tool).collect();
    offers
}

fn tool(tool: &ProfileTool) -> Tool {
    Tool {
        version: Version::new(&tool.version),
        tags: tool.tags.iter().map(|tag| Arc::from(tag.as_str())).collect(),
        description: tool.description.clone(),
        input: tool.input,
        output: tool.output,
        kwargs: tool.kwargs.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        dependencies: tool.dependencies.iter().map(dependency).collect(),
        llm_filter: tool.llm_filter.as_ref().and_then(filter),
        llm_provider: tool.llm_provider.as_ref().and_then(provider),
        ..Tool::new(tool.function.as_str(), tool.capability.as_str())
    }
}

fn dependency(wanted: &Wanted) -> Dependency {
    let selector = Selector {
        tags: wanted.tags.clone().unwrap_or_default(),
        version: wanted.version.as_deref().map(Constraint::new).unwrap_or_default(),
        schema: schema_wish(wanted),
        ..Selector::new(wanted.capability.as_deref().unwrap_or_default())
    };
    Dependency { selector, required: wanted.required.unwrap_or_default() }
}

/// Without a digest there is nothing to compare, as in the existing system.
fn schema_wish(wanted: &Wanted) -> Option<SchemaWish> {
    let mode = wanted.match_mode.as_deref().filter(|mode| !mode.is_empty())?;
    let digest = wanted.expected_hash.as_deref()?.parse().ok()?;
    Some(SchemaWish { mode: MatchMode::from(mode.to_owned()), digest })
}

/// A filter that the existing system would not answer shows nothing.
fn filter(said: &Value) -> Option<ToolFilter> {
    let mode = said.get("filter_mode").and_then(Value::as_str).unwrap_or_default();
    ToolFilter::from_json(said.get("filter")?, mode).ok()
}

fn provider(said: &Value) -> Option<Selector> {
    let wanted: WantedProvider = serde_json::from_value(said.clone()).ok()?;
    Some(Selector {
        tags: wanted.tags.unwrap_or_default(),
        version: wanted.version.as_deref().map(Constraint::new).unwrap_or_default(),
        ..Selector::new(wanted.capability)
    })
}

/// The schemas that `offers` names, its own and those that it expects of others.
pub(super) fn schemas(offers: &Offers) -> BTreeSet<Digest> {
    let expected = offers.tools.iter().flat_map(|tool| &tool.dependencies).filter_map(|needed| needed.selector.schema);
    let own = offers.tools.iter().flat_map(|tool| tool.input.into_iter().chain(tool.output));
    own.chain(expected.map(|wish| wish.digest)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use mesh_gossip::catalog::Offers;
    use serde_json::json;

    use super::{Profile, Timestamp, offers, schemas};

    #[test]
    fn what_an_agent_registers_is_what_it_offers() {
        let told = json!({"agent_id": "hello-1", "name": "hello", "version": "0.3.0", "http_host": "h", "http_port": 9,
        "tools": [{
            "function_name": "greet", "capability": "greeting", "version": "1.2", "tags": ["x"],
            "inputSchema": {"type": "object", "title": "T"}, "kwargs": {"timeout": 77},
            "dependencies": [
                {"capability": "weather", "tags": ["api", "+fast", ["python", "rust"]], "version": ">=1", "required": true},
                {"capability": "date", "matchMode": "strict", "expectedSchemaCanonical": {"type": "integer"},
                 "expectedSchemaHash": "sha256:f0765dbf409c74f001806c446f2cf171d8c46b5b15779d54423dde921a4b0670"},
            ],
            "llm_filter": {"filter": ["a"], "filter_mode": "best_match"},
            "llm_provider": {"capability": "llm", "tags": ["+claude"]},
        }, {"function_name": "POST:/x", "capability": ""}, {"capability": "nameless"}]});
        let reading = Profile::read(&serde_json::from_value(told).unwrap(), None).unwrap();
        let offers = offers(&reading.profile, Timestamp(7));
        assert_eq!(Offers::decode(&offers.encode().unwrap()).unwrap(), offers);
        assert_eq!((offers.tools.len(), offers.endpoints[0].as_str()), (2, "http://h:9"));
        let greet = &offers.tools[0];
        assert_eq!(greet.dependencies[0].selector.to_string(), r#"weather api +fast (python|rust) @">=1""#);
        assert!(greet.dependencies[0].required && greet.dependencies[1].selector.schema.is_some());
        assert_eq!(greet.llm_provider.as_ref().unwrap().to_string(), "llm +claude");
        assert_eq!(greet.llm_filter.as_ref().unwrap().patterns.len(), 1);
        assert_eq!(greet.kwargs["timeout"], 77);
        assert_eq!(schemas(&offers), reading.schemas.keys().copied().collect());
        assert!(offers.tools[1].is_route());
    }
}
