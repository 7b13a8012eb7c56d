//! The pieces of a streaming result, as its consumer takes them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use mesh_node::context::Update;
use mesh_node::tool::Payload;
use tokio::sync::mpsc;

use super::way::Given;
use super::{DepError, read};
use crate::received::Received;

/// How many updates a provider is ahead of its consumer on this side.
pub(super) const ITEMS_AHEAD: usize = 16;

/// The pieces of a streaming result, each as soon as it has come. Ends with the call; an error is the last item.
/// Dropping it ends the call.
pub struct Items<T> {
    call: Option<BoxFuture<'static, Given>>,
    updates: mpsc::Receiver<Update>,
    /// What came with the end.
    last: VecDeque<Result<T, DepError>>,
    any: bool,
}

impl<T> Unpin for Items<T> {}

impl<T: Received> Items<T> {
    pub(super) fn new(call: BoxFuture<'static, Given>, updates: mpsc::Receiver<Update>) -> Self {
        Self { call: Some(call), updates, last: VecDeque::new(), any: false }
    }

    /// The next piece among `update`s; progress and log messages are not for us.
    fn piece(update: Update) -> Option<Result<T, DepError>> {
        match update {
            Update::Chunk(text) => Some(read(Payload::Value(text), "the provider")),
            Update::Progress { .. } | Update::Log { .. } => None,
        }
    }

    fn end(&mut self, given: Given) {
        self.call = None;
        while let Ok(update) = self.updates.try_recv() {
            if let Some(piece) = Self::piece(update) {
                self.any = true;
                self.last.push_back(piece);
            }
        }
        match given {
            // What was streamed is there; the result is the same once more.
            Ok(_) if self.any => {}
            Ok((payload, from)) => self.last.push_back(read(payload, &from)),
            Err(error) => self.last.push_back(Err(error.into())),
        }
    }
}

impl<T: Received> futures::Stream for Items<T> {
    type Item = Result<T, DepError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let items = &mut *self;
        loop {
            // The call is what sends the pieces, so it is driven first.
            if let Some(call) = &mut items.call
                && let Poll::Ready(given) = call.as_mut().poll(context)
            {
                items.end(given);
            }
            if items.call.is_none() {
                return Poll::Ready(items.last.pop_front());
            }
            let Poll::Ready(Some(update)) = items.updates.poll_recv(context) else { return Poll::Pending };
            if let Some(piece) = Self::piece(update) {
                items.any = true;
                return Poll::Ready(Some(piece));
            }
        }
    }
}
