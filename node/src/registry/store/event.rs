//! What happened to whom, as `/events` tells it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::admin::timestamp::Timestamp;

/// The most bytes of one stored event before it is packed; of larger ones the data stay behind.
const MAX_EVENT_BYTES: usize = 64 << 10;

/// Events of more bytes are packed: resolutions among many candidates say the same names again and again.
const PACKED_FROM: usize = 1 << 10;

/// Fast above all.
const LEVEL: i32 = 1;

/// How a JSON object begins, and nothing that is packed.
const PLAIN: u8 = b'{';

/// An event as it is stored: of a few kilobytes at most, whatever it tells.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) agent: String,
    pub(super) kind: EventType,
    pub(super) bytes: Vec<u8>,
}

/// Something that happened in the mesh, as this seed saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// What kind of thing.
    pub(crate) event_type: EventType,
    /// To whom.
    pub(crate) agent_id: String,
    /// The name that it shares with its replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_name: Option<String>,
    /// Which of its tools it concerns, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function_name: Option<String>,
    /// When, by this seed's clock.
    pub(crate) timestamp: Timestamp,
    /// More about it, by its kind.
    #[serde(default)]
    pub(crate) data: Map<String, Value>,
}

/// Kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventType {
    /// An agent came, or came back.
    Register,
    /// An agent said goodbye.
    Unregister,
    /// An agent stopped being healthy.
    Unhealthy,
    /// Something else about an agent changed.
    Update,
    /// Of older systems; never written here.
    Heartbeat,
    /// Of older systems; never written here.
    Expire,
    /// An agent is asked to register anew.
    Rotate,
    /// A dependency has a provider.
    DependencyResolved,
    /// A dependency has none.
    DependencyUnresolved,
}

impl EventType {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Register,
        Self::Unregister,
        Self::Unhealthy,
        Self::Update,
        Self::Heartbeat,
        Self::Expire,
        Self::Rotate,
        Self::DependencyResolved,
        Self::DependencyUnresolved,
    ];

    /// One word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Unregister => "unregister",
            Self::Unhealthy => "unhealthy",
            Self::Update => "update",
            Self::Heartbeat => "heartbeat",
            Self::Expire => "expire",
            Self::Rotate => "rotate",
            Self::DependencyResolved => "dependency_resolved",
            Self::DependencyUnresolved => "dependency_unresolved",
        }
    }

    /// The kind of that name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl Event {
    /// Something that happened to an agent now, without more about it.
    pub(crate) fn now(event_type: EventType, agent_id: impl Into<String>, agent_name: impl Into<String>) -> Self {
        Self {
            event_type,
            agent_id: agent_id.into(),
            agent_name: Some(agent_name.into()).filter(|name: &String| !name.is_empty()),
            function_name: None,
            timestamp: Timestamp::now(),
            data: Map::new(),
        }
    }

    /// The same with `data`, which is an object.
    pub(crate) fn with(mut self, data: Value) -> Self {
        if let Value::Object(data) = data {
            self.data = data;
        }
        self
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    /// Only of this kind.
    pub(crate) event_type: Option<EventType>,
    /// Only of this agent.
    pub(crate) agent_id: Option<String>,
    /// Only about this tool.
    pub(crate) function_name: Option<String>,
    /// At most so many, the newest.
    pub(crate) limit: usize,
}

impl Row {
    pub(super) fn of(event: Event) -> Self {
        let json = |event: &Event| serde_json::to_vec(event).expect("an event has only texts for keys");
        let mut bytes = json(&event);
        let (agent, kind) = (event.agent_id.clone(), event.event_type);
        if bytes.len() > MAX_EVENT_BYTES {
            bytes = json(&Event { data: [("truncated".to_owned(), true.into())].into_iter().collect(), ..event });
        }
        if bytes.len() > PACKED_FROM {
            bytes = zstd::bulk::compress(&bytes, LEVEL).expect("compressing memory into memory does not fail");
        }
        Self { agent, kind, bytes }
    }

    /// The event in stored bytes; `None` when another version wrote them.
    pub(super) fn event(bytes: &[u8]) -> Option<Event> {
        if bytes.first() == Some(&PLAIN) {
            return serde_json::from_slice(bytes).ok();
        }
        serde_json::from_slice(&zstd::bulk::decompress(bytes, MAX_EVENT_BYTES).ok()?).ok()
    }
}

impl EventFilter {
    pub(super) fn lets_through(&self, event: &Event) -> bool {
        self.event_type.is_none_or(|wanted| wanted == event.event_type)
            && self.agent_id.as_deref().is_none_or(|wanted| wanted == event.agent_id)
            && self.function_name.as_deref().is_none_or(|wanted| Some(wanted) == event.function_name.as_deref())
    }
}
