//! Resolutions, told.

use std::collections::BTreeSet;

use mesh_gossip::catalog::{Offer, Standing, Status};
use mesh_gossip::resolve::selector::{MatchMode, Selector};
use mesh_gossip::resolve::tags::{TagMismatch, Term, Wish};
use mesh_gossip::resolve::{Eviction, Reason, Resolution, SchemaFit, SchemaMismatch, Stage};
use serde_json::{Map, Value, json};

use super::wire::{Candidate, Chosen, EvictedInfo, Explained, SpecInfo, StageInfo};

/// Where the agent of an offer is called.
pub(super) fn endpoint(offers: &mesh_gossip::catalog::Offers) -> String {
    offers.endpoints.first().cloned().unwrap_or_else(|| format!("stdio://{}", offers.agent))
}

/// All of it.
pub(super) fn explained(selector: &Selector, resolution: &Resolution) -> Explained {
    let equals = resolution.equals().len();
    let candidates = resolution.candidates.iter().enumerate().map(|(place, candidate)| {
        let tool = candidate.offer.tool();
        Candidate {
            agent_id: candidate.offer.agent().to_string(),
            function_name: tool.function.to_string(),
            version: tool.version.to_string(),
            endpoint: endpoint(candidate.offer.offers()),
            tag_score: candidate.tag_score,
            state: if candidate.standing == Standing::Suspect { "suspect".into() } else { "alive".into() },
            equal_to_best: place < equals,
            schema_known: candidate.schema == SchemaFit::Fits,
        }
    });
    Explained {
        selector: selector.to_string(),
        candidates: candidates.collect(),
        stages: stages(resolution),
        pending_schemas: resolution.pending_schemas().iter().map(ToString::to_string).collect(),
    }
}

/// What each stage kept and dropped, and who won.
pub(crate) fn stages(resolution: &Resolution) -> Vec<StageInfo> {
    let explanation = &resolution.explanation;
    let survivors: BTreeSet<&Offer> = resolution.candidates.iter().map(|candidate| &candidate.offer).collect();
    let mut stages: Vec<StageInfo> = Vec::new();
    for stage in Stage::ALL {
        let later = explanation.dropped_after(stage).map(|eviction| &eviction.offer);
        let kept: BTreeSet<&Offer> = survivors.iter().copied().chain(later).collect();
        let evicted: Vec<EvictedInfo> = explanation.dropped_by(stage).map(evicted).collect();
        let name = match stage {
            Stage::Namespace => "namespace",
            Stage::Health => "health",
            Stage::Tags => "tags",
            Stage::Version => "version",
            Stage::Schema => "schema",
        };
        let kept = kept.into_iter().map(ToString::to_string).collect();
        stages.push(StageInfo { stage: name.into(), kept, evicted, chosen: None, reason: None });
    }
    if let Some(best) = resolution.best() {
        let kept = resolution.candidates.iter().map(|candidate| candidate.offer.to_string()).collect();
        stages.push(StageInfo {
            stage: "tiebreaker".into(),
            kept,
            evicted: Vec::new(),
            chosen: Some(best.offer.to_string()),
            reason: Some("HighestScoreThenVersion".into()),
        });
    }
    stages
}

/// Who provides it.
pub(super) fn chosen(resolution: &Resolution) -> Option<Chosen> {
    let best = &resolution.best()?.offer;
    Some(Chosen {
        agent_id: best.agent().to_string(),
        endpoint: endpoint(best.offers()),
        function_name: best.tool().function.to_string(),
    })
}

/// What is asked for.
pub(crate) fn spec(selector: &Selector) -> SpecInfo {
    let mode = selector.schema.map(|wish| match wish.mode {
        MatchMode::Subset => "subset",
        MatchMode::Strict => "strict",
    });
    SpecInfo {
        capability: selector.capability.to_string(),
        tags: tags(selector),
        version_constraint: selector.version.as_str().to_owned(),
        schema_mode: mode.unwrap_or("none").to_owned(),
    }
}

/// What is asked of the tags, each as it is written; a group in parentheses.
pub(super) fn tags(selector: &Selector) -> Vec<String> {
    let terms = selector.tags.terms().iter().map(|term| match term {
        Term::One(wish) => written(wish),
        Term::AnyOf(group) => format!("({})", group.iter().map(written).collect::<Vec<_>>().join("|")),
    });
    terms.collect()
}

fn written(wish: &Wish) -> String {
    match wish {
        Wish::Required(tag) => tag.to_string(),
        Wish::Preferred(tag) => format!("+{tag}"),
        Wish::Excluded(tag) => format!("-{tag}"),
    }
}

fn evicted(eviction: &Eviction) -> EvictedInfo {
    let tool = eviction.offer.tool();
    let (reason, details) = match &eviction.reason {
        Reason::OtherNamespace(namespace) => ("OtherNamespace", json!({"namespace": namespace})),
        Reason::Gone => ("Unreachable", json!({})),
        Reason::Unhealthy(status) => ("Unhealthy", json!({"status": status_name(*status)})),
        Reason::Withdrawn(lack) => ("Unavailable", json!({"reason": lack.to_string()})),
        Reason::NoInputSchema => ("NoInputSchema", json!({})),
        Reason::Tags(TagMismatch::Excluded(tag)) => ("ExtraTagDisallowed", json!({"disallowed": [tag]})),
        Reason::Tags(TagMismatch::Missing(tags)) => ("MissingTag", json!({"missing": tags})),
        Reason::Tags(TagMismatch::MissingOneOf(group)) => {
            ("MissingTag", json!({"missing_one_of": group.iter().map(written).collect::<Vec<_>>()}))
        }
        Reason::Version => ("VersionConstraintFailed", json!({"version": tool.version.as_str()})),
        Reason::Schema(mismatch) => ("SchemaIncompatible", schema(mismatch)),
        other => ("Other", json!({"reason": other.to_string()})),
    };
    let details = if let Value::Object(details) = details { details } else { Map::new() };
    let (id, message) = (eviction.offer.to_string(), eviction.to_string());
    EvictedInfo { id, reason: reason.into(), details, message }
}

fn schema(mismatch: &SchemaMismatch) -> Value {
    match mismatch {
        SchemaMismatch::NotPublished => json!({"mode": "strict", "producer_hash": ""}),
        SchemaMismatch::Other(digest) => json!({"mode": "strict", "producer_hash": digest.to_string()}),
        SchemaMismatch::Lacks(digest, reasons) => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            json!({"mode": "subset", "producer_hash": digest.to_string(), "reasons": reasons})
        }
    }
}

/// How an agent fares, in a word.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Healthy => "healthy",
        Status::Degraded => "degraded",
        Status::Unhealthy => "unhealthy",
        Status::Unknown => "unknown",
    }
}
