//! What happened, where, for how long, and how it ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Ring, TraceContext};

/// The most bytes of a span's note; the rest is cut off.
pub const MAX_NOTE_BYTES: usize = 512;

/// Something that happened on one node, over by now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The trace: 32 hex digits.
    #[serde(with = "hex128")]
    pub trace: u128,
    /// This span: 16 hex digits.
    #[serde(with = "hex64")]
    pub span: u64,
    /// The span in whose course it happened.
    #[serde(with = "hex64_option", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// What it is.
    pub kind: SpanKind,
    /// What was wanted: a capability or an agent for calls and attempts, the tool's name for tools.
    pub name: Arc<str>,
    /// The id of the agent on whose node it happened.
    pub agent: Arc<str>,
    /// The id of the agent at the other end, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Arc<str>>,
    /// The tool, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Arc<str>>,
    /// When it began, in microseconds since 1970.
    pub start: u64,
    /// How long it took, in microseconds.
    pub duration: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// More about how it ended, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// How many attempts a call took; 0 for anything else.
    #[serde(default)]
    pub attempts: u32,
    /// What models took in its course; for [`SpanKind::Model`] and [`SpanKind::Loop`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What a model took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The model, with its vendor.
    pub model: Arc<str>,
    /// Tokens of requests.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// What it cost, in US dollars; `None` when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// Kinds of [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpanKind {
    /// Somebody wanted something done.
    Call,
    /// One provider was asked to do it.
    Attempt,
    /// A tool ran.
    Tool,
    /// A route of an HTTP API answered a request. It is around what is called for that.
    Route,
    /// A model was asked once. It is around the call of its provider.
    Model,
    /// An agent and a model talked until there was an answer. It is around all of that.
    Loop,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a result.
    Ok,
    /// With an error.
    Error,
    /// Its caller lost interest.
    Cancelled,
    /// Its deadline passed.
    TimedOut,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Cancelled, Self::TimedOut];

    /// One word for it, as metrics and JSON have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A span under way. Dropped unfinished, it ends as cancelled.
#[derive(Debug)]
pub struct Running<'a> {
    ring: &'a Ring,
    since: Instant,
    /// What becomes of it; complete but for its end.
    span: Option<Box<Span>>,
}

impl<'a> Running<'a> {
    /// Begins `kind` now, on the node whose spans `ring` keeps.
    pub fn begin(ring: &'a Ring, kind: SpanKind, at: &TraceContext, parent: Option<u64>, name: &Arc<str>) -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let span = Span {
            trace: at.trace_id,
            span: at.span_id,
            parent,
            kind,
            name: name.clone(),
            agent: ring.agent(),
            peer: None,
            tool: None,
            start: u64::try_from(start.as_micros()).unwrap_or(u64::MAX),
            duration: 0,
            outcome: Outcome::Cancelled,
            note: String::new(),
            attempts: 0,
            usage: None,
        };
        Self { ring, since: Instant::now(), span: Some(Box::new(span)) }
    }

    /// What is known of it so far, to be completed.
    pub fn span(&mut self) -> &mut Span {
        self.span.as_mut().expect("it is taken only by its end")
    }

    /// How long it has been under way.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Ends it; `note` is cut to [`MAX_NOTE_BYTES`].
    pub fn end(mut self, outcome: Outcome, note: impl Into<String>) {
        let span = self.span();
        span.outcome = outcome;
        span.note = note.into();
        cut(&mut span.note);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.duration = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.ring.push(*span);
        }
    }
}

impl Span {
    /// How much memory it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.note.len() + self.name.len()
    }
}

fn cut(note: &mut String) {
    if note.len() > MAX_NOTE_BYTES {
        note.truncate(note.floor_char_boundary(MAX_NOTE_BYTES));
        note.shrink_to_fit();
    }
}

mod hex128 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{id:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

mod hex64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{id:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

mod hex64_option {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => super::hex64::serialize(id, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        super::hex64::deserialize(deserializer).map(Some)
    }
}
