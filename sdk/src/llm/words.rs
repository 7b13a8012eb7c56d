//! What a model says, as it says it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use mesh_node::context::{MAX_PAYLOAD_BYTES, Outlet, Update};
use mesh_node::tool::{Fault, FaultKind, JsonObject, Payload};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::error::Why;
use crate::error::{Error, Result};
use crate::returned::Returned;
use crate::schema;
use crate::stream::{Sender, Stream};

/// A piece of what a model says.
///
/// As JSON a text, or `{"_mesh_frame":"restart","reason":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next words.
    Text(String),
    /// Forget everything that was said so far: whoever said it was lost, and another one begins anew. The reason is for
    /// people.
    Restart(String),
}

/// What a model says, piece by piece: the result of a tool or route that streams it on. Dropping it ends the loop.
///
/// Callers that do not stream get all of the text at once, without what was taken back. Over HTTP it is a stream of
/// server-sent events: texts as they are, an event `restart` where everything so far is to be forgotten, `[DONE]` at
/// the end.
pub struct LlmStream(Stream<Piece>);

/// Where the words of one loop go.
pub(crate) struct Words {
    taker: Sender<Piece>,
    /// What earlier turns said.
    before: String,
    /// What this turn says.
    now: String,
}

impl LlmStream {
    /// The pieces that `pieces` gives, until the first error: those of another agent, say, to be streamed on.
    pub fn new<E: Into<Error> + 'static>(
        pieces: impl futures::Stream<Item = std::result::Result<Piece, E>> + Send + 'static,
    ) -> Self {
        Self(Stream::fallible(pieces))
    }

    pub(crate) fn produce<F>(produce: impl FnOnce(Words) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self(Stream::produce(|taker| produce(Words { taker, before: String::new(), now: String::new() })))
    }

    /// The whole text, once all of it has been said.
    ///
    /// # Errors
    /// What ended it.
    pub async fn text(mut self) -> Result<String> {
        let mut whole = String::new();
        while let Some(piece) = self.0.next().await {
            match piece? {
                Piece::Text(text) => whole.push_str(&text),
                Piece::Restart(_) => whole.clear(),
            }
        }
        Ok(whole)
    }
}

impl Words {
    /// Says `text` as soon as there is room for it.
    pub(crate) async fn say(&mut self, text: &str) -> std::result::Result<(), Why> {
        if text.is_empty() {
            return Ok(());
        }
        self.now.push_str(text);
        self.send(Piece::Text(text.to_owned())).await
    }

    /// Whether this turn has said anything.
    pub(crate) fn has_spoken(&self) -> bool {
        !self.now.is_empty()
    }

    /// What this turn said stands.
    pub(crate) fn stands(&mut self) {
        self.before.push_str(&std::mem::take(&mut self.now));
    }

    /// Takes back what this turn said. Takers only know of everything, so what stands is said again.
    pub(crate) async fn restart(&mut self, reason: &str) -> std::result::Result<(), Why> {
        if std::mem::take(&mut self.now).is_empty() {
            return Ok(());
        }
        self.send(Piece::Restart(reason.to_owned())).await?;
        if self.before.is_empty() {
            return Ok(());
        }
        self.send(Piece::Text(self.before.clone())).await
    }

    async fn send(&self, piece: Piece) -> std::result::Result<(), Why> {
        self.taker.send(piece).await.map_err(|_| Why::Abandoned)
    }
}

impl futures::Stream for LlmStream {
    type Item = Result<Piece>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Piece>>> {
        self.0.poll_next_unpin(context)
    }
}

impl Returned for LlmStream {
    fn schema() -> Option<JsonObject> {
        Some(schema::of_output::<String>())
    }

    fn streams() -> bool {
        true
    }

    fn payload(self, outlet: Outlet) -> BoxFuture<'static, Result<Payload, Fault>> {
        Box::pin(joined(self, outlet))
    }
}

