//! What the remembered spans of the mesh add up to: who calls whom, how often, how long it takes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::admin::timestamp::Timestamp;
use crate::registry::traces::names::Names;
use crate::trace::{Outcome, Span, SpanKind, Tree, moment};

/// After how long of silence a trace whose beginning nobody remembers counts as over, in microseconds.
const STALE_AFTER: u64 = 30_000_000;

/// How many of the newest traces are shown as they run.
const LIVE_TRACES: usize = 20;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    /// Newest first.
    pub(super) traces: Vec<TraceBrief>,
    /// The busiest first.
    pub(super) edges: Vec<Edge>,
    /// By name.
    pub(super) agents: Vec<AgentStat>,
    /// By name.
    pub(super) models: Vec<ModelStat>,
    /// The newest traces, newest first.
    pub(super) live: Vec<LiveTrace>,
    /// Whether there was more than is kept.
    pub(super) is_cut: bool,
}

/// One trace in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct TraceBrief {
    pub(super) trace_id: String,
    pub(super) root_agent: String,
    pub(super) root_operation: String,
    pub(super) duration_ms: u64,
    pub(super) start_time: Timestamp,
    pub(super) span_count: usize,
    pub(super) agent_count: usize,
    pub(super) success: bool,
    pub(super) agents: Vec<String>,
    /// What it is searched by.
    #[serde(skip)]
    pub(super) operations: BTreeSet<String>,
    #[serde(skip)]
    pub(super) parents: BTreeSet<String>,
}

/// The calls of one function by one agent at another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Edge {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) target_function: String,
    pub(super) call_count: usize,
    pub(super) error_count: usize,
    /// Percent.
    pub(super) error_rate: f64,
    pub(super) avg_latency_ms: f64,
    pub(super) p99_latency_ms: f64,
    pub(super) max_latency_ms: f64,
    pub(super) min_latency_ms: f64,
}

/// What one agent did. Bytes are not counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct AgentStat {
    pub(super) agent_name: String,
    pub(super) span_count: usize,
    pub(super) total_input_tokens: u64,
    pub(super) total_output_tokens: u64,
    pub(super) total_request_bytes: u64,
    pub(super) total_response_bytes: u64,
}

/// What one model did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ModelStat {
    pub(super) model: String,
    pub(super) provider: String,
    pub(super) call_count: usize,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) total_tokens: u64,
}

/// A trace with its spans, wrappers aside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct LiveTrace {
    pub(super) trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_operation: Option<String>,
    start_time: Timestamp,
    pub(super) completed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    has_error: bool,
    span_count: usize,
    agents: Vec<String>,
    spans: Vec<LiveSpan>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct LiveSpan {
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_parent: Option<String>,
    agent_name: String,
    operation: String,
    duration_ms: u64,
    success: bool,
    runtime: &'static str,
}

impl Picture {
    /// The picture of `spans`, of whose agents `names` are known, at the moment `now` (microseconds since 1970).
    pub(super) fn of(spans: &[Span], names: &Names, now: u64) -> Self {
        let mut traces: BTreeMap<u128, Vec<Span>> = BTreeMap::new();
        for span in spans {
            traces.entry(span.trace).or_default().push(span.clone());
        }
        let mut newest: Vec<Vec<Span>> = traces.into_values().collect();
        newest.sort_by_key(|spans| std::cmp::Reverse(spans.iter().map(|span| span.start).min()));
        let live = newest.iter().take(LIVE_TRACES).filter_map(|spans| live(spans, names, now)).collect();
        let traces = newest.iter().filter_map(|spans| brief(spans, names)).collect();
        let (agents, models) = (agents(spans, names), models(spans));
        Self { traces, edges: edges(spans, names), agents, models, live, is_cut: false }
    }

    /// How many calls there were between agents, and how many of them went wrong.
    pub(super) fn calls(&self) -> (usize, usize) {
        let sum = |count: fn(&Edge) -> usize| self.edges.iter().map(count).sum();
        (sum(|edge| edge.call_count), sum(|edge| edge.error_count))
    }
}

