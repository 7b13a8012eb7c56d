//! The MCP sessions of one endpoint: bounded in number, and in how long they idle.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::Stream;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId, SessionManager};
use tokio::time::Instant;

/// How many sessions there are at once; each takes some 50 kB. One more ends the one that idles longest.
const MOST_SESSIONS: usize = 1_024;

/// How long a session lives that nobody uses.
const IDLE: Duration = Duration::from_secs(300);

/// rmcp's sessions in memory, of which there are never more than [`MOST_SESSIONS`].
pub(super) struct Sessions {
    inner: LocalSessionManager,
    /// When each was last heard of.
    used: Mutex<HashMap<SessionId, Instant>>,
    most: usize,
}

type Inner = LocalSessionManager;
type Failed = <Inner as SessionManager>::Error;

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Self::at_most(MOST_SESSIONS)
    }

    fn at_most(most: usize) -> Arc<Self> {
        let mut inner = LocalSessionManager::default();
        inner.session_config.keep_alive = Some(IDLE);
        Arc::new(Self { inner, used: Mutex::default(), most })
    }

    fn touch(&self, id: &SessionId) {
        if let Some(used) = self.used.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            *used = Instant::now();
        }
    }

    /// The sessions that have to end for one more to fit. Those that ended by themselves are forgotten on the way.
    async fn in_the_way(&self) -> Vec<SessionId> {
        let live = self.inner.sessions.read().await;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|id, _| live.contains_key(id));
        if used.len() < self.most {
            return Vec::new();
        }
        used.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone()).into_iter().collect()
    }
}

impl SessionManager for Sessions {
    type Error = Failed;
    type Transport = <Inner as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Failed> {
        for id in self.in_the_way().await {
            self.inner.close_session(&id).await?;
        }
        let (id, transport) = self.inner.create_session().await?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&id), Instant::now());
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Failed> {
        self.inner.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Failed> {
        self.touch(id);
        self.inner.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Failed> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.inner.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.inner.create_stream(id, message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Failed> {
        self.inner.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.inner.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.inner.resume(id, last_event_id).await
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn one_session_too_many_ends_the_one_that_idles_longest() {
        let sessions = Sessions::at_most(2);
        let (first, _transport) = sessions.create_session().await.unwrap();
        let (second, _transport) = sessions.create_session().await.unwrap();
        sessions.touch(&first);
        let (third, _transport) = sessions.create_session().await.unwrap();
        assert!(sessions.has_session(&first).await.unwrap());
        assert!(!sessions.has_session(&second).await.unwrap());
        assert!(sessions.has_session(&third).await.unwrap());
    }
}
