//! A trace as a tree.

use std::collections::{BTreeMap, BTreeSet};

use mesh_node::admin::wire::TraceAnswer;
use mesh_node::trace::{CompletedTrace, Outcome, Span, SpanKind, Usage, name_in};

use crate::output::{Colour, paint, say};

/// How wide the lines around the tree are.
const RULE: usize = 60;

/// The longest prefix of a line, in bytes: some hundred calls deep. Spans come from the network.
const DEEPEST: usize = 500;

/// Spans by the span they hang from; the roots hang from `None`.
type Children<'a> = BTreeMap<Option<u64>, Vec<&'a Span>>;

/// Prints the tree, and a summary.
pub(super) fn print(answer: &TraceAnswer, trace: &CompletedTrace, show_internal: bool) {
    say(format_args!("Call Tree for trace {}\n{}\n", answer.trace_id, "═".repeat(RULE)));
    let children = arrange(&answer.spans, show_internal);
    branch(&children, None, "");
    for absent in absent(&answer.spans) {
        say(paint(Colour::Yellow, absent));
    }
    say(format_args!("\n{}", "─".repeat(RULE)));
    say(format_args!(
        "Summary: {} spans across {} agents | {} | {}",
        answer.spans.len(),
        trace.agents.len(),
        time(trace.duration / 1000),
        mark(trace.success),
    ));
    say(format_args!("Agents: {}", trace.agents.iter().map(String::as_str).collect::<Vec<_>>().join(", ")));
    if !answer.silent.is_empty() {
        let silent = format!("{} live member(s) did not answer: there may be more", answer.silent.len());
        say(paint(Colour::Yellow, silent));
    }
}

/// What is missing from the tree, in words: runs of tools that only their callers know of.
fn absent(spans: &[Span]) -> Vec<String> {
    let lost = unheard(spans);
    let agents: BTreeSet<&str> =
        spans.iter().filter(|span| lost.contains(&span.span)).filter_map(|span| span.peer.as_deref()).collect();
    let absent =
        |agent: &str| format!("{agent} tells nothing of what it ran: it is gone, does not answer, or keeps no spans");
    agents.into_iter().map(absent).collect()
}

/// Attempts that got through, of whose run at the other end nothing is known. Who was lost may have run it, too.
fn unheard(spans: &[Span]) -> BTreeSet<u64> {
    let heard: BTreeSet<u64> =
        spans.iter().filter(|span| span.kind == SpanKind::Tool).filter_map(|span| span.parent).collect();
    let attempts = spans.iter().filter(|span| span.kind == SpanKind::Attempt && !heard.contains(&span.span));
    attempts.map(|span| span.span).collect()
}

/// Hangs every span below its parent, or below the nearest one that is shown. Those whose parent is unknown are roots.
/// Besides tools an attempt is shown when it is all that is known of a run.
fn arrange(spans: &[Span], show_internal: bool) -> Children<'_> {
    let by_id: BTreeMap<u64, &Span> = spans.iter().map(|span| (span.span, span)).collect();
    // What failed without ever reaching a tool has nothing else to show.
    let has_tools = spans.iter().any(|span| span.kind == SpanKind::Tool);
    let is_main = |span: &Span| matches!(span.kind, SpanKind::Tool | SpanKind::Model | SpanKind::Route);
    let unheard = unheard(spans);
    let shown = |span: &Span| show_internal || !has_tools || is_main(span) || unheard.contains(&span.span);
    let mut children = Children::new();
    for span in spans.iter().filter(|span| shown(span)) {
        let mut above = span.parent;
        let mut steps = 0;
        let parent = loop {
            match above.and_then(|parent| by_id.get(&parent)) {
                // Spans come from the network: they may be each other's parents.
                Some(parent) if !shown(parent) && steps < spans.len() => above = parent.parent,
                Some(parent) if parent.span != span.span => break Some(parent.span),
                _ => break None,
            }
            steps += 1;
        };
        children.entry(parent).or_default().push(span);
    }
    children.values_mut().for_each(|spans| spans.sort_by_key(|span| (span.start, span.span)));
    children
}

