//! Results that come piece by piece: given by a tool, taken by its consumer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{BoxStream, StreamExt};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::error::{Error, Result};

/// How many pieces a [`Sender`] is ahead of whoever takes them.
const AHEAD: usize = 16;

/// The result of a streaming tool or route: pieces, each sent as soon as it is there and its taker has room for it.
///
/// A caller who does not stream gets all of them at once: texts joined, anything else as a list. Over HTTP it is a
/// stream of server-sent events that ends with `[DONE]`.
pub struct Stream<T>(BoxStream<'static, Result<T>>);

/// Where the pieces of [`Stream::produce`] go.
#[derive(Clone, Debug)]
pub struct Sender<T>(mpsc::Sender<T>);

/// Whoever took the pieces is gone. Return; there is nobody to produce for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the pieces any more")]
pub struct TakerGone;

impl<T: Send + 'static> Stream<T> {
    /// The pieces that `pieces` gives.
    pub fn new(pieces: impl futures::Stream<Item = T> + Send + 'static) -> Self {
        Self(pieces.map(Ok).boxed())
    }

    /// The pieces that `pieces` gives, until the first error, which ends it.
    pub fn fallible<E: Into<Error> + 'static>(
        pieces: impl futures::Stream<Item = std::result::Result<T, E>> + Send + 'static,
    ) -> Self {
        Self(pieces.map(|piece| piece.map_err(Into::into)).boxed())
    }

    /// The pieces that `produce` sends, which runs as far as they are taken, and no longer than somebody takes them.
    ///
    /// ```
    /// use mesh::{Stream, Result};
    ///
    /// async fn countdown(from: u32) -> Stream<u32> {
    ///     Stream::produce(move |pieces| async move {
    ///         for number in (0..from).rev() {
    ///             pieces.send(number).await?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn produce<F>(produce: impl FnOnce(Sender<T>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        let mut production = Some(Box::pin(produce(Sender(sender))));
        let mut failure = None;
        Self(
            futures::stream::poll_fn(move |context| {
                if let Some(running) = &mut production
                    && let Poll::Ready(end) = running.as_mut().poll(context)
                {
                    production = None;
                    failure = end.err();
                }
                match receiver.poll_recv(context) {
                    Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
                    // Whatever was sent has been taken.
                    Poll::Ready(None) => Poll::Ready(failure.take().map(Err)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .boxed(),
        )
    }
}

impl<T> Sender<T> {
    /// Sends one piece as soon as there is room for it.
    ///
    /// # Errors
    /// [`TakerGone`].
    pub async fn send(&self, piece: T) -> std::result::Result<(), TakerGone> {
        self.0.send(piece).await.map_err(|_| TakerGone)
    }
}

impl<T> futures::Stream for Stream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.0.poll_next_unpin(context)
    }
}

impl<T: Serialize + Send + 'static> IntoResponse for Stream<T> {
    fn into_response(self) -> Response {
        let mut failed = false;
        let pieces = self.0.map(|piece| Some(piece.and_then(event))).chain(futures::stream::iter([None]));
        let events = pieces.scan((), move |(), piece| {
            let event = match piece {
                _ if failed => None,
                Some(Ok(event)) => Some(event),
                Some(Err(error)) => {
                    failed = true;
                    Some(Event::default().event("error").data(error.to_string().replace('\r', " ")))
                }
                None => Some(Event::default().data("[DONE]")),
            };
            futures::future::ready(event.map(Ok::<_, std::convert::Infallible>))
        });
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    }
}

/// A piece as an event: a text as it is, anything else as JSON.
fn event<T: Serialize>(piece: T) -> Result<Event> {
    let text = match serde_json::to_value(piece)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    // A carriage return cannot be part of an event's data.
    Ok(Event::default().data(text.replace("\r\n", "\n").replace('\r', "\n")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use axum::body::to_bytes;

    use super::*;

    fn three() -> Stream<String> {
        Stream::produce(|pieces| async move {
            pieces.send("one".to_owned()).await?;
            pieces.send("two\nlines".to_owned()).await?;
            Err(Error::new("out of words"))
        })
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_the_error_last() {
        let pieces: Vec<_> = three().map(|piece| piece.map_err(|error| error.to_string())).collect().await;
        assert_eq!(pieces, [Ok("one".into()), Ok("two\nlines".into()), Err("out of words".into())]);
    }

    #[tokio::test]
    async fn a_producer_waits_for_its_taker() {
        let mut endless = Stream::produce(|pieces| async move {
            for number in 0.. {
                pieces.send(number).await?;
            }
            Ok(())
        });
        for expected in 0..1000 {
            assert_eq!(endless.next().await.unwrap().unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn over_http_pieces_are_events_that_end_with_done_or_an_error() {
        let text = |stream: Stream<String>| async {
            let body = to_bytes(stream.into_response().into_body(), 4096).await.unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(text(three()).await, "data: one\n\ndata: two\ndata: lines\n\nevent: error\ndata: out of words\n\n");
        let fine = Stream::new(futures::stream::iter(["a".to_owned()]));
        assert_eq!(text(fine).await, "data: a\n\ndata: [DONE]\n\n");
    }
}
