//! What the body of a tool may know about the call it serves, and say before it is done.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh_gossip::resolve::selector::Selector;
use mesh_node::call::{Request, Target};
use mesh_node::context::{CallContext, Scope, Update};
use mesh_node::mcp::client::AskError;
use mesh_node::tool::Payload;
use rmcp::model::{ElicitRequestParams, ElicitationAction, ElicitationSchema};
use rmcp::service::ElicitationMode;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arguments::written;
use crate::dep::{Dep, DepError};
use crate::error::{Error, Result};
use crate::inject::Home;
use crate::received::Received;

/// The call that a tool serves. A parameter of this type is injected; it is no argument. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Served>);

struct Served {
    tool: Arc<str>,
    call: CallContext,
    home: Home,
}

/// How urgent a message for the client's log is, as MCP has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What happens and is worth a look.
    Notice,
    /// What may become a problem.
    Warning,
    /// What failed.
    Error,
    /// What keeps a part from working.
    Critical,
    /// What has to be dealt with at once.
    Alert,
    /// Nothing works.
    Emergency,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotAsk {
    /// The call came from another agent, or from a client that takes no questions. Do without, or make it an argument.
    #[error("whoever called cannot be asked: {0}")]
    NoClient(&'static str),
    /// The type cannot be asked for: only objects of plain fields can.
    #[error("a client cannot be asked for this type: {0}")]
    Type(String),
    /// The client answered with something else.
    #[error("the client's answer does not fit what it was asked: {0}")]
    Answer(#[from] serde_json::Error),
    /// The question did not get through, or was refused.
    #[error(transparent)]
    Lost(#[from] AskError),
    /// The call's deadline passed before there was an answer.
    #[error("the deadline of the call passed before the client answered")]
    TooLate,
}

impl Context {
    pub(crate) fn new(tool: Arc<str>, call: CallContext, home: Home) -> Self {
        Self(Arc::new(Served { tool, call, home }))
    }

    /// The name of the tool.
    pub fn tool(&self) -> &str {
        &self.0.tool
    }

    /// How long there is until the caller gives up; `None` is for ever.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.0.call.scope.deadline?;
        Some(deadline.saturating_duration_since(tokio::time::Instant::now()))
    }

    /// When the caller gives up; `None` is never.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.call.scope.deadline.map(tokio::time::Instant::into_std)
    }

    /// The trace that the call belongs to, as 32 hex digits; `meshctl trace` takes it.
    pub fn trace_id(&self) -> Option<String> {
        self.0.call.scope.trace.map(|trace| format!("{:032x}", trace.trace_id))
    }

    /// The key of the session that the call is part of.
    pub fn session(&self) -> Option<&str> {
        self.0.call.scope.session.as_ref().map(|key| key.as_str())
    }

    /// The headers that travel with the call: those that the configuration lets through.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.call.scope.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// One of the headers that travel with the call.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the caller is gone, or its deadline has passed.
    pub fn is_cancelled(&self) -> bool {
        self.0.call.cancelled.is_cancelled()
    }

    /// Waits until the caller is gone. The body is dropped soon after; what has to be cleaned up asynchronously is spawned.
    pub async fn cancelled(&self) {
        self.0.call.cancelled.cancelled().await;
    }

    /// Tells the caller how far the tool is: `done` grows, `total` is what it will be at the end. An empty `message` says
    /// nothing. Waits while the caller has no room for it; what nobody listens to is gone.
    pub async fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let message = (!message.is_empty()).then(|| message.to_owned());
        self.0.call.outlet.send(Update::Progress { progress: done, total, message }).await;
    }

    /// Says something to the log of the client. What cannot be JSON is not said. Waits as [`Context::progress`] does.
    pub async fn log(&self, level: Level, data: impl Serialize + Send) {
        let Ok(data) = serde_json::to_vec(&data) else { return };
        let logger = Some(self.0.tool.to_string());
        self.0.call.outlet.send(Update::Log { level: level.name(), logger, data: data.into() }).await;
    }

    /// Asks whoever sits at the client for a `T`: an object of plain fields, whose doc comments are the labels. `None`
    /// when they decline. Waits as long as the call may last. Dropping the future withdraws the question.
    ///
    /// # Errors
    /// [`CannotAsk`]: most callers are agents, and many clients take no questions.
    pub async fn elicit<T: JsonSchema + DeserializeOwned + 'static>(
        &self,
        message: impl Into<String>,
    ) -> Result<Option<T>, CannotAsk> {
        let client = self.0.call.client.as_ref().ok_or(CannotAsk::NoClient("it is no MCP client"))?;
        let peer = &client.request().peer;
        if !peer.supported_elicitation_modes().contains(&ElicitationMode::Form) {
            return Err(CannotAsk::NoClient("it did not say that it takes questions"));
        }
        let schema = ElicitationSchema::from_type::<T>().map_err(|why| CannotAsk::Type(why.to_string()))?;
        let question = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: message.into(),
            requested_schema: schema,
        };
        let answer = match self.0.call.scope.deadline {
            Some(deadline) => {
                tokio::time::timeout_at(deadline, client.elicit(question)).await.map_err(|_| CannotAsk::TooLate)??
            }
            None => client.elicit(question).await?,
        };
        match (answer.action, answer.content) {
            (ElicitationAction::Accept, Some(content)) => Ok(Some(serde_json::from_value(content)?)),
            _ => Ok(None),
        }
    }

    /// Whoever `selector` describes: `weather api +fast @">=1.2"`. For what is not known before the call; what is known is
    /// a parameter.
    ///
    /// # Errors
    /// What is wrong with the selector.
    pub fn dep<T: Received>(&self, selector: &str) -> Result<Dep<T>> {
        let parsed: Result<Selector, _> = selector.parse();
        let parsed = parsed.map_err(|why| Error::invalid_argument(format!("the selector `{selector}`: {why}")))?;
        let query = self.0.home.resolver.query(&parsed.asked_in(&self.0.home.namespace));
        Ok(Dep::ad_hoc(self.0.call.mesh.clone(), query, self.0.call.scope.clone()))
    }

    /// Calls whoever `selector` describes; see [`Context::dep`].
    ///
    /// # Errors
    /// What is wrong with the selector, or a [`DepError`].
    pub async fn call<T: Received>(&self, selector: &str, arguments: impl Serialize) -> Result<T> {
        Ok(self.dep::<T>(selector)?.call(arguments).await?)
    }

    /// Calls the tool `tool` of the agent of this name or id, whatever capability it has.
    ///
    /// # Errors
    /// [`DepError`].
    pub async fn call_agent<T: Received>(
        &self,
        agent: &str,
        tool: &str,
        arguments: impl Serialize,
    ) -> Result<T, DepError> {
        let request = Request {
            tool: Some(tool.into()),
            scope: self.scope(),
            ..Request::new(Target::Agent(agent.into()), written(&arguments)?)
        };
        let reply = self.0.call.mesh.call(request).await?;
        let wrong = |why| DepError::Result { from: reply.agent.to_string(), wanted: std::any::type_name::<T>(), why };
        let payload: Payload = reply.payload;
        T::received(payload).map_err(wrong)
    }

    /// The id of the agent whose HTTP is at `url`, if it is in the mesh.
    pub fn agent_at(&self, url: &str) -> Option<String> {
        let wanted = url.trim_end_matches('/');
        let view = self.0.call.mesh.gossip().view();
        let is_there = |urls: &[String]| urls.iter().any(|url| url.trim_end_matches('/') == wanted);
        let mut agents = view.catalog().agents();
        let found = agents.find(|agent| agent.offers.is_some_and(|offers| is_there(&offers.endpoints)));
        found.map(|agent| agent.owner.agent.to_string())
    }

    fn scope(&self) -> Scope {
        self.0.call.scope.clone()
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call of {}", self.0.tool)
    }
}
