//! What somebody needs, in a form that cannot be malformed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tags::TagWishes;
use super::version::Constraint;
use crate::schema::Digest;

mod text;

pub use text::BadSelector;

/// What somebody needs: a capability, and what else its provider has to be.
///
/// As text a capability followed by wishes: `weather api +fast -old (python|+rust) @">=1.2 <2" in=prod
/// subset=sha256:…`. `@` is the version constraint, `in=` the namespace (`in=*` any), `subset=` and `strict=` the
/// expected schema. What would be misread stands in double quotes, as in JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// The capability, matched exactly.
    pub capability: Arc<str>,
    /// What is asked of the tags.
    #[serde(default, skip_serializing_if = "TagWishes::is_empty")]
    pub tags: TagWishes,
    /// What is asked of the version.
    #[serde(default, skip_serializing_if = "Constraint::is_any")]
    pub version: Constraint,
    /// Where to look.
    #[serde(default, skip_serializing_if = "Scope::is_own")]
    pub namespace: Scope,
    /// What is expected of the result's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaWish>,
}

/// The namespaces in which a selector looks. Offers elsewhere do not exist for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Option<Arc<str>>", into = "Option<Arc<str>>")]
pub enum Scope {
    /// That of whoever asks; `default` when nobody said which that is.
    #[default]
    Own,
    /// This one.
    Only(Arc<str>),
    /// All: for operators and gateways.
    Any,
}

/// What is expected of the schema of a tool's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaWish {
    /// How closely it has to match.
    pub mode: MatchMode,
    /// The consumer's schema.
    pub digest: Digest,
}

/// How closely a producer's schema has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum MatchMode {
    /// It has to give every field that the consumer requires. A tool that publishes no schema will do.
    Subset,
    /// It has to be the same schema.
    Strict,
}

/// The namespace of agents that say nothing.
pub const DEFAULT_NAMESPACE: &str = "default";

impl Selector {
    /// Asks for `capability` and nothing else.
    pub fn new(capability: impl Into<Arc<str>>) -> Self {
        Self {
            capability: capability.into(),
            tags: TagWishes::default(),
            version: Constraint::default(),
            namespace: Scope::Own,
            schema: None,
        }
    }

    /// The same, asked by somebody in `namespace`.
    #[must_use]
    pub fn asked_in(mut self, namespace: &Arc<str>) -> Self {
        if self.namespace.is_own() {
            self.namespace = Scope::Only(namespace.clone());
        }
        self
    }
}

impl Scope {
    /// Whether nothing was said.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }

    /// Whether somebody in `home` looks into `namespace`.
    pub fn includes(&self, namespace: &str, home: &str) -> bool {
        match self {
            Self::Own => namespace == home,
            Self::Only(only) => namespace == &**only,
            Self::Any => true,
        }
    }
}

impl From<Option<Arc<str>>> for Scope {
    fn from(text: Option<Arc<str>>) -> Self {
        match text.as_deref() {
            None | Some("") => Self::Own,
            Some("*") => Self::Any,
            Some(only) => Self::Only(only.into()),
        }
    }
}

impl From<Scope> for Option<Arc<str>> {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Own => None,
            Scope::Only(only) => Some(only),
            Scope::Any => Some("*".into()),
        }
    }
}

impl From<String> for MatchMode {
    /// Whatever is not `strict` is `subset`, as in the existing system.
    fn from(text: String) -> Self {
        if text == "strict" { Self::Strict } else { Self::Subset }
    }
}
