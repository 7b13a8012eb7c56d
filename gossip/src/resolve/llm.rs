//! What a model is shown and who runs it: tool filters and provider selectors, through the same stages as everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::selector::{Scope, Selector};
use super::tags::{TagWishes, Term};
use super::version::Constraint;
use super::{Audience, Candidate, Judge, Resolution, resolve_for};
use crate::catalog::{AgentId, Catalog, Offer, Row};
use crate::schema::SchemaBodies;

/// Which tools a model is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFilter {
    /// Which tools, one pattern after the other. Ignored when the mode is [`FilterMode::Every`].
    #[serde(rename = "filter", default)]
    pub patterns: Vec<Pattern>,
    /// What becomes of those that match.
    #[serde(rename = "filter_mode", default)]
    pub mode: FilterMode,
}

/// Which tools one element of a filter means. Without a capability, any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Arc<str>>,
    /// What is asked of the tags.
    #[serde(default, skip_serializing_if = "TagWishes::is_empty")]
    pub tags: TagWishes,
    /// What is asked of the version.
    #[serde(default, skip_serializing_if = "Constraint::is_any")]
    pub version: Constraint,
}

/// What becomes of the tools that match a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FilterMode {
    /// All are shown.
    #[default]
    All,
    /// One for each capability: the highest version, then the most tags, then the smallest agent id.
    BestMatch,
    /// Every tool in the mesh is shown, whatever the patterns say.
    Every,
}

/// A tool filter of the existing system that it refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// The filter is no list.
    #[error("a tool filter is a list")]
    NotAList,
    /// An element is neither a capability nor an object.
    #[error("element {0} of the tool filter is neither a capability nor an object")]
    BadElement(usize),
}

/// Who asks for tools.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The agent, whose own tools are not shown to its model; `None` shows everybody's.
    pub agent: Option<&'a AgentId>,
    /// The namespace it lives in.
    pub namespace: &'a str,
}

/// One tool that a model is shown, and everybody who offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolChoice {
    /// Who will do, best first; never empty. They are replicas: same function, capability and agent name.
    pub candidates: Vec<Candidate>,
}

/// The tools that a model is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolSet {
    /// In the order of the filter. No two have the same function name, for models cannot tell them apart.
    pub tools: Vec<ToolChoice>,
    /// Tools of other agents whose function name was taken. Worth a warning.
    pub shadowed: Vec<Offer>,
}

impl ToolFilter {
    /// Reads a filter as agents of the existing system send it: a list of capabilities (`*` is any) and of objects with
    /// `capability`, `tags` and `version`. As there, groups among the tags and fields of other types say nothing.
    ///
    /// # Errors
    /// [`BadFilter`] when the existing system would not answer it either.
    pub fn from_json(filter: &Value, mode: &str) -> Result<Self, BadFilter> {
        let mode = FilterMode::from(mode.to_owned());
        let elements = filter.as_array().ok_or(BadFilter::NotAList)?;
        if mode == FilterMode::Every {
            return Ok(Self { patterns: Vec::new(), mode });
        }
        let patterns = elements.iter().enumerate().map(|(at, element)| match element {
            Value::String(capability) => Ok(Pattern::of_capability(capability)),
            Value::Object(_) => Ok(Pattern::of_object(element)),
            _ => Err(BadFilter::BadElement(at)),
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()?, mode })
    }
}

impl Pattern {
    fn of_capability(capability: &str) -> Self {
        Self { capability: (capability != "*").then(|| capability.into()), ..Self::default() }
    }

    fn of_object(object: &Value) -> Self {
        let tags = object.get("tags").and_then(Value::as_array).into_iter().flatten();
        Self {
            capability: object.get("capability").and_then(Value::as_str).map(Arc::from),
            tags: tags.filter_map(Value::as_str).filter_map(Term::one).collect(),
            version: object.get("version").and_then(Value::as_str).map(Constraint::new).unwrap_or_default(),
        }
    }
}

