//! The spans of one trace, gathered from every live member.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::{StreamExt, stream};
use mesh_gossip::{Gossip, MemberId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::guard::Refused;
use super::wire::TraceAnswer;
use super::{Answer, Asked, Desk};
use crate::call::question::{Answer as Answerer, Questions};
use crate::trace::{Ring, Span};

/// The topic under which nodes ask each other for spans.
pub(super) const SPANS_TOPIC: &str = "spans";

/// How long all members together may take to tell which of their spans is the last one: who is slower is not waited for.
const PATIENCE_FOR_LAST: Duration = Duration::from_secs(1);

/// How long all members together may take to tell their spans of a trace.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many members are asked at a time.
const AT_ONCE: usize = 64;

/// The most spans of one answer.
const MAX_SPANS: usize = 10_000;

/// What is asked of a member: the spans of a trace, the one that ended last, or so many of those that ended last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpanQuestion {
    Of(String),
    Last,
    Recent(usize),
}

/// Where the spans of all members are asked for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SpanSearch {
    gossip: Arc<Gossip>,
    questions: Questions,
}

/// Spans of several members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    /// The spans, by their beginning.
    pub(crate) spans: Vec<Span>,
    /// Live members that did not answer in time.
    pub(crate) silent: Vec<String>,
    /// Whether there was more than fits.
    pub(crate) is_cut: bool,
}

/// Tells other nodes of the spans of this one.
pub(super) struct SpanAnswer(pub(super) Ring);

#[async_trait]
impl Answerer for SpanAnswer {
    async fn answer(&self, _asker: MemberId, question: Bytes) -> Result<Bytes, String> {
        let spans = match serde_json::from_slice(&question).map_err(|error| error.to_string())? {
            SpanQuestion::Last => self.0.last().into_iter().collect(),
            SpanQuestion::Recent(most) => self.0.newest(most.min(MAX_SPANS)),
            SpanQuestion::Of(trace) => self.0.spans_of(parse(&trace).ok_or("a trace is named by 32 hex digits")?),
        };
        serde_json::to_vec(&spans).map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// Which trace; without one, the one that ended last.
#[derive(Debug, Deserialize)]
pub(super) struct TraceQuery {
    #[serde(default)]
    id: Option<String>,
}

/// All spans of a trace that anybody remembers.
pub(super) async fn show(State(desk): State<Arc<Desk>>, Asked(query): Asked<TraceQuery>) -> Answer<TraceAnswer> {
    let search = SpanSearch::new(Arc::clone(&desk.gossip), desk.questions.clone());
    let trace = match query.id.as_deref() {
        Some(id) => parse(id).ok_or_else(|| Refused::bad_request("a trace is named by 32 hex digits"))?,
        None => {
            let last = search.gather(&SpanQuestion::Last, PATIENCE_FOR_LAST).await.spans;
            let last = last.into_iter().max_by_key(|span| span.start.saturating_add(span.duration));
            last.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "no_trace", "nobody has called anything yet"))?.trace
        }
    };
    let Gathered { spans, silent, .. } = search.trace(trace).await;
    Ok(Json(TraceAnswer { trace_id: format!("{trace:032x}"), spans, silent }))
}

impl SpanSearch {
    /// Asks the members that `gossip` knows.
    pub(crate) fn new(gossip: Arc<Gossip>, questions: Questions) -> Self {
        Self { gossip, questions }
    }

    /// The way to ask members anything.
    pub(crate) fn questions(&self) -> &Questions {
        &self.questions
    }

    /// All spans of `trace`, within three seconds. Dropping the future asks no further.
    pub(crate) async fn trace(&self, trace: u128) -> Gathered {
        let mut gathered = self.gather(&SpanQuestion::Of(format!("{trace:032x}")), PATIENCE).await;
        gathered.spans.retain(|span| span.trace == trace);
        gathered
    }

    /// What happened last on every member, within a second; members share the room there is.
    pub(crate) async fn recent(&self) -> Gathered {
        let live = self.gossip.view().live().count().max(1);
        self.gather(&SpanQuestion::Recent((MAX_SPANS / live).max(1)), PATIENCE_FOR_LAST).await
    }

    /// What the live members answer within `patience`, and which of them did not.
    async fn gather(&self, question: &SpanQuestion, patience: Duration) -> Gathered {
        let deadline = Instant::now() + patience;
        let question = Bytes::from(serde_json::to_vec(question).expect("texts can be written"));
        let members: Vec<MemberId> = self.gossip.view().live().map(|member| member.id()).collect();
        let asked = members.into_iter().map(|member| {
            let question = question.clone();
            async move { (member, self.ask(member, question, deadline).await) }
        });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let (mut spans, mut silent, mut is_cut) = (Vec::new(), Vec::new(), false);
        while let Some((member, answer)) = answers.next().await {
            match answer.and_then(|answer| serde_json::from_slice::<Vec<Span>>(&answer).ok()) {
                Some(more) => {
                    let room = MAX_SPANS.saturating_sub(spans.len());
                    is_cut |= more.len() > room;
                    spans.extend(more.into_iter().take(room));
                }
                None => silent.push(member),
            }
        }
        let view = self.gossip.view();
        silent.retain(|member| view.member(member).is_some_and(|member| member.is_live()));
        silent.sort();
        let mut seen = BTreeSet::new();
        spans.retain(|span| seen.insert((span.trace, span.span)));
        spans.sort_by_key(|span| (span.start, span.span));
        Gathered { spans, silent: silent.iter().map(ToString::to_string).collect(), is_cut }
    }

    /// What `member` answers. Nobody waits for one that turns out to be gone.
    async fn ask(&self, member: MemberId, question: Bytes, deadline: Instant) -> Option<Bytes> {
        let mut views = self.gossip.watch();
        tokio::select! {
            answer = self.questions.ask(member, SPANS_TOPIC, question, deadline) => answer.ok(),
            _ = views.wait_for(|view| view.member(&member).is_none_or(|member| !member.is_live())) => None,
        }
    }
}

/// The trace of that id: 32 hex digits, dashes aside.
pub(crate) fn parse(id: &str) -> Option<u128> {
    let id = id.replace('-', "");
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&id, 16).ok().filter(|id| *id != 0)
}
