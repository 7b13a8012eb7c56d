//! Resolutions, told to people.

use std::collections::BTreeMap;

use mesh_node::admin::wire::{EvictedInfo, Explained, StageInfo};
use serde_json::Value;

use crate::output::{Colour, paint, say};

/// What came of a selector, one line for everybody who was looked at.
pub(crate) fn tell(explained: &Explained, indent: &str) {
    match explained.candidates.first() {
        None => say(format_args!("{indent}{} nobody provides it", paint(Colour::Red, "✗"))),
        Some(best) => {
            let equals = explained.candidates.iter().filter(|candidate| candidate.equal_to_best).count();
            let shared =
                if equals > 1 { format!(", one of {equals} equals: each call chooses") } else { String::new() };
            let mark = paint(Colour::Green, "✓");
            say(format_args!(
                "{indent}{mark} {}:{}  version={} tags={} endpoint={}{shared}",
                best.agent_id, best.function_name, best.version, best.tag_score, best.endpoint
            ));
        }
    }
    for candidate in explained.candidates.iter().skip(1) {
        let rank = if candidate.equal_to_best { "equal" } else { "behind" };
        let mut why = format!("version={} tags={}", candidate.version, candidate.tag_score);
        if candidate.state != "alive" {
            why += &format!(" state={}", candidate.state);
        }
        if !candidate.schema_known {
            why += " schema not here yet";
        }
        say(format_args!("{indent}  {rank}: {}:{}  {why}", candidate.agent_id, candidate.function_name));
    }
    for evicted in explained.stages.iter().flat_map(|stage| &stage.evicted) {
        say(format_args!("{indent}  {} {}", paint(Colour::Red, "✗"), evicted.message));
    }
}

/// What each stage did, as a tree that ends with what `end` says.
pub(crate) fn stages(stages: &[StageInfo]) {
    for stage in stages {
        let evicted =
            if stage.evicted.is_empty() { String::new() } else { format!(", evicted {}", stage.evicted.len()) };
        say(format_args!("  ├─ {}  [kept {}{evicted}]", stage.stage, stage.kept.len()));
        if !stage.kept.is_empty() && stage.chosen.is_none() {
            say(format_args!("  │    kept: {}", stage.kept.join(", ")));
        }
        stage.evicted.iter().for_each(|evicted| say(format_args!("  │    ✗ {}", reason(evicted))));
        if let Some(chosen) = &stage.chosen {
            say(format_args!("  │    chosen: {chosen} ({})", stage.reason.as_deref().unwrap_or("-")));
        }
    }
}

fn reason(evicted: &EvictedInfo) -> String {
    let details: BTreeMap<&String, String> = evicted.details.iter().map(|(name, value)| (name, plain(value))).collect();
    let details: Vec<String> = details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let details = if details.is_empty() { String::new() } else { format!(" {{{}}}", details.join(", ")) };
    format!("{} — {}{details}", evicted.id, evicted.reason)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
