//! The service of sessions: there is one session, which is opened, touched, closed and cancelled
//! in.
use std::sync::Arc;

use synod_api::v1::failure::Kind;
use synod_api::v1::sessions_server::Sessions;
use synod_api::v1::{
    CancelReply, CancelRequest, Cancelled, CloseSessionReply, CloseSessionRequest, DescribeSessionReply,
    DescribeSessionRequest, KeepAliveReply, KeepAliveRequest, ListSessionsReply, ListSessionsRequest,
    OpenSessionReply, OpenSessionRequest, SessionBounds, SessionBoundsReply, SessionBoundsRequest,
    SessionInfo, SetSessionBoundsReply, SetSessionBoundsRequest,
};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::calls::{Calls, expired};
use super::{Replies, Served, failure};

/// The id of the session.
pub(crate) const SESSION: [u8; 16] = *b"one session of u";

/// What a member does with touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touches {
    /// Answers them.
    Serve,
    /// Does not.
    Ignore,
    /// Fails them: it cannot know.
    NoLeader,
}

#[tonic::async_trait]
impl Sessions for Served {
    async fn open(&self, request: Request<OpenSessionRequest>) -> Result<Response<OpenSessionReply>, Status> {
        let request = request.into_inner();
        let mut ledger = self.0.ledger();
        if request.label == "too long" {
            return Err(synod_api::status_of_failure(&failure(Kind::Rejected, "LABEL_TOO_LONG")));
        }
        let already = ledger.opened.contains(&request.nonce);
        let session = if self.0.behaviour().calls == Calls::ServeAny {
            request.nonce.clone()
        } else {
            SESSION.to_vec()
        };
        ledger.opened.push(request.nonce);
        ledger.alive = true;
        if self.0.behaviour().hangs_up_on_open {
            return Err(Status::unavailable("broken pipe"));
        }
        Ok(Response::new(OpenSessionReply {
            header: self.0.header(),
            session,
            ttl_ms: ledger.ttl_ms,
            already,
        }))
    }

    type KeepAliveStream = Replies<KeepAliveReply>;

    async fn keep_alive(
        &self,
        request: Request<Streaming<KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let member = Arc::clone(&self.0);
        let replies = request.into_inner().filter_map(move |request| {
            let KeepAliveRequest { session, secret, tag } = request.ok()?;
            let reply = KeepAliveReply { tag, session, ..KeepAliveReply::default() };
            let mut ledger = member.ledger();
            ledger.touched.push(member.id);
            match member.behaviour().touches {
                Touches::Ignore => None,
                Touches::NoLeader => Some(Ok(KeepAliveReply {
                    failure: Some(failure(Kind::Unavailable, "NO_LEADER")),
                    ..reply
                })),
                Touches::Serve if secret == [0; 16] => Some(Ok(KeepAliveReply {
                    failure: Some(failure(Kind::Rejected, "WRONG_SECRET")),
                    ..reply
                })),
                Touches::Serve if !ledger.alive => Some(Ok(KeepAliveReply { ended: true, ..reply })),
                Touches::Serve => Some(Ok(KeepAliveReply { ttl_ms: ledger.ttl_ms, ..reply })),
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn close(
        &self,
        _request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionReply>, Status> {
        let mut ledger = self.0.ledger();
        ledger.closed += 1;
        if !std::mem::take(&mut ledger.alive) {
            return Err(synod_api::status_of_failure(&expired()));
        }
        Ok(Response::new(CloseSessionReply { header: self.0.header() }))
    }

    async fn describe(
        &self,
        request: Request<DescribeSessionRequest>,
    ) -> Result<Response<DescribeSessionReply>, Status> {
        let session = SessionInfo {
            session: request.into_inner().session,
            label: "l".into(),
            ..SessionInfo::default()
        };
        Ok(Response::new(DescribeSessionReply { header: self.0.header(), session: Some(session) }))
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsReply>, Status> {
        let ListSessionsRequest { after, limit } = request.into_inner();
        let sessions = if after.is_empty() {
            vec![SessionInfo { session: SESSION.to_vec(), ..SessionInfo::default() }]
        } else {
            Vec::new()
        };
        Ok(Response::new(ListSessionsReply { header: self.0.header(), sessions, more: limit == 1 }))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelReply>, Status> {
        let id = request.into_inner().request_id;
        let mut ledger = self.0.ledger();
        ledger.cancelled.push(id);
        let was = match (ledger.parked.remove(&id), ledger.outcomes.contains_key(&id)) {
            (Some(_), _) => Cancelled::Waiting,
            (None, true) => Cancelled::Granted,
            (None, false) => Cancelled::NotRun,
        };
        ledger.outcomes.insert(id, Err(failure(Kind::Rejected, "CANCELLED")));
        Ok(Response::new(CancelReply { header: self.0.header(), was: was as i32 }))
    }

    async fn bounds(
        &self,
        _request: Request<SessionBoundsRequest>,
    ) -> Result<Response<SessionBoundsReply>, Status> {
        let bounds = Some(SessionBounds { min_ttl_ms: 2_000, max_ttl_ms: 9_000 });
        Ok(Response::new(SessionBoundsReply { header: self.0.header(), bounds }))
    }

    async fn set_bounds(
        &self,
        _request: Request<SetSessionBoundsRequest>,
    ) -> Result<Response<SetSessionBoundsReply>, Status> {
        Err(synod_api::status_of_failure(&failure(Kind::Rejected, "TTL_OUT_OF_BOUNDS")))
    }
}
