//! Dependencies: somebody in the mesh who provides what a tool needs, called as if it were here.

mod items;
mod way;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mesh_gossip::catalog::AgentId;
use mesh_gossip::resolve::Query;
use mesh_node::call::options::CallOptions;
use mesh_node::call::{CallError, Caller};
use mesh_node::context::{NotASessionKey, Scope, SessionKey};
use mesh_node::tool::Payload;
use serde::Serialize;
use serde_json::Value;

pub use items::Items;
use way::{Fake, Way, Wish};

use crate::arguments::{BadArguments, written};
use crate::error::Result as BodyResult;
use crate::need::Bound;
use crate::received::Received;

/// Somebody who provides a capability, whose result is a `T`.
///
/// As a parameter of a tool, `Dep<T>` is required: while nobody provides it the tool is withdrawn, and a call is refused
/// before its body runs. `Option<Dep<T>>` is there when somebody provides it at the moment of the call. Who serves is
/// decided at each call, so that one handle may be kept and cloned; what the running call inherited (deadline, trace,
/// session, headers) goes with it.
pub struct Dep<T> {
    way: Way,
    options: CallOptions,
    scope: Scope,
    session: Result<Option<SessionKey>, NotASessionKey>,
    result: PhantomData<fn() -> T>,
}

/// Why a call to a dependency gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepError {
    /// The call has no result. Its kind says what to do.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The arguments cannot be sent. Fix them.
    #[error(transparent)]
    Arguments(#[from] BadArguments),
    /// The session key cannot be one. Fix it.
    #[error(transparent)]
    Session(#[from] NotASessionKey),
    /// There is a result, but not what was declared. Either the type is wrong, or the provider: match its schema.
    #[error("{from} gave a result that is no {wanted}: {why}")]
    Result {
        /// Who gave it.
        from: String,
        /// The type that was declared.
        wanted: &'static str,
        /// What does not fit, with its place.
        why: String,
    },
}

impl DepError {
    /// Why the call failed, if it was the call.
    pub fn call_error(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            _ => None,
        }
    }
}

impl<T> Dep<T> {
    pub(crate) fn new(caller: Caller, bound: &Bound, scope: Scope) -> Self {
        let way = Way::Mesh { caller, query: bound.query.clone() };
        Self::by(way, bound.options.clone(), scope)
    }

    pub(crate) fn ad_hoc(caller: Caller, query: Arc<Query>, scope: Scope) -> Self {
        Self::by(Way::Mesh { caller, query }, CallOptions::default(), scope)
    }

    /// A dependency that `answer` plays: what it is given are the tool that was named, if any, and the arguments. For
    /// tests of a tool's body; nothing leaves the process, options and sessions do nothing.
    ///
    /// ```
    /// # async fn example() {
    /// use mesh::{Dep, Result};
    ///
    /// async fn greet(date: Dep<String>) -> Result<String> {
    ///     Ok(format!("It is {}", date.call(()).await?))
    /// }
    ///
    /// let date = Dep::fake(|_tool, _arguments| async { Ok("Monday".into()) });
    /// assert_eq!(greet(date).await.unwrap(), "It is Monday");
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example());
    /// ```
    pub fn fake<F>(answer: impl Fn(Option<String>, Value) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = BodyResult<Value>> + Send + 'static,
    {
        let answer: Fake = Arc::new(move |tool, arguments| Box::pin(answer(tool, arguments)));
        Self::by(Way::Fake(answer), CallOptions::default(), Scope::default())
    }

    fn by(way: Way, options: CallOptions, scope: Scope) -> Self {
        Self { way, options, scope, session: Ok(None), result: PhantomData }
    }

    /// The same in a session: its calls are served by the same replica while that lives.
    #[must_use]
    pub fn session(mut self, key: impl AsRef<str>) -> Self {
        self.session = SessionKey::try_from(key.as_ref()).map(Some);
        self
    }

    /// The same with at most `timeout` for each call; what the provider or the running call allow may be less.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// The same with a header of its own on every call, in place of an inherited one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.options.custom_headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// The same provider, with results of another type: for a tool of several that [`Dep::call_tool`] names.
    pub fn of<U>(&self) -> Dep<U> {
        let Self { way, options, scope, session, .. } = self.clone();
        Dep { way, options, scope, session, result: PhantomData }
    }

    /// Who would be asked first now, if anybody is there.
    pub fn provider(&self) -> Option<AgentId> {
        self.way.provider()
    }
}

