//! What tools return, as it travels to the caller.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use mesh_node::context::{MAX_PAYLOAD_BYTES, Outlet, Update};
use mesh_node::tool::{Fault, FaultKind, JsonObject, Payload};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::content::Content;
use crate::schema;
use crate::stream::Stream;

/// What a tool can return, alone or in a `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a tool",
    label = "not something that is written as JSON",
    note = "give it `#[derive(serde::Serialize, schemars::JsonSchema)]`, or return `Content` or `Stream<T>`"
)]
pub trait Returned: Sized + Send + 'static {
    /// The schema of the result, if it has one.
    #[doc(hidden)]
    fn schema() -> Option<JsonObject>;

    /// Whether it comes in pieces.
    #[doc(hidden)]
    fn streams() -> bool {
        false
    }

    /// The result as it travels; pieces go into `outlet` as they come.
    #[doc(hidden)]
    fn payload(self, outlet: Outlet) -> BoxFuture<'static, Result<Payload, Fault>>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema + Send + 'static> Returned for T {
    fn schema() -> Option<JsonObject> {
        let schema = schema::of_output::<T>();
        // Nothing is promised about nothing.
        (schema.get("type") != Some(&Value::from("null"))).then_some(schema)
    }

    fn payload(self, _: Outlet) -> BoxFuture<'static, Result<Payload, Fault>> {
        // Written now: what is not `Sync` may not wait in a future.
        let payload = text(&self).map(Payload::Value);
        Box::pin(async move { payload })
    }
}

impl Returned for Content {
    fn schema() -> Option<JsonObject> {
        None
    }

    fn payload(self, _: Outlet) -> BoxFuture<'static, Result<Payload, Fault>> {
        Box::pin(async move { self.into_payload() })
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Returned for Stream<T> {
    fn schema() -> Option<JsonObject> {
        let piece = schema::of_output::<T>();
        if is_text(&piece) {
            return Some(piece);
        }
        let mut list = schema::of_output::<Vec<T>>();
        list.remove("title");
        Some(list)
    }

    fn streams() -> bool {
        true
    }

    fn payload(self, outlet: Outlet) -> BoxFuture<'static, Result<Payload, Fault>> {
        Box::pin(joined(self, outlet))
    }
}

/// Whether a schema is that of a text.
pub(crate) fn is_text(schema: &JsonObject) -> bool {
    schema.get("type") == Some(&Value::from("string"))
}

/// Sends every piece, and gives all of them at the end: texts as one text, anything else as a list.
async fn joined<T: Serialize + JsonSchema + Send + 'static>(
    mut pieces: Stream<T>,
    outlet: Outlet,
) -> Result<Payload, Fault> {
    let as_text = is_text(&schema::of_output::<T>());
    let mut whole = if as_text { String::new() } else { "[".to_owned() };
    while let Some(piece) = pieces.next().await {
        let piece = text(&piece.map_err(Fault::from)?)?;
        if as_text {
            let words: String = serde_json::from_slice(&piece).map_err(not_json)?;
            whole.push_str(&words);
        } else {
            if whole.len() > 1 {
                whole.push(',');
            }
            whole.push_str(&String::from_utf8_lossy(&piece));
        }
        if whole.len() > MAX_PAYLOAD_BYTES {
            let message = format!("the pieces together are larger than the {MAX_PAYLOAD_BYTES} bytes of one result");
            return Err(Fault::new(FaultKind::TooLarge, message));
        }
        outlet.send(Update::Chunk(piece)).await;
    }
    if as_text {
        return text(&whole).map(Payload::Value);
    }
    whole.push(']');
    Ok(Payload::Value(whole.into()))
}

fn text(value: &impl Serialize) -> Result<Bytes, Fault> {
    serde_json::to_vec(value).map(Bytes::from).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Fault {
    let data = json!({ "at": "result" }).to_string();
    Fault { data: Some(data.into()), ..Fault::new(FaultKind::Failed, format!("the result cannot be JSON: {error}")) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use futures::stream::iter;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn pieces_are_sent_one_by_one_and_the_result_is_all_of_them() {
        let (queue, mut updates) = mpsc::channel(8);
        let words = Stream::new(iter(["to ".to_owned(), "be".to_owned()]));
        let whole = words.payload(Outlet::to(queue)).await.unwrap();
        assert_eq!(whole, Payload::Value(r#""to be""#.into()));
        assert_eq!(updates.recv().await, Some(Update::Chunk(r#""to ""#.into())));
        assert_eq!(updates.recv().await, Some(Update::Chunk(r#""be""#.into())));
    }

    #[tokio::test]
    async fn pieces_that_are_no_texts_become_a_list() {
        let numbers = || Stream::new(iter([1, 2]));
        assert_eq!(numbers().payload(Outlet::closed()).await.unwrap(), Payload::Value("[1,2]".into()));
        let none = Stream::new(iter([0; 0]));
        assert_eq!(none.payload(Outlet::closed()).await.unwrap(), Payload::Value("[]".into()));
        assert_eq!(Stream::<i32>::schema().unwrap()["type"], "array");
        assert_eq!(Stream::<String>::schema().unwrap()["type"], "string");
    }

    #[tokio::test]
    async fn nothing_is_null_and_promises_nothing() {
        assert_eq!(().payload(Outlet::closed()).await.unwrap(), Payload::Value("null".into()));
        assert_eq!(<()>::schema(), None);
    }
}