/// Prints what hangs from `parent`. Spans that hang from each other hang from no root, and are never reached.
fn branch(children: &Children<'_>, parent: Option<u64>, prefix: &str) {
    let spans = children.get(&parent).map_or(&[][..], Vec::as_slice);
    if prefix.len() > DEEPEST && !spans.is_empty() {
        return say(format_args!("{prefix}…"));
    }
    for (place, span) in spans.iter().enumerate() {
        let (corner, below) = if place + 1 == spans.len() { ("└─", "   ") } else { ("├─", "│  ") };
        let mut name = span.name.to_string();
        match span.kind {
            SpanKind::Tool | SpanKind::Route => {}
            SpanKind::Call => name += " (call)",
            SpanKind::Attempt => name = format!("{} at {name} (attempt)", span.tool.as_deref().unwrap_or("a tool")),
            SpanKind::Loop => name += " (loop)",
            SpanKind::Model => name += " (model)",
        }
        let ok = span.outcome == Outcome::Ok;
        let duration = time(span.duration);
        let took = span.usage.as_ref().map(took).unwrap_or_default();
        say(format_args!("{prefix}{corner} {name} ({}) [{duration}] {}{took}", name_in(&span.agent), mark(ok)));
        if !ok && !span.note.is_empty() {
            say(format_args!("{prefix}{below}{}", paint(Colour::Red, &span.note)));
        }
        branch(children, Some(span.span), &format!("{prefix}{below}"));
    }
}

/// What a model took.
fn took(usage: &Usage) -> String {
    let Usage { model, prompt_tokens, completion_tokens, cost_usd } = usage;
    let cost = cost_usd.map(|cost| format!(", ${cost:.6}")).unwrap_or_default();
    format!(" {model}: {prompt_tokens} + {completion_tokens} tokens{cost}")
}

fn mark(ok: bool) -> String {
    if ok { paint(Colour::Green, "✓") } else { paint(Colour::Red, "✗") }
}

/// Microseconds, for people.
fn time(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros}µs"),
        1000..1_000_000 => format!("{}ms", micros / 1000),
        _ => format!("{}.{:02}s", micros / 1_000_000, micros / 10_000 % 100),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use mesh_node::trace::Span;
    use serde_json::json;

    use super::{absent, arrange, time};

    fn span(id: u64, parent: Option<u64>, kind: &str) -> Span {
        let parent = parent.map(|parent| format!("{parent:016x}"));
        let json = json!({"trace": format!("{:032x}", 1), "span": format!("{id:016x}"), "parent": parent, "kind": kind,
            "name": "n", "agent": "a-1", "start": id, "duration": 1, "outcome": "ok"});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_between_tools_is_left_out_and_what_hangs_from_it_moves_up() {
        let spans = [
            span(1, Some(99), "tool"),
            span(2, Some(1), "call"),
            span(3, Some(2), "attempt"),
            span(4, Some(3), "tool"),
        ];
        let tools = arrange(&spans, false);
        assert_eq!(tools[&None][0].span, 1);
        assert_eq!(tools[&Some(1)][0].span, 4);
        assert_eq!(arrange(&spans, true)[&Some(3)][0].span, 4);
    }

    #[test]
    fn an_attempt_stands_for_the_run_of_which_nobody_tells() {
        let mut spans = vec![
            span(1, Some(99), "tool"),
            span(2, Some(1), "call"),
            span(3, Some(2), "attempt"),
            span(4, Some(2), "attempt"),
            span(5, Some(4), "tool"),
        ];
        spans[2].peer = Some("date-service-0a".into());
        let tree = arrange(&spans, false);
        assert_eq!(tree[&Some(1)].iter().map(|span| span.span).collect::<Vec<_>>(), [3, 5]);
        let absent = absent(&spans);
        assert!(absent.len() == 1 && absent[0].starts_with("date-service-0a tells nothing"), "{absent:?}");
    }

    #[test]
    fn spans_that_hang_from_each_other_do_no_harm() {
        let spans =
            [span(1, Some(2), "call"), span(2, Some(1), "call"), span(3, Some(1), "tool"), span(4, Some(4), "tool")];
        assert!(arrange(&spans, false).values().flatten().count() == 2);
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([999, 1500, 1_234_567].map(time), ["999µs", "1ms", "1.23s"]);
    }
}
