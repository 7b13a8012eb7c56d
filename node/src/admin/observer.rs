//! What a node has seen over time, for those who ask: views tell only what is.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::{Gossip, MemberId};
use tokio_util::task::AbortOnDropHandle;

use super::adopted::{self, AdoptedAnswer};
use super::audit::{AuditQuery, Journal};
use super::describe::SchemaAnswer;
use super::sightings::Sightings;
use super::spans::{SPANS_TOPIC, SpanAnswer};
use crate::call::Caller;
use crate::call::question::{Answer, Desk, INPUT_SCHEMA};
use crate::tool::ToolHost;

/// The topic under which nodes ask each other how dependencies came to resolve as they do.
pub(super) const AUDIT_TOPIC: &str = "audit";

/// Follows the view of one node: since when members are what they are, and how the dependencies of its own agents
/// resolve. Bounded. Dropping it stops that.
#[derive(Debug)]
pub struct Observer {
    pub(super) sightings: Arc<Sightings>,
    pub(super) journal: Arc<Journal>,
    _watching: AbortOnDropHandle<()>,
}

impl Observer {
    /// Follows the view of `gossip` from now on. Has to be called on a tokio runtime.
    pub fn new(gossip: &Gossip) -> Self {
        let (sightings, journal) = (Arc::new(Sightings::default()), Arc::new(Journal::default()));
        let mut views = gossip.watch();
        let (seen, written) = (Arc::clone(&sightings), Arc::clone(&journal));
        let watching = tokio::spawn(async move {
            loop {
                let view = views.borrow_and_update().clone();
                seen.see(&view);
                written.follow(&view);
                if views.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { sightings, journal, _watching: AbortOnDropHandle::new(watching) }
    }

    /// Has `desk` answer other nodes' questions about this one, whose tools are those of `host` and whose calls are those of
    /// `caller`.
    #[must_use]
    pub fn answer_at(&self, desk: Desk, host: Arc<dyn ToolHost>, caller: &Caller) -> Desk {
        desk.with(AUDIT_TOPIC, AuditAnswer(Arc::clone(&self.journal)))
            .with(INPUT_SCHEMA, SchemaAnswer(host))
            .with(SPANS_TOPIC, SpanAnswer(caller.ring().clone()))
            .with(adopted::TOPIC, AdoptedAnswer(caller.clone()))
    }
}

struct AuditAnswer(Arc<Journal>);

#[async_trait]
impl Answer for AuditAnswer {
    async fn answer(&self, _asker: MemberId, question: Bytes) -> Result<Bytes, String> {
        let query: AuditQuery = serde_json::from_slice(&question).map_err(|error| error.to_string())?;
        serde_json::to_vec(&self.0.answer(&query)).map(Bytes::from).map_err(|error| error.to_string())
    }
}
