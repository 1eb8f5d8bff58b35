//! Sessions as operators and tools see them: anybody's, by id.
use synod_abi::{RequestId, SessionId};
use synod_api::v1::sessions_client::SessionsClient;
use synod_api::v1::{
    CancelRequest, Cancelled, CloseSessionRequest, DescribeSessionRequest, ListSessionsReply,
    ListSessionsRequest, SessionBounds, SessionBoundsRequest, SessionInfo, SetSessionBoundsRequest,
};

use super::admin::sized;
use super::client::Client;
use crate::Error;
use crate::core::Effect;
use crate::error::missing;

impl Client {
    /// A page of the sessions, oldest first, that come after `after`; `limit` 0: as many as a page
    /// holds. `more` in the reply tells whether others follow.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_sessions(
        &self,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<ListSessionsReply, Error> {
        let request =
            &ListSessionsRequest { after: after.map(|after| after.0.to_vec()).unwrap_or_default(), limit };
        let list = |channel| async move { sized!(SessionsClient, channel).list(request.clone()).await };
        self.simple(Effect::Idempotent, list).await
    }

    /// One session.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] if there is none, or see [`Error`].
    pub async fn describe_session(&self, session: SessionId) -> Result<SessionInfo, Error> {
        let request = &DescribeSessionRequest { session: session.0.to_vec() };
        let describe =
            |channel| async move { sized!(SessionsClient, channel).describe(request.clone()).await };
        self.simple(Effect::Idempotent, describe).await?.session.ok_or_else(|| missing("session"))
    }

    /// Ends any client's session; everything bound to it is released.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] if there is none, also when an earlier attempt whose answer was
    /// lost ended it; or see [`Error`].
    pub async fn close_session(&self, session: SessionId) -> Result<(), Error> {
        let request = &CloseSessionRequest { session: session.0.to_vec() };
        let close = |channel| async move { sized!(SessionsClient, channel).close(request.clone()).await };
        let reply = self.simple(Effect::Idempotent, close).await?;
        self.heard(reply.header.as_ref());
        Ok(())
    }

    /// Cancels a request of a session, and returns what the cancel found.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cancel_request(
        &self,
        session: SessionId,
        secret: [u8; 16],
        request: RequestId,
    ) -> Result<Cancelled, Error> {
        let request =
            &CancelRequest { session: session.0.to_vec(), secret: secret.to_vec(), request_id: request.0 };
        let cancel = |channel| async move { sized!(SessionsClient, channel).cancel(request.clone()).await };
        let reply = self.simple(Effect::Idempotent, cancel).await?;
        self.heard(reply.header.as_ref());
        match reply.was() {
            Cancelled::Unspecified => Err(missing("word on what the request was")),
            was => Ok(was),
        }
    }

    /// The shortest and the longest time to live of sessions.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn session_bounds(&self) -> Result<SessionBounds, Error> {
        let bounds =
            |channel| async move { sized!(SessionsClient, channel).bounds(SessionBoundsRequest {}).await };
        self.simple(Effect::Idempotent, bounds).await?.bounds.ok_or_else(|| missing("bounds"))
    }

    /// Sets these bounds for sessions that are opened from now on.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_session_bounds(&self, bounds: SessionBounds) -> Result<(), Error> {
        let request = SetSessionBoundsRequest { bounds: Some(bounds) };
        let set = |channel| async move { sized!(SessionsClient, channel).set_bounds(request).await };
        let reply = self.simple(Effect::Changes, set).await?;
        self.heard(reply.header.as_ref());
        Ok(())
    }
}
