//! The MCP client at the other end of a call, for tools that ask it something.
#![expect(deprecated, reason = "clients of earlier protocols can be asked, and rely on it")]

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{
    ClientResult, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult, ElicitRequest,
    ElicitRequestParams, ElicitResult, ListRootsRequest, ListRootsResult, ServerRequest,
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
    /// The call is over. Ask while it runs.
    #[error("the call is over, and with it the way to its client")]
    Over,
}

/// Something a tool wants to know of its client. It is sent by the task that rmcp knows to serve the call, whatever task
/// the tool runs in: that is what ties the question to the call's own stream.
pub(super) struct Question {
    request: ServerRequest,
    answer: oneshot::Sender<Result<ClientResult, ServiceError>>,
}

impl ClientHandle {
    /// The client of this request, and the questions that somebody has to ask: see [`Question::ask`].
    pub(super) fn new(request: RequestContext<RoleServer>) -> (Self, mpsc::Receiver<Question>) {
        let (questions, waiting) = mpsc::channel(QUESTIONS_WAITING);
        (Self { request: Arc::new(request), questions }, waiting)
    }

    /// rmcp's own view of the request: its peer, its metadata, its extensions.
    pub fn request(&self) -> &RequestContext<RoleServer> {
        &self.request
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

    async fn ask(&self, request: ServerRequest) -> Result<ClientResult, AskError> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { request, answer }).await.map_err(|_| AskError::Over)?;
        Ok(answered.await.map_err(|_| AskError::Over)??)
    }
}

impl Question {
    /// Asks, waits for the answer, and hands it to whoever wanted to know.
    pub(super) async fn ask(self, request: &RequestContext<RoleServer>) {
        let answer = request.peer.send_request(self.request).await;
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }
}
