//! One request to a wrapped server, with what is said on the way to its answer.

use rmcp::model::{ClientRequest, RequestMetaObject, ServerResult};
use rmcp::service::{PeerRequestOptions, RequestHandle, RoleClient, ServiceError};

use super::Session;
use super::relay::Listening;
use crate::context::Outlet;
use crate::mcp::client::ClientHandle;

/// A request whose answer nobody has yet. Dropped before, it is cancelled at the server.
pub(super) struct Exchange<'a> {
    handle: Option<RequestHandle<RoleClient>>,
    listening: Listening<'a>,
}

impl<'a> Exchange<'a> {
    /// Sends `request`, with `meta` beside it. What the server asks before it answers is asked of `client`.
    ///
    /// # Errors
    /// [`ServiceError`] when there is no connection; nothing was sent then.
    pub(super) async fn begin(
        session: &'a Session,
        request: ClientRequest,
        meta: RequestMetaObject,
        client: Option<ClientHandle>,
    ) -> Result<Self, ServiceError> {
        let options = PeerRequestOptions::no_options().with_meta(meta);
        let handle = session.peer.send_request_with_option(request, options).await?;
        let listening = session.relay.listen(handle.progress_token.clone(), handle.id.clone(), client);
        Ok(Self { handle: Some(handle), listening })
    }

    /// Waits for the answer, and passes what is said before it into `outlet`. Ask once; dropping the future and then the
    /// exchange cancels the request.
    ///
    /// # Errors
    /// [`ServiceError`] when the connection ended, or the server refused.
    pub(super) async fn answer(&mut self, outlet: &Outlet) -> Result<ServerResult, ServiceError> {
        let Some(handle) = &mut self.handle else { return Err(ServiceError::TransportClosed) };
        let answer = loop {
            tokio::select! {
                answer = &mut handle.rx => break answer,
                Some(update) = self.listening.said.recv() => outlet.send(update).await,
            }
        };
        self.handle = None;
        while let Ok(update) = self.listening.said.try_recv() {
            outlet.send(update).await;
        }
        answer.unwrap_or(Err(ServiceError::TransportClosed))
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // Lasts no longer than the connection, which may have to make room for it.
            tokio::spawn(handle.cancel(Some("the caller gave up".to_owned())));
        }
    }
}