/// Sends every piece, and gives at the end what was not taken back.
async fn joined(mut pieces: LlmStream, outlet: Outlet) -> Result<Payload, Fault> {
    let mut whole = String::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Fault::from)?;
        match &piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Restart(_) => whole.clear(),
        }
        if whole.len() > MAX_PAYLOAD_BYTES {
            let message = format!("the words together are larger than the {MAX_PAYLOAD_BYTES} bytes of one result");
            return Err(Fault::new(FaultKind::TooLarge, message));
        }
        outlet.send(Update::Chunk(text(&piece))).await;
    }
    Ok(Payload::Value(text(&whole)))
}

fn text(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("texts can be written").into()
}

impl IntoResponse for LlmStream {
    fn into_response(self) -> Response {
        let mut is_over = false;
        let pieces = self.0.map(Some).chain(futures::stream::iter([None]));
        let events = pieces.scan((), move |(), piece| {
            let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
            let event = match piece {
                _ if is_over => None,
                Some(Ok(Piece::Text(text))) => Some(Event::default().data(plain(&text))),
                Some(Ok(Piece::Restart(reason))) => Some(Event::default().event("restart").data(plain(&reason))),
                Some(Err(error)) => {
                    is_over = true;
                    Some(Event::default().event("error").data(plain(&error.to_string())))
                }
                None => Some(Event::default().data("[DONE]")),
            };
            futures::future::ready(event.map(Ok::<_, std::convert::Infallible>))
        });
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(writer),
            Self::Restart(reason) => json!({ "_mesh_frame": "restart", "reason": reason }).serialize(writer),
        }
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match Value::deserialize(reader)? {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Object(mut frame) if frame.get("_mesh_frame").is_some_and(|frame| frame == "restart") => {
                let reason = frame.remove("reason").and_then(|reason| reason.as_str().map(str::to_owned));
                Ok(Self::Restart(reason.unwrap_or_default()))
            }
            other => Err(serde::de::Error::custom(format!("neither a text nor a restart: {other}"))),
        }
    }
}

impl fmt::Debug for LlmStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a model says")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use axum::body::to_bytes;
    use tokio::sync::mpsc;

    use super::*;

    fn interrupted() -> LlmStream {
        LlmStream::produce(|mut words| async move {
            words.say("Let me look. ").await?;
            words.stands();
            words.say("It is su").await?;
            words.restart("lost").await?;
            words.say("Rain.").await?;
            Ok(())
        })
    }

    #[tokio::test]
    async fn a_restart_takes_everything_back_and_says_again_what_stands() {
        let pieces: Vec<Piece> = interrupted().map(Result::unwrap).collect().await;
        let text = |text: &str| Piece::Text(text.into());
        let again = text("Let me look. ");
        let expected = [again.clone(), text("It is su"), Piece::Restart("lost".into()), again, text("Rain.")];
        assert_eq!(pieces, expected);
        assert_eq!(interrupted().text().await.unwrap(), "Let me look. Rain.");
    }

    #[tokio::test]
    async fn callers_that_do_not_stream_get_what_was_not_taken_back() {
        let (queue, mut updates) = mpsc::channel(16);
        let whole = interrupted().payload(Outlet::to(queue)).await.unwrap();
        assert_eq!(whole, Payload::Value(r#""Let me look. Rain.""#.into()));
        let mut pieces = Vec::new();
        while let Some(Update::Chunk(piece)) = updates.recv().await {
            pieces.push(serde_json::from_slice::<Piece>(&piece).unwrap());
        }
        assert_eq!(pieces[2], Piece::Restart("lost".into()));
    }

    #[tokio::test]
    async fn over_http_a_restart_is_an_event_of_its_own() {
        let body = to_bytes(interrupted().into_response().into_body(), 4096).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let expected = "data: Let me look. \n\ndata: It is su\n\nevent: restart\ndata: lost\n\n\
                        data: Let me look. \n\ndata: Rain.\n\ndata: [DONE]\n\n";
        assert_eq!(text, expected);
    }
}