/// The tools that a model of `asker` is shown.
pub fn tools(catalog: &Catalog, bodies: &dyn SchemaBodies, filter: &ToolFilter, asker: Asker<'_>) -> ToolSet {
    let everything = [Pattern::default()];
    let patterns = if filter.mode == FilterMode::Every { &everything[..] } else { &filter.patterns };
    let mut judge = Judge::new(Audience::Model, catalog, bodies, asker.namespace);
    let mut set = ToolSet::default();
    let (mut seen, mut taken) = (BTreeSet::new(), BTreeMap::new());
    for pattern in patterns {
        let mut found = matching(&mut judge, catalog, pattern, asker.agent);
        found.sort_by(|a, b| {
            let by_tags = b.tag_score.cmp(&a.tag_score);
            let by_capability = || a.offer.tool().capability.cmp(&b.offer.tool().capability);
            by_tags.then_with(by_capability).then_with(|| b.score().cmp(&a.score()))
        });
        for candidate in found {
            if seen.insert(candidate.offer.clone()) {
                set.take(candidate, &mut taken);
            }
        }
    }
    for choice in &mut set.tools {
        choice.candidates.sort_by(|a, b| b.score().cmp(&a.score()));
    }
    if filter.mode == FilterMode::BestMatch {
        set.keep_best();
    }
    set
}

/// Resolves who runs a model: like any dependency, but only tools whose arguments have a schema will do.
pub fn provider(catalog: &Catalog, bodies: &dyn SchemaBodies, selector: &Selector) -> Resolution {
    resolve_for(Audience::Model, catalog, bodies, selector)
}

fn matching<'a>(
    judge: &mut Judge<'a>,
    catalog: &'a Catalog,
    pattern: &Pattern,
    asker: Option<&AgentId>,
) -> Vec<Candidate> {
    let rows: &mut dyn Iterator<Item = &'a Row> = match &pattern.capability {
        Some(capability) => &mut catalog.rows(capability).iter(),
        None => &mut catalog.all_rows(),
    };
    let mut selector = Selector {
        tags: pattern.tags.clone(),
        version: pattern.version.clone(),
        namespace: Scope::Own,
        ..Selector::new("")
    };
    let others = rows.filter(|row| Some(row.offer.agent()) != asker);
    others
        .filter_map(|row| {
            selector.capability = row.offer.tool().capability.clone();
            judge.judge(&selector, row).ok()
        })
        .collect()
}

impl ToolSet {
    fn take(&mut self, candidate: Candidate, taken: &mut BTreeMap<Arc<str>, usize>) {
        let Some(&at) = taken.get(&candidate.offer.tool().function) else {
            taken.insert(candidate.offer.tool().function.clone(), self.tools.len());
            self.tools.push(ToolChoice { candidates: vec![candidate] });
            return;
        };
        let choice = &mut self.tools[at].candidates;
        let (first, other) = (&choice[0].offer, &candidate.offer);
        let is_replica =
            first.offers().name == other.offers().name && first.tool().capability == other.tool().capability;
        if is_replica {
            choice.push(candidate);
        } else {
            self.shadowed.push(candidate.offer);
        }
    }

    fn keep_best(&mut self) {
        let mut best: BTreeMap<Arc<str>, Offer> = BTreeMap::new();
        for choice in &self.tools {
            let offer = &choice.candidates[0].offer;
            let merit = |offer: &Offer| (offer.tool().version.clone(), offer.tool().tags.len());
            let order = |a: &Offer, b: &Offer| merit(a).cmp(&merit(b)).then_with(|| b.key().cmp(&a.key()));
            let leader = best.entry(offer.tool().capability.clone()).or_insert_with(|| offer.clone());
            if order(offer, leader).is_gt() {
                *leader = offer.clone();
            }
        }
        self.tools.retain(|choice| {
            let offer = &choice.candidates[0].offer;
            best.get(&offer.tool().capability) == Some(offer)
        });
    }
}

impl From<String> for FilterMode {
    /// Whatever is unknown is `all`, as in the existing system.
    fn from(text: String) -> Self {
        match text.as_str() {
            "best_match" => Self::BestMatch,
            "*" => Self::Every,
            _ => Self::All,
        }
    }
}

impl From<FilterMode> for String {
    fn from(mode: FilterMode) -> Self {
        match mode {
            FilterMode::All => "all".into(),
            FilterMode::BestMatch => "best_match".into(),
            FilterMode::Every => "*".into(),
        }
    }
}
