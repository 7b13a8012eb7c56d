//! `/api/events` and `/api/traces/live`: what happens, as it happens, as server-sent events.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::activity::Activity;
use super::picture::{LiveTrace, Picture};
use crate::admin::timestamp::Timestamp;
use crate::registry::store::{Event, EventType};

/// How often what is counted is counted again.
const COUNT: Duration = Duration::from_secs(3);

/// How often traces are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many edges are told at most.
const MAX_EDGES: usize = 500;

/// An event as pages know it.
#[derive(Debug, PartialEq, Serialize)]
struct Shown {
    #[serde(rename = "type")]
    kind: &'static str,
    agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: Map<String, Value>,
    timestamp: Timestamp,
}

/// One page that watches events.
struct EventWatch {
    due: VecDeque<Frame>,
    live: Receiver<Arc<Event>>,
    activity: Activity,
    count: Interval,
    /// What was counted last, by kind.
    told: BTreeMap<&'static str, Value>,
    _place: OwnedSemaphorePermit,
}

/// One page that watches traces.
struct TraceWatch {
    due: VecDeque<Frame>,
    activity: Activity,
    look: Interval,
    seen: BTreeMap<String, LiveTrace>,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

/// The events in `past` (newest first), then those of `live`, and every few seconds what has been counted since.
pub(super) fn events(
    agents: usize,
    past: &[Event],
    live: Receiver<Arc<Event>>,
    activity: Activity,
    place: OwnedSemaphorePermit,
) -> Response {
    let hello = json!({"timestamp": Timestamp::now(), "message": "Connected to mesh events", "agents": agents});
    let backfill = past.iter().rev().filter_map(|event| shown(event, true));
    let due = std::iter::once(frame("connected", &hello)).chain(backfill.map(|shown| frame(shown.kind, &shown)));
    let watch =
        EventWatch { due: due.collect(), live, activity, count: ticking(COUNT), told: BTreeMap::new(), _place: place };
    respond(stream::unfold(watch, |mut watch| async move { Some((Ok(watch.next().await?), watch)) }))
}

/// The newest traces as they are, and whatever becomes of them.
pub(super) fn traces(activity: Activity, place: OwnedSemaphorePermit) -> Response {
    let hello = json!({"timestamp": Timestamp::now(), "message": "Connected to live traces"});
    let due = VecDeque::from([frame("connected", &hello)]);
    let look = ticking(LOOK);
    let watch = TraceWatch { due, activity, look, seen: BTreeMap::new(), is_first: true, _place: place };
    respond(stream::unfold(watch, |mut watch| async move { Some((Ok(watch.next().await), watch)) }))
}

impl EventWatch {
    /// Ends when nobody can tell anything any more.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.due.pop_front() {
                return Some(frame);
            }
            tokio::select! {
                event = self.live.recv() => match event {
                    Ok(event) => self.due.extend(shown(&event, false).map(|shown| frame(shown.kind, &shown))),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                _ = self.count.tick() => {
                    let picture = self.activity.picture(None).await;
                    for (kind, counted) in counts(&picture) {
                        if self.told.get(kind) != Some(&counted) {
                            // Pages read it as an event that carries data.
                            let event = json!({"type": kind, "data": counted, "timestamp": Timestamp::now()});
                            self.due.push_back(frame(kind, &event));
                            self.told.insert(kind, counted);
                        }
                    }
                }
            }
        }
    }
}

impl TraceWatch {
    async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.due.pop_front() {
                return frame;
            }
            self.look.tick().await;
            let picture = self.activity.picture(None).await;
            self.due.extend(news(&self.seen, &picture.live, self.is_first).map(|(kind, trace)| frame(kind, trace)));
            self.is_first = false;
            self.seen = picture.live.into_iter().map(|trace| (trace.trace_id.clone(), trace)).collect();
        }
    }
}

/// What is new about `now`, the oldest first. At first only what is still going on is told.
fn news<'a>(
    before: &'a BTreeMap<String, LiveTrace>,
    now: &'a [LiveTrace],
    is_first: bool,
) -> impl Iterator<Item = (&'static str, &'a LiveTrace)> {
    now.iter().rev().filter_map(move |trace| {
        let kind = match before.get(&trace.trace_id) {
            Some(known) if known == trace => return None,
            None if is_first && trace.completed => return None,
            None if is_first => "trace_update",
            Some(_) | None if trace.completed => "trace_completed",
            None => "trace_started",
            Some(_) => "trace_update",
        };
        Some((kind, trace))
    })
}

fn counts(picture: &Picture) -> [(&'static str, Value); 4] {
    let (total_calls, total_errors) = picture.calls();
    let agents: Map<String, Value> =
        picture.agents.iter().map(|agent| (agent.agent_name.clone(), agent.span_count.into())).collect();
    let edges: Vec<_> = picture.edges.iter().take(MAX_EDGES).collect();
    [
        (
            "trace_activity",
            json!({
                "agents": agents, "trace_count": picture.traces.len(), "total_calls": total_calls,
                "total_errors": total_errors,
            }),
        ),
        ("edge_stats", json!({"edges": edges, "edge_count": picture.edges.len()})),
        ("agent_stats", json!({"agents": picture.agents, "count": picture.agents.len()})),
        ("model_stats", json!({"models": picture.models, "count": picture.models.len()})),
    ]
}

/// An event as pages know it, if they do. Of the past only what happened to agents themselves is told.
fn shown(event: &Event, is_past: bool) -> Option<Shown> {
    let (kind, status) = match event.event_type {
        EventType::Register => ("agent_registered", Some("healthy")),
        EventType::Unregister => ("agent_deregistered", Some("unhealthy")),
        EventType::Unhealthy => ("agent_unhealthy", Some("unhealthy")),
        EventType::Rotate => ("agent_rotated", None),
        EventType::Update if event.data.get("new_status").is_some_and(|now| now == "healthy") => {
            ("agent_healthy", Some("healthy"))
        }
        EventType::DependencyResolved if !is_past => ("dependency_resolved", None),
        EventType::DependencyUnresolved if !is_past => ("dependency_lost", None),
        _ => return None,
    };
    Some(Shown {
        kind,
        agent_id: event.agent_id.clone(),
        agent_name: event.agent_name.clone(),
        status,
        data: event.data.clone(),
        timestamp: event.timestamp,
    })
}

fn frame(kind: &str, data: &impl Serialize) -> Frame {
    let text = serde_json::to_string(data).expect("what is told has only texts for keys");
    Frame::default().event(kind).data(text)
}

fn ticking(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A comment now and then finds out whether anybody still reads.
fn respond(frames: impl Stream<Item = Result<Frame, Infallible>> + Send + 'static) -> Response {
    Sse::new(frames).keep_alive(KeepAlive::default()).into_response()
}