impl<T: Received> Dep<T> {
    /// Calls it with `arguments`: anything that is written as a JSON object, such as `args! { city: "Rome" }`; `()` is no
    /// arguments.
    ///
    /// Dropping the future tells the provider to stop; it may have run already.
    ///
    /// # Errors
    /// [`DepError`]. A provider with several tools has to be called by [`Dep::call_tool`]; the error lists them.
    pub async fn call(&self, arguments: impl Serialize) -> Result<T, DepError> {
        let (payload, from) = self.payload(None, written(&arguments)?).await?;
        self.read(payload, &from)
    }

    /// As [`Dep::call`], of the tool called `tool` of the agent that provides the capability.
    ///
    /// # Errors
    /// [`DepError`].
    pub async fn call_tool(&self, tool: &str, arguments: impl Serialize) -> Result<T, DepError> {
        let (payload, from) = self.payload(Some(tool), written(&arguments)?).await?;
        self.read(payload, &from)
    }

    /// Calls it and gives the pieces of its result as they come; one piece from a provider that does not stream. Slow
    /// takers slow the provider down. Dropping the items ends the call.
    ///
    /// # Errors
    /// [`DepError`], here for what is wrong with the arguments, and as the last item for the rest.
    pub fn stream(&self, arguments: impl Serialize) -> Result<Items<T>, DepError> {
        let wish = self.wish(None, written(&arguments)?)?;
        Ok(self.way.stream(wish))
    }

    async fn payload(&self, tool: Option<&str>, arguments: Bytes) -> Result<(Payload, String), DepError> {
        let wish = self.wish(tool, arguments)?;
        Ok(self.way.call(wish).await?)
    }

    fn wish(&self, tool: Option<&str>, arguments: Bytes) -> Result<Wish, DepError> {
        let session = self.session.clone()?;
        let tool = tool.map(Arc::from);
        Ok(Wish { tool, arguments, options: self.options.clone(), scope: self.scope.clone(), session })
    }

    fn read(&self, payload: Payload, from: &str) -> Result<T, DepError> {
        read(payload, from)
    }
}

fn read<T: Received>(payload: Payload, from: &str) -> Result<T, DepError> {
    let wrong = |why| DepError::Result { from: from.to_owned(), wanted: std::any::type_name::<T>(), why };
    T::received(payload).map_err(wrong)
}

impl<T> Clone for Dep<T> {
    fn clone(&self) -> Self {
        Self {
            way: self.way.clone(),
            options: self.options.clone(),
            scope: self.scope.clone(),
            session: self.session.clone(),
            result: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Dep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dependency on {}", self.way)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use futures::StreamExt;
    use serde_json::json;

    use super::*;
    use crate::args;

    fn echo() -> Dep<Value> {
        Dep::fake(|tool, arguments| async move { Ok(json!([tool, arguments])) })
    }

    #[tokio::test]
    async fn what_is_sent_is_an_object_whatever_it_was_made_of() {
        #[derive(Serialize)]
        struct Trip {
            to: &'static str,
        }
        assert_eq!(echo().call(()).await.unwrap(), json!([null, {}]));
        assert_eq!(echo().call(Trip { to: "Rome" }).await.unwrap(), json!([null, { "to": "Rome" }]));
        assert_eq!(echo().call_tool("save", args! { turn: 1 }).await.unwrap(), json!(["save", { "turn": 1 }]));
        assert!(matches!(echo().call([1]).await, Err(DepError::Arguments(_))));
    }

    #[tokio::test]
    async fn a_result_of_another_kind_is_an_error_that_names_it() {
        let said = echo().of::<String>().call(()).await.unwrap_err().to_string();
        assert!(said.starts_with("a fake gave a result that is no alloc::string::String"), "{said}");
    }

    #[tokio::test]
    async fn a_session_key_that_cannot_be_one_fails_the_call() {
        assert!(matches!(echo().session("").call(()).await, Err(DepError::Session(_))));
    }

    #[tokio::test]
    async fn who_does_not_stream_gives_one_piece() {
        let items: Vec<_> = echo().stream(()).unwrap().map(Result::unwrap).collect().await;
        assert_eq!(items, [json!([null, {}])]);
    }
}
