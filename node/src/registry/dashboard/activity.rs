//! The spans of the mesh as they were a moment ago: however many look, the members are asked once a second at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use mesh_gossip::Gossip;
use tokio::time::Instant;

use super::picture::Picture;
use crate::admin::spans::{Gathered, SpanSearch};
use crate::admin::timestamp::Timestamp;
use crate::registry::traces::names::Names;
use crate::trace::Span;

/// How long what members said is good for.
const FRESH: Duration = Duration::from_secs(1);

type Question = Shared<BoxFuture<'static, Arc<Gathered>>>;

/// Where the spans of all members are looked at. Cheap to clone.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    gossip: Arc<Gossip>,
    search: SpanSearch,
    /// The question that was asked last, and when.
    asked: Mutex<Option<(Instant, Question)>>,
}

impl Activity {
    pub(super) fn new(gossip: Arc<Gossip>, search: SpanSearch) -> Self {
        Self(Arc::new(Inner { gossip, search, asked: Mutex::new(None) }))
    }

    /// What happened within `window`, or ever.
    pub(super) async fn picture(&self, window: Option<Duration>) -> Picture {
        let gathered = self.gathered().await;
        let now = Timestamp::now().0.saturating_mul(1000);
        let from = window.map_or(0, |window| now.saturating_sub(u64::try_from(window.as_micros()).unwrap_or(u64::MAX)));
        let spans: Vec<Span> = gathered.spans.iter().filter(|span| span.start >= from).cloned().collect();
        let picture = Picture::of(&spans, &Names::of(&self.0.gossip.view()), now);
        Picture { is_cut: gathered.is_cut, ..picture }
    }

    /// Whoever asks while a question is under way waits for its answer.
    async fn gathered(&self) -> Arc<Gathered> {
        let question = {
            let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
            match asked.as_ref() {
                Some((at, question)) if at.elapsed() < FRESH || question.peek().is_none() => question.clone(),
                _ => {
                    let search = self.0.search.clone();
                    let question = async move { Arc::new(search.recent().await) }.boxed().shared();
                    *asked = Some((Instant::now(), question.clone()));
                    question
                }
            }
        };
        question.await
    }
}