fn edges(spans: &[Span], names: &Names) -> Vec<Edge> {
    let mut calls: BTreeMap<(String, String, &str), (Vec<u64>, usize)> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.kind == SpanKind::Attempt) {
        let Some(peer) = &span.peer else { continue };
        let function = span.tool.as_deref().unwrap_or(&span.name);
        let (took, errors) = calls.entry((names.of_agent(&span.agent), names.of_agent(peer), function)).or_default();
        took.push(span.duration);
        *errors += usize::from(span.outcome != Outcome::Ok);
    }
    let mut edges: Vec<Edge> = calls.into_iter().map(|(between, (took, errors))| edge(between, took, errors)).collect();
    edges.sort_by_key(|edge| std::cmp::Reverse(edge.call_count));
    edges
}

fn edge((source, target, function): (String, String, &str), mut took: Vec<u64>, error_count: usize) -> Edge {
    took.sort_unstable();
    let ms = |microseconds: u64| microseconds as f64 / 1000.0;
    let (call_count, sum) = (took.len(), took.iter().sum::<u64>());
    let at =
        |share: f64| took.get(((call_count as f64 * share) as usize).min(call_count - 1)).copied().unwrap_or_default();
    Edge {
        source,
        target,
        target_function: function.to_owned(),
        call_count,
        error_count,
        error_rate: 100.0 * error_count as f64 / call_count as f64,
        avg_latency_ms: ms(sum) / call_count as f64,
        p99_latency_ms: ms(at(0.99)),
        max_latency_ms: ms(at(1.0)),
        min_latency_ms: ms(at(0.0)),
    }
}

fn agents(spans: &[Span], names: &Names) -> Vec<AgentStat> {
    let mut stats: BTreeMap<String, AgentStat> = BTreeMap::new();
    for span in spans {
        let name = names.of_agent(&span.agent);
        let stat = stats.entry(name.clone()).or_insert_with(|| AgentStat { agent_name: name, ..AgentStat::default() });
        stat.span_count += 1;
        if let Some(usage) = span.usage.as_ref().filter(|_| span.kind == SpanKind::Model) {
            stat.total_input_tokens += usage.prompt_tokens;
            stat.total_output_tokens += usage.completion_tokens;
        }
    }
    stats.into_values().collect()
}

/// A loop sums up what its models took, so only those count.
fn models(spans: &[Span]) -> Vec<ModelStat> {
    let mut stats: BTreeMap<&str, ModelStat> = BTreeMap::new();
    for usage in spans.iter().filter(|span| span.kind == SpanKind::Model).filter_map(|span| span.usage.as_ref()) {
        let (provider, _) = usage.model.split_once('/').unwrap_or(("", &usage.model));
        let stat = stats.entry(&usage.model).or_insert_with(|| ModelStat {
            model: usage.model.to_string(),
            provider: provider.to_owned(),
            ..ModelStat::default()
        });
        stat.call_count += 1;
        stat.input_tokens += usage.prompt_tokens;
        stat.output_tokens += usage.completion_tokens;
        stat.total_tokens += usage.prompt_tokens + usage.completion_tokens;
    }
    stats.into_values().collect()
}

fn brief(spans: &[Span], names: &Names) -> Option<TraceBrief> {
    let tree = Tree::of(spans);
    let root = tree.root()?;
    let agents = agents_of(spans, names);
    Some(TraceBrief {
        trace_id: format!("{:032x}", root.trace),
        root_agent: names.of_agent(&root.agent),
        root_operation: shown(root),
        duration_ms: took(spans) / 1000,
        start_time: moment(root.start),
        span_count: spans.len(),
        agent_count: agents.len(),
        success: tree.is_success(),
        agents,
        operations: spans.iter().map(|span| tree.operation(span)).collect(),
        parents: spans.iter().filter_map(|span| span.parent).map(|parent| format!("{parent:016x}")).collect(),
    })
}

fn live(spans: &[Span], names: &Names, now: u64) -> Option<LiveTrace> {
    let tree = Tree::of(spans);
    let root = tree.root()?;
    let ended = spans.iter().map(|span| span.start.saturating_add(span.duration)).max()?;
    let completed = root.parent.is_none() || ended.saturating_add(STALE_AFTER) < now;
    let visible = spans.iter().filter(|span| !tree.is_wrapper(span)).map(|span| LiveSpan {
        span_id: format!("{:016x}", span.span),
        effective_parent: tree.effective_parent(span).map(|parent| format!("{parent:016x}")),
        agent_name: names.of_agent(&span.agent),
        operation: tree.operation(span),
        duration_ms: span.duration / 1000,
        success: span.outcome == Outcome::Ok,
        runtime: "rust",
    });
    let visible: Vec<LiveSpan> = visible.collect();
    Some(LiveTrace {
        trace_id: format!("{:032x}", root.trace),
        root_agent: Some(names.of_agent(&root.agent)),
        root_operation: Some(shown(root)),
        start_time: moment(spans.iter().map(|span| span.start).min()?),
        completed,
        duration_ms: completed.then(|| took(spans) / 1000),
        has_error: visible.iter().any(|span| !span.success),
        span_count: visible.len(),
        agents: agents_of(spans, names),
        spans: visible,
    })
}

