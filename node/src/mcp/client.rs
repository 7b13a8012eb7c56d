//! The MCP client at the other end of a call, for tools that ask it something.
#![expect(deprecated, reason = "clients of earlier protocols can be asked, and rely on it")]

use std::fmt;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use rmcp::RoleServer;
use rmcp::model::{
    ClientCapabilities, ClientResult, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequest, ElicitRequestParams, ElicitResult, InputResponses, ListRootsRequest, ListRootsResult, LoggingLevel,
    ServerRequest,
};
use rmcp::service::{RequestContext, ServiceError};
use tokio::sync::{mpsc, oneshot};

/// How many questions of one call wait to be sent; further ones wait for room.
const QUESTIONS_WAITING: usize = 16;

/// A client that can be asked: to elicit, to sample, for its roots. Cheap to clone.
#[derive(Clone)]
pub struct ClientHandle {
    request: Arc<RequestContext<RoleServer>>,
    questions: mpsc::Sender<Question>,
    round: Arc<Round>,
    level: Option<LoggingLevel>,
}

/// What a client of the newest protocol adds to a call that it makes again because it was asked something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) responses: Option<InputResponses>,
    pub(crate) state: Option<String>,
}

/// How a client is asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// While the call runs.
    Meanwhile,
    /// By the result of the call, which the client then makes again.
    ByResult,
}

/// Why a client did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// It refused, or could not be asked: the text says why. Clients of protocol 2026-07-28 cannot be asked in the
    /// course of a call.
    #[error("the client did not answer: {0}")]
    Refused(#[from] ServiceError),
    /// It answered something else than it was asked.
    #[error("the client answered something else than it was asked")]
    Strange,
    /// It never said that it can do that. Do without.
    #[error("the client that called has no {0}")]
    Unable(&'static str),
    /// The call is over. Ask while it runs.
    #[error("the call is over, and with it the way to its client")]
    Over,
}

/// What those who hold a [`ClientHandle`] want to know. It is sent by the task that rmcp knows to serve the call, whatever
/// task the tool runs in: that is what ties a question to the call's own stream.
pub(crate) struct Questions(mpsc::Receiver<Question>);

struct Question {
    request: ServerRequest,
    answer: oneshot::Sender<Result<ClientResult, ServiceError>>,
}

impl ClientHandle {
    /// The client of this request, and the questions that somebody has to ask: see [`Questions::ask_during`]. `round` is
    /// what it answered before, and `level` the least that it wants to be logged.
    pub(crate) fn new(
        request: RequestContext<RoleServer>,
        round: Round,
        level: Option<LoggingLevel>,
    ) -> (Self, Questions) {
        let (questions, waiting) = mpsc::channel(QUESTIONS_WAITING);
        (Self { request: Arc::new(request), questions, round: Arc::new(round), level }, Questions(waiting))
    }

    /// rmcp's own view of the request: its peer, its metadata, its extensions.
    pub fn request(&self) -> &RequestContext<RoleServer> {
        &self.request
    }

    /// What it says it can do.
    pub fn capabilities(&self) -> ClientCapabilities {
        self.request.client_capabilities().unwrap_or_default()
    }

    /// Has the client ask its user. Dropping the future leaves the user alone with the question.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn elicit(&self, question: ElicitRequestParams) -> Result<ElicitResult, AskError> {
        match self.ask(ServerRequest::ElicitRequest(ElicitRequest::new(question))).await? {
            ClientResult::ElicitResult(answer) => Ok(answer),
            _ => Err(AskError::Strange),
        }
    }

    /// Has the client's model continue a conversation. Dropping the future drops the answer.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn sample(&self, conversation: CreateMessageRequestParams) -> Result<CreateMessageResult, AskError> {
        match self.ask(ServerRequest::CreateMessageRequest(CreateMessageRequest::new(conversation))).await? {
            ClientResult::CreateMessageResult(answer) => Ok(*answer),
            _ => Err(AskError::Strange),
        }
    }

    /// The directories that the client works in. Dropping the future drops the answer.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn roots(&self) -> Result<ListRootsResult, AskError> {
        match self.ask(ServerRequest::ListRootsRequest(ListRootsRequest::default())).await? {
            ClientResult::ListRootsResult(answer) => Ok(answer),
            _ => Err(AskError::Strange),
        }
    }

    /// How it is asked something.
    pub(crate) fn asked(&self) -> Asked {
        let is_modern = self.request.protocol_version().is_some_and(|version| !version.has_initialize());
        if is_modern { Asked::ByResult } else { Asked::Meanwhile }
    }

    /// What it answered before.
    pub(crate) fn round(&self) -> &Round {
        &self.round
    }

    /// The least that it wants to be logged.
    pub(crate) fn level(&self) -> Option<LoggingLevel> {
        self.level
    }

    async fn ask(&self, request: ServerRequest) -> Result<ClientResult, AskError> {
        let able = self.capabilities();
        match &request {
            ServerRequest::ElicitRequest(_) if able.elicitation.is_none() => {
                return Err(AskError::Unable("elicitation"));
            }
            ServerRequest::CreateMessageRequest(_) if able.sampling.is_none() => {
                return Err(AskError::Unable("sampling"));
            }
            ServerRequest::ListRootsRequest(_) if able.roots.is_none() => return Err(AskError::Unable("roots")),
            _ => {}
        }
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { request, answer }).await.map_err(|_| AskError::Over)?;
        Ok(answered.await.map_err(|_| AskError::Over)??)
    }
}

impl Questions {
    /// Waits for `work`, and meanwhile asks the client of `request` whatever comes up. Dropping the future drops both.
    pub(crate) async fn ask_during<T>(
        mut self,
        work: impl Future<Output = T>,
        request: &RequestContext<RoleServer>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(question) = self.0.recv() => asked.push(question.ask(request)),
                Some(()) = asked.next() => {}
            }
        }
    }
}

impl Question {
    /// Asks, waits for the answer, and hands it to whoever wanted to know.
    async fn ask(self, request: &RequestContext<RoleServer>) {
        let answer = request.peer.send_request(self.request).await;
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }
}

impl fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an MCP client")
    }
}
