//! What a tool or route depends on: declared once, bound to the resolver when its agent starts, looked up at every call.

use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::catalog::Dependency;
use mesh_gossip::resolve::Query;
use mesh_gossip::resolve::selector::{MatchMode, SchemaWish, Scope, Selector};
use mesh_gossip::resolve::tags::{TagWishes, Term};
use mesh_gossip::resolve::version::Constraint;
use mesh_gossip::schema::canonical::{self, NotCanonical, canonicalise};
use mesh_node::call::options::CallOptions;
use mesh_node::tool::JsonObject;
use schemars::JsonSchema;
use serde_json::Value;

use crate::schema;

/// One dependency as its declaration says. Made by the attributes.
#[derive(Clone, Debug)]
pub struct Need {
    /// Whether whoever has it cannot do without.
    pub(crate) required: bool,
    selector: Selector,
    tags: Vec<Term>,
    options: CallOptions,
    schema: Option<(MatchMode, Arc<JsonObject>)>,
}

/// A dependency of one running agent.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) query: Arc<Query>,
    pub(crate) options: CallOptions,
    pub(crate) required: bool,
}

impl Need {
    /// Somebody who provides `capability`.
    pub fn new(capability: &str) -> Self {
        Self {
            required: false,
            selector: Selector::new(capability),
            tags: Vec::new(),
            options: CallOptions::default(),
            schema: None,
        }
    }

    /// Whoever has it cannot do without.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// A wish about tags: `fast`, `+fast` or `-fast`; several are alternatives.
    #[must_use]
    pub fn tags(mut self, alternatives: &[&str]) -> Self {
        self.tags.extend(match alternatives {
            [one] => Term::one(one),
            group => Term::any_of(group.iter().copied()),
        });
        self
    }

    /// The versions that will do.
    #[must_use]
    pub fn version(mut self, constraint: &str) -> Self {
        self.selector.version = Constraint::new(constraint);
        self
    }

    /// Where to look: a namespace, or `*` for all.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.selector.namespace = Scope::from(Some(Arc::from(namespace)));
        self
    }

    /// Its result has to have at least what a `T` requires.
    #[must_use]
    pub fn at_least<T: JsonSchema>(mut self) -> Self {
        self.schema = Some((MatchMode::Subset, Arc::new(schema::of_input::<T>())));
        self
    }

    /// Its result has to be described exactly as a `T` is.
    #[must_use]
    pub fn exactly<T: JsonSchema>(mut self) -> Self {
        // A producer describes what it writes.
        self.schema = Some((MatchMode::Strict, Arc::new(schema::of_output::<T>())));
        self
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How often a call may be repeated after a failure.
    #[must_use]
    pub fn retry_count(mut self, count: u32) -> Self {
        self.options.retry_count = Some(count);
        self
    }

    /// Whether a call whose fate is unknown may be repeated.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.idempotent = Some(idempotent);
        self
    }

    /// Whether calls without a session key are refused.
    #[must_use]
    pub fn session_required(mut self, required: bool) -> Self {
        self.options.session_required = Some(required);
        self
    }

    /// A header that goes with every call.
    #[must_use]
    pub fn custom_header(mut self, name: &str, value: &str) -> Self {
        self.options.custom_headers.insert(name.into(), value.into());
        self
    }

    /// Who will do, whatever its result's schema.
    pub(crate) fn selector(&self) -> Selector {
        Selector { tags: self.tags.iter().cloned().collect::<TagWishes>(), ..self.selector.clone() }
    }

    /// What the mesh is told about it, and the schema that its selector names.
    pub(crate) fn declared(&self) -> Result<(Dependency, Option<Arc<JsonObject>>), NotCanonical> {
        let mut selector = self.selector();
        let mut body = None;
        if let Some((mode, schema)) = &self.schema {
            let canonical = canonicalise(&canonical::text(&Value::Object((**schema).clone())))?;
            selector.schema = Some(SchemaWish { mode: *mode, digest: canonical.digest });
            body = Some(schema.clone());
        }
        Ok((Dependency { selector, required: self.required }, body))
    }

    /// The same, asked by an agent in `namespace`.
    pub(crate) fn bind(&self, dependency: &Dependency, namespace: &Arc<str>) -> Bound {
        let selector = dependency.selector.clone().asked_in(namespace);
        Bound { query: Arc::new(Query::new(selector)), options: self.options.clone(), required: self.required }
    }
}

impl Bound {
    /// What is wanted, as text.
    pub(crate) fn wanted(&self) -> String {
        self.query.selector().to_string()
    }

    pub(crate) fn capability(&self) -> &str {
        &self.query.selector().capability
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    struct Forecast {
        high: f64,
    }

    #[test]
    fn a_declaration_reads_as_the_selector_it_means() {
        let need = Need::new("weather").tags(&["api"]).tags(&["+fast"]).tags(&["python", "+rust"]).version(">=1.2");
        let (dependency, body) = need.namespace("prod").required().declared().unwrap();
        assert!(dependency.required && body.is_none());
        assert_eq!(dependency.selector, "weather api +fast (python|+rust) @>=1.2 in=prod".parse().unwrap());
    }

    #[test]
    fn an_expected_schema_is_named_by_its_digest_and_published() {
        let (dependency, body) = Need::new("weather").exactly::<Forecast>().declared().unwrap();
        let wish = dependency.selector.schema.unwrap();
        assert_eq!(wish.mode, MatchMode::Strict);
        assert_eq!(canonicalise(&Value::Object((*body.unwrap()).clone()).to_string()).unwrap().digest, wish.digest);
    }

    #[test]
    fn who_says_no_namespace_looks_into_the_agents_own() {
        let need = Need::new("weather");
        let bound = need.bind(&need.declared().unwrap().0, &"prod".into());
        assert_eq!(bound.wanted(), "weather in=prod");
    }
}