/// A trace is called after what was wanted, even where that is only the wrapper of what ran.
fn shown(root: &Span) -> String {
    root.tool.as_deref().unwrap_or(&root.name).to_owned()
}

fn agents_of(spans: &[Span], names: &Names) -> Vec<String> {
    let agents: BTreeSet<String> = spans.iter().map(|span| names.of_agent(&span.agent)).collect();
    agents.into_iter().collect()
}

fn took(spans: &[Span]) -> u64 {
    let start = spans.iter().map(|span| span.start).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.start.saturating_add(span.duration)).max().unwrap_or_default();
    end.saturating_sub(start)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use super::Picture;
    use crate::registry::traces::names::Names;
    use crate::trace::{Outcome, Span, SpanKind, Usage};

    fn span(span: u64, parent: Option<u64>, kind: SpanKind, agent: &str, peer: Option<&str>) -> Span {
        let usage = (kind == SpanKind::Model).then(|| Usage {
            model: "local/demo".into(),
            prompt_tokens: 3,
            completion_tokens: 4,
            cost_usd: None,
        });
        Span {
            trace: 7,
            span,
            parent,
            kind,
            name: "greeting".into(),
            agent: agent.into(),
            peer: peer.map(Arc::from),
            tool: Some("greet".into()),
            start: 1_000_000 + span,
            duration: 10_000 * span,
            outcome: Outcome::Ok,
            note: String::new(),
            attempts: 0,
            usage,
        }
    }

    #[test]
    fn a_call_is_an_edge_with_its_errors_and_wrappers_are_not_shown() {
        let failed =
            Span { outcome: Outcome::Error, ..span(2, Some(1), SpanKind::Attempt, "me-0a0a0a0a", Some("b-0a0a0a0a")) };
        let spans = [
            span(1, None, SpanKind::Call, "me-0a0a0a0a", None),
            failed,
            span(3, Some(1), SpanKind::Attempt, "me-0a0a0a0a", Some("b-0a0a0a0a")),
            span(4, Some(3), SpanKind::Tool, "b-0a0a0a0a", None),
            span(5, Some(4), SpanKind::Model, "b-0a0a0a0a", None),
        ];
        let picture = Picture::of(&spans, &Names::default(), 2_000_000);
        let edge = &picture.edges[0];
        assert_eq!((edge.source.as_str(), edge.target.as_str(), edge.target_function.as_str()), ("me", "b", "greet"));
        assert_eq!((edge.call_count, edge.error_count, edge.error_rate), (2, 1, 50.0));
        assert_eq!((edge.min_latency_ms, edge.avg_latency_ms, edge.max_latency_ms), (20.0, 25.0, 30.0));
        assert_eq!(picture.calls(), (2, 1));
        assert_eq!((picture.agents[0].agent_name.as_str(), picture.agents[0].total_output_tokens), ("b", 4));
        assert_eq!((picture.models[0].provider.as_str(), picture.models[0].total_tokens), ("local", 7));
        let live = serde_json::to_value(&picture.live[0]).unwrap();
        let operations: Vec<&str> =
            live["spans"].as_array().unwrap().iter().map(|span| span["operation"].as_str().unwrap()).collect();
        assert_eq!(operations, ["greeting", "greeting", "llm local/demo"], "the failed attempt, the tool, the model");
        assert_eq!((&live["completed"], &live["root_agent"]), (&true.into(), &"me".into()));
        assert_eq!(live["spans"][2]["effective_parent"], live["spans"][1]["span_id"]);
        assert_eq!(picture.traces[0].root_operation, "greet");
    }

    #[test]
    fn a_trace_whose_beginning_nobody_knows_is_over_after_a_while_of_silence() {
        let spans = [span(2, Some(1), SpanKind::Tool, "b-0a0a0a0a", None)];
        assert!(!Picture::of(&spans, &Names::default(), 2_000_000).live[0].completed);
        assert!(Picture::of(&spans, &Names::default(), 90_000_000).live[0].completed);
    }
}
